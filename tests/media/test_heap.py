"""The memory of an engine child: kept between segments, returned when it rests or keeps too much."""

import asyncio
import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from baton.media import heap
from tests.media.pooling import CountingMetrics, folder_for, make_pool, order, running, tries, until

needs_glibc = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library is another than glibc 2.33 or newer"
)

_KEEPS = """
import ctypes, resource, sys
from baton.media.heap import Heap
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = [ctypes.c_void_p]
kept = Heap(most_kept_bytes=512 << 20)
pieces = [library.malloc(8 << 20) for _ in range(int(sys.argv[1]))]
for piece in pieces:
    ctypes.memset(ctypes.c_void_p(piece), 1, 8 << 20)
last = library.malloc(1 << 20)  # stands behind them, so that the library does not return them by itself
for piece in pieces:
    library.free(piece)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
freed = resident()
kept.after_job()
worked = resident()
kept.return_free()
print(freed, worked, resident())
"""


def _megabytes(pieces: int, environment: dict[str, str]) -> tuple[int, int, int]:
    """Resident megabytes after so many pieces of 8 MiB were freed, after a job, and at rest."""
    command = (sys.executable, "-c", _KEEPS, str(pieces))
    told = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True, timeout=60)
    freed, worked, rested = map(int, told.stdout.split())
    return freed, worked, rested


@needs_glibc
def test_what_a_segment_frees_stays_for_the_next_and_goes_at_rest() -> None:
    freed, worked, rested = _megabytes(20, heap.heap_environment(heap.MOST_KEPT_BYTES))
    assert freed > 160
    assert worked > 160
    assert rested < 60


@needs_glibc
def test_without_the_settings_it_would_go_at_once() -> None:
    freed, _, _ = _megabytes(20, {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"})
    assert freed < 60


@needs_glibc
def test_more_than_is_good_goes_when_the_job_is_done() -> None:
    freed, worked, _ = _megabytes(80, heap.heap_environment(heap.MOST_KEPT_BYTES))
    assert freed > 640
    assert worked < 60


def _resident_mb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() >> 20


@needs_glibc
def test_a_child_keeps_what_a_job_freed_until_it_rests(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(make_pool(children=1, memory_limit_bytes=4 << 30)) as pool:
            folder = folder_for(tmp_path)
            await order(pool, "hoard 40", folder)
            (child,) = tries(folder)
            assert _resident_mb(child) > 320
            await until(lambda: _resident_mb(child) < 150)

    asyncio.run(story())


@needs_glibc
def test_a_small_limit_replaces_no_child_for_what_it_keeps(tmp_path: Path) -> None:
    """Each job takes more than half of the limit, which no child may rest with."""

    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(children=1, memory_limit_bytes=512 << 20, metrics=metrics)) as pool:
            for _ in range(4):
                await order(pool, "hoard 36", folder_for(tmp_path))
            assert metrics.counted["engine_restarts_total recycled"] == 0

    asyncio.run(story())


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baton.media.heap.ctypes.CDLL", lambda _name: object())
    other = heap.Heap(most_kept_bytes=0)
    assert other.free_bytes() == 0
    other.after_job()
    other.return_free()


def test_what_is_kept_is_a_small_part_of_the_limit() -> None:
    assert heap.kept_bytes(4 << 30) == 512 << 20
    assert heap.kept_bytes(256 << 20) == 32 << 20
