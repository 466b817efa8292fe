"""What an operator sees of money: winners, balances and the node's standing, as frozen values and as JSON.

Pure. ``MoneyView`` is what the assembler provides. Nothing here can carry what makes a ticket worth its face value, its
signature and its number: whoever knows them before it is redeemed knows a winner. Amounts of wei are text in JSON,
since many readers keep numbers only to 53 bits.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Protocol

from baton.kernel.ids import Address, SessionId, shown_session, to_checksum_hex
from baton.kernel.redaction import printable

__all__ = [
    "BalanceRow",
    "Balances",
    "MOST_ROWS",
    "MoneyStatus",
    "MoneyView",
    "MoneyViewError",
    "TicketRow",
    "Tickets",
    "balances_json",
    "status_json",
    "tickets_json",
]

MOST_ROWS = 200
"""Tickets or accounts listed at most; counts are always the true ones."""


class MoneyViewError(Exception):
    """The record cannot be asked now; the text says why, without secrets."""


@dataclass(frozen=True, slots=True)
class MoneyStatus:
    """How the node stands on its chain, and what came in since it started."""

    network: str
    recipient: Address
    active: bool
    """Whether the recipient is in the active set."""
    round: int
    l1_block: int
    chain_age_s: float
    """Seconds since the chain was last read."""
    chain_fresh: bool
    """Whether terms are made by that view."""
    price_wei_per_px: Fraction
    """For a gateway without a price of its own, before what redemption adds."""
    tickets: int
    winners: int
    pending: tuple[int, int] | None
    """Number and face value in wei of the winners that wait, of all nodes on the record; None before they were
    counted."""
    refusals: Mapping[str, int] = field(default_factory=dict)
    """Payments and tickets refused since the start, by check."""


@dataclass(frozen=True, slots=True)
class TicketRow:
    """One winner."""

    sender: Address
    session: SessionId
    face_value_wei: int
    round: int
    state: str
    reason: str
    age_s: float
    """Since it came in."""
    tx_hash: bytes | None = None
    paid_wei: int | None = None


@dataclass(frozen=True, slots=True)
class Tickets:
    """Winners on record: number and face value in wei by state, and the newest."""

    states: Mapping[str, tuple[int, int]]
    newest: tuple[TicketRow, ...]


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """One account."""

    sender: Address
    session: SessionId
    balance_wei: Fraction
    held_wei: Fraction
    """Of the balance, for work that is not done yet."""
    price_wei_per_unit: Fraction | None
    """Pinned by its tickets."""
    used_s: float
    """Seconds since the last credit or debit."""


@dataclass(frozen=True, slots=True)
class Balances:
    """Accounts that this node knows: how many, what they hold and lack in all, and those used last."""

    accounts: int
    credit_wei: int
    debt_wei: int
    newest: tuple[BalanceRow, ...]


class MoneyView(Protocol):
    """Read views of a node on a chain."""

    def status(self) -> MoneyStatus:
        """How it stands; quick, and never fails."""
        ...

    async def tickets(self, *, limit: int) -> Tickets:
        """Winners.

        Raises:
            MoneyViewError: the record cannot be asked.
        """
        ...

    async def balances(self, *, limit: int) -> Balances:
        """Accounts."""
        ...


def status_json(status: MoneyStatus) -> dict[str, object]:
    """The section ``money`` of ``GET /baton/status``; field names are stable."""
    number, value_wei = status.pending if status.pending is not None else (None, None)
    return {
        **asdict(status),
        "recipient": to_checksum_hex(status.recipient),
        "chain_age_s": round(status.chain_age_s, 1),
        "price_wei_per_px": str(status.price_wei_per_px),
        "pending": number,
        "pending_face_value_wei": None if value_wei is None else str(value_wei),
        "refusals": dict(sorted(status.refusals.items())),
    }


def tickets_json(tickets: Tickets) -> dict[str, object]:
    """The answer of ``GET /baton/tickets``; field names are stable."""
    states = sorted(tickets.states.items())
    return {
        "states": [
            {"state": state, "tickets": number, "face_value_wei": str(value_wei)}
            for state, (number, value_wei) in states
        ],
        "newest": [_ticket(row) for row in tickets.newest],
    }


def balances_json(balances: Balances) -> dict[str, object]:
    """The answer of ``GET /baton/balances``; field names are stable. Fractions of a wei are left out."""
    return {
        "accounts": balances.accounts,
        "credit_wei": str(balances.credit_wei),
        "debt_wei": str(balances.debt_wei),
        "newest": [_balance(row) for row in balances.newest],
    }


def _ticket(row: TicketRow) -> dict[str, object]:
    return {
        "sender": to_checksum_hex(row.sender),
        "session": _session(row.session),
        "face_value_wei": str(row.face_value_wei),
        "round": row.round,
        "state": row.state,
        "reason": printable(row.reason, limit=300),
        "age_s": round(row.age_s, 1),
        "tx_hash": None if row.tx_hash is None else f"0x{row.tx_hash.hex()}",
        "paid_wei": None if row.paid_wei is None else str(row.paid_wei),
    }


def _balance(row: BalanceRow) -> dict[str, object]:
    return {
        "sender": to_checksum_hex(row.sender),
        "session": _session(row.session),
        "balance_wei": str(int(row.balance_wei)),
        "held_wei": str(int(row.held_wei)),
        "price_wei_per_unit": None if row.price_wei_per_unit is None else str(row.price_wei_per_unit),
        "used_s": round(row.used_s, 1),
    }


def _session(session: SessionId) -> str:
    """Ids are secrets, and names of streams come from strangers."""
    return printable(shown_session(session))
