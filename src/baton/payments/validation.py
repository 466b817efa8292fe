"""Is this ticket good? Every check of an incoming ticket in the order peers know (payments.md 5.1).

The checks that look at the whole payment come first and are fatal; those of a single ticket leave the others alone.
Pure but for the nonces it records.
"""

from dataclasses import dataclass

from baton.kernel.crypto import recover_hash_signer
from baton.kernel.ids import ZERO_ADDRESS, Address
from baton.payments.commitment import Terms, recipient_rand
from baton.payments.errors import Fault, PaymentError
from baton.payments.facevalue import SenderFunds
from baton.payments.messages import OfferedTerms, ReceivedPayment
from baton.payments.nonces import NonceBook
from baton.payments.ticket import Ticket, WinningTicket, draw, rand_hash

__all__ = [
    "EXPIRY_GRACE_BLOCKS",
    "Judgement",
    "SignedTicket",
    "all_signed",
    "check_sender",
    "is_signed",
    "judge",
    "open_commitment",
    "signed_tickets",
]

EXPIRY_GRACE_BLOCKS = 2
"""Terms are taken this many L1 blocks longer than told: our view of the chain and the gateway's never agree fully."""


@dataclass(frozen=True, slots=True)
class SignedTicket:
    """A ticket as it came in."""

    ticket: Ticket
    signature: bytes


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of one ticket: credited without an error; a winner counts even with one."""

    winner: WinningTicket | None
    error: PaymentError | None
    is_new: bool
    """Whether its nonce was recorded just now."""


def check_sender(sender: Address, funds: SenderFunds, *, last_initialized_round: int) -> None:
    """Refuse a sender whose money is about to go.

    Raises:
        PaymentError: fatal.
    """
    if funds.is_unlocking(last_initialized_round=last_initialized_round):
        raise PaymentError.unlocking(sender)


def open_commitment(
    ticket: Ticket, *, recipient: Address, terms: tuple[Terms, ...], secrets: tuple[bytes, ...]
) -> tuple[int, Terms]:
    """The random number behind a ticket, and under which of the candidate terms it was quoted.

    Raises:
        PaymentError: fatal: not for us, from nobody, or under terms that we never quoted.
    """
    if ticket.recipient != recipient:
        raise PaymentError.of(Fault.RECIPIENT)
    if ticket.sender == ZERO_ADDRESS:
        raise PaymentError.of(Fault.SENDER)
    for candidate in terms:
        for secret in secrets:
            number = recipient_rand(secret, candidate)
            if number is not None and rand_hash(number) == ticket.recipient_rand_hash:
                return number, candidate
    raise PaymentError.of(Fault.RECIPIENT_RAND)


def is_signed(signed: SignedTicket) -> bool:
    """Whether the ticket's sender signed it: about 50 microseconds of arithmetic."""
    return recover_hash_signer(signed.ticket.hash, signed.signature) == signed.ticket.sender


def all_signed(signed: tuple[SignedTicket, ...]) -> list[bool]:
    """The same for each of many; long enough to be worth a thread."""
    return [is_signed(one) for one in signed]


def signed_tickets(payment: ReceivedPayment, sender: Address, terms: OfferedTerms) -> tuple[SignedTicket, ...]:
    """The tickets of a payment, each with the terms that all of them share."""
    return tuple(
        SignedTicket(
            Ticket(
                recipient=terms.recipient,
                sender=sender,
                face_value_wei=terms.face_value_wei,
                win_prob=terms.win_prob,
                sender_nonce=nonce,
                recipient_rand_hash=terms.recipient_rand_hash,
                creation_round=terms.creation_round,
                creation_round_block_hash=terms.creation_round_block_hash,
            ),
            signature,
        )
        for nonce, signature in payment.tickets
    )


def judge(
    signed: SignedTicket,
    *,
    number: int,
    expiration_block: int,
    well_signed: bool,
    l1_block: int,
    nonces: NonceBook,
) -> Judgement:
    """The checks of a single ticket whose commitment is ours. Records its nonce unless that is refused.

    A ticket that won is kept even when its nonce or its terms are refused: what it wins can be redeemed.
    """
    ticket = signed.ticket
    if not well_signed:
        return Judgement(None, PaymentError.of(Fault.SIGNATURE), is_new=False)
    winner = None
    if draw(signed.signature, number) < ticket.win_prob:
        winner = WinningTicket(ticket, signed.signature, number, expiration_block)
    try:
        nonces.check(ticket.recipient_rand_hash, ticket.sender_nonce, sender=ticket.sender)
    except PaymentError as error:
        return Judgement(winner, error, is_new=False)
    nonces.record(ticket.recipient_rand_hash, ticket.sender_nonce, expiration_block=expiration_block)
    expired = expiration_block + EXPIRY_GRACE_BLOCKS <= l1_block
    return Judgement(winner, PaymentError.of(Fault.EXPIRED) if expired else None, is_new=True)
