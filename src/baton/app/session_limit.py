"""The session limit as an operator may change it: in force at once, kept across restarts, and shown with its origin."""

import asyncio

import structlog

from baton.config.origin import Origin, Source
from baton.jobs.streams import Streams
from baton.storage.run_time import KeptSessionLimit

__all__ = ["LiveSessionLimit"]

log = structlog.get_logger("baton.app")

_ORIGIN = Origin(Source.RUN_TIME, "/setMaxSessions")


class LiveSessionLimit:
    """Satisfies ``ops.status.SessionLimit``."""

    def __init__(self, *, configured: int, kept: KeptSessionLimit, streams: Streams) -> None:
        """Puts a kept limit in force that still holds."""
        self._configured = configured
        self._kept = kept
        self._streams = streams
        self._changing = asyncio.Lock()
        before = kept.read()
        if before is not None:
            streams.set_limit(before)
            log.info("session limit of run time in force", max_sessions=before, configured=configured)

    @property
    def value(self) -> int:
        """The limit in force."""
        return self._streams.table.limit

    @property
    def origin(self) -> Origin | None:
        """None while the configured limit is in force."""
        return None if self.value == self._configured else _ORIGIN

    async def change(self, limit: int) -> None:
        """Keep ``limit``, then put it in force: both or neither, also when the caller goes away meanwhile.

        Raises:
            OSError: it cannot be kept; the limit is what it was.
        """
        async with self._changing:
            before = self.value
            writing = asyncio.ensure_future(asyncio.to_thread(self._write, limit))
            cancelled: asyncio.CancelledError | None = None
            while not writing.done():  # a file half way to the disk cannot be called back
                try:
                    await asyncio.wait({writing})
                except asyncio.CancelledError as error:
                    cancelled = error
            problem = writing.exception()
            if problem is None:
                self._streams.set_limit(limit)
                log.warning("session limit changed", max_sessions=limit, before=before)
        if cancelled is not None:
            raise cancelled
        if problem is not None:
            raise problem

    def _write(self, limit: int) -> None:
        """Keep ``limit``; what is on the disk afterwards decides whether that worked. In a thread."""
        try:
            self._kept.write(limit)
        except OSError:
            if (self._kept.read() or self._configured) != limit:
                raise
            log.warning("session limit kept, but a power cut may lose it", max_sessions=limit)
