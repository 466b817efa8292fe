"""Prices in force: configuration, operator, exchange rate; and what a restart makes of them."""

import asyncio
from collections.abc import Mapping
from fractions import Fraction
from threading import Event

import pytest

from baton.kernel.amounts import PriceText, price_text
from baton.kernel.clock import ManualClock
from baton.kernel.errors import StartError
from baton.kernel.ids import Address
from baton.payments.facevalue import Economics
from baton.payments.ports import OperatorPrices
from baton.payments.price_book import BasePrice, PriceBook, PriceRefusedError
from baton.payments.rates import RateWatch
from tests.support import run

from .money import Feed, Prices, watch

ONE, TWO = Address(b"\x01" * 20), Address(b"\x02" * 20)
ECONOMICS = Economics(ev_wei=8_000_000_000, redeem_gas=350_000)


def base(text: str, units: int = 1) -> BasePrice:
    price = price_text(text)
    assert price is not None
    return BasePrice(price, units)


async def started(
    store: Prices | None = None,
    *,
    configured: Mapping[Address | None, BasePrice] | None = None,
    rates: RateWatch | None = None,
    economics: Economics = ECONOMICS,
) -> PriceBook:
    """A book with its prices in force."""
    prices = PriceBook(
        configured=configured if configured is not None else {None: base("1200"), ONE: base("7", 2)},
        economics=economics,
        store=store if store is not None else Prices(),
        rates=rates,
    )
    await prices.start()
    return prices


def book(
    store: Prices | None = None,
    *,
    configured: Mapping[Address | None, BasePrice] | None = None,
    economics: Economics = ECONOMICS,
) -> PriceBook:
    """The same, without a feed."""
    return run(started(store, configured=configured, economics=economics))


def test_configured_prices() -> None:
    prices = book()
    assert prices.table.transcoding(ONE) == Fraction(7, 2)
    assert prices.table.transcoding(TWO) == 1200
    assert [(row.gateway, row.at_run_time) for row in prices.rows] == [(None, False), (ONE, False)]


def test_changes_count_at_once_and_after_a_restart() -> None:
    store = Prices()
    prices = book(store)
    assert run(prices.change(TWO, base("0.5"))) == Fraction(1, 2)
    assert run(prices.change(None, base("1", 1000))) == Fraction(1, 1000)
    for now in (prices, book(store)):
        assert now.table.transcoding(TWO) == Fraction(1, 2)
        assert now.table.default == Fraction(1, 1000)
        assert {row.gateway for row in now.rows if row.at_run_time} == {None, TWO}


def test_a_changed_configuration_is_the_later_word() -> None:
    store = Prices()
    prices = book(store)
    run(prices.change(None, base("5")))
    run(prices.change(ONE, base("6")))
    later = book(store, configured={None: base("1300"), ONE: base("7", 2)})
    assert later.table.default == 1300
    assert later.table.transcoding(ONE) == 6


def test_going_back_to_the_configuration() -> None:
    store = Prices()
    prices = book(store)
    run(prices.change(ONE, base("6")))
    run(prices.change(TWO, base("6")))
    assert run(prices.forget(ONE)) == Fraction(7, 2)
    assert run(prices.forget(TWO)) == 1200
    assert store.kept == OperatorPrices()
    run(prices.change(ONE, base("6")))
    run(prices.change(ONE, base("7", 2)))
    assert store.kept == OperatorPrices()


def test_what_cannot_be_kept_does_not_happen() -> None:
    prices = book(Prices(broken=True))
    with pytest.raises(OSError, match="No space"):
        run(prices.change(None, base("5")))
    with pytest.raises(OSError, match="No space"):
        run(prices.set_max_face_value(10**12))
    assert prices.table.default == 1200
    assert prices.economics == ECONOMICS


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (base("1usd"), "PriceFeedWatcher is not initialized"),
        (base("10eth"), "price cannot be converted to int64"),
    ],
)
def test_prices_that_cannot_be(wanted: BasePrice, text: str) -> None:
    prices = book()
    with pytest.raises(PriceRefusedError, match=text):
        run(prices.change(None, wanted))
    assert prices.table.default == 1200


def test_tickets_worth_nothing_allow_no_price() -> None:
    free = Economics(ev_wei=0, redeem_gas=350_000)
    prices = book(configured={None: base("0")}, economics=free)
    with pytest.raises(PriceRefusedError, match="tickets are worth nothing"):
        run(prices.change(None, base("1")))
    with pytest.raises(PriceRefusedError, match="tickets are worth nothing"):
        book(configured={None: base("1")}, economics=free)


def test_limit_of_face_values() -> None:
    store = Prices()
    prices = book(store)
    with pytest.raises(PriceRefusedError, match="must be above the value of a ticket"):
        run(prices.set_max_face_value(8_000_000_000))
    run(prices.set_max_face_value(10**12))
    run(prices.change(TWO, base("3")))
    assert prices.economics.max_face_value_wei == 10**12
    assert prices.max_face_value_at_run_time
    assert book(store).economics.max_face_value_wei == 10**12
    other = Economics(ev_wei=8_000_000_000, redeem_gas=350_000, max_face_value_wei=5 * 10**12)
    assert book(store, economics=other).economics.max_face_value_wei == 5 * 10**12
    run(prices.set_max_face_value(0))
    assert store.kept.max_face_value_wei is None


def test_prices_in_a_currency_follow_the_rate() -> None:
    feed = Feed(ManualClock(now=1_700_000_000.0))
    rates = watch(feed)

    async def scenario() -> list[Fraction]:
        prices = await started(configured={None: base("0.41USD", 10**12), ONE: base("3")}, rates=rates)
        before = prices.table.transcoding(TWO)
        feed.clock.advance(3600)
        feed.answer = 2_000_00000000
        await rates.refresh()
        return [before, prices.table.transcoding(TWO), prices.table.transcoding(ONE)]

    assert run(scenario()) == [164, 205, 3]


def test_a_feed_is_asked_only_when_a_price_needs_it() -> None:
    feed = Feed(ManualClock(now=1_700_000_000.0), answer=None)
    rates = watch(feed)

    async def scenario() -> None:
        prices = await started(rates=rates)
        assert feed.asked == 0
        with pytest.raises(PriceRefusedError, match="no rate was kept"):
            await prices.change(TWO, base("0.41USD", 10**12))
        assert prices.table.transcoding(TWO) == 1200
        feed.answer = 2_500_00000000
        assert await prices.change(TWO, base("0.41USD", 10**12)) == 164
        with pytest.raises(PriceRefusedError, match="does not have EUR as a currency"):
            await prices.change(TWO, base("0.41EUR", 10**12))

    run(scenario())


def test_a_configured_price_without_its_feed_ends_the_start() -> None:
    feed = Feed(ManualClock(now=1_700_000_000.0), answer=None)
    with pytest.raises(StartError, match="prices in a currency need the price feed"):
        run(started(configured={None: base("1USD", 10**12)}, rates=watch(feed)))


@pytest.mark.parametrize("feed_is_there", [True, False])
def test_kept_price_that_no_feed_converts_any_longer_is_dropped(*, feed_is_there: bool) -> None:
    feed = Feed(ManualClock(now=1_700_000_000.0))
    store = Prices()

    async def scenario() -> Fraction | None:
        await (await started(store, rates=watch(feed))).change(None, base("1USD", 10**12))
        feed.answer = None
        return (await started(store, rates=watch(feed) if feed_is_there else None)).table.default

    assert run(scenario()) == 1200


def test_a_caller_who_goes_away_leaves_no_half_change() -> None:
    writing, go_on = Event(), Event()

    class Slow(Prices):
        def write(self, prices: OperatorPrices) -> None:
            writing.set()
            assert go_on.wait(10)
            super().write(prices)

    store = Slow()
    prices = book(store)

    async def scenario() -> None:
        task = asyncio.ensure_future(prices.change(None, base("5")))
        assert await asyncio.to_thread(writing.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scenario())
    assert prices.table.default == 5
    assert store.kept.prices[0].price == PriceText(Fraction(5))
