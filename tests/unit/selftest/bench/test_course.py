"""A whole benchmark on simulated machines: the limit found, the paced run, several devices, too little time."""

import asyncio
from collections.abc import Callable

import pytest

from baton.selftest.bench.course import Course, Found, Measured
from baton.selftest.bench.figures import Point
from tests.unit.selftest.bench.simulated import LoopClock, SimulatedEngine, device, run_simulated, segments


def search(
    engines: Callable[[], tuple[SimulatedEngine, ...]],
    *,
    time_limit_s: float = 600.0,
    most: int = 256,
    live: bool = False,
) -> tuple[Found, float, list[Point]]:
    points: list[Point] = []

    async def work() -> tuple[Found, float]:
        devices = tuple(device(engine, name=f"d{n}") for n, engine in enumerate(engines()))
        listener = Measured(point=lambda point, _device: points.append(point))
        course = Course(devices, clock=LoopClock(), listener=listener)
        assert await course.warm_up(segments()) == ""
        await course.search(segments=segments(), most=most, live=live, time_limit_s=time_limit_s)
        return course.found, LoopClock().monotonic()

    found, took_s = run_simulated(work)
    return found, took_s, points


@pytest.mark.parametrize(
    ("at_once", "work_s", "limit"), [(1, 1.9, 0), (1, 0.9, 1), (2, 0.5, 6), (4, 0.3, 21), (2, 3.5, 0)]
)
def test_limit_is_what_the_machine_does_in_four_fifths_of_its_time(at_once: int, work_s: float, limit: int) -> None:
    found, _, points = search(lambda: (SimulatedEngine(at_once=at_once, work_s=work_s),))
    assert found.suggested == limit
    assert found.devices[0].complete
    assert found.devices[0].too_many == limit + 1
    if limit:
        assert found.together[-1].sessions == limit
        assert found.together[-1].live
        assert found.together[-1].fits
    assert points[-1] == (found.together or found.devices[0].points)[-1]


@pytest.mark.parametrize("seed", range(5))
def test_noisy_machine_gives_nearly_the_same_answer(seed: int) -> None:
    found, _, _ = search(lambda: (SimulatedEngine(at_once=2, work_s=0.25, noise=0.3, seed=seed),))
    assert 11 <= found.suggested <= 13


def test_usual_machine_is_searched_within_the_default_limit() -> None:
    found, took_s, _ = search(lambda: (SimulatedEngine(at_once=2, work_s=0.5),), time_limit_s=120.0)
    assert found.devices[0].complete
    assert took_s < 120.0


def test_devices_are_searched_each_and_run_together() -> None:
    found, _, _ = search(
        lambda: (SimulatedEngine(at_once=2, work_s=0.5), SimulatedEngine(at_once=1, work_s=0.5)), time_limit_s=600.0
    )
    assert [each.limit for each in found.devices] == [6, 3]
    assert found.together[0].sessions == 9
    assert found.suggested == 9


def test_sum_that_the_machine_behind_the_devices_does_not_carry_is_taken_back() -> None:
    def twice_the_same() -> tuple[SimulatedEngine, ...]:
        one = SimulatedEngine(at_once=2, work_s=0.5)
        return one, one

    found, _, _ = search(twice_the_same)
    assert [each.limit for each in found.devices] == [6, 6]
    assert not found.together[0].fits
    assert found.together[-1].fits
    assert found.suggested == found.together[-1].sessions <= 8


def test_time_that_runs_out_leaves_a_lower_bound() -> None:
    found, took_s, _ = search(lambda: (SimulatedEngine(at_once=100, work_s=0.5),), time_limit_s=10.0)
    (only,) = found.devices
    assert not only.complete
    assert 1 <= only.limit <= 256
    assert only.too_many is None
    assert found.suggested == only.limit
    assert took_s <= 11.0


def test_machine_too_slow_for_one_segment_ends_on_time_and_knows_nothing() -> None:
    found, took_s, _ = search(lambda: (SimulatedEngine(at_once=2, work_s=500.0),), time_limit_s=30.0)
    assert found.suggested == 0
    assert not found.devices[0].complete
    assert took_s <= 500.0 + 31.0


def test_search_can_be_paced() -> None:
    found, _, points = search(lambda: (SimulatedEngine(at_once=2, work_s=0.5),), live=True, most=4)
    assert found.suggested == 4
    assert all(point.live for point in points)


def test_device_that_takes_only_so_many_sessions_is_that_large() -> None:
    found, _, _ = search(lambda: (SimulatedEngine(at_once=64, work_s=0.1, fails_at=4),))
    assert found.suggested == 3
    assert found.devices[0].too_many == 4


def test_warm_up_says_what_the_engine_said() -> None:
    async def work() -> str:
        course = Course((device(SimulatedEngine(at_once=1, work_s=1, fails_at=1)),), clock=LoopClock())
        return await course.warm_up(segments())

    assert "Cannot allocate memory" in run_simulated(work)


def test_a_load_is_repeated_and_its_runs_summed() -> None:
    async def work() -> Found:
        course = Course((device(SimulatedEngine(at_once=2, work_s=0.5)),), clock=LoopClock())
        await course.ask(sessions=3, segments=segments(4), live=True, delay_s=0.3, repeat=2)
        return course.found

    found = run_simulated(work)
    assert found.asked is not None
    assert found.asked.figures.segments == 24
    assert found.asked.fits
    assert found.suggested == 0


def test_a_load_broken_off_keeps_what_was_done() -> None:
    async def work() -> Found:
        course = Course((device(SimulatedEngine(at_once=2, work_s=0.5)),), clock=LoopClock())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await course.ask(sessions=1, segments=segments(4), live=True, delay_s=0.0, repeat=2)
        return course.found

    found = run_simulated(work)
    assert found.asked is not None
    assert found.asked.figures.segments == 3


def test_a_search_broken_off_keeps_what_was_found() -> None:
    async def work() -> Found:
        course = Course((device(SimulatedEngine(at_once=2, work_s=0.5)),), clock=LoopClock())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(12.0):
                await course.search(segments=segments(), most=256, live=False, time_limit_s=120.0)
        return course.found

    found = run_simulated(work)
    assert found.suggested >= 2
    assert not found.devices[0].complete
