"""A management port on a real socket with everything behind it made up."""

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from baton.app.prices import Prices
from baton.config.model import BindAddress
from baton.config.origin import DEFAULT, Origin, Provenance, Source
from baton.kernel.clock import ManualClock
from baton.kernel.metrics import SilentMetrics
from baton.node.drain import Drain
from baton.node.health import Health
from baton.ops.api import ManagementPort, MetricsPage
from baton.ops.known_routes import KnownChain, KnownRoutes
from baton.ops.logs import LogVerbosity
from baton.ops.metrics import PrometheusMetrics
from baton.ops.money import MoneyView
from baton.ops.price_routes import PriceRoutes
from baton.ops.status import (
    CardStatus,
    DeviceStatus,
    EngineStatus,
    EngineTest,
    SessionStatus,
    StatusBoard,
    StoreStatus,
)
from baton.ops.token import read_token

__all__ = ["LOOPBACK", "Limit", "Rig"]

LOOPBACK = BindAddress("127.0.0.1", 0, tls=False)


class View:
    """What a running node would show, with the names that strangers choose."""

    def capabilities(self) -> tuple[str, ...]:
        return ("H.264", "MPEGTS")

    def sessions(self) -> tuple[SessionStatus, ...]:
        return tuple(SessionStatus("0123456789abcdef", "evil\x1b[2J\udcff", 1.25, busy=True) for _ in range(300))

    def engines(self) -> tuple[EngineStatus, ...]:
        return (EngineStatus("engine 0", "idle", pid=7, jobs=3),)

    def devices(self) -> tuple[DeviceStatus, ...]:
        return (DeviceStatus("nvidia-0", "quarantined", 0, 0, "probe: no such\x1b[2J device"),)

    def session_room(self) -> int:
        return 5

    def cards(self) -> tuple[CardStatus, ...]:
        return (
            CardStatus(
                "nvidia-0", "NVIDIA L4", "GPU-0", "ok", "", 1 << 30, 24 << 30, 37, 61, 12, 54, 4, throttled=False
            ),
            CardStatus("nvidia-1", "evil\x1b[2J", "GPU-1", "lost", "GPU is lost\n"),
        )

    def store(self) -> StoreStatus:
        return StoreStatus("memory", 10, 100, 1)

    def refusals(self) -> Mapping[str, int]:
        return {"capped": 2}


@dataclass
class Leaver:
    asked: int = 0

    def request_stop(self) -> None:
        self.asked += 1


@dataclass
class Limit:
    """A session limit that a full disk may keep from changing."""

    value: int = 10
    origin: Origin | None = None
    broken: bool = False

    async def change(self, limit: int) -> None:
        if self.broken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.value, self.origin = limit, Origin(Source.RUN_TIME, "/setMaxSessions")


class RecordedVerbosity(LogVerbosity):
    """Remembers the number and leaves the logging of the test run alone."""

    def __init__(self) -> None:
        super().__init__("info")

    def set(self, number: int) -> None:
        self._number = number


@dataclass
class Rig:
    data_dir: Path
    bind: BindAddress = LOOPBACK
    metrics: PrometheusMetrics | None = None
    drain: Drain = field(default_factory=Drain)
    clock: ManualClock = field(default_factory=ManualClock)
    leaver: Leaver | None = field(default_factory=Leaver)
    limit: Limit = field(default_factory=Limit)
    verbosity: RecordedVerbosity = field(default_factory=RecordedVerbosity)
    transcodes: bool = True
    money: MoneyView | None = None
    prices: Prices | None = None
    chain: KnownChain | None = None
    sampled: int = 0

    def __post_init__(self) -> None:
        self.health = Health(drain=self.drain, metrics=SilentMetrics())
        self.engine = self.health.fact("engine", reason="no engine has answered yet")
        board = StatusBoard(
            view=View(),
            drain=self.drain,
            health=self.health,
            clock=self.clock,
            started_monotonic_s=0.0,
            service_uri="https://127.0.0.1:8935",
            session_limit=self.limit,
            money=self.money,
            engine_tests=lambda: (
                EngineTest(
                    device="cpu",
                    engine="PyAV 1",
                    encoders=("libx264",),
                    measured=("libx265: 0.40 times real time",),
                    not_offered=(("HEVC encode", "too slow"),),
                ),
            ),
            at_run_time=self.prices.settings_at_run_time if self.prices is not None else dict,
            settings=(
                Provenance("network", "offchain", DEFAULT),
                Provenance("max-sessions", "10", DEFAULT),
                Provenance("eth-password", "***", Origin(Source.FLAG, "--eth-password")),
                *(
                    [Provenance("price-per-unit", "1200", Origin(Source.FLAG, "--price-per-unit"))]
                    if self.prices
                    else []
                ),
            ),
        )
        self.port = ManagementPort(
            bind=self.bind,
            data_dir=self.data_dir,
            board=board,
            drain=self.drain,
            known=KnownRoutes(
                session_limit=self.limit,
                verbosity=self.verbosity,
                transcodes=self.transcodes,
                prices=PriceRoutes(desk=self.prices) if self.prices is not None else None,
                chain=self.chain,
            ),
            metrics=MetricsPage(metrics=self.metrics, sample=self.sample) if self.metrics is not None else None,
        )
        if self.leaver is not None:
            self.port.answer_to(self.leaver)

    def sample(self) -> None:
        self.sampled += 1

    @property
    def token(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {read_token(self.data_dir)}"}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[httpx.AsyncClient]:
        service = self.port.as_service()
        assert service.start is not None
        assert service.stop is not None
        await service.start()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_await(service.run()))
            try:
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port.port}") as client:
                    yield client
            finally:
                await service.stop()
                await task


async def _await(work: object) -> None:
    await work  # type: ignore[misc]  # a service's run is any awaitable
