"""Files of a directory store: objects below one folder of ours, reached only by descriptors, never by joined paths.

Layout of ``<directory>/baton-media``: ``lock`` (held while a node uses it, and the mark that the folder is ours),
``objects/<session>/<file>``, and ``partial/`` for files that are being written. A file is named by the hash of its
object's name: a stranger's words meet no rule of a file system about length, case or alphabet, and ``x`` lies beside
``x/1.ts``. Directories are 0700, files 0600. Each step opens one part below its parent's descriptor and refuses
symlinks, so a planted link leads nowhere. Blocking.

``write`` and ``remove`` must come from one thread, in the order in which the index changed; ``read`` from any.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from baton.kernel.errors import ExitCode, StartError
from baton.storage.files import PRIVATE_DIR_MODE, free_bytes, open_new, write_all
from baton.storage.lock import take_lock
from baton.storage.shelf import Key

__all__ = ["FOLDER_NAME", "ObjectFolder", "file_name"]

FOLDER_NAME = "baton-media"
"""Everything a directory store writes lies below a folder of this name."""

_NAME_BYTES = 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def file_name(object_name: str) -> str:
    """The file that holds an object of this name: 40 hex digits, another for every name."""
    return hashlib.blake2b(object_name.encode(), digest_size=_NAME_BYTES).hexdigest()


class ObjectFolder:
    """The opened folder of one store."""

    def __init__(self, *, lock_fd: int, objects_fd: int, partial_fd: int, min_free_bytes: int) -> None:
        """Descriptors now owned by this object; use ``open``."""
        self._lock_fd = lock_fd
        self._objects_fd = objects_fd
        self._partial_fd = partial_fd
        self._min_free_bytes = min_free_bytes

    @classmethod
    def open(cls, directory: Path, *, min_free_bytes: int) -> Self:
        """Make or take over ``<directory>/baton-media`` and empty it of what an earlier run left.

        Raises:
            StartError: it cannot be made or written, belongs to something else, or another node uses it.
        """
        root = directory / FOLDER_NAME
        try:
            directory.mkdir(mode=PRIVATE_DIR_MODE, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                root.mkdir(mode=PRIVATE_DIR_MODE)
            root_fd = os.open(root, _DIRECTORY)
        except OSError as error:
            message = f"object store {directory} cannot be used: {error.strerror}"
            raise StartError(message, exit_code=ExitCode.DATA_DIR) from error
        try:
            return cls._open(root, root_fd, min_free_bytes)
        except OSError as error:
            message = f"object store {root} cannot be used: {error.strerror}"
            raise StartError(message, exit_code=ExitCode.DATA_DIR) from error
        finally:
            os.close(root_fd)

    @classmethod
    def _open(cls, root: Path, root_fd: int, min_free_bytes: int) -> Self:
        content = set(os.listdir(root_fd))
        if content and "lock" not in content:
            message = f"{root} holds files that are not ours; choose another directory for --object-store"
            raise StartError(message, exit_code=ExitCode.DATA_DIR)
        with contextlib.ExitStack() as undo:
            lock_fd = take_lock("lock", dir_fd=root_fd, what=f"object store {root}")
            undo.callback(os.close, lock_fd)
            opened = []
            for name in ("objects", "partial"):
                _remove_tree(name, root_fd)
                os.mkdir(name, PRIVATE_DIR_MODE, dir_fd=root_fd)
                opened.append(os.open(name, _DIRECTORY, dir_fd=root_fd))
                undo.callback(os.close, opened[-1])
            undo.pop_all()
        objects_fd, partial_fd = opened
        return cls(lock_fd=lock_fd, objects_fd=objects_fd, partial_fd=partial_fd, min_free_bytes=min_free_bytes)

    def close(self) -> None:
        """Give the folder free for another node. The object is useless afterwards."""
        for descriptor in (self._objects_fd, self._partial_fd, self._lock_fd):
            os.close(descriptor)

    def write(self, key: Key, data: bytes) -> None:
        """Put an object in place, whole or not at all.

        Raises:
            OSError: as the file system says, ``ENOSPC`` also when the last free space would be used. What was under
                ``key`` before is gone then.
        """
        temporary = secrets.token_hex(16)
        try:
            self._check_room(len(data))
            descriptor = open_new(temporary, dir_fd=self._partial_fd)
            try:
                write_all(descriptor, data)
            finally:
                os.close(descriptor)
            with self._parent(key, create=True) as (parent_fd, leaf):
                os.rename(temporary, leaf, src_dir_fd=self._partial_fd, dst_dir_fd=parent_fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self._partial_fd)
            self.remove((key,))
            raise

    def remove(self, keys: Iterable[Key]) -> None:
        """Remove objects and the folders they leave empty; what is not there is fine."""
        for key in keys:
            with contextlib.suppress(OSError), self._parent(key) as (parent_fd, leaf):
                os.unlink(leaf, dir_fd=parent_fd)
            with contextlib.suppress(OSError):
                os.rmdir(key[0], dir_fd=self._objects_fd)

    def read(self, key: Key, *, size_bytes: int) -> bytes | None:
        """The bytes under ``key`` when they are a plain file of ``size_bytes`` bytes, else None."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with self._parent(key) as (parent_fd, leaf):
                descriptor = os.open(leaf, flags, dir_fd=parent_fd)
            with open(descriptor, "rb") as file:  # noqa: PTH123 -- a descriptor, not a path
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode) or found.st_size != size_bytes:
                    return None
                data = file.read(size_bytes)
        except OSError:
            return None
        return data if len(data) == size_bytes else None

    def _check_room(self, size_bytes: int) -> None:
        if free_bytes(self._partial_fd) - size_bytes < self._min_free_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextlib.contextmanager
    def _parent(self, key: Key, *, create: bool = False) -> Iterator[tuple[int, str]]:
        session_id, name = key
        if create:
            with contextlib.suppress(FileExistsError):
                os.mkdir(session_id, PRIVATE_DIR_MODE, dir_fd=self._objects_fd)
        descriptor = os.open(session_id, _DIRECTORY, dir_fd=self._objects_fd)
        try:
            yield descriptor, file_name(name)
        finally:
            os.close(descriptor)


def _remove_tree(name: str, dir_fd: int) -> None:
    """Remove a folder of ours and all below it; a link in its place is removed, not followed."""
    try:
        mode = os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        shutil.rmtree(name, dir_fd=dir_fd)
    else:
        os.unlink(name, dir_fd=dir_fd)
