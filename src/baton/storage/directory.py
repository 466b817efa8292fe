"""The directory media store: renditions as files of a local directory, served under ``/stream/`` (video.md 6.1).

Unlike the reference's file driver, whose URLs nobody can fetch, this store is served like the one in memory; it trades
speed for memory. What goes when is ``storage.shelf``'s rule; where files lie is ``storage.folder``'s. The index lives
in memory: objects do not survive a restart, and leftovers are removed at start.

Changes reach the disk through one thread, in the order in which the index changed, so that a removal never meets the
file of a later save. Reads have threads of their own.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import structlog

from baton.jobs.ports import ServedObject, StoreError
from baton.kernel.clock import Clock
from baton.kernel.errors import Text
from baton.kernel.ids import SessionId
from baton.kernel.metrics import Metrics
from baton.storage.folder import ObjectFolder
from baton.storage.memory import checked_key
from baton.storage.names import object_url
from baton.storage.shelf import Key, Shelf, ShelfLimits

__all__ = ["DirectoryMediaStore"]

log = structlog.get_logger("baton.storage")

_SWEEP_S = 1.0
_READ_THREADS = 4
_MIN_FREE_BYTES = 256 << 20

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """What the index knows of one saved object; every save makes another one."""

    content_type: str
    size_bytes: int


class DirectoryMediaStore:
    """Renditions in a directory. Satisfies ``MediaStore`` and ``ServedMedia``. ``start`` comes before anything else."""

    def __init__(
        self,
        *,
        directory: Path,
        base_uri: str,
        limits: ShelfLimits,
        clock: Clock,
        metrics: Metrics,
        min_free_bytes: int = _MIN_FREE_BYTES,
    ) -> None:
        """``base_uri`` as for the store in memory; writes stop while less than ``min_free_bytes`` are free."""
        self._directory = directory
        self._base_uri = base_uri
        self._shelf = Shelf(limits)
        self._clock = clock
        self._metrics = metrics
        self._min_free_bytes = min_free_bytes
        self._stored: dict[Key, _Stored] = {}
        # Many readers of one object, however slow, hold its bytes in memory once.
        self._being_served: WeakValueDictionary[_Stored, ServedObject] = WeakValueDictionary()
        self._folder: ObjectFolder | None = None
        self._writer = ThreadPoolExecutor(1, "baton-media-write")
        self._readers = ThreadPoolExecutor(_READ_THREADS, "baton-media-read")
        self._failing = False

    async def start(self) -> None:
        """Take the directory and empty it of what an earlier run left.

        Raises:
            StartError: the directory cannot be used, or another node uses it.
        """
        self._folder = await self._in(
            self._writer, lambda: ObjectFolder.open(self._directory, min_free_bytes=self._min_free_bytes)
        )
        self._publish()

    async def close(self) -> None:
        """Finish what is being written and give the directory free. Files stay until the next start."""
        folder, self._folder = self._folder, None
        await self._in(self._writer, self._readers.shutdown)
        if folder is not None:
            await self._in(self._writer, folder.close)
        self._writer.shutdown(wait=False)

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
        """Write ``data``; the same name again replaces it. Returns the URL to fetch it from.

        Raises:
            StoreError: ``Invalid argument`` for a name that may not be used, ``Cannot allocate memory`` for an object
                larger than the whole store, ``Input/output error`` when the disk refuses.
        """
        key = checked_key(session_id, name)
        folder = self._opened()
        evicted = self._shelf.put(key, size_bytes=len(data), now=self._clock.monotonic())
        entry = self._shelf.entry(key)
        for other in evicted:
            del self._stored[other]
        self._stored[key] = _Stored(content_type, len(data))
        if evicted:
            self._metrics.add("media_store_evictions_total", len(evicted))
        self._publish()

        def write() -> None:
            folder.remove(evicted)
            folder.write(key, data)

        try:
            await self._in(self._writer, write)
        except OSError as error:
            if self._shelf.entry(key) is entry:
                self._forget(key)
            self._note(failing=True, reason=error.strerror)
            raise StoreError(Text.IO_ERROR) from error
        self._note(failing=False)
        if self._shelf.entry(key) is None:
            raise StoreError(Text.NO_MEMORY)
        return object_url(self._base_uri, session_id, name)

    async def read(self, *, session_id: SessionId, name: str) -> ServedObject | None:
        """The object, or None. ``name`` is the decoded path behind the session; only known names reach the disk."""
        key = (session_id, name)
        stored, folder = self._stored.get(key), self._folder
        if stored is None or folder is None:
            return None
        served = self._being_served.get(stored)
        if served is None:
            data = await self._in(self._readers, lambda: folder.read(key, size_bytes=stored.size_bytes))
            if data is None:
                return None
            served = self._being_served.setdefault(stored, ServedObject(data=data, content_type=stored.content_type))
        self._shelf.fetched(key, now=self._clock.monotonic())
        return served

    async def end_session(self, session_id: SessionId) -> None:
        """The session's objects go after their grace period. Unknown sessions are fine."""
        self._shelf.end_session(session_id, now=self._clock.monotonic())

    async def sweep(self) -> None:
        """Remove everything whose time is over."""
        gone = self._shelf.expire(self._clock.monotonic())
        for key in gone:
            del self._stored[key]
        self._publish()
        folder = self._folder
        if gone and folder is not None:
            await self._in(self._writer, lambda: folder.remove(gone))

    async def run(self) -> None:
        """Service body: sweep once a second, for ever."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            await self.sweep()

    def _opened(self) -> ObjectFolder:
        if self._folder is None:
            raise StoreError(Text.MISSING_STORAGE)
        return self._folder

    def _forget(self, key: Key) -> None:
        self._shelf.drop(key)
        del self._stored[key]
        self._publish()

    def _note(self, *, failing: bool, reason: str | None = None) -> None:
        """Log once when writing stops to work and once when it works again."""
        if failing != self._failing:
            self._failing = failing
            if failing:
                log.error("object store cannot be written", directory=str(self._directory), reason=reason)
            else:
                log.info("object store can be written again", directory=str(self._directory))

    def _publish(self) -> None:
        self._metrics.set("media_store_bytes", self._shelf.total_bytes)
        self._metrics.set("media_store_objects", len(self._shelf))

    @staticmethod
    async def _in(executor: Executor, work: Callable[[], _T]) -> _T:
        """Run ``work`` in a thread. A caller that goes away does not undo it: the index already counts on it."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(executor, work))
