"""What an operator set while the node ran: kept in the data directory, so that a restart does not undo it.

The later word wins. A value is kept together with the configured one that it replaced; once the configuration says
something else, the operator has spoken again and the kept value is dropped. Blocking; call it from a thread or at
start.
"""

import contextlib
import json
import os
from pathlib import Path

import structlog

from baton.storage.files import write_private

__all__ = ["KeptSessionLimit"]

log = structlog.get_logger("baton.storage")

_VERSION = 1
_LARGEST_FILE_BYTES = 4096
_MOST_SESSIONS = 1_000_000


class KeptSessionLimit:
    """The session limit in the file ``run-time.json``."""

    def __init__(self, *, path: Path, configured: int) -> None:
        """``configured`` is the limit that the settings give."""
        self._path = path
        self._configured = configured

    def read(self) -> int | None:
        """The limit that was set at run time and still holds; None when the configured one does.

        A file that cannot be read or understood counts as none, and is said so in the log.
        """
        try:
            kept = self._content()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as problem:
            log.warning("run-time settings ignored", path=str(self._path), reason=str(problem))
            return None
        limit, replaced = kept
        if replaced != self._configured:
            log.info("session limit of run time dropped", was=limit, configured=self._configured, before=replaced)
            with contextlib.suppress(OSError):
                self.write(self._configured)
            return None
        return None if limit == self._configured else limit

    def write(self, limit: int) -> None:
        """Keep ``limit``; the configured one needs no keeping.

        Raises:
            OSError: it cannot be written.
        """
        if limit == self._configured:
            self._path.unlink(missing_ok=True)
            return
        document = {"version": _VERSION, "max_sessions": limit, "configured": self._configured}
        write_private(self._path, json.dumps(document).encode() + b"\n")

    def _content(self) -> tuple[int, int]:
        """The limit and the configured one that it replaced."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            content = stream.read(_LARGEST_FILE_BYTES + 1)
        if len(content) > _LARGEST_FILE_BYTES:
            message = "too long to be ours"
            raise ValueError(message)
        try:
            document = json.loads(content)
        except RecursionError as error:
            message = "nested too deeply"
            raise ValueError(message) from error
        if not isinstance(document, dict) or document.get("version") != _VERSION:
            message = "not a file of this version"
            raise ValueError(message)
        return _limit(document.get("max_sessions")), _limit(document.get("configured"))


def _limit(value: object) -> int:
    if type(value) is not int or not 0 < value <= _MOST_SESSIONS:
        message = "a limit is no number above 0"
        raise ValueError(message)
    return value
