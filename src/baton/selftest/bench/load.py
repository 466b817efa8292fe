"""One load: a number of sessions at once, each sending its segments one after another, and the time each one takes.

Like gateways', a session has one segment with the engine at a time. Paced ("live") it waits until a segment would have
been played before it sends the next one; unpaced it sends at once, so that the engine is never idle and the ratio says
directly which part of its time the load needs. Nothing that runs is ever broken off by a load: that would cost the
engine its child, and the next load its figures.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from baton.kernel.clock import Clock
from baton.kernel.errors import CapacityError, TranscodeError
from baton.media.job import TranscodeOutput
from baton.selftest.bench.figures import RULE_OF_THUMB, Figures, Point, Timing
from baton.selftest.bench.source import BenchSegment

__all__ = ["BenchEngine", "Load", "LoadRun", "Sleep"]

Sleep = Callable[[float], Awaitable[object]]

_HOPELESS = 2.5
"""When the sessions' first segments, which wait the least, take this many times what the rule allows, later ones will
not do better."""


class BenchEngine(Protocol):
    """Where a load goes: the engines of one device as a node would run them."""

    async def transcode(self, segment: BenchSegment, *, session: str, place: int) -> TranscodeOutput:
        """Renditions of the segment, however long it takes; ``place`` is its number within the session.

        Raises:
            TranscodeError: the engine gave it up.
            CapacityError: the engine did not take it.
        """
        ...

    def end(self, session: str) -> None:
        """The session is over: what a device keeps of its stream goes back to it."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """What to do."""

    name: str
    """Part of the sessions' names, so that no two loads share one."""
    sessions: int
    segments: tuple[BenchSegment, ...]
    """Sent in turn by every session, from the first again after the last."""
    count: int
    """Segments of each session that are measured."""
    ramp: int = 0
    """Segments of each session before those: sent, but not measured, until everybody is in everybody's way."""
    live: bool = False
    delay_s: float = 0.0
    """Between the starts of two sessions."""
    stop_early: bool = False
    """Send no more once the load cannot fit whatever comes."""


class LoadRun:
    """One load being done. ``run`` once; ``timings`` grows meanwhile."""

    def __init__(
        self,
        load: Load,
        engines: tuple[BenchEngine, ...],
        *,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        on_segment: Callable[[Timing, TranscodeOutput], Awaitable[None]] | None = None,
    ) -> None:
        """Session k goes to engine k modulo their number. ``on_segment`` is told of every measured segment."""
        self._load = load
        self._engines = engines
        self._clock = clock
        self._sleep = sleep
        self._on_segment = on_segment
        self._ramp_timings: list[Timing] = []
        self._timings: list[Timing] = []
        self._trouble = ""
        self._stopped = False
        self._started_at = clock.monotonic()
        planned = [load.segments[i % len(load.segments)] for i in range(load.ramp, load.ramp + load.count)]
        self._enough_s = RULE_OF_THUMB * load.sessions * sum(segment.duration_s for segment in planned)

    @property
    def timings(self) -> tuple[Timing, ...]:
        """Measured segments, in the order in which they were done."""
        return tuple(self._timings)

    @property
    def point(self) -> Point:
        """What is known so far."""
        ramp_is_all = self._stopped and not self._timings
        return Point(
            sessions=self._load.sessions,
            figures=Figures.of(self._ramp_timings if ramp_is_all else self._timings),
            live=self._load.live,
            wall_s=self._clock.monotonic() - self._started_at,
            trouble=self._trouble,
            cut_short=self._stopped,
        )

    async def run(self) -> Point:
        """Do it. Cancelling abandons what runs; ``point`` says what is known until then."""
        try:
            async with asyncio.TaskGroup() as group:
                for session in range(self._load.sessions):
                    group.create_task(self._session(session))
        except BaseExceptionGroup as failed:
            # Whoever is told of segments may fail, in several sessions at once: the first reason will do.
            raise failed.exceptions[0] from None
        return self.point

    async def _session(self, session: int) -> None:
        await self._sleep(session * self._load.delay_s)
        try:
            await self._send(session)
        finally:
            self._engine_of(session).end(self._name_of(session))

    async def _send(self, session: int) -> None:
        load = self._load
        for place in range(load.ramp + load.count):
            if self._stopped or self._trouble:
                return
            segment = load.segments[place % len(load.segments)]
            timing = await self._one(segment, session, place)
            if timing is None:
                return
            if load.live and place + 1 < load.ramp + load.count:
                await self._sleep(max(0.0, timing.duration_s - timing.took_s))

    async def _one(self, segment: BenchSegment, session: int, place: int) -> Timing | None:
        """Have one segment transcoded and take its time; None when it failed."""
        began_s = self._clock.monotonic()
        try:
            output = await self._engine_of(session).transcode(segment, session=self._name_of(session), place=place)
        except (TranscodeError, CapacityError) as error:
            detail = f" ({error.detail})" if error.detail else ""
            self._trouble = self._trouble or f"{segment.path.name}: {error.text}{detail}"
            return None
        timing = Timing(
            session=session,
            segment=place - self._load.ramp,
            duration_s=segment.duration_s,
            took_s=self._clock.monotonic() - began_s,
            frames=output.renditions[0].frames if output.renditions else 0,
            ended_at_s=self._clock.now(),
            input_bytes=segment.size_bytes,
            output_bytes=sum(len(rendition.data) for rendition in output.renditions),
        )
        if place < self._load.ramp:
            self._ramp_timings.append(timing)
        else:
            self._timings.append(timing)
            if self._on_segment is not None:
                await self._on_segment(timing, output)
        self._stopped = self._stopped or (self._load.stop_early and self._is_lost)
        return timing

    def _engine_of(self, session: int) -> BenchEngine:
        return self._engines[session % len(self._engines)]

    def _name_of(self, session: int) -> str:
        return f"{self._load.name}-{session}"

    @property
    def _is_lost(self) -> bool:
        """Whether the load cannot fit any more, whatever comes."""
        if sum(timing.took_s for timing in self._timings) > self._enough_s:
            return True
        ramp = Figures.of(self._ramp_timings)
        whole_ramp = ramp.segments == self._load.sessions * self._load.ramp
        return whole_ramp and ramp.ratio > _HOPELESS * RULE_OF_THUMB
