"""The ticket: what a sender signs, its hash, its draw, and what it is worth on average (payments.md 3 and 4.2).

Pure values and functions. All money is in wei; a probability is an integer out of ``MAX_WIN_PROB``.
"""

from dataclasses import dataclass
from fractions import Fraction

from baton.kernel.crypto import keccak256
from baton.kernel.ids import Address

__all__ = [
    "HASH_BYTES",
    "MAX_WIN_PROB",
    "MAX_WORD",
    "Ticket",
    "WinningTicket",
    "draw",
    "expected_value_wei",
    "rand_hash",
    "win_probability",
]

MAX_WORD = 2**256 - 1
"""Largest number of the chain."""

MAX_WIN_PROB = MAX_WORD
"""The denominator of win probabilities: a ticket with this one loses only on the last of all draws."""

HASH_BYTES = 32
_NO_HASH = bytes(HASH_BYTES)
_WORD_BYTES = 32


def _word(number: int) -> bytes:
    return number.to_bytes(_WORD_BYTES, "big")


@dataclass(frozen=True, slots=True)
class Ticket:
    """One lottery ticket. Numbers are within the chain's words and hashes have 32 bytes, or the hash cannot be made."""

    recipient: Address
    sender: Address
    face_value_wei: int
    win_prob: int
    sender_nonce: int
    recipient_rand_hash: bytes
    creation_round: int = 0
    creation_round_block_hash: bytes = _NO_HASH

    @property
    def aux_data(self) -> bytes:
        """Round and block hash as the contract reads them; nothing at all when both are zero."""
        if self.creation_round == 0 and self.creation_round_block_hash == _NO_HASH:
            return b""
        return _word(self.creation_round) + self.creation_round_block_hash

    @property
    def hash(self) -> bytes:
        """The 32 bytes that the sender signs and the contract remembers as used.

        Raises:
            OverflowError: a number is negative or longer than a word.
        """
        return keccak256(
            self.recipient
            + self.sender
            + _word(self.face_value_wei)
            + _word(self.win_prob)
            + _word(self.sender_nonce)
            + self.recipient_rand_hash
            + self.aux_data
        )

    @property
    def expected_value_wei(self) -> Fraction:
        """What the ticket is worth on average, exactly."""
        return expected_value_wei(self.face_value_wei, self.win_prob)


@dataclass(frozen=True, slots=True)
class WinningTicket:
    """A ticket that won, with all that redeems it. ``recipient_rand`` is a secret until then."""

    ticket: Ticket
    signature: bytes
    recipient_rand: int
    expiration_block: int
    """L1 block from which on the ticket may be redeemed: before it, telling the secret would let anybody forge."""


def expected_value_wei(face_value_wei: int, win_prob: int) -> Fraction:
    """Face value times probability, exactly."""
    return Fraction(face_value_wei * win_prob, MAX_WIN_PROB)


def rand_hash(recipient_rand: int) -> bytes:
    """The commitment to a recipient's random number that is told with the terms."""
    return keccak256(_word(recipient_rand))


def draw(signature: bytes, recipient_rand: int) -> int:
    """The number a ticket draws; it wins when this is below its win probability."""
    return int.from_bytes(keccak256(signature + _word(recipient_rand)), "big")


def win_probability(*, face_value_wei: int, ev_wei: int) -> int:
    """The probability that makes a ticket of this face value worth ``ev_wei``, rounded up; 0 for no face value.

    Raises:
        ValueError: worth more than it can pay; such terms must never leave the node.
    """
    if face_value_wei == 0:
        return 0
    if ev_wei > face_value_wei or ev_wei < 0:
        message = f"a ticket of {face_value_wei} wei cannot be worth {ev_wei} wei"
        raise ValueError(message)
    if ev_wei == face_value_wei:
        return MAX_WIN_PROB
    quotient, remainder = divmod(MAX_WIN_PROB, face_value_wei)
    return ev_wei * (quotient + 1 if remainder else quotient)
