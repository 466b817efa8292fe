"""The commitment: how the node binds itself to the terms it quoted without remembering any of them.

The recipient's random number is an HMAC over every field of the terms. Whoever sends a ticket sends the terms back;
only terms that are ours word for word lead to the number whose hash the ticket carries. Fields have fixed widths, the
price keeps its sign, and the class of work that was quoted is bound too, so that no two terms share a number
(payments.md 4.3 and 18 items 1, 2). The number never leaves the node before redemption, so its derivation is ours.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256

from baton.kernel.crypto import keccak256
from baton.kernel.ids import Address
from baton.payments.ticket import HASH_BYTES, MAX_WORD, expected_value_wei

__all__ = ["TRANSCODING", "QuoteClass", "Terms", "model_class", "recipient_rand"]

_VERSION = b"baton recipient rand 1"
_WORD_BYTES = 32

QuoteClass = bytes
"""What kind of work a price was quoted for: 32 bytes."""

TRANSCODING: QuoteClass = keccak256(b"transcoding")
"""Video segments, priced per pixel."""


def model_class(models: Iterable[tuple[int, str]]) -> QuoteClass:
    """The class of a set of (capability, model) pairs; an empty set is transcoding, whatever it was asked for."""
    listed = sorted(set(models))
    if not listed:
        return TRANSCODING
    framed = b"".join(
        _framed(str(capability).encode("ascii")) + _framed(model.encode()) for capability, model in listed
    )
    return keccak256(b"models" + framed)


def _framed(text: bytes) -> bytes:
    return len(text).to_bytes(8, "big") + text


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything a quote says that a ticket must repeat. ``price`` is wei per unit of work, reduced."""

    sender: Address
    face_value_wei: int
    win_prob: int
    seed: int
    expiration_block: int
    price: Fraction
    creation_round: int
    creation_round_block_hash: bytes
    quote_class: QuoteClass = TRANSCODING

    @property
    def expected_value_wei(self) -> Fraction:
        """What a ticket of these terms is worth on average, exactly."""
        return expected_value_wei(self.face_value_wei, self.win_prob)

    @property
    def is_well_formed(self) -> bool:
        """Whether the numbers are ones that we could have quoted; strangers send any."""
        numbers = (
            self.face_value_wei,
            self.win_prob,
            self.seed,
            self.expiration_block,
            abs(self.price.numerator),
            self.price.denominator,
            self.creation_round,
        )
        return all(0 <= number <= MAX_WORD for number in numbers) and len(self.creation_round_block_hash) == HASH_BYTES


def recipient_rand(secret: bytes, terms: Terms) -> int | None:
    """The random number of these terms under one of our secrets; None for terms that nobody could have quoted."""
    if not terms.is_well_formed:
        return None
    words = (
        terms.seed,
        terms.face_value_wei,
        terms.win_prob,
        terms.expiration_block,
        abs(terms.price.numerator),
        terms.price.denominator,
        terms.creation_round,
    )
    message = b"".join(
        (
            _VERSION,
            terms.sender,
            *(number.to_bytes(_WORD_BYTES, "big") for number in words),
            b"-" if terms.price < 0 else b"+",
            terms.creation_round_block_hash,
            terms.quote_class,
        )
    )
    return int.from_bytes(hmac.new(secret, message, sha256).digest(), "big")
