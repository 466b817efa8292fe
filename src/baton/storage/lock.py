"""Lock files: one node at a time may use a folder, and whoever comes second is told who holds it.

The lock is the kernel's (``flock``): it ends with the process, however that ends, and a file left behind means nothing.
"""

import fcntl
import os

from baton.kernel.errors import ExitCode, StartError
from baton.storage.files import PRIVATE_FILE_MODE

__all__ = ["take_lock"]

_PID_DIGITS = 20


def take_lock(name: str, *, what: str, dir_fd: int | None = None) -> int:
    """A descriptor that holds the lock until it is closed; our process id is written into the file.

    Raises:
        StartError: another process holds it; ``what`` and the process id are in the message.
        OSError: the file cannot be made or written.
    """
    flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, PRIVATE_FILE_MODE, dir_fd=dir_fd)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"{what} is in use by another node (process {_holder(descriptor)})"
            raise StartError(message, exit_code=ExitCode.DATA_DIR) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, _PID_DIGITS, 0).decode("ascii", "replace").strip()
    return text if text.isdigit() else "unknown"
