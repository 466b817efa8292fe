"""The exchange rate over time: full hours, outages, jumps, steps, and what outlives the process."""

import asyncio
from fractions import Fraction

import pytest

from baton.kernel.clock import ManualClock
from baton.kernel.errors import StartError
from baton.payments.ports import FeedReading, KeptRate
from baton.payments.rates import RateWatch
from tests.support import eventually, run

from .money import Feed, Numbers, Rates, watch

HOUR_S, DAY_S = 3600, 86_400
START = 1_700_000_100.0


@pytest.fixture
def feed() -> Feed:
    return Feed(ManualClock(now=START))


def price(rates: RateWatch) -> Fraction | None:
    return rates.rate.price if rates.rate is not None else None


async def hour(rates: RateWatch, feed: Feed, answer: int | None) -> Fraction | None:
    """An hour passes and the feed says something; the rate in force."""
    feed.clock.advance(HOUR_S)
    feed.answer = answer
    await rates.refresh()
    return price(rates)


def test_first_rate_is_there_after_the_start(feed: Feed) -> None:
    store, numbers = Rates(), Numbers()
    rates = watch(feed, store, metrics=numbers)
    assert rates.rate is None
    run(rates.start())
    assert price(rates) == 2500
    assert store.kept == KeptRate(FeedReading("ETH / USD", 8, 2_500_00000000, int(START)), Fraction(2500))
    assert numbers.values["price_feed_rate"] == 2500
    assert numbers.values["price_feed_age_seconds"] == pytest.approx(0, abs=1)


@pytest.mark.parametrize("answer", [None, 0, -5])
def test_no_rate_and_none_kept_ends_the_start(feed: Feed, answer: int | None) -> None:
    feed.answer = answer
    with pytest.raises(StartError, match="no rate was kept"):
        run(watch(feed).start())


def test_a_kept_rate_carries_the_node_through_an_outage(feed: Feed) -> None:
    feed.answer = None
    kept = KeptRate(FeedReading("ETH / USD", 8, 2_400_00000000, int(START) - 2 * DAY_S), Fraction(2300))
    numbers = Numbers()
    rates = watch(feed, Rates(kept), metrics=numbers)
    run(rates.start())
    assert price(rates) == 2300
    assert numbers.values["price_feed_age_seconds"] == pytest.approx(2 * DAY_S, abs=1)
    assert numbers.values["price_feed_failures_total unreachable"] == 1


@pytest.mark.parametrize(
    "kept",
    [
        KeptRate(FeedReading("ETH / USD", 8, 2_400_00000000, int(START) - 8 * DAY_S), Fraction(2400)),
        KeptRate(FeedReading("ETH / USD", 8, 0, int(START)), Fraction(2400)),
        KeptRate(FeedReading("nonsense", 8, 1, int(START)), Fraction(2400)),
        KeptRate(FeedReading("ETH / USD", 8, 1, int(START) + DAY_S), Fraction(2400)),
    ],
)
def test_kept_rates_that_are_not_used(feed: Feed, kept: KeptRate) -> None:
    feed.answer = None
    with pytest.raises(StartError):
        run(watch(feed, Rates(kept)).start())


def test_looks_come_at_full_hours(feed: Feed) -> None:
    pauses: list[float] = []
    rates = watch(feed, pauses=pauses)

    async def scenario() -> None:
        await rates.start()
        task = asyncio.ensure_future(rates.run())
        await eventually(lambda: len(pauses) >= 3, what="three pauses")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(scenario())
    assert pauses[:3] == [HOUR_S - START % HOUR_S, HOUR_S, HOUR_S]


def test_a_failed_look_is_tried_five_times(feed: Feed) -> None:
    pauses: list[float] = []
    rates = watch(feed, pauses=pauses)

    async def scenario() -> bool:
        await rates.start()
        feed.answer = None
        return await rates.refresh()

    assert run(scenario()) is False
    assert pauses == [30, 60, 120, 240]
    assert feed.asked == 6
    assert price(rates) == 2500


def test_old_rate_holds_while_the_feed_is_stale(feed: Feed) -> None:
    numbers = Numbers()
    rates = watch(feed, metrics=numbers)

    async def scenario() -> None:
        await rates.start()
        feed.updated_at_s = int(feed.clock.now())
        feed.clock.advance(2 * DAY_S)
        await rates.refresh()

    run(scenario())
    assert price(rates) == 2500
    assert numbers.values["price_feed_failures_total stale"] == 5
    assert numbers.values["price_feed_age_seconds"] > 2 * DAY_S


def test_only_newer_answers_count(feed: Feed) -> None:
    rates = watch(feed)

    async def scenario() -> Fraction | None:
        feed.updated_at_s = int(START)
        await rates.start()
        return await hour(rates, feed, 2_600_00000000)

    assert run(scenario()) == 2500


def test_a_jump_waits_for_a_second_look(feed: Feed) -> None:
    pauses: list[float] = []
    rates = watch(feed, pauses=pauses)

    async def scenario() -> list[Fraction | None]:
        await rates.start()
        first = await hour(rates, feed, 25_00000000)
        assert pauses == []  # no storm of attempts
        back = await hour(rates, feed, 2_400_00000000)
        again = await hour(rates, feed, 9_000_00000000)
        other = await hour(rates, feed, 90_000_00000000)
        same = await hour(rates, feed, 91_000_00000000)
        return [first, back, again, other, same]

    assert run(scenario()) == [2500, 2400, 2400, 2400, 91_000]


def test_after_a_day_of_silence_nothing_is_a_jump(feed: Feed) -> None:
    rates = watch(feed)

    async def scenario() -> Fraction | None:
        await rates.start()
        feed.clock.advance(DAY_S)
        return await hour(rates, feed, 9_000_00000000)

    assert run(scenario()) == 9000


def test_steps_are_bounded_and_end_exactly_at_the_rate(feed: Feed) -> None:
    rates = watch(feed, step_most=Fraction(11, 10))
    changes = 0

    def changed() -> None:
        nonlocal changes
        changes += 1

    async def scenario() -> list[Fraction | None]:
        await rates.start()
        rates.subscribe(changed)
        up = [await hour(rates, feed, 3_000_00000000) for _ in range(3)]
        down = [await hour(rates, feed, answer) for answer in (2_500_00000000, None, None)]
        return up + down

    assert run(scenario()) == [
        2750,
        3000,
        3000,
        Fraction(30_000, 11),
        2500,  # the way goes on while the feed is silent
        2500,
    ]
    assert changes == 4


def test_a_restart_goes_on_with_the_step(feed: Feed) -> None:
    store = Rates()

    async def scenario() -> Fraction | None:
        first = watch(feed, store, step_most=Fraction(11, 10))
        await first.start()
        await hour(first, feed, 3_000_00000000)
        second = watch(feed, store, step_most=Fraction(11, 10))
        feed.answer = None
        await second.start()
        return price(second)

    assert run(scenario()) == 2750


def test_an_answer_that_only_confirms_the_rate_makes_the_kept_one_younger(feed: Feed) -> None:
    store = Rates()
    rates = watch(feed, store)

    async def scenario() -> None:
        await rates.start()
        await hour(rates, feed, feed.answer)

    run(scenario())
    assert store.kept == KeptRate(FeedReading("ETH / USD", 8, 2_500_00000000, int(START) + HOUR_S), Fraction(2500))


def test_a_full_disk_costs_no_rate(feed: Feed) -> None:
    rates = watch(feed, Rates(broken=True))
    run(rates.start())
    assert price(rates) == 2500
