"""The record against a model of it: any order of credits, replays, debits, forgetting and restarts (stateful)."""

import asyncio
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from baton.kernel.clock import ManualClock
from baton.kernel.ids import Address
from baton.payments.ports import AccountKey, Debit, TicketEntry
from baton.payments.ticket import Ticket, WinningTicket
from baton.storage.accounts import AccountStore
from baton.storage.database import Database
from baton.storage.schema import TicketState
from baton.storage.winners import TicketStore
from tests.payments.memory import MemoryPaymentStore

SENDERS = tuple(Address(bytes([n]) * 20) for n in (1, 2))
KEYS = st.builds(AccountKey, st.sampled_from(SENDERS), st.sampled_from(["a", "b", "\udc80"]))
PRICES = st.fractions(min_value=Fraction(1, 10**12), max_value=10**30)
QUOTES = st.sampled_from([bytes([n]) * 32 for n in range(3)])
AMOUNTS = st.fractions(min_value=0, max_value=2**256, max_denominator=2**64)


@st.composite
def entries(draw: st.DrawFn) -> TicketEntry:
    quote, nonce = draw(QUOTES), draw(st.integers(0, 5))
    winner = None
    if draw(st.booleans()):
        ticket = Ticket(SENDERS[0], draw(st.sampled_from(SENDERS)), draw(st.integers(1, 2**255)), 5, nonce, quote)
        winner = WinningTicket(ticket, bytes(65), nonce, 1)
    return TicketEntry(quote, nonce, 100 + quote[0], draw(AMOUNTS), winner)


class RecordMachine(RuleBasedStateMachine):
    """The same calls on the database and on the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="baton-record-"))
        self.clock = ManualClock()
        self.runner = asyncio.Runner()
        self.model = MemoryPaymentStore(now=self.clock.now)
        self.states: dict[bytes, str] = {}
        self._open()

    def _open(self) -> None:
        self.database = Database.open(self.folder / "money")
        self.store = AccountStore(self.database, now=self.clock.now)
        self.tickets = TicketStore(self.database, now=self.clock.now)

    @rule(key=KEYS, price=PRICES, tickets=st.lists(entries(), max_size=5).map(tuple))
    def accept(self, key: AccountKey, price: Fraction, tickets: tuple[TicketEntry, ...]) -> None:
        ours = self.runner.run(self.store.accept(key, price=price, tickets=tickets))
        model = self.runner.run(self.model.accept(key, price=price, tickets=tickets))
        assert ours == model
        for name in self.model.winners:
            self.states.setdefault(name, TicketState.PENDING)

    @rule(key=KEYS, amount=AMOUNTS)
    def debit(self, key: AccountKey, amount: Fraction) -> None:
        debit = Debit(key, amount)
        assert self.runner.run(self.store.debit(debit)) == self.runner.run(self.model.debit(debit))

    @rule(seconds=st.sampled_from([1.0, 599.0, 600.0, 601.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(l1_block=st.integers(99, 104), idle_s=st.sampled_from([0.0, 600.0, 3600.0]))
    def forget(self, l1_block: int, idle_s: float) -> None:
        ours = self.runner.run(self.store.forget(idle_s=idle_s, l1_block=l1_block))
        model = self.runner.run(self.model.forget(idle_s=idle_s, l1_block=l1_block))
        assert set(ours) == set(model)

    @precondition(lambda self: self.states)
    @rule(data=st.data(), state=st.sampled_from([*TicketState.OPEN, *TicketState.FINAL]))
    def move(self, data: st.DataObject, state: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.states)))
        moved = self.runner.run(self.tickets.move(name, state, reason="a rule"))
        assert moved is (self.states[name] in TicketState.OPEN)
        if moved:
            self.states[name] = state

    @rule()
    def restart(self) -> None:
        self.runner.run(self.database.close())
        self._open()

    @invariant()
    def record_says_what_the_model_says(self) -> None:
        assert dict(self.runner.run(self.store.accounts())) == dict(self.runner.run(self.model.accounts()))
        assert set(self.runner.run(self.store.nonces())) == set(self.runner.run(self.model.nonces()))
        is_open = [self.model.winners[name] for name, state in self.states.items() if state in TicketState.OPEN]
        for sender in SENDERS:
            owed = sum(winner.ticket.face_value_wei for winner in is_open if winner.ticket.sender == sender)
            assert self.runner.run(self.store.outstanding_wei(sender)) == owed
        waiting = self.runner.run(self.tickets.waiting())
        assert {kept.winner.ticket.hash for kept in waiting} == {winner.ticket.hash for winner in is_open}
        assert len(self.runner.run(self.tickets.newest(limit=1000))) == len(self.states)

    def teardown(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()
        shutil.rmtree(self.folder)


RecordMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
TestRecord = RecordMachine.TestCase
