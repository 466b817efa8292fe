"""The spool: bodies of segments go to files of our own naming while they arrive, hashed on the way (video.md 4.2, 4.5).

Memory per upload is bounded by two batches: one that fills while the other is hashed and written by a thread. The disk
is bounded by a node-wide limit and by a floor of free space, so that many slow uploads cannot fill it. Whatever ends an
upload - its peer, a limit, a full disk, a cancelled request - removes its file; what a crash left is removed at start.
"""

import asyncio
import contextlib
import functools
import os
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import structlog

from baton.jobs.ports import SpoolError
from baton.kernel.crypto import new_keccak
from baton.kernel.metrics import Metrics
from baton.storage.files import PRIVATE_DIR_MODE, free_bytes, open_new, write_all

__all__ = ["FileSpool", "SpoolLimits", "SpooledFile"]

log = structlog.get_logger("baton.storage")

_PREFIX = "segment-"
_NAME_BYTES = 16
_THREADS = 4
_SMALL_BYTES = 16 * 1024

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much of the machine uploads may take.

    ``total_bytes`` counts every spooled segment until it is removed, ``uploads`` only those that still arrive; nothing
    is written that would leave less than ``min_free_bytes`` on the file system.
    """

    total_bytes: int = 8 << 30
    min_free_bytes: int = 256 << 20
    uploads: int = 1024
    batch_bytes: int = 512 << 10


class _Batch:
    """Chunks of a body on their way to a thread: large ones as they are, small ones grown together."""

    __slots__ = ("_pieces", "_small", "size_bytes")

    def __init__(self) -> None:
        self.size_bytes = 0
        self._pieces: list[bytes | bytearray] = []
        self._small = bytearray()

    def add(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        if len(chunk) < _SMALL_BYTES:
            self._small += chunk
            if len(self._small) < _SMALL_BYTES:
                return
        self._flush()
        if len(chunk) >= _SMALL_BYTES:
            self._pieces.append(chunk)

    def pieces(self) -> list[bytes | bytearray]:
        self._flush()
        return self._pieces

    def _flush(self) -> None:
        if self._small:
            self._pieces.append(self._small)
            self._small = bytearray()


class _Draft:
    """A file in the making. ``size_bytes`` belongs to the event loop; the methods run in threads, one at a time."""

    def __init__(self, path: Path, *, min_free_bytes: int) -> None:
        self.path = path
        self.size_bytes = 0
        self._min_free_bytes = min_free_bytes
        self._hash = new_keccak()
        self._descriptor: int | None = None
        self._discarded = False
        self._one_at_a_time = threading.Lock()

    def append(self, batch: "_Batch") -> None:
        with self._one_at_a_time:
            if self._discarded:
                return
            if self._descriptor is None:
                self.path.parent.mkdir(mode=PRIVATE_DIR_MODE, exist_ok=True)
                self._descriptor = open_new(str(self.path))
            if free_bytes(self.path.parent) - batch.size_bytes < self._min_free_bytes:
                message = "the file system is almost full"
                raise SpoolError(message)
            for piece in batch.pieces():
                self._hash.update(piece)
                write_all(self._descriptor, piece)

    def finish(self, batch: "_Batch") -> bytes:
        self.append(batch)
        with self._one_at_a_time:
            self._close()
            return self._hash.digest()

    def discard(self) -> None:
        with self._one_at_a_time:
            self._discarded = True
            self._close()
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class SpooledFile:
    """One received segment. Satisfies ``SpooledSegment``; leaving the context removes the file."""

    def __init__(self, *, spool: "FileSpool", draft: _Draft, content_hash: bytes) -> None:
        """Made by ``FileSpool.receive``."""
        self._spool = spool
        self._draft = draft
        self._content_hash = content_hash

    @property
    def path(self) -> str:
        """The file, mode 0600."""
        return str(self._draft.path)

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return self._draft.size_bytes

    @property
    def content_hash(self) -> bytes:
        """Keccak-256 of its bytes (32 bytes)."""
        return self._content_hash

    async def __aenter__(self) -> Self:
        """The segment itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Remove the file."""
        await self._spool.discard(self._draft)


class FileSpool:
    """Takes segments in below one folder. Satisfies ``SegmentSpool``. Belongs to the event loop."""

    def __init__(self, *, folder: Path, metrics: Metrics, limits: SpoolLimits | None = None) -> None:
        """``folder`` is ours alone, as the data directory's lock guarantees; it may be missing yet."""
        self._folder = folder
        self._metrics = metrics
        self._limits = limits or SpoolLimits()
        self._threads = ThreadPoolExecutor(_THREADS, "baton-spool")
        self._uploads = 0
        self._bytes = 0
        self._live: set[_Draft] = set()
        self._failing = False

    @property
    def total_bytes(self) -> int:
        """Bytes of all segments that were received, wholly or in part, and not removed yet."""
        return self._bytes

    async def clean_leftovers(self) -> int:
        """Remove the segments that an earlier run left and return their number. Call it before anything is received."""
        return await self._in_thread(self._clean)

    async def receive(self, body: AsyncIterator[bytes], *, limit_bytes: int) -> SpooledFile:
        """Write ``body`` to a new file, hashing as it comes; ``body`` is closed when this returns.

        Raises:
            SpoolError: longer than ``limit_bytes``, too much at once, or the disk refuses. Nothing is left behind.
        """
        if self._uploads >= self._limits.uploads:
            message = f"{self._uploads} uploads at once"
            raise SpoolError(message)
        self._uploads += 1
        draft = _Draft(
            self._folder / f"{_PREFIX}{secrets.token_hex(_NAME_BYTES)}", min_free_bytes=self._limits.min_free_bytes
        )
        self._live.add(draft)
        try:
            try:
                content_hash = await self._take(body, draft, limit_bytes)
            finally:
                await _close(body)
        except OSError as error:
            await self.discard(draft)
            self._note(failing=True, reason=error.strerror)
            message = f"cannot be written: {error.strerror}"
            raise SpoolError(message) from error
        except BaseException:
            await self.discard(draft)
            raise
        finally:
            self._uploads -= 1
        self._note(failing=False)
        return SpooledFile(spool=self, draft=draft, content_hash=content_hash)

    async def discard(self, draft: _Draft) -> None:
        """Remove a file, half written or whole, and count its bytes back. A second time does nothing."""
        if draft in self._live:
            self._live.remove(draft)
            self._bytes -= draft.size_bytes
            self._metrics.set("spool_bytes", self._bytes)
            # Shielded: a second cancellation must not leave the file behind.
            await asyncio.shield(self._in_thread(draft.discard))

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)

    async def _take(self, body: AsyncIterator[bytes], draft: _Draft, limit_bytes: int) -> bytes:
        """Fill one batch while a thread works on the one before; returns the hash of everything."""
        at_work: asyncio.Future[None] | None = None
        batch = _Batch()
        async for chunk in body:
            self._count(draft, len(chunk), limit_bytes)
            batch.add(chunk)
            if batch.size_bytes >= self._limits.batch_bytes:
                if at_work is not None:
                    await at_work
                full, batch = batch, _Batch()
                at_work = self._in_thread(functools.partial(draft.append, full))
                at_work.add_done_callback(_read_outcome)
                self._metrics.set("spool_bytes", self._bytes)
        if at_work is not None:
            await at_work
        return await self._in_thread(functools.partial(draft.finish, batch))

    def _count(self, draft: _Draft, length: int, limit_bytes: int) -> None:
        if draft.size_bytes + length > limit_bytes:
            message = f"longer than {limit_bytes} bytes"
            raise SpoolError(message)
        if self._bytes + length > self._limits.total_bytes:
            message = f"{self._bytes} bytes are spooled already"
            raise SpoolError(message)
        draft.size_bytes += length
        self._bytes += length

    def _in_thread(self, work: Callable[[], _T]) -> "asyncio.Future[_T]":
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _clean(self) -> int:
        removed = 0
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.startswith(_PREFIX) and not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)  # noqa: PTH108 -- a directory entry, not a path object
                    removed += 1
        return removed

    def _note(self, *, failing: bool, reason: str | None = None) -> None:
        """Log once when writing stops to work and once when it works again."""
        if failing != self._failing:
            self._failing = failing
            if failing:
                log.error("spool cannot be written", folder=str(self._folder), reason=reason)
            else:
                log.info("spool can be written again", folder=str(self._folder))


async def _close(body: AsyncIterator[bytes]) -> None:
    """Let a generator end now instead of when it is collected, so that a download gives its connection back."""
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()


def _read_outcome(future: "asyncio.Future[None]") -> None:
    """Take note of a failure that nobody may wait for any more, because the upload ended for another reason first."""
    if not future.cancelled():
        future.exception()
