"""An inventory that a test writes by hand; it passes the contract suite of the real one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from baton.devices.model import Device, DeviceFault, DeviceUse, FaultKind, InventoryError, Reading, Survey

__all__ = ["ScriptedInventory"]


@dataclass
class ScriptedInventory:
    """Satisfies ``DeviceInventory``."""

    devices: tuple[Device, ...] = ()
    uses: dict[int, DeviceUse] = field(default_factory=dict)
    faults: dict[int, DeviceFault] = field(default_factory=dict)
    hangs: int | None = None
    trouble: InventoryError | None = None
    reads: int = 0
    closed: bool = False

    async def survey(self) -> Survey:
        if self.trouble is not None:
            raise self.trouble
        return Survey(
            tuple(device for device in self.devices if device.index not in self.faults),
            tuple(self.faults[index] for index in sorted(self.faults)),
        )

    async def read(self, devices: Sequence[Device]) -> tuple[Reading | None, ...]:
        self.reads += 1
        if devices and self.trouble is not None:
            raise self.trouble
        readings: list[Reading | None] = []
        silent = False
        for device in devices:
            readings.append(None if silent else self._read(device))
            silent = silent or device.index == self.hangs
        return tuple(readings)

    def _read(self, device: Device) -> Reading:
        if device.index == self.hangs:
            return DeviceFault(device.index, FaultKind.UNRESPONSIVE, "silent")
        if device.index in self.faults:
            return self.faults[device.index]
        if device not in self.devices:
            return DeviceFault(device.index, FaultKind.LOST, "not there")
        return self.uses.get(device.index, DeviceUse())

    async def close(self) -> None:
        self.closed = True
