"""A whole benchmark: one load that was asked for, or the search for each device's limit and a last run of the answer.

The search sends unpaced, since then the ratio is the part of its time that a device needs for the load: it is found in
seconds, and it is the stricter figure, because paced streams also have pauses in which others catch up. What it found
is then run once paced, all devices together, as gateways would send it; a sum that the machine behind the devices does
not carry is taken back until it does. Everything found so far is in ``Course.found`` at any time.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from baton.kernel.clock import Clock
from baton.media.job import TranscodeOutput
from baton.selftest.bench.figures import RULE_OF_THUMB, Figures, Point, Timing
from baton.selftest.bench.load import BenchEngine, Load, LoadRun, Sleep
from baton.selftest.bench.search import LimitSearch, Tried
from baton.selftest.bench.source import BenchSegment

__all__ = ["Course", "DeviceFound", "Found", "Measured", "MeasuredDevice"]

_COUNTED_S = 6.0
"""Video of each session that a try of the search measures."""
_FEWEST_COUNTED = 2
_CONFIRMED_S = 10.0
"""Video of each session in the paced run at the end."""
_CONFIRM_SHARE_MOST = 0.4
"""Part of the time limit that is kept for that run, if it takes so long."""
_CONFIRM_TRIES = 3
_STAGGER_S = 0.3


@dataclass(frozen=True, slots=True)
class MeasuredDevice:
    """A device with its engines."""

    name: str
    engine: BenchEngine
    at_once: int
    """Segments it works on at the same time."""


@dataclass(frozen=True, slots=True)
class DeviceFound:
    """What the search found about one device."""

    name: str
    limit: int
    too_many: int | None
    complete: bool
    """False when time ran out: the limit is at least what it says."""
    tried: tuple[Tried, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a benchmark found."""

    asked: Point | None = None
    """The load that was asked for, its repetitions together; None in a search."""
    devices: tuple[DeviceFound, ...] = ()
    together: tuple[Point, ...] = ()
    """Paced runs of what the search came to, the last one in force."""
    suggested: int = 0
    """Sessions that the machine carries, 0 for none."""
    one_session: Figures = field(default_factory=Figures)
    """Sums over everything measured, for the bytes that one session moves."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Who is told of what while it happens. Nobody by default."""

    step: Callable[[str], None] = lambda _text: None
    point: Callable[[Point, str], None] = lambda _point, _device: None
    tick: Callable[[int, int], None] = lambda _done, _of: None
    timing: Callable[[Timing], Awaitable[None]] | None = None
    output: Callable[[Timing, TranscodeOutput], Awaitable[None]] | None = None


