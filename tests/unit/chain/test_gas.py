"""The average of gas prices: follows a trend, ignores a tick."""

from hypothesis import given
from hypothesis import strategies as st

from baton.chain.gas import GasAverage


def test_first_price_counts_whole_and_a_spike_little() -> None:
    gas = GasAverage()
    assert gas.price_wei == 0
    gas.take(100)
    assert gas.price_wei == 100
    gas.take(10_000)
    assert gas.price_wei == 140
    for _ in range(60):
        gas.take(10_000)
    assert 9_900 <= gas.price_wei <= 10_000


def test_a_price_of_one_wei_is_left_again() -> None:
    gas = GasAverage()
    for price in (1, *[1000] * 60):
        gas.take(price)
    assert gas.price_wei > 900


def test_the_least_price_is_a_floor() -> None:
    gas = GasAverage(least_wei=50)
    assert gas.price_wei == 50
    gas.take(10)
    assert gas.price_wei == 50


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=40))
def test_average_stays_between_what_was_seen(prices: list[int]) -> None:
    gas = GasAverage()
    for price in prices:
        gas.take(price)
    assert 0 <= gas.price_wei <= max(prices)
