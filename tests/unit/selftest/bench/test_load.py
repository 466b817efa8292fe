"""One load on a simulated machine: pacing, what is measured, and when it ends."""

import asyncio

import pytest

from baton.media.job import TranscodeOutput
from baton.selftest.bench.figures import Figures, Timing
from baton.selftest.bench.load import Load, LoadRun
from tests.unit.selftest.bench.simulated import LoopClock, SimulatedEngine, run_simulated, segments


def test_unpaced_ratio_is_the_part_of_its_time_that_the_machine_needs() -> None:
    async def work() -> None:
        engine = SimulatedEngine(at_once=2, work_s=0.5)
        load = Load(name="x", sessions=6, segments=segments(), count=4, ramp=1)
        point = await LoadRun(load, (engine,), clock=LoopClock()).run()
        assert point.figures.segments == 24
        assert point.figures.ratio == pytest.approx(6 * 0.5 / 2 / 2.0)
        assert point.figures.real_time_share == 1.0
        assert point.fits

    run_simulated(work)


def test_without_the_first_round_waiting_would_be_underrated() -> None:
    async def work() -> None:
        engine = SimulatedEngine(at_once=1, work_s=0.5)
        load = Load(name="x", sessions=4, segments=segments(), count=1)
        point = await LoadRun(load, (engine,), clock=LoopClock()).run()
        assert point.figures.ratio < 0.7

    run_simulated(work)


def test_paced_session_sends_when_a_segment_has_been_played() -> None:
    async def work() -> None:
        engine = SimulatedEngine(at_once=2, work_s=0.5)
        load = Load(name="x", sessions=2, segments=segments(3), count=3, live=True, delay_s=0.3)
        point = await LoadRun(load, (engine,), clock=LoopClock()).run()
        at = {(session, place): round(when, 6) for session, place, when in engine.sent}
        assert at == {(f"x-{s}", p): 0.3 * s + 2.0 * p for s in (0, 1) for p in range(3)}
        assert point.figures == Figures(6, 6, 12.0, point.figures.took_s, 360, 1_500_000, 6000)
        assert point.figures.took_s == pytest.approx(3.0)
        assert point.wall_s == pytest.approx(0.3 + 4.0 + 0.5)
        assert point.live

    run_simulated(work)


def test_sessions_are_dealt_to_the_devices_in_turn() -> None:
    async def work() -> None:
        engines = tuple(SimulatedEngine(at_once=1, work_s=0.1) for _ in range(2))
        load = Load(name="x", sessions=5, segments=segments(), count=1)
        await LoadRun(load, engines, clock=LoopClock()).run()
        assert [sorted(name for name, _, _ in engine.sent) for engine in engines] == [
            ["x-0", "x-2", "x-4"],
            ["x-1", "x-3"],
        ]

    run_simulated(work)


def test_load_that_cannot_fit_is_not_sent_to_its_end() -> None:
    async def work() -> None:
        engine = SimulatedEngine(at_once=1, work_s=3.0)
        load = Load(name="x", sessions=8, segments=segments(), count=50, ramp=1, stop_early=True)
        point = await LoadRun(load, (engine,), clock=LoopClock()).run()
        assert point.cut_short
        assert not point.fits
        assert len(engine.sent) <= 16
        assert engine.inside == 0, "nothing that runs is broken off"

    run_simulated(work)


def test_load_is_told_hopeless_by_its_first_segment_alone() -> None:
    async def work() -> None:
        engine = SimulatedEngine(at_once=1, work_s=60.0)
        load = Load(name="x", sessions=1, segments=segments(), count=3, ramp=1, stop_early=True)
        point = await LoadRun(load, (engine,), clock=LoopClock()).run()
        assert point.cut_short
        assert point.figures.ratio == pytest.approx(30.0)
        assert point.wall_s == pytest.approx(60.0)

    run_simulated(work)


def test_trouble_ends_the_load_and_is_told_with_its_reason() -> None:
    async def work() -> None:
        engine = SimulatedEngine(at_once=2, work_s=0.5, fails_at=3)
        load = Load(name="x", sessions=3, segments=segments(), count=4)
        point = await LoadRun(load, (engine,), clock=LoopClock()).run()
        assert point.trouble == "0.ts: Cannot allocate memory (no session left on the device)"
        assert not point.fits
        assert engine.inside == 0
        assert sorted(engine.ended) == ["x-0", "x-1", "x-2"]

    run_simulated(work)


def test_every_session_is_ended_once_when_it_has_sent_everything() -> None:
    async def work() -> None:
        engine = SimulatedEngine(at_once=2, work_s=0.5)
        load = Load(name="x", sessions=3, segments=segments(), count=2, ramp=1)
        await LoadRun(load, (engine,), clock=LoopClock()).run()
        assert sorted(engine.ended) == ["x-0", "x-1", "x-2"]

    run_simulated(work)


def test_broken_off_load_says_what_it_knows() -> None:
    async def work() -> None:
        run = LoadRun(
            Load(name="x", sessions=1, segments=segments(), count=5),
            (SimulatedEngine(at_once=1, work_s=1.0),),
            clock=LoopClock(),
        )
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await run.run()
        assert run.point.figures.segments == 2

    run_simulated(work)


def test_listener_that_fails_ends_the_load_with_its_own_reason() -> None:
    async def refuse(_timing: Timing, _output: TranscodeOutput) -> None:
        message = "disk full"
        raise OSError(message)

    async def work() -> None:
        load = Load(name="x", sessions=3, segments=segments(), count=2)
        engine = SimulatedEngine(at_once=3, work_s=1.0)
        with pytest.raises(OSError, match="disk full"):
            await LoadRun(load, (engine,), clock=LoopClock(), on_segment=refuse).run()

    run_simulated(work)
