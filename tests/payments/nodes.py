"""A recipient over a database, as one node of perhaps several has it; the chain beside it is held in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from baton.kernel.clock import Clock, ManualClock
from baton.kernel.ids import Address
from baton.payments.facevalue import Economics
from baton.payments.ports import TicketSecrets
from baton.payments.prices import PriceTable
from baton.payments.quoting import Quoting
from baton.payments.recipient import Recipient
from baton.storage.accounts import AccountStore
from baton.storage.database import Database
from baton.storage.winners import TicketStore
from tests.payments.memory import FixedGas, FixedRounds, FixedSecrets, FixedSenders

__all__ = ["EV_WEI", "ME", "Node", "running"]

ME = Address(bytes.fromhex("73aed7b5deb30222fa896f399d46cc99c7bee57f"))
EV_WEI = 8_000_000_000


@dataclass
class Node:
    """One node; ``prices`` and the chain move by assignment."""

    database: Database
    clock: Clock = field(default_factory=ManualClock)
    secrets: TicketSecrets = field(default_factory=FixedSecrets)
    shared: bool = True
    prices: PriceTable = field(default_factory=lambda: PriceTable(default=Fraction(1200)))
    economics: Economics = field(default_factory=lambda: Economics(ev_wei=EV_WEI, redeem_gas=1_200_000))
    rounds: FixedRounds = field(default_factory=FixedRounds)
    senders: FixedSenders = field(default_factory=FixedSenders)

    def __post_init__(self) -> None:
        self.store = AccountStore(self.database, now=self.clock.now)
        self.tickets = TicketStore(self.database, now=self.clock.now)
        quoting = Quoting(
            recipient=ME,
            prices=lambda: self.prices,
            economics=lambda: self.economics,
            rounds=self.rounds,
            gas=FixedGas(),
            secrets=self.secrets,
            overhead_most=Fraction(3, 2),
        )
        self.recipient = Recipient(
            recipient=ME,
            quoting=quoting,
            rounds=self.rounds,
            senders=self.senders,
            secrets=self.secrets,
            store=self.store,
            pending_wei=lambda _sender: 0,
            clock=self.clock,
            shared=self.shared,
        )


@asynccontextmanager
async def running(place: Path | str, **parts: object) -> AsyncIterator[Node]:
    """A node on a database, loaded."""
    database = Database.open(place)
    try:
        node = Node(database, **parts)  # type: ignore[arg-type]  # passed on
        await node.recipient.load()
        yield node
        await node.recipient.close()
    finally:
        await database.close()
