"""One session's line: order, bounds, leaving early, and an end that leaves nobody waiting."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from baton.kernel.clock import ManualClock
from baton.kernel.errors import CapacityError, Text
from baton.video.turns import WAITING_ALWAYS, WAITING_MOST, Turnstile


class Segments:
    """Segments whose work takes as long as the test says."""

    def __init__(self, line: Turnstile) -> None:
        self.line = line
        self.order: list[int] = []
        self.gates: dict[int, asyncio.Event] = {}

    async def work(self, number: int, *, budget_s: float = 8.0) -> float:
        gate = self.gates.setdefault(number, asyncio.Event())
        async with self.line.turn(budget_s=budget_s) as waited_s:
            self.order.append(number)
            await gate.wait()
        return waited_s

    def let_go(self, *numbers: int) -> None:
        for number in numbers:
            self.gates.setdefault(number, asyncio.Event()).set()


def scenario(body: Callable[[ManualClock, Segments, asyncio.TaskGroup], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = ManualClock()
        segments = Segments(Turnstile(clock=clock))
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            await body(clock, segments, group)

    asyncio.run(main())


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_segments_run_one_after_another_in_arrival_order() -> None:
    async def body(clock: ManualClock, segments: Segments, group: asyncio.TaskGroup) -> None:
        del clock
        for number in range(5):
            group.create_task(segments.work(number))
        await settle()
        assert segments.order == [0]
        assert segments.line.waiting == WAITING_ALWAYS
        for number in range(5):
            segments.let_go(number)
            await settle()
        assert segments.order == [0, 1, 2, 3, 4]

    scenario(body)


def test_the_sixth_segment_is_busy_while_nothing_is_known_about_speed() -> None:
    async def body(clock: ManualClock, segments: Segments, group: asyncio.TaskGroup) -> None:
        del clock
        for number in range(5):
            group.create_task(segments.work(number))
        await settle()
        with pytest.raises(CapacityError) as refused:
            await segments.work(5)
        assert refused.value.text == Text.BUSY
        segments.let_go(*range(5))

    scenario(body)


def test_a_fast_line_takes_more_than_four_and_a_slow_one_does_not() -> None:
    async def body(clock: ManualClock, segments: Segments, group: asyncio.TaskGroup) -> None:
        first = group.create_task(segments.work(0))
        await settle()
        clock.advance(0.5)
        segments.let_go(0)
        await first
        for number in range(1, 6):
            group.create_task(segments.work(number))
        await settle()
        with pytest.raises(CapacityError):
            await segments.work(6, budget_s=2.9)
        extra = group.create_task(segments.work(6, budget_s=3.0))  # who runs, four that wait, itself: 0.5 s each
        await settle()
        assert segments.line.waiting == WAITING_ALWAYS + 1
        with pytest.raises(CapacityError):
            await segments.work(7, budget_s=1.0)
        segments.let_go(*range(1, 7))
        await extra

    scenario(body)


def test_who_came_in_on_an_estimate_that_was_wrong_is_busy_and_the_first_four_are_not() -> None:
    async def body(clock: ManualClock, segments: Segments, group: asyncio.TaskGroup) -> None:
        first = group.create_task(segments.work(0))
        await settle()
        clock.advance(0.5)
        segments.let_go(0)
        await first
        promised = [group.create_task(segments.work(number)) for number in range(1, 6)]
        await settle()
        extra = asyncio.create_task(segments.work(6))
        await settle()
        clock.advance(8.1)
        segments.let_go(*range(1, 7))
        with pytest.raises(CapacityError) as refused:
            await extra
        assert refused.value.text == Text.BUSY
        assert [round(waited_s, 1) for waited_s in await asyncio.gather(*promised)] == [0.0, 8.1, 8.1, 8.1, 8.1]
        assert segments.order == [0, 1, 2, 3, 4, 5]

    scenario(body)


def test_no_line_is_longer_than_the_most() -> None:
    async def body(clock: ManualClock, segments: Segments, group: asyncio.TaskGroup) -> None:
        first = group.create_task(segments.work(0))
        await settle()
        clock.advance(0.001)
        segments.let_go(0)
        await first
        for number in range(1, 2 + WAITING_MOST):
            group.create_task(segments.work(number, budget_s=1000.0))
        await settle()
        assert segments.line.waiting == WAITING_MOST
        with pytest.raises(CapacityError):
            await segments.work(100, budget_s=1000.0)
        segments.let_go(*range(1, 2 + WAITING_MOST))

    scenario(body)


def test_a_request_that_goes_away_leaves_the_line_and_the_next_one_runs() -> None:
    async def body(clock: ManualClock, segments: Segments, group: asyncio.TaskGroup) -> None:
        del clock
        group.create_task(segments.work(0))
        await settle()
        leaver = group.create_task(segments.work(1))
        group.create_task(segments.work(2))
        await settle()
        leaver.cancel()
        await settle()
        assert segments.line.waiting == 1
        segments.let_go(0)
        await settle()
        assert segments.order == [0, 2]
        segments.let_go(2)

    scenario(body)


def test_cancelling_exactly_when_the_turn_comes_passes_the_turn_on() -> None:
    async def body(clock: ManualClock, segments: Segments, group: asyncio.TaskGroup) -> None:
        del clock
        group.create_task(segments.work(0))
        await settle()
        unlucky = group.create_task(segments.work(1))
        group.create_task(segments.work(2))
        await settle()
        segments.let_go(0)
        await asyncio.sleep(0)
        unlucky.cancel()
        await settle()
        assert segments.order[-1] == 2
        segments.let_go(1, 2)

    scenario(body)


def test_an_ended_session_tells_everybody_who_waits_and_everybody_who_comes() -> None:
    async def body(clock: ManualClock, segments: Segments, group: asyncio.TaskGroup) -> None:
        del clock
        running = group.create_task(segments.work(0))
        await settle()

        async def refused() -> str:
            with pytest.raises(CapacityError) as error:
                await segments.work(1)
            return error.value.text

        waiting = group.create_task(refused())
        await settle()
        segments.line.close()
        assert await waiting == Text.SESSION_ENDED
        assert await refused() == Text.SESSION_ENDED
        segments.let_go(0)
        await running

    scenario(body)


def test_a_failing_segment_gives_its_turn_back() -> None:
    async def body(clock: ManualClock, segments: Segments, group: asyncio.TaskGroup) -> None:
        del clock, group

        async def broken() -> None:
            async with segments.line.turn(budget_s=8.0):
                message = "broken"
                raise ValueError(message)

        with pytest.raises(ValueError, match="broken"):
            await broken()
        segments.let_go(1)
        assert await segments.work(1) == 0.0

    scenario(body)
