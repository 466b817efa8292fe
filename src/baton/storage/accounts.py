"""Accounts, nonces and winners on record: the payments domain's store over the database.

Every change reads what is there, adds to it and writes it back within one transaction, so several nodes may share a
PostgreSQL: a nonce is taken by whoever wrote it first, and nobody's credit overwrites another's.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from baton.kernel.ids import Address
from baton.payments.ports import AccountKey, AccountState, Applied, Debit, TicketEntry, writable
from baton.storage.database import Database
from baton.storage.schema import ACCOUNTS, NONCES, TICKETS, TicketState
from baton.storage.winners import winner_row

__all__ = ["AccountStore"]

_NOTHING = Fraction(0)
_EMPTY = AccountState(_NOTHING, None, _NOTHING, 0.0)

_WHICH = (ACCOUNTS.c.sender == bindparam("its_sender"), ACCOUNTS.c.key == bindparam("its_key"))
_ONE = select(ACCOUNTS).where(*_WHICH)
_HELD = _ONE.with_for_update()
_WRITE = update(ACCOUNTS).where(*_WHICH)


class AccountStore:
    """Satisfies ``PaymentStore``."""

    def __init__(self, database: Database, *, now: Callable[[], float]) -> None:
        """``now`` is Unix time in seconds."""
        self._database = database
        self._now = now
        insert = sqlite.insert if database.dialect == "sqlite" else postgresql.insert
        # Statements are made once: making one costs more than running it.
        self._new_account = insert(ACCOUNTS).on_conflict_do_nothing()
        self._new_winners = insert(TICKETS).on_conflict_do_nothing()
        # Drivers do not agree about how many rows such a statement changed; which ones it returns is certain.
        self._new_nonces = (
            insert(NONCES).on_conflict_do_nothing().returning(NONCES.c.recipient_rand_hash, NONCES.c.nonce)
        )

    async def accounts(self) -> tuple[tuple[AccountKey, AccountState], ...]:
        """Every account on record."""

        def work(connection: Connection) -> tuple[tuple[AccountKey, AccountState], ...]:
            rows = connection.execute(select(ACCOUNTS)).all()
            return tuple((AccountKey(Address(row.sender), _text(row.key)), _state(row)) for row in rows)

        return await self._database.run(work, writes=False)

    async def account(self, account: AccountKey) -> AccountState | None:
        """One account, or None."""

        def work(connection: Connection) -> AccountState | None:
            row = connection.execute(_ONE, _name(account)).one_or_none()
            return _state(row) if row is not None else None

        return await self._database.run(work, writes=False)

    async def nonces(self) -> tuple[tuple[bytes, int, int], ...]:
        """Every nonce on record."""

        def work(connection: Connection) -> tuple[tuple[bytes, int, int], ...]:
            rows = connection.execute(select(NONCES)).all()
            return tuple((row.recipient_rand_hash, row.nonce, row.expiration_block) for row in rows)

        return await self._database.run(work, writes=False)

    async def accept(self, account: AccountKey, *, price: Fraction, tickets: tuple[TicketEntry, ...]) -> Applied:
        """Credit tickets whose nonces are new, keep all winners, pin the price."""

        def work(connection: Connection) -> Applied:
            now = self._now()
            raw_key = _raw(account.key)
            winners = [winner_row(t.winner, account_key=raw_key, now_s=now) for t in tickets if t.winner is not None]
            if winners:
                connection.execute(self._new_winners, winners)
            fresh, seen = self._note(connection, tickets)
            if not fresh:
                known = connection.execute(_ONE, _name(account)).one_or_none()
                return Applied(_EMPTY if known is None else _state(known), seen)
            before = self._held_row(connection, account, now)
            pinned = before.pinned(now)
            state = AccountState(
                balance_wei=writable(before.balance_wei + sum(fresh, _NOTHING)),
                price=price if pinned is None else pinned,
                ticket_ev_wei=fresh[-1],
                touched_s=now,
            )
            _write(connection, account, state)
            return Applied(state, seen)

        return await self._database.run(work)

    async def debit(self, debit: Debit) -> Applied:
        """Take the price of done work, below zero if need be."""

        def work(connection: Connection) -> Applied:
            now = self._now()
            before = self._held_row(connection, debit.account, now)
            state = AccountState(
                balance_wei=writable(before.balance_wei - debit.amount_wei),
                price=before.price,
                ticket_ev_wei=before.ticket_ev_wei,
                touched_s=now,
            )
            _write(connection, debit.account, state)
            return Applied(state)

        return await self._database.run(work)

    async def forget(self, *, idle_s: float, l1_block: int) -> tuple[AccountKey, ...]:
        """Drop idle accounts and expired nonces."""

        def work(connection: Connection) -> tuple[AccountKey, ...]:
            idle = ACCOUNTS.c.touched_s < self._now() - idle_s
            gone = connection.execute(select(ACCOUNTS.c.sender, ACCOUNTS.c.key).where(idle)).all()
            connection.execute(delete(ACCOUNTS).where(idle))
            connection.execute(delete(NONCES).where(NONCES.c.expiration_block < l1_block))
            return tuple(AccountKey(Address(row.sender), _text(row.key)) for row in gone)

        return await self._database.run(work)

    async def outstanding_wei(self, sender: Address) -> int:
        """Face values won from a sender and not final yet."""
        waiting = TICKETS.c.state.in_((TicketState.PENDING, TicketState.REDEEMING))

        def work(connection: Connection) -> int:
            rows = connection.execute(select(TICKETS.c.face_value_wei).where(TICKETS.c.sender == sender, waiting))
            return sum(int(value) for value in rows.scalars())

        return await self._database.run(work, writes=False)

    def _held_row(self, connection: Connection, account: AccountKey, now: float) -> AccountState:
        """The account's row, made when missing and locked against other nodes until the transaction ends."""
        held = connection.execute(_HELD, _name(account)).one_or_none()
        if held is None:
            fresh = AccountState(_NOTHING, None, _NOTHING, now)
            values = {"sender": account.sender, "key": _raw(account.key), **_columns(fresh)}
            connection.execute(self._new_account, values)
            held = connection.execute(_HELD, _name(account)).one()
        return _state(held)

    def _note(
        self, connection: Connection, tickets: tuple[TicketEntry, ...]
    ) -> tuple[list[Fraction], frozenset[tuple[bytes, int]]]:
        """Put the nonces of tickets with credit on record: the credit of those that were new, names of the others."""
        worth = [ticket for ticket in tickets if ticket.credit_wei]
        if not worth:
            return [], frozenset()
        rows = [
            {
                "recipient_rand_hash": ticket.recipient_rand_hash,
                "nonce": ticket.nonce,
                "expiration_block": ticket.expiration_block,
            }
            for ticket in worth
        ]
        noted = {(row.recipient_rand_hash, row.nonce) for row in connection.execute(self._new_nonces, rows)}
        fresh: list[Fraction] = []
        seen: set[tuple[bytes, int]] = set()
        for ticket in worth:
            name = (ticket.recipient_rand_hash, ticket.nonce)
            if name in noted:
                noted.remove(name)
                fresh.append(ticket.credit_wei)
            else:
                seen.add(name)
        return fresh, frozenset(seen)


def _name(account: AccountKey) -> dict[str, object]:
    return {"its_sender": account.sender, "its_key": _raw(account.key)}


def _write(connection: Connection, account: AccountKey, state: AccountState) -> None:
    connection.execute(_WRITE, {**_name(account), **_columns(state)})


def _columns(state: AccountState) -> dict[str, object]:
    return {
        "balance_wei": str(state.balance_wei),
        "price": None if state.price is None else str(state.price),
        "ticket_ev_wei": str(state.ticket_ev_wei),
        "touched_s": state.touched_s,
    }


def _state(row: "Row[Any]") -> AccountState:
    return AccountState(
        balance_wei=Fraction(row.balance_wei),
        price=None if row.price is None else Fraction(row.price),
        ticket_ev_wei=Fraction(row.ticket_ev_wei),
        touched_s=row.touched_s,
    )


def _raw(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
