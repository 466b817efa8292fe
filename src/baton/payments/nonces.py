"""Which tickets were seen: the nonces of every quote that came back, until the quote has expired (payments.md 5.1).

Pure. A nonce that is on record counts whether its ticket was credited or not; what expired can be forgotten, because
tickets of expired terms are refused anyway.
"""

from dataclasses import dataclass, field

from baton.kernel.ids import Address
from baton.payments.errors import Fault, PaymentError

__all__ = ["MAX_SENDER_NONCES", "NonceBook"]

MAX_SENDER_NONCES = 600
"""Distinct nonces that one quote takes."""


@dataclass(slots=True)
class _Quote:
    expiration_block: int
    nonces: set[int] = field(default_factory=set)


class NonceBook:
    """The nonces of all live quotes. Belongs to the event loop."""

    def __init__(self) -> None:
        """Empty."""
        self._quotes: dict[bytes, _Quote] = {}

    def __len__(self) -> int:
        """Quotes that are remembered."""
        return len(self._quotes)

    def check(self, recipient_rand_hash: bytes, nonce: int, *, sender: Address) -> None:
        """Refuse what was seen, and what is one too many.

        Raises:
            PaymentError: ``already seen`` or ``too many values``.
        """
        quote = self._quotes.get(recipient_rand_hash)
        if quote is None:
            return
        if nonce in quote.nonces:
            raise PaymentError.nonce(Fault.NONCE_SEEN, sender, nonce)
        if len(quote.nonces) >= MAX_SENDER_NONCES:
            raise PaymentError.nonce(Fault.NONCES_TOO_MANY, sender, nonce)

    def record(self, recipient_rand_hash: bytes, nonce: int, *, expiration_block: int) -> None:
        """From now on the nonce was seen."""
        self._quotes.setdefault(recipient_rand_hash, _Quote(expiration_block)).nonces.add(nonce)

    def forget(self, recipient_rand_hash: bytes, nonce: int) -> None:
        """The ticket could not be put on record: it may come again."""
        quote = self._quotes.get(recipient_rand_hash)
        if quote is None:
            return
        quote.nonces.discard(nonce)
        if not quote.nonces:
            del self._quotes[recipient_rand_hash]

    def expire(self, l1_block: int) -> None:
        """Drop quotes that expired before ``l1_block``."""
        gone = [name for name, quote in self._quotes.items() if quote.expiration_block < l1_block]
        for name in gone:
            del self._quotes[name]
