"""Amounts as operators write them: exact, bounded, and back to text."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.kernel.amounts import PriceText, decimal, price_text, rational, whole


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("1200", Fraction(1200), ""),
        ("0", Fraction(0), ""),
        ("0.41USD", Fraction(41, 100), "usd"),
        ("0.1", Fraction(1, 10), ""),
        ("5wei", Fraction(5), "wei"),
        ("0.000001ETH", Fraction(1, 10**6), "eth"),
        ("12usdt2", Fraction(12), "usdt2"),
        (" 7 ", Fraction(7), ""),
        ("1e3", Fraction(1), "e3"),
    ],
)
def test_prices(text: str, amount: Fraction, currency: str) -> None:
    assert price_text(text) == PriceText(amount, currency)


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", ".5", "1.", "USD", "1 USD", "1,5", "1/2", "0.41_USD", "٣", "1" * 121, "1" + "a" * 17, "1é"]
)
def test_texts_that_are_no_price(text: str) -> None:
    assert price_text(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e12", Fraction(10**12)),
        ("1E-3", Fraction(1, 1000)),
        ("-0.5", Fraction(-1, 2)),
        ("3/4", Fraction(3, 4)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("1e81", None),
        ("1e-81", None),
        ("1e99999", None),
        ("1/0", None),
        ("inf", None),
        ("0x10", None),
        ("", None),
        (".", None),
        ("1_000", None),
    ],
)
def test_rationals(text: str, value: Fraction | None) -> None:
    assert rational(text) == value


def test_whole_numbers() -> None:
    assert whole("1e12") == 10**12
    assert whole("2.0") == 2
    assert whole("2.5") is None
    assert whole("x") is None


@given(st.fractions(min_value=0, max_value=10**12, max_denominator=10**9))
def test_amounts_survive_being_written(amount: Fraction) -> None:
    assert rational(decimal(amount)) == amount
    assert rational(decimal(-amount)) == -amount


@given(st.decimals(min_value=0, max_value=10**9, places=6), st.sampled_from(["", "usd", "eth", "wei"]))
def test_prices_survive_being_written(number: object, currency: str) -> None:
    price = PriceText(Fraction(str(number)), currency)
    assert price_text(str(price)) == price
