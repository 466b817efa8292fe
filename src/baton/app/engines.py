"""The engines of a node: a pool of children for each device it was given, and the devices over them as one engine.

What a device is to its children is decided here: which one they may see, and what they shall use it for.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from baton.app.engine import tuning_of
from baton.config.model import EngineSettings
from baton.kernel.clock import Clock
from baton.kernel.errors import ExitCode, StartError
from baton.kernel.metrics import Metrics
from baton.media.job import Acceleration
from baton.media.poison import PoisonLimits, PoisonRegister
from baton.media.pool import EnginePool, PoolLimits
from baton.media.process import ChildCommand
from baton.media.sandbox import Cell
from baton.video.balancer import DeviceLimits
from baton.video.care import DeviceTimes
from baton.video.devices import Devices
from baton.video.health import HealthLimits

__all__ = ["CPU", "Card", "EngineDevice", "EngineRules", "Engines", "nvidia_devices"]


@dataclass(frozen=True, slots=True)
class EngineDevice:
    """A device that segments can be transcoded on: its name, and how its children are started."""

    name: str
    acceleration: Acceleration = Acceleration.SOFTWARE
    command: ChildCommand = field(default_factory=ChildCommand)


CPU = EngineDevice("cpu")
"""What a node has that was given no other device."""


class Card(Protocol):
    """An NVIDIA card as the inventory knows it."""

    @property
    def index(self) -> int:
        """Its number in the driver's list."""
        ...

    @property
    def uuid(self) -> str:
        """Its name for life, whatever its number."""
        ...


_RELEASE = "baton.media.engine.workshop:release"
"""Encoders of cards stay open between the segments of a stream."""


def nvidia_devices(cards: Iterable[Card]) -> tuple[EngineDevice, ...]:
    """The devices behind these cards: the children of each see their own card and no other."""
    return tuple(
        EngineDevice(
            name=f"nvidia-{card.index}",
            acceleration=Acceleration.NVIDIA,
            command=ChildCommand(
                release=_RELEASE,
                environment=(("CUDA_DEVICE_ORDER", "PCI_BUS_ID"), ("CUDA_VISIBLE_DEVICES", card.uuid)),
            ),
        )
        for card in cards
    )


@dataclass(frozen=True, slots=True)
class EngineRules:
    """Waits and bounds of pools and of the care for devices."""

    pool: PoolLimits = field(default_factory=PoolLimits)
    health: HealthLimits = field(default_factory=HealthLimits)
    times: DeviceTimes = field(default_factory=DeviceTimes)
    poison: PoisonLimits = field(default_factory=PoisonLimits)


class Engines:
    """All engine pools of a node: ``start``, ``test``, ``run`` for as long as it lives, ``stop`` in the end."""

    def __init__(
        self,
        *,
        devices: tuple[EngineDevice, ...],
        settings: EngineSettings,
        clock: Clock,
        metrics: Metrics,
        cell: Cell | None = None,
        rules: EngineRules | None = None,
    ) -> None:
        """A pool for each of ``devices``, at least one, all children in ``cell``; nothing runs yet."""
        rules = rules or EngineRules()
        poison = PoisonRegister(limits=rules.poison)
        self.pools = tuple(
            EnginePool(
                device=device.name,
                children=settings.children,
                tuning=replace(tuning_of(settings), acceleration=device.acceleration),
                memory_limit_bytes=settings.memory_limit_bytes,
                recycle_after_jobs=settings.recycle_after_jobs,
                clock=clock,
                metrics=metrics,
                limits=rules.pool,
                command=replace(device.command, cell=cell),
                poison=poison,
            )
            for device in devices
        )
        self.devices = Devices(
            engines={pool.device: pool for pool in self.pools},
            limits=DeviceLimits(sessions=settings.sessions_per_device, px_per_s=settings.load_per_device_px_per_s),
            clock=clock,
            metrics=metrics,
            health=rules.health,
            times=rules.times,
        )
        self._broken: dict[str, str] = {}

    async def start(self) -> None:
        """Bring the first children of every device up, all devices at the same time.

        Raises:
            StartError: exit code ``ENGINE``: no device has any; the message has the reason of each.
        """

        async def start_one(pool: EnginePool) -> None:
            try:
                await pool.start()
            except StartError as error:
                self._broken[pool.device] = str(error)

        async with asyncio.TaskGroup() as group:
            for pool in self.pools:
                group.create_task(start_one(pool))
        if len(self._broken) == len(self.pools):
            reasons = [reason if len(self.pools) == 1 else f"{name}: {reason}" for name, reason in self._broken.items()]
            raise StartError("; ".join(reasons), exit_code=ExitCode.ENGINE)

    async def test(self) -> None:
        """Have every device prove itself, all at the same time.

        Raises:
            StartError: exit code ``ENGINE``: none works; the message has the reason of each.
        """
        await self.devices.test(broken=self._broken)

    async def run(self) -> None:
        """Service body: replace the dead children of every device, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for pool in self.pools:
                group.create_task(pool.run())

    async def stop(self) -> None:
        """Kill all children and wait until none is left."""
        async with asyncio.TaskGroup() as group:
            for pool in self.pools:
                group.create_task(pool.stop())
