"""NVIDIA cards through the driver's management library, off the event loop and never waiting for ever.

The library holds its cards initialised while it is open, as the driver's persistence mode does, so it stays open as
long as the node runs. A driver that is loaded anew is found again with the next question.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from baton.devices.driver_thread import DriverBusyError, DriverThread
from baton.devices.model import (
    Device,
    DeviceFault,
    FaultKind,
    InventoryError,
    InventoryTrouble,
    Reading,
    Survey,
)
from baton.devices.nvml_library import NvmlLibrary
from baton.kernel.clock import Clock

__all__ = ["NvmlInventory"]

log = structlog.get_logger("baton.devices")

T = TypeVar("T")
_OPEN_S = 30.0
"""A driver without persistence mode starts up each card when it is first asked, for seconds."""
_READ_S = 5.0
_CLOSE_S = 1.0


class NvmlInventory:
    """Satisfies ``DeviceInventory``."""

    def __init__(self, *, clock: Clock, open_timeout_s: float = _OPEN_S, read_timeout_s: float = _READ_S) -> None:
        """Nothing is loaded before the first question."""
        self._library = NvmlLibrary()
        self._thread = DriverThread(name="nvml", clock=clock)
        self._open_timeout_s = open_timeout_s
        self._read_timeout_s = read_timeout_s
        self._hung: int | None = None
        """The card whose question has not returned."""

    async def survey(self) -> Survey:
        """All cards of this machine."""
        return await self._call(self._library.survey, self._open_timeout_s)

    async def read(self, devices: Sequence[Device]) -> tuple[Reading | None, ...]:
        """How these cards fare, in their order; None for those behind one that hangs."""
        if not devices:
            return ()
        if self._hung is not None and self._thread.silent_for_s > 0:
            return tuple(self._silent(device) if device.index == self._hung else None for device in devices)
        self._hung = None
        await self._call(self._library.open, self._open_timeout_s)
        return tuple([await self._read(device) for device in devices])

    async def _read(self, device: Device) -> Reading | None:
        if self._hung is not None:
            return None
        try:
            return await self._thread.call(lambda: self._library.read(device), timeout_s=self._read_timeout_s)
        except DriverBusyError as error:
            if not error.fresh:
                raise _unresponsive(error) from None
            self._hung = device.index
        log.error("driver does not answer", index=self._hung, waited_s=self._read_timeout_s)
        return self._silent(device)

    def _silent(self, device: Device) -> DeviceFault:
        silent_s = max(self._thread.silent_for_s, self._read_timeout_s)
        return DeviceFault(device.index, FaultKind.UNRESPONSIVE, f"the driver has not answered for {silent_s:.0f} s")

    async def close(self) -> None:
        """Let go of the library, unless the driver hangs."""
        try:
            await self._thread.call(self._library.close, timeout_s=_CLOSE_S)
        except DriverBusyError as error:
            log.warning("driver thread is left behind", silent_s=round(error.for_s, 1))
        finally:
            self._thread.close()

    async def _call(self, work: Callable[[], T], timeout_s: float) -> T:
        try:
            return await self._thread.call(work, timeout_s=timeout_s)
        except DriverBusyError as error:
            raise _unresponsive(error) from None


def _unresponsive(error: DriverBusyError) -> InventoryError:
    return InventoryError(
        InventoryTrouble.UNRESPONSIVE, f"the NVIDIA driver has not answered for {error.for_s:.0f} s; see dmesg"
    )
