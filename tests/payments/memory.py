"""The payments domain's ports held in memory, for tests only; each passes the contract suite of the real thing."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from baton.kernel.ids import Address
from baton.payments.facevalue import SenderFunds
from baton.payments.ports import (
    AccountKey,
    AccountState,
    Applied,
    ChainUnavailableError,
    Debit,
    TicketEntry,
    writable,
)
from baton.payments.ticket import WinningTicket

__all__ = ["FixedGas", "FixedRounds", "FixedSecrets", "FixedSenders", "MemoryPaymentStore"]

RICH = SenderFunds(deposit_wei=10**18, withdraw_round=0, reserve_wei=10**19, claimed_wei=0, claimed_by_us_wei=0)


@dataclass
class FixedRounds:
    """Satisfies ``RoundView``; move it by assignment."""

    is_fresh: bool = True
    last_initialized_round: int = 3500
    round_block_hash: bytes = bytes([9]) * 32
    previous_round_block_hash: bytes = bytes([8]) * 32
    last_seen_l1_block: int = 20_000_000
    pool_size: int = 10
    inactive: set[Address] = field(default_factory=set)

    async def is_active(self, orchestrator: Address) -> bool:
        return orchestrator not in self.inactive


@dataclass
class FixedSenders:
    """Satisfies ``SenderView``: everybody is rich unless told otherwise; None is a chain that does not answer."""

    known: dict[Address, SenderFunds | None] = field(default_factory=dict)

    async def funds(self, sender: Address) -> SenderFunds:
        funds = self.known.get(sender, RICH)
        if funds is None:
            message = "no endpoint answers"
            raise ChainUnavailableError(message)
        return funds


@dataclass
class FixedGas:
    """Satisfies ``GasView``."""

    price_wei: int = 100_000_000


@dataclass
class FixedSecrets:
    """Satisfies ``TicketSecrets``."""

    current: bytes = bytes(range(32))
    older: tuple[bytes, ...] = ()

    @property
    def all(self) -> tuple[bytes, ...]:
        return (self.current, *self.older)


class MemoryPaymentStore:
    """Satisfies ``PaymentStore``. ``now`` is Unix seconds."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._accounts: dict[AccountKey, AccountState] = {}
        self._nonces: dict[tuple[bytes, int], int] = {}
        self.winners: dict[bytes, WinningTicket] = {}
        self.fails: Exception | None = None
        """Raised by the next change."""

    async def accounts(self) -> tuple[tuple[AccountKey, AccountState], ...]:
        return tuple(self._accounts.items())

    async def account(self, account: AccountKey) -> AccountState | None:
        return self._accounts.get(account)

    async def nonces(self) -> tuple[tuple[bytes, int, int], ...]:
        return tuple((rand, nonce, block) for (rand, nonce), block in self._nonces.items())

    async def accept(self, account: AccountKey, *, price: Fraction, tickets: tuple[TicketEntry, ...]) -> Applied:
        self._fail()
        now = self._now()
        seen = set()
        fresh = []
        for ticket in tickets:
            name = (ticket.recipient_rand_hash, ticket.nonce)
            if ticket.winner is not None:
                self.winners.setdefault(ticket.winner.ticket.hash, ticket.winner)
            if not ticket.credit_wei:
                continue
            if name in self._nonces:
                seen.add(name)
                continue
            self._nonces[name] = ticket.expiration_block
            fresh.append(ticket.credit_wei)
        before = self._accounts.get(account) or AccountState(Fraction(0), None, Fraction(0), 0.0)
        if not fresh:
            return Applied(before, frozenset(seen))
        pinned = before.pinned(now)
        state = AccountState(
            balance_wei=writable(before.balance_wei + sum(fresh, Fraction(0))),
            price=price if pinned is None else pinned,
            ticket_ev_wei=fresh[-1],
            touched_s=now,
        )
        self._accounts[account] = state
        return Applied(state, frozenset(seen))

    async def debit(self, debit: Debit) -> Applied:
        self._fail()
        state = self._accounts.get(debit.account) or AccountState(Fraction(0), None, Fraction(0), 0.0)
        state = replace(state, balance_wei=writable(state.balance_wei - debit.amount_wei), touched_s=self._now())
        self._accounts[debit.account] = state
        return Applied(state)

    async def forget(self, *, idle_s: float, l1_block: int) -> tuple[AccountKey, ...]:
        gone = tuple(key for key, state in self._accounts.items() if self._now() - state.touched_s > idle_s)
        for key in gone:
            del self._accounts[key]
        self._nonces = {name: block for name, block in self._nonces.items() if block >= l1_block}
        return gone

    async def outstanding_wei(self, sender: Address) -> int:
        return sum(w.ticket.face_value_wei for w in self.winners.values() if w.ticket.sender == sender)

    def _fail(self) -> None:
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error
