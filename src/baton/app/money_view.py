"""What a node on a chain shows of its money, and a tally of what it received: views over rounds, ledger and record."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction

from baton.app.ticket_gauges import TicketGauges
from baton.chain.rounds import RoundWatch
from baton.kernel.clock import Clock
from baton.kernel.errors import BatonError
from baton.kernel.ids import Address, SessionId
from baton.kernel.metrics import Metrics
from baton.ops.money import BalanceRow, Balances, MoneyStatus, MoneyViewError, TicketRow, Tickets
from baton.payments.ledger import Ledger
from baton.storage.winners import TicketStore

__all__ = ["ChainMoneyView", "TicketTally"]


class TicketTally:
    """Metrics that also remember what came in and what was refused. Satisfies ``Metrics``."""

    def __init__(self, behind: Metrics) -> None:
        """Everything goes on to ``behind``."""
        self._behind = behind
        self.tickets = 0
        self.winners = 0
        self._refusals: Counter[str] = Counter()

    @property
    def refusals(self) -> Mapping[str, int]:
        """Payments and tickets refused since the start, by check."""
        return dict(self._refusals)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._behind.set(name, value, **labels)

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Raise a counter, and the tally when it counts tickets."""
        self._behind.add(name, amount, **labels)
        if name == "tickets_recv":
            self.tickets += int(amount)
        elif name == "winning_tickets_recv":
            self.winners += int(amount)
        elif name == "payment_recv_errors":
            self._refusals[labels["error_code"]] += int(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put a value into a histogram."""
        self._behind.observe(name, value, **labels)

    def forget_stream(self, manifest_id: str) -> None:
        """A stream is over."""
        self._behind.forget_stream(manifest_id)


class ChainMoneyView:
    """Satisfies ``ops.money.MoneyView``. Belongs to the event loop."""

    def __init__(
        self,
        *,
        network: str,
        recipient: Address,
        rounds: RoundWatch,
        price: Callable[[], Fraction],
        ledger: Ledger,
        tickets: TicketStore,
        gauges: TicketGauges,
        tally: TicketTally,
        clock: Clock,
    ) -> None:
        """``price`` is wei per pixel for a gateway without a price of its own."""
        self._network = network
        self._recipient = recipient
        self._rounds = rounds
        self._price = price
        self._ledger = ledger
        self._tickets = tickets
        self._gauges = gauges
        self._tally = tally
        self._clock = clock

    def status(self) -> MoneyStatus:
        """How the node stands."""
        rounds = self._rounds
        return MoneyStatus(
            network=self._network,
            recipient=self._recipient,
            active=rounds.stands,
            round=rounds.last_initialized_round,
            l1_block=rounds.last_seen_l1_block,
            chain_age_s=rounds.age_s,
            chain_fresh=rounds.is_fresh,
            price_wei_per_px=self._price(),
            tickets=self._tally.tickets,
            winners=self._tally.winners,
            pending=self._gauges.pending,
            refusals=self._tally.refusals,
        )

    async def tickets(self, *, limit: int) -> Tickets:
        """Winners on record, of all nodes that share it.

        Raises:
            MoneyViewError: the record cannot be asked.
        """
        try:
            states, newest = await self._tickets.counts(), await self._tickets.newest(limit=limit)
        except BatonError as error:
            message = f"the record of money cannot be asked: {error}"
            raise MoneyViewError(message) from error
        now = self._clock.now()
        rows = tuple(
            TicketRow(
                sender=kept.winner.ticket.sender,
                session=SessionId(kept.account_key),
                face_value_wei=kept.winner.ticket.face_value_wei,
                round=kept.winner.ticket.creation_round,
                state=kept.state,
                reason=kept.reason,
                age_s=max(0.0, now - kept.won_at_s),
                tx_hash=kept.tx_hash,
                paid_wei=kept.paid_wei,
            )
            for kept in newest
        )
        return Tickets(states=states, newest=rows)

    async def balances(self, *, limit: int) -> Balances:
        """Accounts that this node knows; looked through in a thread, since there may be many."""
        copy, now = self._ledger.copy(), self._clock.now()

        def look() -> Balances:
            credit_wei, debt_wei = copy.totals_wei()
            rows = tuple(
                BalanceRow(
                    sender=line.key.sender,
                    session=SessionId(line.key.key),
                    balance_wei=line.state.balance_wei,
                    held_wei=line.held_wei,
                    price_wei_per_unit=line.state.price,
                    used_s=max(0.0, now - line.state.touched_s),
                )
                for line in copy.newest(limit)
            )
            return Balances(accounts=len(copy), credit_wei=credit_wei, debt_wei=debt_wei, newest=rows)

        return await asyncio.to_thread(look)
