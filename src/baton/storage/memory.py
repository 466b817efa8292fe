"""The in-memory media store: renditions wait here until the gateway fetched them from ``/stream/`` (video.md 6.2).

Bounded by bytes instead of the reference's twelve files a folder, and nothing is lost the moment a session ends: see
``storage.shelf`` for what goes when. Belongs to the event loop; bytes are shared with the reader, never copied.
"""

import asyncio

from baton.jobs.ports import ServedObject, StoreError
from baton.kernel.clock import Clock
from baton.kernel.errors import Text
from baton.kernel.ids import SessionId
from baton.kernel.metrics import Metrics
from baton.storage.names import object_url, safe_object_name, safe_session_name
from baton.storage.shelf import Key, Shelf, ShelfLimits

__all__ = ["MemoryMediaStore"]

_SWEEP_S = 1.0


class MemoryMediaStore:
    """Renditions in memory. Satisfies ``MediaStore`` and ``ServedMedia``."""

    def __init__(self, *, base_uri: str, limits: ShelfLimits, clock: Clock, metrics: Metrics) -> None:
        """``base_uri`` is the service URI without trailing slash; URLs handed out begin with it."""
        self._base_uri = base_uri
        self._shelf = Shelf(limits)
        self._clock = clock
        self._metrics = metrics
        self._objects: dict[Key, ServedObject] = {}
        self._publish()

    @property
    def kept(self) -> tuple[int, int]:
        """Bytes and number of the objects kept now."""
        return self._shelf.total_bytes, len(self._shelf)

    def unfetched(self, *, within_s: float) -> int:
        """Objects of the last ``within_s`` seconds that their gateways have not fetched yet."""
        return self._shelf.unfetched(since=self._clock.monotonic() - within_s)

    @property
    def is_lent(self) -> bool:
        """It is ours."""
        return False

    async def save(self, *, session_id: SessionId, name: str, data: bytes, content_type: str) -> str:
        """Keep ``data``; the same name again replaces it. Returns the URL to fetch it from.

        Raises:
            StoreError: ``Invalid argument`` for a name that may not be used, ``Cannot allocate memory`` for an object
                larger than the whole store.
        """
        key = checked_key(session_id, name)
        evicted = self._shelf.put(key, size_bytes=len(data), now=self._clock.monotonic())
        for other in evicted:
            del self._objects[other]
        self._objects[key] = ServedObject(data=data, content_type=content_type)
        if evicted:
            self._metrics.add("media_store_evictions_total", len(evicted))
        self._publish()
        return object_url(self._base_uri, session_id, name)

    async def read(self, *, session_id: SessionId, name: str) -> ServedObject | None:
        """The object, or None. ``name`` is the decoded path behind the session."""
        key = (session_id, name)
        found = self._objects.get(key)
        if found is not None:
            self._shelf.fetched(key, now=self._clock.monotonic())
        return found

    async def end_session(self, session_id: SessionId) -> None:
        """The session's objects go after their grace period. Unknown sessions are fine."""
        self._shelf.end_session(session_id, now=self._clock.monotonic())

    async def sweep(self) -> None:
        """Drop everything whose time is over."""
        for key in self._shelf.expire(self._clock.monotonic()):
            del self._objects[key]
        self._publish()

    async def run(self) -> None:
        """Service body: sweep once a second, for ever."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            await self.sweep()

    def _publish(self) -> None:
        self._metrics.set("media_store_bytes", self._shelf.total_bytes)
        self._metrics.set("media_store_objects", len(self._shelf))


def checked_key(session_id: SessionId, name: str) -> Key:
    """The key of an object whose names passed the rule.

    Raises:
        StoreError: they did not; its text is for the peer.
    """
    try:
        safe_session_name(session_id)
        safe_object_name(name)
    except ValueError as error:
        raise StoreError(Text.INVALID_ARGUMENT) from error
    return session_id, name
