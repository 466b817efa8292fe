"""Prices: who pays what for which models, and how a price fits two 64-bit numbers."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.kernel.ids import Address
from baton.payments.commitment import TRANSCODING, model_class
from baton.payments.errors import QuoteError
from baton.payments.prices import PriceTable, WirePrice, to_wire

ANN, BOB = Address(bytes([1]) * 20), Address(bytes([2]) * 20)
TABLE = PriceTable(
    default=Fraction(1000),
    senders={ANN: Fraction(7, 3)},
    models={
        (None, 27, "x"): Fraction(50),
        (None, 28, "y"): Fraction(1, 10**9),
        (ANN, 27, "x"): Fraction(5),
        (BOB, 36, "z"): Fraction(9),
        (None, 31, "free"): Fraction(0),
    },
)


def test_a_gateway_of_its_own_price_pays_that() -> None:
    assert TABLE.transcoding(ANN) == Fraction(7, 3)
    assert TABLE.transcoding(BOB) == 1000
    assert PriceTable().transcoding(BOB) == 0


def test_models_add_up_and_name_their_class() -> None:
    assert TABLE.base(BOB, [(27, "x"), (28, "y")]) == (50 + Fraction(1, 10**9), model_class([(27, "x"), (28, "y")]))
    assert TABLE.base(ANN, [(27, "x")]) == (Fraction(5), model_class([(27, "x")]))
    # A model named twice is one model.
    assert TABLE.base(BOB, [(27, "x"), (27, "x")])[0] == 50


def test_models_without_price_cost_what_video_costs() -> None:
    assert TABLE.base(BOB, [(31, "free"), (99, "none")]) == (Fraction(1000), TRANSCODING)
    assert TABLE.base(ANN, []) == (Fraction(7, 3), TRANSCODING)


def test_list_shows_a_gateway_its_own_prices_only() -> None:
    assert dict(TABLE.listed(ANN)) == {(27, "x"): 5, (28, "y"): Fraction(1, 10**9), (31, "free"): 0}
    assert dict(TABLE.listed(BOB))[36, "z"] == 9


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (Fraction(0), WirePrice(0, 1)),
        (Fraction(1200), WirePrice(1200, 1)),
        (Fraction(2400, 2_000_000), WirePrice(3, 2500)),
        (Fraction(2**63 - 1), WirePrice(2**63 - 1, 1)),
        (Fraction(1, 2**63 - 1), WirePrice(1, 2**63 - 1)),
    ],
)
def test_what_fits_travels_as_it_is(price: Fraction, expected: WirePrice) -> None:
    assert to_wire(price) == expected


@pytest.mark.parametrize("price", [Fraction(-1, 2), Fraction(2**63), Fraction(2**90)])
def test_what_cannot_be_said_is_refused(price: Fraction) -> None:
    with pytest.raises(QuoteError) as refused:
        to_wire(price)
    assert refused.value.text == "price cannot be converted to int64"


@given(st.integers(1, 2**200), st.integers(1, 2**200))
def test_what_does_not_fit_is_rounded_up_a_little_and_never_to_nothing(numerator: int, denominator: int) -> None:
    price = Fraction(numerator, denominator)
    if price > 2**63 - 2:
        return
    told = to_wire(price)
    assert 0 < told.wei_per_unit < 2**63
    assert 0 < told.units < 2**63
    assert told.exact >= price
    assert told.exact - price <= max(price * Fraction(1, 2**30), Fraction(1, 2**62)) + 1
