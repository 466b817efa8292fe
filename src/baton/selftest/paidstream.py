"""The money of a demo: a devnet, a node on it with its key file and price, a gateway that pays, and both sides' books.

Price and odds are chosen so that a short stream draws many tickets and one in four wins; on the real network prices are
some hundred times lower and winners as much rarer. What the two sides hold at the end is compared to the last fraction.
"""

import asyncio
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from baton.jobs.messages import OrchestratorInfo
from baton.kernel.ids import to_checksum_hex
from baton.selftest.chainprocess import RunningChain
from baton.selftest.chainview import ChainView
from baton.selftest.checks import Check
from baton.selftest.checks_payment import judge_balances, judge_books, judge_debit, judge_tickets, judge_winners
from baton.selftest.http2 import PeerError
from baton.selftest.keyfile import write_key_file
from baton.selftest.nodeprocess import NodeProcess
from baton.selftest.noderecord import NodeCounts, NodeRecord, read_record, winner_faults
from baton.selftest.parties import GatewayKey
from baton.selftest.paying import PaymentSession
from baton.selftest.tickets import PayerLimits, expected_value_wei, price_per_px

__all__ = ["MoneyReport", "PaidStream"]

_PRICE_WEI = 240_000
_TICKET_EV_WEI = 2_500_000_000_000
_FACE_VALUE_WEI = 10_000_000_000_000
_LIMITS = PayerLimits(total_ev_wei=500_000_000_000_000)
"""A gateway's usual limits, but for the sum of a payment, which long segments of an operator's file need."""
_POLL = "1s"
_CERTAIN = 2**256 - 1
_PX_PER_MPX = 10**6


@dataclass(frozen=True, slots=True)
class MoneyReport:
    """What was paid, what it bought, and what both sides have on their books at the end; all amounts in wei."""

    chain_id: int
    gateway: str
    orchestrator: str
    price: Fraction
    """Per pixel, with what redeeming a ticket adds to it."""
    ticket_ev_wei: Fraction
    face_value_wei: int
    win_probability: float
    tickets: int
    sent_wei: Fraction
    """Expected value of all tickets: what the gateway was credited."""
    debit_wei: Fraction
    balance_wei: Fraction
    counts: NodeCounts
    record: NodeRecord
    checks: tuple[Check, ...]


class PaidStream:
    """One stream that is paid on one chain."""

    def __init__(self, chain: RunningChain) -> None:
        """Nothing is paid yet."""
        self._chain = chain
        self._purse: PaymentSession | None = None
        self._first: OrchestratorInfo | None = None
        self._counts: NodeCounts | None = None
        self.key = GatewayKey.from_private_key(chain.gateway_key)

    def node_options(self, folder: Path) -> tuple[str, ...]:
        """How a node is started as the chain's orchestrator; its key file is put into ``folder``. Blocking."""
        key_file = folder / "orchestrator.json"
        write_key_file(key_file, self._chain.orchestrator_key)
        return (
            *("--eth-url", self._chain.rpc_url, "--eth-controller", "0x" + self._chain.controller.hex()),
            *("--eth-keystore-path", str(key_file), "--block-polling-interval", _POLL),
            *("--price-per-unit", str(_PRICE_WEI), "--ticket-ev", str(_TICKET_EV_WEI)),
            *("--max-face-value", str(_FACE_VALUE_WEI), "--monitor"),
        )

    def open_purse(self, terms: OrchestratorInfo) -> PaymentSession:
        """The gateway's money under the terms that it got. Raises ``PeerError`` when there is nothing to pay."""
        if terms.ticket_params is None or terms.price is None:
            message = "the node asks for no payment"
            raise PeerError(message)
        view = ChainView(rpc_url=self._chain.rpc_url, ticket_broker=self._chain.ticket_broker)
        self._first = terms
        self._purse = PaymentSession(key=self.key, terms=terms, view=view, limits=_LIMITS)
        return self._purse

    async def count(self, node: NodeProcess) -> None:
        """Ask the node what it counted, when the stream is over. Raises ``NodeFailedError`` when it does not tell."""
        told = await node.counted()
        self._counts = NodeCounts(
            tickets=round(told.get("tickets_recv", 0)),
            winners=round(told.get("winning_tickets_recv", 0)),
            credit_gwei=told.get("ticket_value_recv", 0.0),
            pixels=round(told.get("mil_pixels_processed", 0.0) * _PX_PER_MPX),
        )

    @property
    def _price(self) -> Fraction:
        """Wei per pixel; nothing where nothing is for sale."""
        price = self._first.price if self._first is not None else None
        return price_per_px(price) if price is not None else Fraction(0)

    async def settle(self, data_dir: Path) -> MoneyReport:
        """Compare the books when the node has ended. Raises ``RecordError``; a purse was opened, the node counted."""
        purse, terms, counts = self._purse, self._first, self._counts
        assert purse is not None and terms is not None and counts is not None  # noqa: S101, PT018 -- stated above
        assert terms.ticket_params is not None  # noqa: S101 -- open_purse looked
        record = await asyncio.to_thread(read_record, data_dir, sender=self.key.address)
        params = terms.ticket_params
        faults = await asyncio.to_thread(winner_faults, record.winners, key=self.key)
        return MoneyReport(
            chain_id=self._chain.chain_id,
            gateway=to_checksum_hex(self.key.address),
            orchestrator=to_checksum_hex(terms.address),
            price=self._price,
            ticket_ev_wei=expected_value_wei(params),
            face_value_wei=int.from_bytes(params.face_value, "big"),
            win_probability=int.from_bytes(params.win_prob, "big") / _CERTAIN,
            tickets=purse.tickets,
            sent_wei=purse.sent_wei,
            debit_wei=purse.fees_wei,
            balance_wei=purse.credit_wei,
            counts=counts,
            record=record,
            checks=(
                judge_books(purse),
                judge_tickets(purse, counts, record),
                judge_winners(counts, record, faults),
                judge_debit(purse, counts, self._price),
                judge_balances(purse, record),
            ),
        )
