"""The token that proves an operator: a file in the data directory that only the node's user can read.

Whoever can read ``management.token`` may drain the node and change its limits. Made once, kept across restarts,
replaced when others could have read it.
"""

import os
import secrets
import stat
from pathlib import Path

__all__ = ["TOKEN_FILE", "ensure_token", "read_token"]

TOKEN_FILE = "management.token"  # noqa: S105 -- a file name
_TOKEN_BYTES = 32
_LARGEST_TOKEN_FILE_BYTES = 1024
_SHORTEST_TOKEN = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def ensure_token(data_dir: Path) -> str:
    """The token of this data directory, made when there is none that can be trusted.

    Raises:
        OSError: the file can be neither read nor made.
    """
    path = data_dir / TOKEN_FILE
    found = read_token(data_dir)
    if found is not None and not stat.S_IMODE(path.lstat().st_mode) & _OTHERS:
        return found
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    temporary = data_dir / f".{TOKEN_FILE}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(token + "\n")
    temporary.replace(path)
    return token


def read_token(data_dir: Path) -> str | None:
    """The token in the file, or None when there is no usable one: missing, a link, or too short to be one.

    Raises:
        PermissionError: the file is there for somebody else.
    """
    try:
        descriptor = os.open(data_dir / TOKEN_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except PermissionError:
        raise
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        content = stream.read(_LARGEST_TOKEN_FILE_BYTES)
    text = content.decode("ascii", "replace").strip()
    return text if len(text) >= _SHORTEST_TOKEN and text.isascii() and text.isprintable() else None
