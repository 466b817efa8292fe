"""Winning tickets on record, from the moment they came in until the chain has paid them or never will.

A winner is written in the transaction that accepts its payment. From there on this queue is the redeemer's: what waits,
what was tried, what became of it and why. Final states are never left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from baton.kernel.ids import Address
from baton.payments.ticket import Ticket, WinningTicket
from baton.storage.database import Database
from baton.storage.schema import TICKETS, TicketState

__all__ = ["KeptTicket", "TicketStore", "winner_row"]

_WORD_BYTES = 32
_MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class KeptTicket:
    """A winner and what became of it. ``paid_wei`` is what the chain really paid, None until then."""

    winner: WinningTicket
    account_key: str
    won_at_s: float
    state: str
    reason: str
    changed_at_s: float
    tx_hash: bytes | None
    paid_wei: int | None


class TicketStore:
    """The winners of a node."""

    def __init__(self, database: Database, *, now: Callable[[], float]) -> None:
        """``now`` is Unix time in seconds."""
        self._database = database
        self._now = now
        self._insert = sqlite.insert if database.dialect == "sqlite" else postgresql.insert

    async def add(self, winners: tuple[WinningTicket, ...], *, account_key: str = "", won_at_s: float) -> int:
        """Keep winners that came in another way than by a payment; how many were not on record before."""
        key = account_key.encode("utf-8", "surrogateescape")
        rows = [winner_row(winner, account_key=key, now_s=won_at_s) for winner in winners]
        new = self._insert(TICKETS).on_conflict_do_nothing().returning(TICKETS.c.ticket_hash)

        def work(connection: Connection) -> int:
            return len(connection.execute(new, rows).all())

        return await self._database.run(work) if rows else 0

    async def waiting(self) -> tuple[KeptTicket, ...]:
        """All that are not final, the oldest round first, then the most valuable; of more than 10,000 the first."""
        return await self._select(TICKETS.c.state.in_(TicketState.OPEN))

    async def newest(self, *, limit: int) -> tuple[KeptTicket, ...]:
        """The last that came in, whatever their state."""

        def work(connection: Connection) -> tuple[KeptTicket, ...]:
            query = select(TICKETS).order_by(TICKETS.c.won_at_s.desc()).limit(min(limit, _MOST_ROWS))
            return tuple(_kept(row) for row in connection.execute(query).all())

        return await self._database.run(work, writes=False)

    async def counts(self) -> dict[str, tuple[int, int]]:
        """Number and face value in wei of the winners in each state."""

        def work(connection: Connection) -> dict[str, tuple[int, int]]:
            sums: dict[str, tuple[int, int]] = {}
            for state, value in connection.execute(select(TICKETS.c.state, TICKETS.c.face_value_wei)):
                number, total = sums.get(state, (0, 0))
                sums[state] = (number + 1, total + int(value))
            return sums

        return await self._database.run(work, writes=False)

    async def outstanding(self) -> tuple[int, int]:
        """Number and face value in wei of the winners that are neither paid nor given up."""
        query = select(TICKETS.c.face_value_wei).where(TICKETS.c.state.in_(TicketState.OPEN))

        def work(connection: Connection) -> tuple[int, int]:
            values = [int(value) for value in connection.execute(query).scalars()]
            return len(values), sum(values)

        return await self._database.run(work, writes=False)

    async def move(
        self,
        ticket_hash: bytes,
        state: str,
        *,
        reason: str = "",
        tx_hash: bytes | None = None,
        paid_wei: int | None = None,
    ) -> bool:
        """Give an open winner another state; False when there is none or it is final already.

        Raises:
            ValueError: there is no such state.
        """
        if state not in (*TicketState.OPEN, *TicketState.FINAL):
            message = f"a ticket cannot be {state}"
            raise ValueError(message)
        values: dict[str, object] = {"state": state, "reason": reason, "changed_at_s": self._now()}
        if tx_hash is not None:
            values["tx_hash"] = tx_hash
        if paid_wei is not None:
            values["paid_wei"] = str(paid_wei)

        def work(connection: Connection) -> bool:
            where = (TICKETS.c.ticket_hash == ticket_hash, TICKETS.c.state.in_(TicketState.OPEN))
            return connection.execute(update(TICKETS).where(*where).values(values)).rowcount == 1

        return await self._database.run(work)

    async def _select(self, *where: Any) -> tuple[KeptTicket, ...]:  # noqa: ANN401 -- the library's expressions
        def work(connection: Connection) -> tuple[KeptTicket, ...]:
            order = (
                TICKETS.c.creation_round,
                func.length(TICKETS.c.face_value_wei).desc(),
                TICKETS.c.face_value_wei.desc(),
            )
            rows = connection.execute(select(TICKETS).where(*where).order_by(*order).limit(_MOST_ROWS)).all()
            return tuple(_kept(row) for row in rows)

        return await self._database.run(work, writes=False)


def winner_row(winner: WinningTicket, *, account_key: bytes, now_s: float) -> dict[str, object]:
    """A winner as a row of the table, waiting to be redeemed."""
    ticket = winner.ticket
    return {
        "ticket_hash": ticket.hash,
        "sender": ticket.sender,
        "recipient": ticket.recipient,
        "face_value_wei": str(ticket.face_value_wei),
        "win_prob": str(ticket.win_prob),
        "sender_nonce": ticket.sender_nonce,
        "recipient_rand_hash": ticket.recipient_rand_hash,
        "recipient_rand": winner.recipient_rand.to_bytes(_WORD_BYTES, "big"),
        "creation_round": ticket.creation_round,
        "creation_round_block_hash": ticket.creation_round_block_hash,
        "expiration_block": winner.expiration_block,
        "signature": winner.signature,
        "account_key": account_key,
        "won_at_s": now_s,
        "state": TicketState.PENDING,
        "changed_at_s": now_s,
    }


def _kept(row: "Row[Any]") -> KeptTicket:
    ticket = Ticket(
        recipient=Address(row.recipient),
        sender=Address(row.sender),
        face_value_wei=int(row.face_value_wei),
        win_prob=int(row.win_prob),
        sender_nonce=row.sender_nonce,
        recipient_rand_hash=row.recipient_rand_hash,
        creation_round=row.creation_round,
        creation_round_block_hash=row.creation_round_block_hash,
    )
    return KeptTicket(
        winner=WinningTicket(
            ticket, row.signature, int.from_bytes(row.recipient_rand, "big"), expiration_block=row.expiration_block
        ),
        account_key=row.account_key.decode("utf-8", "surrogateescape"),
        won_at_s=row.won_at_s,
        state=row.state,
        reason=row.reason,
        changed_at_s=row.changed_at_s,
        tx_hash=row.tx_hash,
        paid_wei=None if row.paid_wei is None else int(row.paid_wei),
    )
