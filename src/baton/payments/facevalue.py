"""How large a ticket may be for a sender: funds, float and redemption cost in, face value out (payments.md 4.1, 9.1).

Pure. The sums are those peers know; two are kinder. A redemption on its way lowers the float only as far as the
sender's deposit does not cover it three times over, and winnings that wait to be redeemed count against the funds, so
that nobody can owe more than the chain would pay (payments.md 18 items 14, 24).
"""

from dataclasses import dataclass
from fractions import Fraction

from baton.payments.errors import QuoteError

__all__ = [
    "COST_MULTIPLE",
    "Economics",
    "SenderFunds",
    "face_value_wei",
    "max_float_wei",
    "overhead",
    "reserve_share_wei",
]

COST_MULTIPLE = 100
"""A winner pays this many times what redeeming it costs: one percent overhead."""

_FALLBACK_MULTIPLE = 100
_DEPOSIT_COVERS = 3
_USUAL_GAS_PRICE_WEI = 3_000_000_000


@dataclass(frozen=True, slots=True)
class Economics:
    """What the operator wants of tickets, in wei; ``max_face_value_wei`` 0 is no cap."""

    ev_wei: int
    redeem_gas: int
    max_face_value_wei: int = 0


@dataclass(frozen=True, slots=True)
class SenderFunds:
    """What the chain holds for a sender, in wei, as one recipient sees it."""

    deposit_wei: int
    withdraw_round: int
    """0 when the sender is not unlocking."""
    reserve_wei: int
    """What is left of the reserve in this round."""
    claimed_wei: int
    """What all recipients drew on the reserve in this round."""
    claimed_by_us_wei: int

    def is_unlocking(self, *, last_initialized_round: int) -> bool:
        """Whether the money may be gone before a ticket of today can be redeemed."""
        return 0 < self.withdraw_round <= last_initialized_round + 1


def reserve_share_wei(funds: SenderFunds, *, pool_size: int) -> int:
    """This recipient's share of the reserve that it has not drawn yet; never negative."""
    if pool_size <= 0:
        return 0
    return max(0, (funds.reserve_wei + funds.claimed_wei) // pool_size - funds.claimed_by_us_wei)


def max_float_wei(funds: SenderFunds, *, pool_size: int, pending_wei: int, outstanding_wei: int) -> int:
    """Largest face value the sender can back now; never negative.

    ``pending_wei`` is being redeemed at this moment, ``outstanding_wei`` was won and is not paid yet, the pending part
    included.
    """
    share_wei = reserve_share_wei(funds, pool_size=pool_size)
    uncovered_wei = max(0, pending_wei - funds.deposit_wei // _DEPOSIT_COVERS)
    payable_wei = funds.deposit_wei + share_wei - outstanding_wei
    return max(0, min(share_wei - uncovered_wei, payable_wei))


def face_value_wei(economics: Economics, *, gas_price_wei: int, max_float_wei: int) -> int:
    """Face value of the tickets of a quote.

    Raises:
        QuoteError: ``insufficient sender reserve``: what the sender can back is not worth a ticket, or not its
            redemption at today's and at the usual gas price.
    """
    ev_wei = economics.ev_wei
    cost_wei = economics.redeem_gas * gas_price_wei
    value_wei = cost_wei * COST_MULTIPLE
    if value_wei < ev_wei:
        value_wei = ev_wei * _FALLBACK_MULTIPLE
    value_wei = min(value_wei, max_float_wei)
    if economics.max_face_value_wei > 0:
        value_wei = min(value_wei, economics.max_face_value_wei)
    # A ticket that is worth its face value wins every time; gateways refuse to sign such.
    if value_wei <= ev_wei:
        raise QuoteError(QuoteError.INSUFFICIENT_RESERVE, detail=f"face value {value_wei}, wanted over {ev_wei} wei")
    if value_wei < cost_wei and value_wei < economics.redeem_gas * _USUAL_GAS_PRICE_WEI:
        detail = f"face value {value_wei} wei, redeeming costs {cost_wei} wei"
        raise QuoteError(QuoteError.INSUFFICIENT_RESERVE, detail=detail)
    return value_wei


def overhead(*, face_value_wei: int, cost_wei: int, most: Fraction) -> Fraction:
    """What redeeming adds to a price, as a factor from 1 to ``most``."""
    if cost_wei <= 0 or face_value_wei <= 0:
        return Fraction(1)
    return min(1 + Fraction(cost_wei, face_value_wei), most)
