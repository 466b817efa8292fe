"""Assembles a node from its settings and lists its services in the order in which they start; they stop in reverse.

Nothing here decides anything about segments or money: it picks adapters and wires them to the ports of the use cases.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import structlog

from baton.app.cards import Cards, CardWatch, Unwatched, offered_ids
from baton.app.cell import engine_cell
from baton.app.engine import told
from baton.app.engines import CPU, EngineDevice, EngineRules, Engines, nvidia_devices
from baton.app.gauges import Gauges
from baton.app.measures import Measures
from baton.app.money import Money, open_money
from baton.app.offering import offering
from baton.app.port import auth_webhook, certificate_source, service_port
from baton.app.record import token_secrets
from baton.app.reload import Reload
from baton.app.session_limit import LiveSessionLimit
from baton.app.stores import bucket_account, media_store, store_kind
from baton.app.use_cases import Adapters, Served, port_application
from baton.app.view import NodeView
from baton.chain.signer import signer_of
from baton.config.load import Loaded
from baton.config.model import Settings
from baton.devices.nvml import NvmlInventory
from baton.jobs.ports import SegmentFetcher, Signer
from baton.jobs.streams import Streams
from baton.kernel.capabilities import Capabilities, capability_name
from baton.kernel.clock import Clock, SystemClock
from baton.kernel.errors import ExitCode
from baton.kernel.version import NODE_VERSION, VERSION
from baton.node.drain import Drain
from baton.node.health import Fact, Health
from baton.node.manager import ServiceManager
from baton.node.service import Criticality, Service
from baton.node.supervisor import Node
from baton.ops.api import ManagementPort, MetricsPage
from baton.ops.known_routes import KnownRoutes
from baton.ops.logs import LogVerbosity
from baton.ops.price_routes import PriceRoutes
from baton.ops.status import EngineTest, StatusBoard
from baton.storage.bucket import BucketMediaStore, SessionStores
from baton.storage.data_dir import DataDir
from baton.storage.directory import DirectoryMediaStore
from baton.storage.run_time import KeptSessionLimit
from baton.storage.spool import FileSpool
from baton.video.devices import Devices
from baton.video.local import LocalTranscoder
from baton.video.sessions import SessionTable
from baton.wire.availability import AvailabilityCheck
from baton.wire.clients.fetch import HttpSegmentFetcher
from baton.wire.clients.nearby import OwnStoreFetcher
from baton.wire.clients.post import HttpObjectPoster

__all__ = ["run"]

log = structlog.get_logger("baton.app")

_PORT_GRACE_S = 4.0
"""What answers on their way get to arrive once everything else is done."""

_UNTESTED = "the transcoding engine has not been tested yet"

_FETCH_S = 4.0
"""Gateways fetch a rendition at once and give up after this long; what they left until then they do not want."""


def run(
    loaded: Loaded,
    again: Callable[[], Loaded],
    *,
    devices: tuple[EngineDevice, ...] | None = None,
    rules: EngineRules | None = None,
) -> int:
    """Run a node until it is told to stop; returns the exit code of the process. ``again`` reads the settings anew.

    Segments are transcoded on ``devices``, or on those that the settings choose, within the bounds of ``rules``.

    Raises:
        StartError: the data directory or the key cannot be used.
    """
    return asyncio.run(_live(loaded, again, devices, rules))


async def _live(
    loaded: Loaded, again: Callable[[], Loaded], devices: tuple[EngineDevice, ...] | None, rules: EngineRules | None
) -> ExitCode:
    settings = loaded.settings
    clock = SystemClock()
    measures = Measures.of(settings)
    _announce(settings)
    with DataDir.acquire(settings.data_dir) as data_dir:
        signer = await signer_of(settings.key)
        cards = await Cards.find(settings.engine.nvidia, inventory=lambda: NvmlInventory(clock=SystemClock()))
        if devices is None:
            devices = nvidia_devices(cards.devices) or (CPU,)
        money = await open_money(settings, data_dir=data_dir, signer=signer, clock=clock, metrics=measures.all)
        try:
            parts = Parts(data_dir, signer, cards, money, measures, clock)
            return await Assembly(loaded, parts, devices=devices, rules=rules).node(again).run()
        finally:
            await money.close()  # a node that failed before its services started has not


def _announce(settings: Settings) -> None:
    log.info("baton starts", version=VERSION, node_version=NODE_VERSION, pid=os.getpid())
    if settings.network == "offchain":
        log.warning("off-chain: nobody pays for anything here", meaning="no prices, no tickets, no balances")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a node is made of beside its settings, ready to be used."""

    data_dir: DataDir
    signer: Signer
    cards: Cards
    money: Money
    measures: Measures
    clock: Clock


@dataclass(slots=True)
class _Offer:
    """What the node advertises: only what it does itself until its engine was tested."""

    capabilities: Capabilities


