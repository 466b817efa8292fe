"""A payment as it comes in and what becomes of it: plain values between the wire's words and this room's rules."""

from dataclasses import dataclass
from fractions import Fraction

from baton.kernel.ids import Address
from baton.payments.errors import PaymentError
from baton.payments.quoting import PriceQuote, QuotedTerms

__all__ = ["Offer", "OfferedTerms", "Receipt", "ReceivedPayment"]


@dataclass(frozen=True, slots=True)
class OfferedTerms:
    """Terms as a payment repeats them, numbers of any size included."""

    recipient: Address
    face_value_wei: int
    win_prob: int
    recipient_rand_hash: bytes
    seed: int
    expiration_block: int
    creation_round: int
    creation_round_block_hash: bytes


@dataclass(frozen=True, slots=True)
class ReceivedPayment:
    """One payment header, decoded. ``sender`` None was absent or empty; ``terms`` None means: no new tickets."""

    sender: Address | None
    expected_price: tuple[int, int] | None
    """Wei and units as they came."""
    terms: OfferedTerms | None
    tickets: tuple[tuple[int, bytes], ...] = ()
    """Sender nonce and signature of each."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a payment. ``error`` is what the gateway reads; what is counted here stands all the same."""

    credited_wei: Fraction = Fraction(0)
    tickets: int = 0
    winners: int = 0
    errors: tuple[PaymentError, ...] = ()

    @property
    def error(self) -> PaymentError | None:
        """The fatal one, else the last."""
        return self.errors[-1] if self.errors else None


@dataclass(frozen=True, slots=True)
class Offer:
    """A quote: the price, and terms for tickets."""

    price: PriceQuote
    terms: QuotedTerms
    max_float_wei: int
