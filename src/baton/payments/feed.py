"""What an answer of a price feed is worth: whether it can be believed, and wei per unit (payments.md 7.4).

Pure and exact. An answer that is old, zero, negative or from the future is no price: whoever believed it would work
for nothing, or for a price that no gateway pays (payments.md 18 item 17).
"""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from baton.kernel.amounts import PriceText
from baton.kernel.errors import BatonError
from baton.kernel.redaction import printable
from baton.payments.ports import FeedReading

__all__ = ["HEARTBEAT_S", "WEI_PER_ETH", "FeedError", "FeedFault", "Rate", "judge", "to_wei"]

HEARTBEAT_S = 86_400
"""Feeds answer at least once a day, whatever the price does."""

WEI_PER_ETH = 10**18

_MOST_DECIMALS = 36
_MOST_AHEAD_S = 600
_ETHER = "ETH"
_MOST_NAME_CHARS = 16
_A_PAIR = 2


class FeedFault(Enum):
    """Why a feed gives no price: the value of the metric's label."""

    UNREACHABLE = "unreachable"
    PAIR = "pair"
    NOT_POSITIVE = "not_positive"
    DECIMALS = "decimals"
    STALE = "stale"
    FUTURE = "future"
    JUMP = "jump"


class FeedError(BatonError):
    """A price cannot be converted; the text is for the operator."""

    def __init__(self, fault: FeedFault, text: str) -> None:
        """``text`` says which price, or which answer."""
        super().__init__(text)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Rate:
    """One ``base`` costs ``price`` of ``quote``; both names in upper case."""

    base: str
    quote: str
    price: Fraction

    def wei(self, currency: str) -> Fraction:
        """Wei that one unit of a currency is worth.

        Raises:
            FeedError: this feed is about other currencies.
        """
        wanted, pair = currency.upper(), f"{self.base}/{self.quote}"
        if _ETHER not in {self.base, self.quote}:
            raise FeedError(FeedFault.PAIR, f"price feed does not have ETH as a currency ({pair})")
        if wanted not in {self.base, self.quote}:
            raise FeedError(FeedFault.PAIR, f"price feed does not have {wanted} as a currency ({pair})")
        return WEI_PER_ETH / self.price if self.base == _ETHER else WEI_PER_ETH * self.price


def to_wei(price: PriceText, rate: Rate | None) -> Fraction:
    """A price in wei, exactly.

    Raises:
        FeedError: its currency needs a feed, and there is none or one for other currencies.
    """
    if price.currency in {"", "wei"}:
        return price.amount
    if price.currency == "eth":
        return price.amount * WEI_PER_ETH
    if rate is None:
        raise FeedError(FeedFault.PAIR, f"PriceFeedWatcher is not initialized: no price feed converts {price.currency}")
    return price.amount * rate.wei(price.currency)


def judge(reading: FeedReading, *, now_s: float) -> Rate:
    """The rate that a reading tells.

    Raises:
        FeedError: it cannot be believed.
    """
    base, quote = _pair(reading.description)
    if not 0 <= reading.decimals <= _MOST_DECIMALS:
        raise FeedError(FeedFault.DECIMALS, f"price feed has {reading.decimals} decimals")
    if reading.answer <= 0:
        raise FeedError(FeedFault.NOT_POSITIVE, f"price feed answers {reading.answer}")
    age_s = now_s - reading.updated_at_s
    if age_s > HEARTBEAT_S:
        raise FeedError(FeedFault.STALE, f"price feed was last updated {age_s / 3600:.1f} hours ago")
    if age_s < -_MOST_AHEAD_S:
        raise FeedError(FeedFault.FUTURE, f"price feed was updated {-age_s / 60:.0f} minutes in the future")
    return Rate(base, quote, Fraction(reading.answer, 10**reading.decimals))


def _pair(description: str) -> tuple[str, str]:
    parts = [part.strip().upper() for part in description.split("/")]
    named = all(part.isascii() and part.isalnum() and len(part) <= _MOST_NAME_CHARS for part in parts)
    if len(parts) != _A_PAIR or not named:
        shown = printable(description, limit=60)
        raise FeedError(FeedFault.PAIR, f"price feed must be described as 'BASE / QUOTE', it says {shown!r}")
    if parts[0] == parts[1]:
        raise FeedError(FeedFault.PAIR, f"price feed compares {parts[0]} with itself")
    return parts[0], parts[1]
