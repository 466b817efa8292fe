"""The cards of a node in the making: found before anything starts, watched while it runs, let go at its end."""

from collections.abc import Callable

from baton.devices.find import find_devices
from baton.devices.model import Device, DeviceInventory, DeviceWatch
from baton.devices.monitor import DeviceMonitor, DeviceView
from baton.kernel.clock import Clock
from baton.kernel.devices import DeviceSelection
from baton.kernel.metrics import Metrics
from baton.node.service import Criticality, Service
from baton.ops.status import DeviceStatus

__all__ = ["Cards"]


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
        return (Service("cards", self._monitor.run, Criticality.RESTARTABLE, stop=self._inventory.close),)

    def status(self) -> tuple[DeviceStatus, ...]:
        """The cards for ``baton status``; before the first look only what they are."""
        if self._monitor is None:
            return ()
        return tuple(_status(view, self._monitor.trouble) for view in self._monitor.views)


def _status(view: DeviceView, trouble: str) -> DeviceStatus:
    device, use = view.device, view.use
    if view.fault is not None:
        state, reason = view.fault.kind.value, view.fault.reason
    else:
        state, reason = ("unknown", trouble) if trouble else ("ok", "")
    known = DeviceStatus(
        index=device.index,
        name=device.name,
        uuid=device.uuid,
        state=state,
        reason=reason,
        memory_bytes=device.memory_bytes,
    )
    if use is None:
        return known
    return DeviceStatus(
        index=device.index,
        name=device.name,
        uuid=device.uuid,
        state=state,
        reason=reason,
        memory_bytes=device.memory_bytes,
        memory_used_bytes=use.memory_used_bytes,
        gpu_percent=use.gpu_percent,
        encoder_percent=use.encoder_percent,
        decoder_percent=use.decoder_percent,
        temperature_c=use.temperature_c,
        encoder_sessions=use.encoder_sessions,
        throttled=None if use.throttling is None else bool(use.throttling),
    )