class Assembly:
    """One node in the making."""

    def __init__(
        self,
        loaded: Loaded,
        parts: Parts,
        *,
        devices: tuple[EngineDevice, ...],
        rules: EngineRules | None = None,
    ) -> None:
        """Makes every adapter; nothing runs yet."""
        self._cards, self._money, data_dir = parts.cards, parts.money, parts.data_dir
        settings = self._settings = loaded.settings
        self._loaded = loaded
        self._signer = parts.signer
        self._clock = parts.clock
        self._verbosity = LogVerbosity(settings.logs.level)
        self._prometheus, self._metrics = parts.measures.exported, parts.measures.all
        self._drain = Drain()
        self._health = Health(drain=self._drain, metrics=self._metrics)
        self._offer = _Offer(offering(()))
        self._keys = token_secrets(settings, data_dir, clock=self._clock)
        self._engine_tests: dict[str, EngineTest] = {}
        self._fetcher = HttpSegmentFetcher(allow_private=settings.access.fetch_private_networks)
        self._poster = HttpObjectPoster(allow_private=settings.access.fetch_private_networks)
        # The operator's own bucket may lie anywhere.
        self._own_fetcher = HttpSegmentFetcher(allow_private=True, max_redirects=0)
        self._own_poster = HttpObjectPoster(allow_private=True)
        self._account = bucket_account(settings.storage)
        self._store = media_store(
            settings, account=self._account, poster=self._own_poster, clock=self._clock, metrics=self._metrics
        )
        self._spool = FileSpool(folder=data_dir.work, metrics=self._metrics)
        self._webhook = auth_webhook(settings.access, clock=self._clock)
        self._engines = (
            Engines(
                devices=devices,
                settings=settings.engine,
                cell=engine_cell(settings, data_dir),
                clock=self._clock,
                metrics=self._metrics,
                rules=rules,
            )
            if settings.video.transcoder
            else None
        )
        self._streams = Streams(
            table=SessionTable(limit=settings.video.max_sessions),
            stores=SessionStores(own=self._store, poster=self._poster, metrics=self._metrics),
            clock=self._clock,
            metrics=self._metrics,
            engines=self._engines.devices if self._engines is not None else None,
        )
        self._session_limit = LiveSessionLimit(
            configured=settings.video.max_sessions,
            kept=KeptSessionLimit(path=data_dir.run_time, configured=settings.video.max_sessions),
            streams=self._streams,
        )
        self._certificate = certificate_source(settings.port, data_dir, clock=self._clock)
        self._served = self._use_cases()
        self._listener = service_port(
            settings.port,
            self._served.application,
            certificate=self._certificate,
            metrics=self._metrics,
            clock=self._clock,
        )
        self._management = self._management_port(data_dir)

    # Parts.

    def _segment_fetcher(self) -> SegmentFetcher:
        if self._account is None:
            return self._fetcher
        return OwnStoreFetcher(host=self._account.host, near=self._own_fetcher, far=self._fetcher)

    def _use_cases(self) -> Served:
        return port_application(
            Adapters(
                settings=self._settings,
                clock=self._clock,
                metrics=self._metrics,
                signer=self._signer,
                payments=self._money.payments,
                senders=self._money.senders,
                keys=self._keys,
                streams=self._streams,
                offers=self._store if isinstance(self._store, BucketMediaStore) else None,
                served=self._store,
                spool=self._spool,
                fetcher=self._segment_fetcher(),
                transcoder=LocalTranscoder(engine=self._engines.devices) if self._engines is not None else None,
                gate=self._drain,
                webhook=self._webhook,
                capabilities=lambda: self._offer.capabilities,
            )
        )

    def _management_port(self, data_dir: DataDir) -> ManagementPort:
        settings = self._settings
        view = NodeView(
            capabilities=lambda: self._offer.capabilities,
            streams=self._streams,
            engines=self._engines,
            store=self._store,
            store_kind=store_kind(self._store),
            store_limit_bytes=settings.storage.memory_limit_bytes if self._account is None else 0,
            tally=self._metrics,
            clock=self._clock,
            cards=self._cards.status,
        )
        prices = self._money.prices
        board = StatusBoard(
            view=view,
            drain=self._drain,
            health=self._health,
            clock=self._clock,
            started_monotonic_s=self._clock.monotonic(),
            service_uri=settings.port.service_uri,
            session_limit=self._session_limit,
            settings=self._loaded.provenance,
            engine_tests=lambda: tuple(self._engine_tests.values()),
            money=self._money.view,
            at_run_time=prices.settings_at_run_time if prices is not None else dict,
        )
        return ManagementPort(
            bind=settings.management.bind,
            data_dir=data_dir.path,
            board=board,
            drain=self._drain,
            known=KnownRoutes(
                session_limit=self._session_limit,
                verbosity=self._verbosity,
                transcodes=settings.video.transcoder,
                prices=PriceRoutes(desk=prices) if prices is not None else None,
                chain=self._money.chain,
            ),
            metrics=self._metrics_page(),
        )

    def _metrics_page(self) -> MetricsPage | None:
        if self._prometheus is None:
            return None
        gauges = Gauges(
            streams=self._streams, engines=self._engines, in_hand=self._served.in_hand, metrics=self._prometheus
        )
        return MetricsPage(metrics=self._prometheus, sample=gauges.sample)

    # Services.

    def node(self, again: Callable[[], Loaded]) -> Node:
        """The node with all its services in the order of their start."""
        restartable = Criticality.RESTARTABLE
        manager = ServiceManager(os.environ)
        manager.attend(self._drain)
        reload = Reload(self._loaded, again, self._verbosity, self._certificate, manager)
        services = [
            Service("service manager", manager.run, restartable),
            Service("reload", reload.run, restartable),
            Service("service address", _rest, start=self._listener.try_address),
            self._management.as_service(),
            Service("token secrets", self._keys.run, restartable),
            *self._money.services(self._health),
            Service("clients", _rest, stop=self._close_clients),
            self._store_service(),
            Service("spool", _rest, start=self._clean_spool, stop=self._close_spool),
        ]
        watch = CardWatch(self._engines.devices) if self._engines is not None else Unwatched()
        services += self._cards.services(watch=watch, clock=self._clock, metrics=self._metrics)
        if self._engines is not None:
            engines, ready = self._engines, self._health.fact("engine", reason=_UNTESTED)
            engines.devices.watch(lambda: self._devices_changed(engines.devices, ready))
            services += [
                Service("engine", engines.run, start=engines.start, stop=engines.stop),
                Service("devices", engines.devices.run, restartable, start=engines.test),
            ]
        services.append(Service("sessions", self._streams.run, restartable))
        if self._certificate is not None:
            services.append(Service("certificate", self._certificate.run, restartable))
        services.append(
            Service(
                "service port",
                self._listener.run,
                start=self._listener.start,
                stop=self._stop_listener,
                stop_budget_s=_PORT_GRACE_S + 1.0,
            )
        )
        port = self._settings.port
        if port.service_uri and port.startup_availability_check:
            check = AvailabilityCheck(service_uri=port.service_uri, signer=self._signer)
            services.append(Service("availability check", check.run, restartable))
        node = Node(
            services=tuple(services),
            drain=self._drain,
            health=self._health,
            clock=self._clock,
            busy=self._busy,
            drain_timeout_s=self._settings.lifecycle.drain_timeout_s,
            metrics=self._metrics,
            hangup=reload.ask,
        )
        self._management.answer_to(node)
        return node

    def _busy(self) -> int:
        """What would be lost if the node ended now: segments in hand, and renditions on their way to be fetched."""
        return self._served.in_hand() + self._store.unfetched(within_s=_FETCH_S)

    def _store_service(self) -> Service:
        store = self._store
        if isinstance(store, DirectoryMediaStore):
            return Service("renditions", store.run, start=store.start, stop=store.close)
        return Service("renditions", store.run, Criticality.RESTARTABLE)

    async def _stop_listener(self) -> None:
        await self._listener.stop(_PORT_GRACE_S)

    async def _clean_spool(self) -> None:
        removed = await self._spool.clean_leftovers()
        if removed:
            log.info("leftovers removed", files=removed)

    async def _close_spool(self) -> None:
        self._spool.close()

    async def _close_clients(self) -> None:
        for client in (self._fetcher, self._own_fetcher, self._poster, self._own_poster):
            with contextlib.suppress(OSError):
                await client.close()
        if self._webhook is not None:
            with contextlib.suppress(OSError):
                await self._webhook.close()

    def _devices_changed(self, devices: Devices, ready: Fact) -> None:
        """A device came into use or went out of it: offer what all of them proved, and take what they can carry."""
        self._streams.set_capacity(share=Fraction(len(devices.usable), devices.total), most=devices.most_sessions)
        if not devices.usable:
            # The offer stays: streams that run here shall find the node full, not unable.
            ready.fail(f"no device works: {devices.what_is_wrong}")
            return
        ready.hold()
        for name, report in devices.proven.items():
            if name not in self._engine_tests:
                self._engine_tests[name] = told(name, report, self._settings.engine)
        offered = offering(offered_ids(devices.offer, self._settings.engine))
        if offered != self._offer.capabilities:
            self._offer.capabilities = offered
            log.info("offer changed", offers=[capability_name(i) for i in devices.offer])


async def _rest() -> None:
    """A service that only starts or stops something."""
    await asyncio.Event().wait()
