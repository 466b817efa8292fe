"""Intake of a segment: its bytes onto our disk, from the body or from a store, and proof that they are the right ones.

Steps 15 to 17 of video.md 4.2. Nothing is held in memory; leaving the context removes the file.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from baton.jobs.admission import AdmittedSegment
from baton.jobs.ports import FetchError, SegmentFetcher, SegmentSpool, SpooledSegment, SpoolError
from baton.kernel.clock import Clock
from baton.kernel.errors import RefusedError, Text
from baton.kernel.metrics import Metrics
from baton.video.job import MAX_SEGMENT_BYTES

__all__ = ["URI_CONTENT_TYPE", "Intake"]

URI_CONTENT_TYPE = "application/vnd+livepeer.uri"
"""A body of this type names the segment instead of being it."""

_URI_BYTES = 4096
_FETCH_BUDGET_S = 8.0
_BAD_REQUEST = 400
_FORBIDDEN = 403
_INTERNAL = 500


class Intake:
    """Takes segments in."""

    def __init__(self, *, spool: SegmentSpool, fetcher: SegmentFetcher, clock: Clock, metrics: Metrics) -> None:
        """``fetcher`` is only used for bodies that name a segment."""
        self._spool = spool
        self._fetcher = fetcher
        self._clock = clock
        self._metrics = metrics

    @asynccontextmanager
    async def receive(self, admitted: AdmittedSegment, body: AsyncIterator[bytes]) -> AsyncIterator[SpooledSegment]:
        """The segment on our disk, intact.

        Raises:
            RefusedError: 500 when the body cannot be taken in, 400 when what it names cannot be fetched, 403 when the
                bytes are not those the gateway announced. What is not in while the gateway waits cannot be taken in.
        """
        started = self._clock.monotonic()
        by_url = admitted.request.content_type == URI_CONTENT_TYPE
        try:
            async with asyncio.timeout(max(0.0, admitted.deadline - started)):
                spooled = await (self._fetch(body) if by_url else self._store(body))
        except TimeoutError as error:
            status, text = (_BAD_REQUEST, Text.BAD_REQUEST) if by_url else (_INTERNAL, Text.INTERNAL)
            raise RefusedError(status, text, detail="not in within the segment's time budget") from error
        async with spooled:
            took_s, manifest_id = self._clock.monotonic() - started, admitted.metadata.manifest_id
            self._metrics.add("segment_transcoded_downloaded_total", manifest_id=manifest_id)
            self._metrics.observe("download_time_seconds", took_s, manifest_id=manifest_id)
            self._metrics.add("segment_bytes_total", spooled.size_bytes)
            if spooled.content_hash != admitted.metadata.content_hash:
                raise RefusedError(_FORBIDDEN, Text.FORBIDDEN, detail="body differs from its announced hash")
            yield spooled

    async def _store(self, body: AsyncIterator[bytes]) -> SpooledSegment:
        try:
            return await self._spool.receive(body, limit_bytes=MAX_SEGMENT_BYTES)
        except SpoolError as error:
            raise RefusedError(_INTERNAL, Text.INTERNAL, detail=str(error)) from error

    async def _fetch(self, body: AsyncIterator[bytes]) -> SpooledSegment:
        text = bytearray()
        async for chunk in body:
            text += chunk
            if len(text) > _URI_BYTES:
                raise RefusedError(_BAD_REQUEST, Text.BAD_REQUEST, detail="address too long")
        try:
            url = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RefusedError(_BAD_REQUEST, Text.BAD_REQUEST, detail="address is not text") from error
        try:
            async with asyncio.timeout(_FETCH_BUDGET_S):
                chunks = self._fetcher.fetch(url, limit_bytes=MAX_SEGMENT_BYTES)
                return await self._spool.receive(chunks, limit_bytes=MAX_SEGMENT_BYTES)
        except (FetchError, TimeoutError) as error:
            raise RefusedError(_BAD_REQUEST, Text.BAD_REQUEST, detail=f"fetch: {error}") from error
        except SpoolError as error:
            raise RefusedError(_BAD_REQUEST, Text.BAD_REQUEST, detail=str(error)) from error