class Course:
    """A benchmark under way. Belongs to the event loop."""

    def __init__(
        self,
        devices: tuple[MeasuredDevice, ...],
        *,
        clock: Clock,
        listener: Measured | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Measures ``devices``, at least one."""
        self._devices = devices
        self._clock = clock
        self._listener = listener or Measured()
        self._sleep = sleep
        self._found = Found()
        self._running: LoadRun | None = None
        self._loads = 0

    @property
    def found(self) -> Found:
        """What is known so far."""
        return self._found

    async def ask(
        self, *, sessions: int, segments: tuple[BenchSegment, ...], live: bool, delay_s: float, repeat: int
    ) -> None:
        """One load: every session sends all segments, ``repeat`` times over. Ends early when the engine gives up."""
        engines = tuple(device.engine for device in self._devices)
        before: Point | None = None
        for round_number in range(1, repeat + 1):
            self._listener.step(f"{_sessions(sessions)}, run {round_number} of {repeat}")
            load = Load(
                name=self._name(),
                sessions=sessions,
                segments=segments,
                count=len(segments),
                live=live,
                delay_s=delay_s,
            )
            run = LoadRun(load, engines, clock=self._clock, sleep=self._sleep, on_segment=self._told(load))
            try:
                await run.run()
            finally:
                before = _together(before, run.point)
                self._found = replace(self._found, asked=before, one_session=before.figures)
            self._listener.point(run.point, "")
            if before.trouble:
                return

    async def warm_up(self, segments: tuple[BenchSegment, ...]) -> str:
        """One segment for each engine, so that nothing measured is a first time; what the engine said, if it failed."""
        for device in self._devices:
            load = Load(name=self._name(), sessions=device.at_once, segments=segments[:1], count=1)
            point = await LoadRun(load, (device.engine,), clock=self._clock, sleep=self._sleep).run()
            if point.trouble:
                return f"{device.name}: {point.trouble}"
        return ""

    async def search(self, *, segments: tuple[BenchSegment, ...], most: int, live: bool, time_limit_s: float) -> None:
        """Every device's limit, then all of them together, within about ``time_limit_s`` seconds."""
        ends_at = self._clock.monotonic() + time_limit_s
        confirm_s = (2 + _count(_CONFIRMED_S, segments)) * segments[0].duration_s
        searches_end_at = ends_at - min(confirm_s, _CONFIRM_SHARE_MOST * time_limit_s)
        for index, device in enumerate(self._devices):
            left_s = searches_end_at - self._clock.monotonic()
            share_s = left_s / (len(self._devices) - index)
            await self._search_one(device, segments, most=most, live=live, within_s=share_s)
        await self._confirm(segments, ends_at=ends_at)

    async def _search_one(
        self, device: MeasuredDevice, segments: tuple[BenchSegment, ...], *, most: int, live: bool, within_s: float
    ) -> None:
        search = LimitSearch(most=most)
        points: list[Point] = []
        before = self._found.devices
        ends_at = self._clock.monotonic() + within_s
        self._listener.step(f"searching the limit of {device.name}")
        while (sessions := search.upcoming) is not None:
            load = Load(
                name=self._name(),
                sessions=sessions,
                segments=segments,
                count=_count(_COUNTED_S, segments),
                ramp=1,
                live=live,
                delay_s=_stagger_s(sessions, segments) if live else 0.0,
                stop_early=True,
            )
            point = await self._within(load, (device.engine,), ends_at - self._clock.monotonic())
            if point is not None:
                points.append(point)
                search.record(point)
                self._listener.point(point, device.name)
            found = DeviceFound(
                device.name, search.limit, search.too_many, search.upcoming is None, search.tried, tuple(points)
            )
            self._found = replace(
                self._found,
                devices=(*before, found),
                suggested=sum(each.limit for each in (*before, found)),
                one_session=self._found.one_session + (point.figures if point is not None else Figures()),
            )
            if point is None:
                return

    async def _confirm(self, segments: tuple[BenchSegment, ...], *, ends_at: float) -> None:
        """Run what was found, paced; take sessions back while that does not fit."""
        counts = [device.limit for device in self._found.devices]
        for _ in range(_CONFIRM_TRIES):
            total = sum(counts)
            if total == 0:
                return
            engines = tuple(
                device.engine for device, count in zip(self._devices, counts, strict=True) for _ in range(count)
            )
            self._listener.step(f"running {_sessions(total)} paced, as gateways send")
            load = Load(
                name=self._name(),
                sessions=total,
                segments=segments,
                count=_count(_CONFIRMED_S, segments),
                ramp=1,
                live=True,
                delay_s=_stagger_s(total, segments),
            )
            point = await self._within(load, engines, ends_at - self._clock.monotonic())
            if point is None:
                return
            self._found = replace(self._found, together=(*self._found.together, point), suggested=total)
            self._listener.point(point, "")
            if point.fits:
                return
            counts = _fewer(counts, point.figures.ratio)
            self._found = replace(self._found, suggested=sum(counts))

    async def _within(self, load: Load, engines: tuple[BenchEngine, ...], seconds: float) -> Point | None:
        """A load that may take ``seconds``; None when that was not enough."""
        if seconds <= 0:
            return None
        run = LoadRun(load, engines, clock=self._clock, sleep=self._sleep, on_segment=self._told(load))
        try:
            async with asyncio.timeout(seconds):
                return await run.run()
        except TimeoutError:
            return None

    def _told(self, load: Load) -> Callable[[Timing, TranscodeOutput], Awaitable[None]]:
        """Count segments of a load, and pass them on."""
        done = 0

        async def told(timing: Timing, output: TranscodeOutput) -> None:
            nonlocal done
            done += 1
            self._listener.tick(done, load.sessions * load.count)
            if self._listener.timing is not None:
                await self._listener.timing(timing)
            if self._listener.output is not None:
                await self._listener.output(timing, output)

        return told

    def _name(self) -> str:
        self._loads += 1
        return f"bench-{self._loads}"


def _fewer(counts: list[int], ratio: float) -> list[int]:
    """Fewer sessions of each device after a paced run with this ratio; at least one less in all."""
    total = sum(counts)
    wanted = min(total - 1, math.floor(total * RULE_OF_THUMB / ratio)) if ratio > RULE_OF_THUMB else total - 1
    left = list(counts)
    while sum(left) > max(wanted, 0):
        left[left.index(max(left))] -= 1
    return left


def _count(seconds: float, segments: tuple[BenchSegment, ...]) -> int:
    """Segments that make up about so many seconds of video."""
    return max(_FEWEST_COUNTED, math.ceil(seconds / segments[0].duration_s))


def _stagger_s(sessions: int, segments: tuple[BenchSegment, ...]) -> float:
    """Between two starts of paced sessions: gateways do not start in the same moment."""
    return min(_STAGGER_S, segments[0].duration_s / sessions)


def _together(before: Point | None, now: Point) -> Point:
    """Two runs of the same load as one."""
    if before is None:
        return now
    return replace(
        now,
        figures=before.figures + now.figures,
        wall_s=before.wall_s + now.wall_s,
        trouble=before.trouble or now.trouble,
    )


def _sessions(count: int) -> str:
    return f"{count} session{'s' if count != 1 else ''}"
