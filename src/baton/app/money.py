"""The money of a node: off-chain a node that trusts, on a chain the recipient with its views, record and secrets."""

import asyncio
import contextlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import structlog

from baton.app.chain_readiness import ChainReadiness
from baton.app.money_view import ChainMoneyView, TicketTally
from baton.app.prices import Prices
from baton.app.record import database_place, is_shared, reference_database, ticket_secrets
from baton.app.ticket_gauges import TicketGauges
from baton.chain.contracts import find_contracts
from baton.chain.gas import GasAverage
from baton.chain.rounds import ARBITRUM_ONE, RoundWatch
from baton.chain.rpc import JsonRpc, quantity
from baton.chain.senders import SenderFundsCache
from baton.config.model import Settings
from baton.jobs.offchain import OffchainPayments, SignatureCheck, TrustingCheck
from baton.jobs.paid import TicketPayments
from baton.jobs.ports import Payments, SenderCheck, Signer
from baton.kernel.clock import Clock
from baton.kernel.errors import BatonError, ExitCode, StartError
from baton.kernel.ids import ZERO_ADDRESS, Address, address_from_hex, to_checksum_hex
from baton.kernel.metrics import Metrics
from baton.node.health import Health
from baton.node.service import Criticality, Service
from baton.ops.known_routes import KnownChain
from baton.ops.money import MoneyView
from baton.payments.ports import ChainUnavailableError
from baton.payments.quoting import Quoting
from baton.payments.recipient import Recipient
from baton.storage.accounts import AccountStore
from baton.storage.data_dir import DataDir
from baton.storage.database import Database
from baton.storage.reference_tickets import ReferenceDatabaseError, import_reference_tickets
from baton.storage.winners import TicketStore

__all__ = ["Money", "OffchainMoney", "OnchainMoney", "open_money"]

log = structlog.get_logger("baton.app")

_TIDY_EVERY_S = 60.0
_CLOSE_S = 10.0
_RPC_TIMEOUT_S = 10.0
_PUBLIC_CHAINS = MappingProxyType({1: "Ethereum", ARBITRUM_ONE: "Arbitrum One"})


class Money(Protocol):
    """What a node needs to know of money."""

    @property
    def payments(self) -> Payments:
        """The use cases' port."""
        ...

    @property
    def senders(self) -> SenderCheck:
        """Whether signatures count."""
        ...

    @property
    def view(self) -> MoneyView | None:
        """What the operator sees of it; None where nobody pays."""
        ...

    @property
    def prices(self) -> Prices | None:
        """The prices in force; None where nobody pays."""
        ...

    @property
    def chain(self) -> KnownChain | None:
        """The chain as it was last seen; None where nobody pays."""
        ...

    def services(self, health: Health) -> list[Service]:
        """What runs for it, in the order of start; what keeps it from working is a fact of ``health``."""
        ...

    async def close(self) -> None:
        """Let go of chain and record, whether services ran or not. Once is enough."""
        ...


@dataclass(frozen=True, slots=True)
class OffchainMoney:
    """Nobody pays."""

    payments: Payments
    senders: SenderCheck
    view: MoneyView | None = None
    prices: Prices | None = None
    chain: KnownChain | None = None

    def services(self, health: Health) -> list[Service]:
        """Nothing runs."""
        del health
        return []

    async def close(self) -> None:
        """Nothing is held."""


class OnchainMoney:
    """Tickets, balances and the chain behind them. Satisfies ``Money``; ``open_money`` makes it."""

    def __init__(
        self,
        *,
        owned: contextlib.AsyncExitStack,
        prices: Prices,
        rounds: RoundWatch,
        recipient: Recipient,
        quoting: Quoting,
        tickets: TicketStore,
        secrets: Service,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """``owned`` closes what is open behind all this, in the right order."""
        self._owned = owned
        self._prices = prices
        self.prices: Prices | None = prices
        self._rounds = rounds
        self.chain: KnownChain | None = rounds
        self._recipient = recipient
        self._tickets = tickets
        self._secrets = secrets
        self._settings = settings
        self._clock = clock
        self._gauges = TicketGauges(store=tickets, metrics=metrics)
        tally = TicketTally(metrics)
        self.payments: Payments = TicketPayments(recipient=recipient, metrics=tally)
        self.senders: SenderCheck = SignatureCheck()
        self.view: MoneyView | None = ChainMoneyView(
            network=settings.network,
            recipient=recipient.address,
            rounds=rounds,
            price=lambda: quoting.base(ZERO_ADDRESS, (), None)[0],
            ledger=recipient.ledger,
            tickets=tickets,
            gauges=self._gauges,
            tally=tally,
            clock=clock,
        )

    def services(self, health: Health) -> list[Service]:
        """The record and the chain first, what watches them after."""
        restartable = Criticality.RESTARTABLE
        readiness = ChainReadiness(chain=self._rounds, fact=health.fact("chain", reason="the chain was not read yet"))
        return [
            Service("record of money", _rest, start=self._load, stop=self.close, stop_budget_s=_CLOSE_S),
            Service("chain", self._rounds.run, restartable),
            Service("chain readiness", readiness.run, restartable),
            self._prices.service(),
            self._secrets,
            Service("tidying of accounts", self._tidy, restartable),
            Service("ticket gauges", self._gauges.run, restartable),
        ]

    async def _load(self) -> None:
        try:
            await self._recipient.load()
        except BatonError as error:
            message = f"the record of money cannot be read: {error}"
            raise StartError(message, exit_code=ExitCode.DATA_DIR) from error
        place = reference_database(self._settings)
        if place is not None:
            try:
                await import_reference_tickets(
                    place, recipient=self._recipient.address, store=self._tickets, now=self._clock.now
                )
            except (ReferenceDatabaseError, BatonError) as error:
                log.warning("tickets of the reference are not imported", reason=str(error))

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_EVERY_S)
            with contextlib.suppress(BatonError):  # the record has said so itself
                await self._recipient.tidy(idle_s=self._settings.payments.idle_account_s)

    async def close(self) -> None:
        """Write what is to be written, then let go of record and chain."""
        await self._owned.aclose()


