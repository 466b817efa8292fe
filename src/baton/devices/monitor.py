"""Looks at the node's cards every few seconds: numbers for metrics and status, and a word when a card goes bad.

One service, on the event loop except for the driver's answers. A card is told bad once, at the first sign, and good
again only after it was fine for a while, so that one that comes and goes does not take streams with it each time. When
the driver as a whole cannot be asked, nothing is said about the cards: an updated driver answers nobody new and still
works for whoever holds it open.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from baton.devices.model import (
    Device,
    DeviceFault,
    DeviceInventory,
    DeviceUse,
    DeviceWatch,
    FaultKind,
    InventoryError,
    Reading,
)
from baton.devices.verdict import judge
from baton.kernel.clock import Clock
from baton.kernel.metrics import Metrics

__all__ = ["DeviceMonitor", "DeviceView"]

log = structlog.get_logger("baton.devices")

_INTERVAL_S = 2.0
_QUIET_S = 30.0


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One card as it was last seen. ``use`` None: not read yet, or it cannot be."""

    device: Device
    use: DeviceUse | None
    fault: DeviceFault | None
    read_at_s: float | None
    """Monotonic seconds of the reading; None before the first."""


@dataclass(slots=True)
class _Seen:
    """What is remembered of one card."""

    device: Device
    use: DeviceUse | None = None
    last_good: DeviceUse | None = None
    fault: DeviceFault | None = None
    fine_since: float | None = None
    read_at_s: float | None = None

    def view(self) -> DeviceView:
        return DeviceView(self.device, self.use, self.fault, self.read_at_s)


class DeviceMonitor:
    """Watches cards for as long as it runs; a supervised service runs it."""

    def __init__(
        self,
        *,
        devices: Sequence[Device],
        inventory: DeviceInventory,
        watch: DeviceWatch,
        clock: Clock,
        metrics: Metrics,
        interval_s: float = _INTERVAL_S,
        quiet_s: float = _QUIET_S,
    ) -> None:
        """``quiet_s`` seconds a card must be fine before it counts as recovered."""
        self._seen = tuple(_Seen(device) for device in devices)
        self._inventory = inventory
        self._watch = watch
        self._clock = clock
        self._metrics = metrics
        self._interval_s = interval_s
        self._quiet_s = quiet_s
        self._trouble = ""
        self._stopped = False
        for device in devices:
            self._introduce(device)

    @property
    def views(self) -> tuple[DeviceView, ...]:
        """Every card as last seen, in the order they were given."""
        return tuple(seen.view() for seen in self._seen)

    @property
    def trouble(self) -> str:
        """Why the driver cannot be asked at present; empty while it answers."""
        return self._trouble

    async def run(self) -> None:
        """Look, wait, look again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._interval_s)

    def stop(self) -> None:
        """The driver is about to be let go of: what it no longer answers is no news."""
        self._stopped = True

    async def look(self) -> None:
        """Read every card once and tell the watch what has changed."""
        try:
            readings = await self._inventory.read([seen.device for seen in self._seen])
        except InventoryError as error:
            if self._stopped:
                return
            self._set_trouble(str(error))
            for seen in self._seen:
                seen.use = None
                self._measure(seen)
            return
        self._set_trouble("")
        for seen, reading in zip(self._seen, readings, strict=True):
            if reading is not None:
                self._take(seen, reading)
            else:
                seen.use = None
            self._measure(seen)

    def _set_trouble(self, reason: str) -> None:
        if bool(reason) is not bool(self._trouble):
            if reason:
                log.error("driver cannot be asked about cards", reason=reason)
            else:
                log.info("driver answers again")
        self._trouble = reason

    def _take(self, seen: _Seen, reading: Reading) -> None:
        now = self._clock.monotonic()
        seen.read_at_s = now
        fault = judge(seen.device, seen.last_good, reading)
        seen.use = reading if isinstance(reading, DeviceUse) else None
        seen.last_good = seen.use or seen.last_good
        if fault is not None:
            seen.fine_since = None
            if seen.fault is None:
                self._fail(seen, fault)
            seen.fault = fault
            return
        if seen.fault is None:
            return
        if seen.fine_since is None:
            seen.fine_since = now
        if now - seen.fine_since >= self._quiet_s:
            self._recover(seen)

    def _fail(self, seen: _Seen, fault: DeviceFault) -> None:
        device = seen.device
        log.error("card failed", device=device.label, uuid=device.uuid, fault=fault.kind.value, reason=fault.reason)
        self._metrics.add("device_faults_total", device=device.label, fault=fault.kind.value)
        self._watch.device_failed(device, fault)

    def _recover(self, seen: _Seen) -> None:
        log.info("card recovered", device=seen.device.label, uuid=seen.device.uuid)
        seen.fault = seen.fine_since = None
        self._watch.device_recovered(seen.device)

    def _introduce(self, device: Device) -> None:
        label = device.label
        self._metrics.set(
            "device_info",
            1,
            device=label,
            uuid=device.uuid,
            model=device.name,
            driver=device.driver_version,
            cuda=device.cuda_version,
        )
        self._metrics.set("device_faulty", 0, device=label)
        if device.memory_bytes is not None:
            self._metrics.set("device_memory_bytes", device.memory_bytes, device=label)
        for kind in FaultKind:
            self._metrics.add("device_faults_total", 0, device=label, fault=kind.value)

    def _measure(self, seen: _Seen) -> None:
        """The card's numbers; what is not known now is no number, instead of an old one."""
        label, use = seen.device.label, seen.use or DeviceUse()
        throttled = None if use.throttling is None else float(bool(use.throttling))
        self._metrics.set("device_faulty", float(seen.fault is not None), device=label)
        self._metrics.set("device_memory_used_bytes", _number(use.memory_used_bytes), device=label)
        self._metrics.set("device_temperature_celsius", _number(use.temperature_c), device=label)
        self._metrics.set("device_encoder_sessions", _number(use.encoder_sessions), device=label)
        self._metrics.set("device_power_watts", _number(use.power_w), device=label)
        self._metrics.set("device_throttled", _number(throttled), device=label)
        self._metrics.set("device_ecc_errors", _number(use.ecc_errors), device=label)
        for unit, percent in (
            ("gpu", use.gpu_percent),
            ("encoder", use.encoder_percent),
            ("decoder", use.decoder_percent),
        ):
            self._metrics.set("device_busy_percent", _number(percent), device=label, unit=unit)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
