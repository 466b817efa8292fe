"""Private files: written whole or not at all, readable by nobody else. Blocking; call it from a thread or at start."""

import contextlib
import os
import secrets
from pathlib import Path

__all__ = ["PRIVATE_DIR_MODE", "PRIVATE_FILE_MODE", "free_bytes", "open_new", "write_all", "write_private"]

PRIVATE_FILE_MODE = 0o600
PRIVATE_DIR_MODE = 0o700


def open_new(name: str, *, dir_fd: int | None = None) -> int:
    """A descriptor on a file that did not exist before: mode 0600, no symlink followed, not inherited by children."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, PRIVATE_FILE_MODE, dir_fd=dir_fd)


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write every byte, however many calls that takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_private(path: Path, data: bytes) -> None:
    """Replace ``path`` with ``data`` so that a crash leaves the old content or the new one, both with mode 0600."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = open_new(str(temporary))
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def free_bytes(path: Path | int) -> int:
    """Bytes an ordinary process may still write to the file system of ``path``, which may be a descriptor."""
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize
