"""What answers of a price feed are worth, and what is never believed."""

from fractions import Fraction

import pytest

from baton.kernel.amounts import PriceText
from baton.payments.feed import HEARTBEAT_S, FeedError, FeedFault, Rate, judge, to_wei
from baton.payments.ports import FeedReading

NOW = 1_700_000_000


def reading(answer: int = 2_500_00000000, *, pair: str = "ETH / USD", decimals: int = 8, age_s: int = 0) -> FeedReading:
    return FeedReading(pair, decimals, answer, NOW - age_s)


def test_conversions_are_exact() -> None:
    rate = judge(reading(), now_s=NOW)
    assert rate == Rate("ETH", "USD", Fraction(2500))
    # 0.41 USD for 10^12 pixels at 2500 USD per ETH: 164 wei per pixel.
    assert to_wei(PriceText(Fraction(41, 100), "usd"), rate) / 10**12 == Fraction(164)
    assert to_wei(PriceText(Fraction(1), "usd"), judge(reading(3_000_00000000), now_s=NOW)) == Fraction(10**18, 3000)
    turned = judge(reading(4 * 10**14, pair="usd/eth", decimals=18), now_s=NOW)
    assert to_wei(PriceText(Fraction(1), "usd"), turned) == 4 * 10**14


@pytest.mark.parametrize(
    ("price", "wei"),
    [
        (PriceText(Fraction(7, 3)), Fraction(7, 3)),
        (PriceText(Fraction(7, 3), "wei"), Fraction(7, 3)),
        (PriceText(Fraction(1, 10**19), "eth"), Fraction(1, 10)),
        (PriceText(Fraction(0), "eth"), Fraction(0)),
    ],
)
def test_wei_and_ether_need_no_feed(price: PriceText, wei: Fraction) -> None:
    assert to_wei(price, None) == wei


@pytest.mark.parametrize(
    ("currency", "pair", "text"),
    [
        ("eur", "ETH / USD", "price feed does not have EUR as a currency (ETH/USD)"),
        ("usd", "BTC / USD", "price feed does not have ETH as a currency (BTC/USD)"),
        ("eur", "BTC / USD", "price feed does not have ETH as a currency (BTC/USD)"),
    ],
)
def test_feed_of_other_currencies(currency: str, pair: str, text: str) -> None:
    with pytest.raises(FeedError) as raised:
        to_wei(PriceText(Fraction(1), currency), judge(reading(pair=pair), now_s=NOW))
    assert str(raised.value) == text


def test_a_currency_without_a_feed() -> None:
    with pytest.raises(FeedError, match="PriceFeedWatcher is not initialized"):
        to_wei(PriceText(Fraction(0), "usd"), None)


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (reading(0), FeedFault.NOT_POSITIVE),
        (reading(-1), FeedFault.NOT_POSITIVE),
        (reading(age_s=HEARTBEAT_S + 1), FeedFault.STALE),
        (reading(age_s=NOW), FeedFault.STALE),
        (reading(age_s=-601), FeedFault.FUTURE),
        (reading(decimals=37), FeedFault.DECIMALS),
        (reading(pair="ETH"), FeedFault.PAIR),
        (reading(pair="ETH / USD / EUR"), FeedFault.PAIR),
        (reading(pair=" / USD"), FeedFault.PAIR),
        (reading(pair=""), FeedFault.PAIR),
        (reading(pair="ETH / ETH"), FeedFault.PAIR),
        (reading(pair="ETH / US\x1b[2JD"), FeedFault.PAIR),
        (reading(pair="ETH / " + "U" * 1000), FeedFault.PAIR),
    ],
    ids=lambda value: value.value if isinstance(value, FeedFault) else "",
)
def test_answers_that_are_not_believed(bad: FeedReading, fault: FeedFault) -> None:
    with pytest.raises(FeedError) as raised:
        judge(bad, now_s=NOW)
    assert raised.value.fault is fault
    assert "\x1b" not in str(raised.value)


def test_an_answer_is_good_for_its_heartbeat() -> None:
    assert judge(reading(age_s=HEARTBEAT_S), now_s=NOW).price == 2500
    assert judge(reading(age_s=-600), now_s=NOW).price == 2500
