"""A pool of misbehaving children, for tests: started, run, and proven to leave nothing behind."""

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from baton.kernel.clock import Clock, SystemClock
from baton.kernel.metrics import Metrics, SilentMetrics
from baton.kernel.profiles import PRESETS
from baton.media.job import EncoderTuning, TranscodeOutput, TranscodeRequest
from baton.media.keepers import KeeperLimits
from baton.media.pool import EnginePool, PoolLimits
from baton.media.process import ChildCommand

ODD = ChildCommand(
    transcode="tests.media.misbehaving_engine:transcode", probe="tests.media.misbehaving_engine:probe", niceness=0
)
QUICK = PoolLimits(accept_timeout_s=5.0, keepers=KeeperLimits(watch_interval_s=0.02, pause_first_s=0.02))
_numbers = itertools.count()


class CountingMetrics(SilentMetrics):
    """Checks names as the real ones do, and counts."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.gauges: dict[str, float] = {}
        self.series: dict[tuple[str, ...], float] = {}
        """Gauges by name and label values."""
        self.observed: Counter[str] = Counter()

    def set(self, name: str, value: float, **labels: str) -> None:
        super().set(name, value, **labels)
        self.gauges[name] = value
        self.series[name, *labels.values()] = value

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        super().add(name, amount, **labels)
        if amount:
            self.counted[" ".join((name, *(v for k, v in labels.items() if k != "device")))] += int(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        super().observe(name, value, **labels)
        self.observed[name] += 1


def make_pool(
    *,
    device: str = "cpu",
    children: int = 2,
    memory_limit_bytes: int = 1 << 30,
    recycle_after_jobs: int = 500,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
    limits: PoolLimits = QUICK,
    command: ChildCommand = ODD,
    tuning: EncoderTuning | None = None,
) -> EnginePool:
    return EnginePool(
        device=device,
        children=children,
        tuning=tuning or EncoderTuning(),
        memory_limit_bytes=memory_limit_bytes,
        recycle_after_jobs=recycle_after_jobs,
        clock=clock or SystemClock(),
        metrics=metrics or CountingMetrics(),
        limits=limits,
        command=command,
    )


@asynccontextmanager
async def running(pool: EnginePool) -> AsyncIterator[EnginePool]:
    """The pool at work; afterwards stopped, with no process of it left, not even a zombie."""
    await pool.start()
    async with asyncio.TaskGroup() as group:
        service = group.create_task(pool.run())
        try:
            yield pool
        finally:
            await pool.stop()
            service.cancel()
    assert pool.pids == ()
    assert child_pids() == set()


def child_pids() -> set[int]:
    """Direct children of this process that are engine children, zombies included."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        pids = (task / "children").read_text(encoding="ascii").split()
        found |= {int(pid) for pid in pids if _is_engine(int(pid))}
    return found


def _is_engine(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"baton.media.child" in words or stat.rpartition(")")[2].split()[0] == "Z"


async def until(fact: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait for a fact that another process brings about; it can only be looked for."""
    async with asyncio.timeout(within_s):
        while not fact():  # noqa: ASYNC110 -- nobody in this process could set an event
            await asyncio.sleep(0.005)


def folder_for(tmp_path: Path) -> Path:
    folder = tmp_path / f"job-{next(_numbers)}"
    folder.mkdir()
    return folder


def tries(folder: Path) -> list[int]:
    """Process ids of the children that tried this job, in order."""
    found = [path.read_text(encoding="ascii") for path in sorted(folder.glob("try-*"))]
    return [int(pid) for pid in found if pid]


async def order(
    pool: EnginePool,
    words: str,
    folder: Path,
    *,
    deadline_s: float = 30.0,
    content: bytes | None = None,
    stream: str = "stream",
    profiles: int = 1,
) -> TranscodeOutput:
    """Have one job done; its content is its folder's name unless told otherwise."""
    request = TranscodeRequest(
        input_path=str(folder), profiles=tuple(PRESETS.values())[:profiles], comment=words, service_provider="test"
    )
    return await pool.transcode(
        request, deadline_s=deadline_s, content_hash=content or os.fsencode(folder.name), stream_key=stream
    )


async def count(job: Awaitable[TranscodeOutput]) -> int:
    """How many renditions a job brought."""
    return len((await job).renditions)
