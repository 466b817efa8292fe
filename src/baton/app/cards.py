"""The cards of a node in the making: found before anything starts, watched while it runs, let go at its end."""

from collections.abc import Callable, Iterable

from baton.config.model import EngineSettings
from baton.devices.find import find_devices
from baton.devices.model import Device, DeviceFault, DeviceInventory, DeviceUse, DeviceWatch
from baton.devices.monitor import DeviceMonitor, DeviceView
from baton.kernel.capabilities import EVERY_NODE
from baton.kernel.clock import Clock
from baton.kernel.devices import DeviceSelection
from baton.kernel.metrics import Metrics
from baton.node.service import Criticality, Service
from baton.ops.status import CardStatus
from baton.video.devices import Devices

__all__ = ["CardWatch", "Cards", "Unwatched", "offered_ids"]


def offered_ids(proved: Iterable[int], engine: EngineSettings) -> tuple[int, ...]:
    """What is advertised of what the engine proved: with cards and ``--no-test-transcoder`` only what every node has.

    The reference then tests nothing and advertises the same (video.md 5.7); here nothing is offered untested.
    """
    if engine.nvidia and not engine.offer_tested:
        return tuple(i for i in proved if i in EVERY_NODE)
    return tuple(proved)


class Unwatched:
    """Nobody acts on a card's fault; log, metrics and status tell it. Satisfies ``DeviceWatch``."""

    def device_failed(self, device: Device, fault: DeviceFault) -> None:
        """The monitor has logged it."""

    def device_recovered(self, device: Device) -> None:
        """The monitor has logged it."""


class CardWatch:
    """A card that its driver calls faulty goes out of use at once. Satisfies ``DeviceWatch``."""

    def __init__(self, devices: Devices) -> None:
        """``devices`` are called by the labels of their cards."""
        self._devices = devices

    def device_failed(self, device: Device, fault: DeviceFault) -> None:
        """No segment goes there until the driver finds it well again."""
        self._devices.condemn(device.label, f"{fault.kind.value}: {fault.reason}")

    def device_recovered(self, device: Device) -> None:
        """It may prove itself now."""
        self._devices.acquit(device.label)


class Cards:
    """The chosen cards and where they come from; empty on a node that works in software."""

    def __init__(self, *, devices: tuple[Device, ...], inventory: DeviceInventory | None) -> None:
        """``inventory`` None when no card was asked for: then no driver is loaded either."""
        self.devices = devices
        self._inventory = inventory
        self._monitor: DeviceMonitor | None = None

    @classmethod
    async def find(cls, selection: DeviceSelection, *, inventory: Callable[[], DeviceInventory]) -> "Cards":
        """The cards that an operator asked for.

        Raises:
            StartError: they are not there, or the driver cannot be asked.
        """
        if not selection:
            return cls(devices=(), inventory=None)
        source = inventory()
        try:
            return cls(devices=await find_devices(selection, inventory=source), inventory=source)
        except BaseException:
            await source.close()
            raise

    def services(self, *, watch: DeviceWatch, clock: Clock, metrics: Metrics) -> tuple[Service, ...]:
        """What watches the cards; nothing on a node without."""
        if self._inventory is None:
            return ()
        self._monitor = DeviceMonitor(
            devices=self.devices, inventory=self._inventory, watch=watch, clock=clock, metrics=metrics
        )
        return (Service("cards", self._monitor.run, Criticality.RESTARTABLE, stop=self._let_go),)

    async def _let_go(self) -> None:
        if self._monitor is not None:
            self._monitor.stop()
        if self._inventory is not None:
            await self._inventory.close()

    def status(self) -> tuple[CardStatus, ...]:
        """The cards for ``baton status``; before the first look only what they are."""
        if self._monitor is None:
            return ()
        return tuple(_status(view, self._monitor.trouble) for view in self._monitor.views)


def _status(view: DeviceView, trouble: str) -> CardStatus:
    device = view.device
    if view.fault is not None:
        state, reason = view.fault.kind.value, view.fault.reason
    else:
        state, reason = ("unknown", trouble) if trouble else ("ok", "")
    use = view.use or DeviceUse()
    return CardStatus(
        device=device.label,
        name=device.name,
        uuid=device.uuid,
        state=state,
        reason=reason,
        memory_used_bytes=use.memory_used_bytes,
        memory_bytes=device.memory_bytes,
        gpu_percent=use.gpu_percent,
        encoder_percent=use.encoder_percent,
        decoder_percent=use.decoder_percent,
        temperature_c=use.temperature_c,
        encoder_sessions=use.encoder_sessions,
        throttled=None if use.throttling is None else bool(use.throttling),
    )
