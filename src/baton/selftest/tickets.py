"""Tickets as a payer makes them: judged like a gateway judges them, then signed (payments.md 3 and 16).

Shares no code with the side that takes tickets: what both got wrong in the same way would pass unseen.
"""

from dataclasses import dataclass
from fractions import Fraction

from baton.jobs.messages import Price, SignedNonce, TicketParams
from baton.kernel.crypto import keccak256, sign_hash
from baton.kernel.ids import Address

__all__ = ["PayerLimits", "TermsRefusedError", "expected_value_wei", "judge_terms", "price_per_px", "sign_ticket"]

_WORD = 32
_ADDRESS = 20
_CERTAIN = 2**256 - 1
_EXPIRY_BUFFER_BLOCKS = 1


class TermsRefusedError(Exception):
    """A gateway would not pay under these terms; the text is the network's own."""


@dataclass(frozen=True, slots=True)
class PayerLimits:
    """What gateways put up with unless told otherwise, in wei."""

    ticket_ev_wei: int = 3_000_000_000_000
    total_ev_wei: int = 20_000_000_000_000
    tickets: int = 600
    """For one payment: more nonces than this no orchestrator of the network takes under the same terms."""


def _number(raw: bytes) -> int:
    return int.from_bytes(raw[-_WORD:], "big")


def expected_value_wei(params: TicketParams) -> Fraction:
    """What one ticket is worth on average, exactly."""
    return Fraction(_number(params.face_value) * _number(params.win_prob), _CERTAIN)


def price_per_px(price: Price) -> Fraction:
    """Wei per pixel. Raises ``TermsRefusedError`` for a price per nothing."""
    if price.px_per_unit == 0:
        message = "pixels per unit is 0"
        raise TermsRefusedError(message)
    return Fraction(price.wei_per_unit, price.px_per_unit)


def judge_terms(params: TicketParams, *, limits: PayerLimits, last_seen_l1_block: int | None, tickets: int = 1) -> None:
    """The checks of a gateway before it signs, in its order; without a view of the chain nothing expires.

    Raises:
        TermsRefusedError: the first that fails.
    """
    if params.creation_round < 0:
        message = f"ticketParams creation round {params.creation_round} is negative"
        raise TermsRefusedError(message)
    block = _number(params.expiration_block)
    if block == 0:
        message = "ticketParams expiration block is 0"
        raise TermsRefusedError(message)
    if last_seen_l1_block is not None and block - last_seen_l1_block <= _EXPIRY_BUFFER_BLOCKS:
        message = "ticketParams expired"
        raise TermsRefusedError(message)
    value_wei, face_wei = expected_value_wei(params), _number(params.face_value)
    if value_wei <= 0:
        return
    if value_wei >= face_wei:
        message = f"ticket faceValue too low faceValue={face_wei}"
        raise TermsRefusedError(message)
    if value_wei > limits.ticket_ev_wei:
        message = f"ticket EV {float(value_wei):.0f} > max ticket EV {limits.ticket_ev_wei}"
        raise TermsRefusedError(message)
    if value_wei * tickets > limits.total_ev_wei:
        message = f"total ticket EV {float(value_wei * tickets):.0f} > max total ticket EV {limits.total_ev_wei}"
        raise TermsRefusedError(message)
    if tickets > limits.tickets:
        message = f"{tickets} tickets for one payment, more than {limits.tickets}"
        raise TermsRefusedError(message)


def _word(raw: bytes) -> bytes:
    return raw[-_WORD:].rjust(_WORD, b"\x00")


def sign_ticket(params: TicketParams, *, sender: Address, nonce: int, private_key: bytes) -> SignedNonce:
    """The ticket with this nonce under these terms."""
    block_hash = _word(params.creation_round_block_hash)
    made = b""
    if params.creation_round != 0 or any(block_hash):
        made = params.creation_round.to_bytes(_WORD, "big") + block_hash
    packed = b"".join(
        (
            params.recipient[-_ADDRESS:].rjust(_ADDRESS, b"\x00"),
            sender,
            _word(params.face_value),
            _word(params.win_prob),
            nonce.to_bytes(_WORD, "big"),
            _word(params.recipient_rand_hash),
            made,
        )
    )
    return SignedNonce(sender_nonce=nonce, signature=sign_hash(private_key, keccak256(packed)))
