"""Face values and floats: the reference's cases, and where we are kinder or stricter (payments.md 4.1, 9.1, 17.1)."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.payments.errors import QuoteError
from baton.payments.facevalue import (
    Economics,
    SenderFunds,
    face_value_wei,
    max_float_wei,
    overhead,
    reserve_share_wei,
)

GWEI = 10**9
SMALL = Economics(ev_wei=5, redeem_gas=10_000)


@pytest.mark.parametrize(
    ("gas_price_wei", "float_wei", "expected"),
    [
        (100, 10**10, 100_000_000),
        (777, 10**10, 777_000_000),
        (1, 10_001, 10_001),
        (0, 10**30, 500),
        (3 * GWEI + 1, 10_000 * 3 * GWEI, 10_000 * 3 * GWEI),
    ],
)
def test_face_value_matches_vector(gas_price_wei: int, float_wei: int, expected: int) -> None:
    assert face_value_wei(SMALL, gas_price_wei=gas_price_wei, max_float_wei=float_wei) == expected


@pytest.mark.parametrize(
    ("gas_price_wei", "float_wei"), [(100, 4), (3 * GWEI + 1, 10_000 * 3 * GWEI - 1), (100, 5), (0, 0)]
)
def test_what_cannot_pay_for_a_ticket_is_refused(gas_price_wei: int, float_wei: int) -> None:
    with pytest.raises(QuoteError) as refused:
        face_value_wei(SMALL, gas_price_wei=gas_price_wei, max_float_wei=float_wei)
    assert refused.value.text == "insufficient sender reserve"


def test_the_operators_cap_holds() -> None:
    capped = replace(SMALL, max_face_value_wei=20_000_000)
    assert face_value_wei(capped, gas_price_wei=100, max_float_wei=10**10) == 20_000_000


FUNDS = SenderFunds(deposit_wei=300, withdraw_round=0, reserve_wei=900, claimed_wei=100, claimed_by_us_wei=10)


def test_share_of_a_reserve() -> None:
    assert reserve_share_wei(FUNDS, pool_size=3) == 333 - 10
    assert reserve_share_wei(FUNDS, pool_size=0) == 0
    assert reserve_share_wei(replace(FUNDS, claimed_by_us_wei=1000), pool_size=3) == 0


@pytest.mark.parametrize(
    ("pending_wei", "outstanding_wei", "expected"),
    [
        (0, 0, 323),
        (100, 100, 323),  # the deposit covers it three times: the reference's rule
        (101, 101, 322),  # the reference falls to 222 here
        (400, 400, 23),
        (400, 620, 3),
        (0, 10_000, 0),
    ],
)
def test_float_falls_with_what_is_owed(pending_wei: int, outstanding_wei: int, expected: int) -> None:
    assert max_float_wei(FUNDS, pool_size=3, pending_wei=pending_wei, outstanding_wei=outstanding_wei) == expected


wei = st.integers(0, 10**21)


@given(wei, wei, wei, wei, st.integers(0, 100), wei, wei)
def test_float_is_never_more_than_the_chain_would_pay(
    deposit: int, reserve: int, claimed: int, ours: int, pool: int, pending: int, outstanding: int
) -> None:
    funds = SenderFunds(deposit, 0, reserve, claimed, ours)
    owed = max(pending, outstanding)
    got = max_float_wei(funds, pool_size=pool, pending_wei=pending, outstanding_wei=owed)
    assert 0 <= got <= reserve_share_wei(funds, pool_size=pool)
    assert got == 0 or got + owed <= deposit + reserve_share_wei(funds, pool_size=pool)


@pytest.mark.parametrize(("withdraw_round", "expected"), [(0, False), (9, True), (10, True), (11, True), (12, False)])
def test_unlocking_counts_from_the_round_before(withdraw_round: int, expected: bool) -> None:  # noqa: FBT001 -- a table
    funds = replace(FUNDS, withdraw_round=withdraw_round)
    assert funds.is_unlocking(last_initialized_round=10) is expected


def test_overhead_is_the_cost_of_redeeming_and_bounded() -> None:
    most = Fraction(3, 2)
    assert overhead(face_value_wei=100, cost_wei=1, most=most) == Fraction(101, 100)
    assert overhead(face_value_wei=100, cost_wei=50, most=most) == Fraction(3, 2)
    assert overhead(face_value_wei=100, cost_wei=90, most=most) == most
    assert overhead(face_value_wei=100, cost_wei=0, most=most) == 1