async def open_money(settings: Settings, *, data_dir: DataDir, signer: Signer, clock: Clock, metrics: Metrics) -> Money:
    """The money of a node with these settings; on a chain everything is read once, so that a node that starts works.

    Raises:
        StartError: the chain, the database or the secrets cannot be used.
    """
    if settings.network == "offchain":
        senders: SenderCheck = SignatureCheck() if settings.access.verify_signatures else TrustingCheck()
        return OffchainMoney(OffchainPayments(), senders)
    async with contextlib.AsyncExitStack() as owned:
        try:
            return await _open(settings, owned, data_dir=data_dir, signer=signer, clock=clock, metrics=metrics)
        except ChainUnavailableError as error:
            message = f"the chain behind --eth-url cannot be used: {error}"
            raise StartError(message, exit_code=ExitCode.CHAIN) from error
    raise AssertionError  # the stack swallows nothing


async def _open(
    settings: Settings,
    owned: contextlib.AsyncExitStack,
    *,
    data_dir: DataDir,
    signer: Signer,
    clock: Clock,
    metrics: Metrics,
) -> OnchainMoney:
    """``owned`` closes what was opened when the opening fails half-way; else the result takes over from it."""
    rpc = JsonRpc(settings.chain.url, timeout_s=_RPC_TIMEOUT_S)
    owned.push_async_callback(rpc.close)
    payments = settings.payments
    recipient = address_from_hex(payments.recipient_hex) if payments.recipient_hex else signer.address
    chain_id = quantity(await rpc.call("eth_chainId"))
    if chain_id in _PUBLIC_CHAINS:
        # Names of public networks are refused by the settings; a private name does not make their money less real.
        message = f"--eth-url leads to {_PUBLIC_CHAINS[chain_id]}, and winners cannot be redeemed yet by this version"
        raise StartError(message, exit_code=ExitCode.CHAIN)
    contracts = await find_contracts(rpc, address_from_hex(settings.chain.controller_hex))
    gas = GasAverage(least_wei=settings.chain.min_gas_price_wei)
    rounds = RoundWatch(
        rpc=rpc,
        contracts=contracts,
        recipient=recipient,
        chain_id=chain_id,
        gas=gas,
        interval_s=settings.chain.polling_interval_s,
        stale_after_s=settings.chain.stale_after_s,
        clock=clock,
        metrics=metrics,
    )
    await rounds.start()
    secrets = await asyncio.to_thread(ticket_secrets, settings, data_dir, clock=clock)
    database = await asyncio.to_thread(Database.open, database_place(settings), metrics=metrics)
    owned.push_async_callback(database.close)
    funds = SenderFundsCache(rpc=rpc, contracts=contracts, recipient=recipient, clock=clock)
    owned.push_async_callback(funds.close)
    prices = Prices(settings=payments, rpc=rpc, data_dir=data_dir, clock=clock, metrics=metrics)
    await prices.start()
    quoting = Quoting(
        recipient=recipient,
        prices=lambda: prices.book.table,
        economics=lambda: prices.book.economics,
        rounds=rounds,
        gas=gas,
        secrets=secrets,
        overhead_most=payments.overhead_most if payments.auto_adjust else None,
    )
    desk = Recipient(
        recipient=recipient,
        quoting=quoting,
        rounds=rounds,
        senders=funds,
        secrets=secrets,
        store=AccountStore(database, now=clock.now),
        # Nothing is redeemed by this version; winners wait on record for the redeemer to come.
        pending_wei=_nothing_pending,
        clock=clock,
        shared=is_shared(settings),
    )
    owned.push_async_callback(desk.close)
    log.info(
        "on a chain",
        network=settings.network,
        chain_id=chain_id,
        recipient=to_checksum_hex(recipient),
        price_wei_per_px=str(prices.book.table.default),
        active=await rounds.is_active(recipient),
    )
    return OnchainMoney(
        owned=owned.pop_all(),
        prices=prices,
        rounds=rounds,
        recipient=desk,
        quoting=quoting,
        tickets=TicketStore(database, now=clock.now),
        secrets=Service("ticket secrets", secrets.run, Criticality.RESTARTABLE),
        settings=settings,
        clock=clock,
        metrics=metrics,
    )


def _nothing_pending(sender: Address) -> int:
    del sender
    return 0


async def _rest() -> None:
    await asyncio.Event().wait()
