"""All tickets of a payment judged: which are credited, which won, and what is wrong with the rest.

They share their terms, so each is worth the same. Signatures of more than a few are verified off the event loop, and
thousands of tickets let others have a turn in between.
"""

import asyncio
from dataclasses import dataclass
from fractions import Fraction

from baton.kernel.ids import Address
from baton.payments.commitment import Terms
from baton.payments.errors import Fault, PaymentError
from baton.payments.messages import Receipt
from baton.payments.nonces import NonceBook
from baton.payments.ports import TicketEntry
from baton.payments.validation import SignedTicket, all_signed, judge

__all__ = ["JudgedTickets", "judge_all"]

_TURN_TICKETS = 64
"""So many are judged before others have a turn."""
_THREAD_FROM_TICKETS = 4
"""More tickets than this are verified off the event loop."""


@dataclass(frozen=True, slots=True)
class JudgedTickets:
    """What goes on record, which nonces were noted for it, and what was refused."""

    worth_wei: Fraction
    """Of each."""
    entries: tuple[TicketEntry, ...]
    recorded: tuple[TicketEntry, ...]
    errors: tuple[PaymentError, ...]

    def receipt(self, sender: Address, *, seen: frozenset[tuple[bytes, int]]) -> Receipt:
        """What became of the payment, now that the record has spoken; ``seen`` were accepted by another node before."""
        credited, errors = 0, list(self.errors)
        for entry in self.entries:
            if not entry.credit_wei:
                continue
            if (entry.recipient_rand_hash, entry.nonce) in seen:
                errors.append(PaymentError.nonce(Fault.NONCE_SEEN, sender, entry.nonce))
            else:
                credited += 1
        return Receipt(
            credited_wei=self.worth_wei * credited,
            tickets=credited,
            winners=sum(entry.winner is not None for entry in self.entries),
            errors=tuple(errors),
        )


async def judge_all(
    signed: tuple[SignedTicket, ...], *, number: int, terms: Terms, l1_block: int, nonces: NonceBook
) -> JudgedTickets:
    """Judge the tickets of one payment, at least one; notes the nonces of those that are new in ``nonces``."""
    worth_wei = signed[0].ticket.expected_value_wei
    if len(signed) > _THREAD_FROM_TICKETS:
        well_signed = await asyncio.to_thread(all_signed, signed)
    else:
        well_signed = all_signed(signed)
    errors: list[PaymentError] = []
    entries: list[TicketEntry] = []
    recorded: list[TicketEntry] = []
    for position, (one, good) in enumerate(zip(signed, well_signed, strict=True), start=1):
        if position % _TURN_TICKETS == 0:
            await asyncio.sleep(0)
        judgement = judge(
            one,
            number=number,
            expiration_block=terms.expiration_block,
            well_signed=good,
            l1_block=l1_block,
            nonces=nonces,
        )
        if judgement.error is not None:
            errors.append(judgement.error)
        entry = TicketEntry(
            recipient_rand_hash=one.ticket.recipient_rand_hash,
            nonce=one.ticket.sender_nonce,
            expiration_block=terms.expiration_block,
            credit_wei=worth_wei if judgement.error is None else Fraction(0),
            winner=judgement.winner,
        )
        if judgement.is_new:
            recorded.append(entry)
        if entry.credit_wei or entry.winner is not None:
            entries.append(entry)
    return JudgedTickets(worth_wei, tuple(entries), tuple(recorded), tuple(errors))
