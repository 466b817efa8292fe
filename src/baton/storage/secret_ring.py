"""A ring of secrets in a file: the current one, and those before it that are still honoured.

What a secret vouches for outlives a restart, so secrets lie in the data directory as JSON, mode 0600, the current one
first. They change with time, and a retired one counts until the last thing made with it has ended. A new secret is on
disk before it is used, so that nothing outlives the only copy of its secret.

A file that cannot be understood is set aside and replaced: the node starts. A file that others could read is closed to
them and its secret is changed at once; what was made with it stays good for its time.
"""

import asyncio
import json
import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import structlog

from baton.kernel.clock import Clock
from baton.kernel.errors import ExitCode, StartError
from baton.storage.files import PRIVATE_FILE_MODE, write_private

__all__ = ["SECRET_BYTES", "SecretRing"]

log = structlog.get_logger("baton.storage")

SECRET_BYTES = 32
_MAX_FILE_BYTES = 64 << 10
_MAX_SECRETS = 16
_CHECK_S = 60.0
_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Secret:
    """``retired_at`` is Unix time, None for the one in use."""

    value: bytes
    created_at: float
    retired_at: float | None = None

    def __repr__(self) -> str:
        return f"_Secret(created_at={self.created_at}, retired_at={self.retired_at})"


class SecretRing:
    """The secrets of one purpose. Reading is for the event loop; ``load`` blocks. A purpose is a subclass."""

    WHAT: ClassVar[str]
    """The purpose, for people."""
    ROTATE_AFTER_S: ClassVar[float]
    """A secret is in use for this long."""
    OVERLAP_S: ClassVar[float]
    """A retired secret is honoured for this long."""

    def __init__(
        self,
        *,
        path: Path,
        clock: Clock,
        known: tuple[_Secret, ...] = (),
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Use ``load``. ``known`` has the current secret first; ``random_bytes`` must be a cryptographic source."""
        self._path = path
        self._clock = clock
        self._random_bytes = random_bytes
        self._secrets = known
        self._failing = False

    @classmethod
    def load(cls, path: Path, *, clock: Clock) -> Self:
        """The secrets kept in ``path``, or fresh ones.

        Raises:
            StartError: ``ExitCode.DATA_DIR``; the file cannot be read or written, or is not a plain file.
        """
        try:
            content, exposed = _read_private(path, cls.WHAT)
            known = () if content is None else _parse(content, now=clock.now())
            if content is not None and not known:
                aside = path.with_name(path.name + ".unreadable")
                path.replace(aside)
                log.warning("secrets could not be understood", what=cls.WHAT, path=str(path), kept=str(aside))
            made = cls(path=path, clock=clock, known=known)
            if exposed or not known:
                made._replace(made._rotated())
        except OSError as error:
            message = f"{cls.WHAT} {path} cannot be used: {error.strerror}"
            raise StartError(message, exit_code=ExitCode.DATA_DIR) from error
        return made

    @property
    def current(self) -> bytes:
        """The secret in use (32 bytes)."""
        return self._secrets[0].value

    def acceptable(self, now: float) -> tuple[bytes, ...]:
        """Secrets that are honoured at Unix time ``now``, the current one first."""
        return tuple(s.value for s in self._secrets if s.retired_at is None or now < s.retired_at + self.OVERLAP_S)

    async def rotate_if_due(self) -> bool:
        """Change the secret when its time is up; returns whether it did. When the disk refuses, the old one stays."""
        if self._clock.now() - self._secrets[0].created_at < self.ROTATE_AFTER_S:
            return False
        rotated = self._rotated()
        try:
            await asyncio.to_thread(self._write, rotated)
        except OSError as error:
            if not self._failing:
                log.error("secrets cannot be written", what=self.WHAT, path=str(self._path), reason=error.strerror)  # noqa: TRY400 -- the reason says it all
            self._failing = True
            return False
        self._secrets = rotated
        self._failing = False
        log.info("secret changed", what=self.WHAT)
        return True

    async def run(self) -> None:
        """Service body: change the secret when its time has come, for ever."""
        while True:
            await asyncio.sleep(_CHECK_S)
            await self.rotate_if_due()

    def _rotated(self) -> tuple[_Secret, ...]:
        now = self._clock.now()
        retired = (
            s if s.retired_at is not None else _Secret(s.value, s.created_at, retired_at=now) for s in self._secrets
        )
        alive = tuple(s for s in retired if s.retired_at is not None and now < s.retired_at + self.OVERLAP_S)
        return (_Secret(self._random_bytes(SECRET_BYTES), now), *alive)[:_MAX_SECRETS]

    def _replace(self, secrets_now: tuple[_Secret, ...]) -> None:
        self._write(secrets_now)
        self._secrets = secrets_now

    def _write(self, secrets_now: tuple[_Secret, ...]) -> None:
        rows = [{"secret": s.value.hex(), "created_at": s.created_at, "retired_at": s.retired_at} for s in secrets_now]
        write_private(self._path, json.dumps({"version": _VERSION, "secrets": rows}, indent=1).encode("ascii"))


def _read_private(path: Path, what: str) -> tuple[bytes | None, bool]:
    """Content of ``path`` (None without one) and whether others could read it until now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, False
    with open(descriptor, "rb") as file:  # noqa: PTH123 -- a descriptor, not a path
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(0, "it is not a plain file")
        exposed = bool(mode & (stat.S_IRWXG | stat.S_IRWXO))
        if exposed:
            os.fchmod(descriptor, PRIVATE_FILE_MODE)
            log.warning("secrets could be read by others", what=what, path=str(path), mode=f"{stat.S_IMODE(mode):04o}")
        return file.read(_MAX_FILE_BYTES + 1), exposed


def _parse(content: bytes, *, now: float) -> tuple[_Secret, ...]:
    """The secrets of a file, current first; none when it is not one of ours. Times in the future count as now."""
    if len(content) > _MAX_FILE_BYTES:
        return ()
    try:
        document = json.loads(content)
        if document["version"] != _VERSION:
            return ()
        found = tuple(
            _Secret(
                bytes.fromhex(row["secret"]),
                min(float(row["created_at"]), now),
                None if row["retired_at"] is None else min(float(row["retired_at"]), now),
            )
            for row in document["secrets"][:_MAX_SECRETS]
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return ()
    sound = (
        bool(found)
        and all(len(s.value) == SECRET_BYTES for s in found)
        and [s.retired_at is None for s in found] == [True, *[False] * (len(found) - 1)]
    )
    return found if sound else ()
