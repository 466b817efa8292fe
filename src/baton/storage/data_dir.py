"""The data directory: everything a node keeps, used by one node at a time (operator.md 16).

    <data dir>/          0700 when we make it
      lock               held while the node runs; names the process
      token-secrets.json secrets behind auth tokens (storage.secrets), 0600
      ticket-secrets.json secrets behind ticket terms (storage.ticket_secrets), 0600
      money.sqlite3      balances and winning tickets (storage.database), 0600; -wal and -shm beside it belong to it
      run-time.json      what an operator set while the node ran (storage.run_time), 0600
      work/              segments in work (storage.spool), emptied at start, 0700
      engine-temp/       the one place where engine children can make files (app.cell), emptied at start, 0700

Other adapters keep their own files beside these. Blocking; used at start and stop.
"""

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from baton.kernel.errors import ExitCode, StartError
from baton.storage.files import PRIVATE_DIR_MODE
from baton.storage.lock import take_lock

__all__ = ["MONEY_NAME", "DataDir"]

log = structlog.get_logger("baton.storage")

_LOCK_NAME = "lock"

MONEY_NAME = "money.sqlite3"
"""The database's name in the data directory."""


class DataDir:
    """A data directory that is ours until ``release``."""

    def __init__(self, *, path: Path, lock_fd: int) -> None:
        """Made by ``acquire``; owns the descriptor."""
        self._path = path
        self._lock_fd: int | None = lock_fd

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Make the directory if need be and lock it.

        Raises:
            StartError: ``ExitCode.DATA_DIR``; it cannot be made or written, or another node holds it, whose process id
                is in the message.
        """
        path = path.absolute()
        try:
            path.mkdir(mode=PRIVATE_DIR_MODE, parents=True, exist_ok=True)
            mode = path.stat().st_mode
            lock_fd = take_lock(str(path / _LOCK_NAME), what=f"data directory {path}")
        except OSError as error:
            raise _unusable(path, error) from error
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            log.warning("data directory can be written by others", path=str(path), mode=f"{stat.S_IMODE(mode):04o}")
        return cls(path=path, lock_fd=lock_fd)

    @property
    def path(self) -> Path:
        """The directory, absolute."""
        return self._path

    @property
    def token_secrets(self) -> Path:
        """Where the secrets behind auth tokens are kept."""
        return self._path / "token-secrets.json"

    @property
    def ticket_secrets(self) -> Path:
        """Where the secrets behind ticket terms are kept."""
        return self._path / "ticket-secrets.json"

    @property
    def run_time(self) -> Path:
        """Where values are kept that an operator set while the node ran."""
        return self._path / "run-time.json"

    @property
    def prices(self) -> Path:
        """Where prices are kept that an operator set while the node ran."""
        return self._path / "prices.json"

    @property
    def price_feed(self) -> Path:
        """Where the last good exchange rate is kept."""
        return self._path / "price-feed.json"

    @property
    def money(self) -> Path:
        """The database of balances and winning tickets, for a node without another."""
        return self._path / MONEY_NAME

    @property
    def work(self) -> Path:
        """Folder of segments in work; made by ``folder``."""
        return self.folder("work")

    def folder(self, name: str) -> Path:
        """A folder of ours below the data directory, made with mode 0700 when missing and tightened when looser.

        Raises:
            StartError: ``ExitCode.DATA_DIR``; it cannot be made, or is a link or a file.
        """
        folder = self._path / name
        try:
            folder.mkdir(mode=PRIVATE_DIR_MODE, exist_ok=True)
            mode = folder.lstat().st_mode
            if not stat.S_ISDIR(mode):
                raise NotADirectoryError(0, "it is a link, not a folder")
            if stat.S_IMODE(mode) != PRIVATE_DIR_MODE:
                folder.chmod(PRIVATE_DIR_MODE)
        except OSError as error:
            raise _unusable(folder, error) from error
        return folder

    def release(self) -> None:
        """Let another node have it. The lock file stays: removing it would open a race. A second time does nothing."""
        descriptor, self._lock_fd = self._lock_fd, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        """The directory itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Release it."""
        self.release()


def _unusable(path: Path, error: OSError) -> StartError:
    reason = "there is a file of this name" if isinstance(error, FileExistsError) else error.strerror
    return StartError(f"data directory {path} cannot be used: {reason}", exit_code=ExitCode.DATA_DIR)
