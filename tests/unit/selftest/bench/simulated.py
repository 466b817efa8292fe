"""A machine that is a sum: engines that take their turns in an event loop whose time jumps instead of passing."""

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from baton.kernel.errors import Text, TranscodeError
from baton.media.job import RenditionOutput, TranscodeOutput
from baton.selftest.bench.course import MeasuredDevice
from baton.selftest.bench.source import BenchSegment

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    """Never waits: says how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.waited_s += max(timeout or 0.0, 0.0)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumps = _JumpingSelector()
        super().__init__(self.jumps)

    def time(self) -> float:
        return self.jumps.waited_s


class LoopClock:
    """The loop's time as a clock."""

    def now(self) -> float:
        return 1_700_000_000.0 + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def run_simulated(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(work())


class SimulatedEngine:
    """``at_once`` segments at a time, ``work_s`` seconds each, give or take ``noise``; first come, first served."""

    def __init__(self, *, at_once: int, work_s: float, noise: float = 0.0, seed: int = 0, fails_at: int = 0) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._work_s = work_s
        self._noise = noise
        self._chance = random.Random(seed)  # noqa: S311 -- noise, not a secret
        self._fails_at = fails_at
        self.inside = 0
        self.most_inside = 0
        self.sent: list[tuple[str, int, float]] = []
        self.ended: list[str] = []

    async def transcode(self, segment: BenchSegment, *, session: str, place: int) -> TranscodeOutput:
        assert segment.size_bytes > 0
        self.sent.append((session, place, asyncio.get_running_loop().time()))
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if self._fails_at and self.inside >= self._fails_at:
                raise TranscodeError(Text.NO_MEMORY, detail="no session left on the device")
            async with self._slots:
                await asyncio.sleep(self._work_s * self._chance.uniform(1 - self._noise, 1 + self._noise))
        finally:
            self.inside -= 1
        assert session not in self.ended
        rendition = RenditionOutput(data=bytes(1000), pixels=1, frames=60, width=1, height=1)
        return TranscodeOutput((rendition,), decoded_px=1, decoded_frames=60, engine_ms=1)

    def end(self, session: str) -> None:
        self.ended.append(session)


def device(engine: SimulatedEngine, *, name: str = "cpu", at_once: int = 2) -> MeasuredDevice:
    return MeasuredDevice(name=name, engine=engine, at_once=at_once)


def segments(count: int = 5, *, duration_s: float = 2.0) -> tuple[BenchSegment, ...]:
    return tuple(BenchSegment(Path(f"/{n}.ts"), duration_s, 250_000) for n in range(count))
