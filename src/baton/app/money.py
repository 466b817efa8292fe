"""The money of a node: off-chain a node that trusts, on a chain the recipient with its views, record and secrets."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Protocol

import structlog

from baton.app.chain_readiness import ChainReadiness
from baton.app.money_view import ChainMoneyView, TicketTally
from baton.app.prices import Prices
from baton.app.record import database_place, is_shared, reference_database, ticket_secrets
from baton.app.ticket_gauges import TicketGauges
from baton.chain.contracts import find_contracts
from baton.chain.gas import GasAverage
from baton.chain.rounds import RoundWatch
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


class OnchainMoney:
    """Tickets, balances and the chain behind them. Satisfies ``Money``; ``open_money`` makes it."""

    def __init__(
        self,
        *,
        rpc: JsonRpc,
        prices: Prices,
        rounds: RoundWatch,
        funds: SenderFundsCache,
        database: Database,
        recipient: Recipient,
        quoting: Quoting,
        tickets: TicketStore,
        secrets: Service,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """Owns everything it is given."""
        self._rpc = rpc
        self.prices: Prices | None = prices
        self._rounds = rounds
        self.chain: KnownChain | None = rounds
        self._funds = funds
        self._database = database
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
            Service("record of money", _rest, start=self._load, stop=self._close, stop_budget_s=_CLOSE_S),
            Service("chain", self._rounds.run, restartable),
            Service("chain readiness", readiness.run, restartable),
            *([self.prices.service()] if self.prices is not None else []),
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

    async def _close(self) -> None:
        await self._recipient.close()
        await self._funds.close()
        await self._database.close()
        await self._rpc.close()


async def open_money(settings: Settings, *, data_dir: DataDir, signer: Signer, clock: Clock, metrics: Metrics) -> Money:
    """The money of a node with these settings; on a chain everything is read once, so that a node that starts works.

    Raises:
        StartError: the chain, the database or the secrets cannot be used.
    """
    if settings.network == "offchain":
        senders: SenderCheck = SignatureCheck() if settings.access.verify_signatures else TrustingCheck()
        return OffchainMoney(OffchainPayments(), senders)
    rpc = JsonRpc(settings.chain.url, timeout_s=_RPC_TIMEOUT_S)
    try:
        return await _open(settings, rpc, data_dir=data_dir, signer=signer, clock=clock, metrics=metrics)
    except ChainUnavailableError as error:
        await rpc.close()
        message = f"the chain behind --eth-url cannot be used: {error}"
        raise StartError(message, exit_code=ExitCode.CHAIN) from error
    except BaseException:
        await rpc.close()
        raise


async def _open(
    settings: Settings, rpc: JsonRpc, *, data_dir: DataDir, signer: Signer, clock: Clock, metrics: Metrics
) -> OnchainMoney:
    payments = settings.payments
    recipient = address_from_hex(payments.recipient_hex) if payments.recipient_hex else signer.address
    chain_id = quantity(await rpc.call("eth_chainId"))
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
    funds = SenderFundsCache(rpc=rpc, contracts=contracts, recipient=recipient, clock=clock)
    secrets = await asyncio.to_thread(ticket_secrets, settings, data_dir, clock=clock)
    database = await asyncio.to_thread(Database.open, database_place(settings), metrics=metrics)
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
        economics=lambda: prices.book.economics,
        rounds=rounds,
        senders=funds,
        secrets=secrets,
        store=AccountStore(database, now=clock.now),
        # Nothing is redeemed by this version; winners wait on record for the redeemer to come.
        pending_wei=_nothing_pending,
        clock=clock,
        shared=is_shared(settings),
    )
    log.info(
        "on a chain",
        network=settings.network,
        chain_id=chain_id,
        recipient=to_checksum_hex(recipient),
        price_wei_per_px=str(prices.book.table.default),
        active=await rounds.is_active(recipient),
    )
    return OnchainMoney(
        rpc=rpc,
        prices=prices,
        rounds=rounds,
        funds=funds,
        database=database,
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
