"""The driver's management library (NVML) as plain calls that block: what cards there are, and how one fares.

Everything here runs in the one driver thread. Cards differ in what they tell, so each question beyond number and name
may be refused: then its value is None. Only three kinds of refusal mean more: the card is gone, the card needs a reset,
or the library must be opened again.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from baton.devices.model import (
    Device,
    DeviceFault,
    DeviceUse,
    FaultKind,
    InventoryError,
    InventoryTrouble,
    Survey,
    Throttling,
)
from baton.kernel.redaction import printable

__all__ = ["NvmlLibrary"]

# Numbers of nvml.h, which never change; by number, because older bindings lack some of the names.
_UNINITIALIZED, _NO_PERMISSION, _NOT_FOUND, _NO_DRIVER, _NO_LIBRARY = 1, 4, 6, 9, 12
_LOST, _RESET, _MISMATCH, _GPU_NOT_FOUND = 15, 16, 18, 28
_REOPEN = frozenset({_UNINITIALIZED, _NO_DRIVER, _MISMATCH})
_CARD_FAULTS = MappingProxyType(
    {
        _LOST: FaultKind.LOST,
        _NOT_FOUND: FaultKind.LOST,
        _GPU_NOT_FOUND: FaultKind.LOST,
        _RESET: FaultKind.RESET_REQUIRED,
    }
)
_ARCHITECTURES = MappingProxyType(
    dict(enumerate(("kepler", "maxwell", "pascal", "volta", "turing", "ampere", "ada", "hopper", "blackwell"), start=2))
)
_THROTTLING = (
    (0x4, Throttling.POWER_CAP),
    (0x20 | 0x40, Throttling.THERMAL),
    (0x8, Throttling.HARDWARE),
    (0x80, Throttling.POWER_BRAKE),
)
_TEMPERATURE_GPU, _UNCORRECTED, _SINCE_LOAD = 0, 1, 0
_XID_EVENT = 0x8
_MOST_DEVICES, _MOST_EVENTS, _MOST_XIDS = 64, 64, 16
_LONGEST_NAME = 96
_HOTTEST_C, _MOST_SESSIONS, _MOST_MILLIWATTS, _LARGEST = 200, 1 << 20, 1 << 24, 1 << 50

_REASONS = MappingProxyType(
    {
        _NO_LIBRARY: (
            InventoryTrouble.NO_LIBRARY,
            "libnvidia-ml.so.1 was not found: no NVIDIA driver is installed, or this container was not given it",
        ),
        _NO_DRIVER: (InventoryTrouble.NO_DRIVER, "the NVIDIA kernel driver is not loaded"),
        _NO_PERMISSION: (InventoryTrouble.NO_PERMISSION, "this user may not talk to the NVIDIA driver (/dev/nvidia*)"),
        _MISMATCH: (
            InventoryTrouble.MISMATCH,
            "library and kernel driver of NVIDIA are of different versions: restart the machine after an update",
        ),
    }
)


class NvmlLibrary:
    """The opened library. Not for more than one thread."""

    def __init__(self) -> None:
        """Nothing is loaded until the first question."""
        self._nvml: Any = None
        self._events: Any = None
        self._heard: dict[str, list[int]] = {}
        """Errors that the driver reported, by card; the keys are the cards whose events we get."""

    def open(self) -> None:
        """Load and initialise the library, unless it is open.

        Raises:
            InventoryError: why it cannot be used.
        """
        if self._nvml is not None:
            return
        import pynvml

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise _trouble(error) from None
        self._nvml = pynvml

    def close(self) -> None:
        """Let go of the library; it opens again with the next question."""
        nvml, self._nvml = self._nvml, None
        events, self._events = self._events, None
        self._heard = {}
        if nvml is None:
            return
        for let_go in (lambda: events is not None and nvml.nvmlEventSetFree(events), nvml.nvmlShutdown):
            try:
                let_go()
            except nvml.NVMLError:
                continue  # it is gone already, which is what we wanted

    def survey(self) -> Survey:
        """Every card that the driver lists."""
        self.open()
        nvml = self._nvml
        devices: list[Device] = []
        faults: list[DeviceFault] = []
        try:
            count = min(int(nvml.nvmlDeviceGetCount()), _MOST_DEVICES)
            driver, cuda = self._text("nvmlSystemGetDriverVersion"), self._cuda_version()
            for index in range(count):
                try:
                    devices.append(self._describe(index, driver, cuda))
                except nvml.NVMLError as error:
                    faults.append(self._fault(index, error))
        except nvml.NVMLError as error:
            self.close()
            raise _trouble(error) from None
        return Survey(tuple(devices), tuple(faults))

    def read(self, device: Device) -> DeviceUse | DeviceFault:
        """How one card fares."""
        self.open()
        nvml = self._nvml
        try:
            try:
                return self._use(nvml.nvmlDeviceGetHandleByUUID(device.uuid), device.uuid)
            except nvml.NVMLError as error:
                return self._fault(device.index, error)
        except nvml.NVMLError as error:
            self.close()
            raise _trouble(error) from None

    def _describe(self, index: int, driver: str, cuda: str) -> Device:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = _decoded(_raw(nvml.nvmlDeviceGetUUID)(handle))
        pci, memory = self._ask("nvmlDeviceGetPciInfo", handle), self._ask("nvmlDeviceGetMemoryInfo", handle)
        mig = self._ask("nvmlDeviceGetMigMode", handle)
        capability = self._ask("nvmlDeviceGetCudaComputeCapability", handle)
        return Device(
            index=index,
            uuid=uuid,
            name=self._text("nvmlDeviceGetName", handle),
            pci_bus_id=f"{pci.domain:08x}:{pci.bus:02x}:{pci.device:02x}.0" if pci is not None else "",
            memory_bytes=_within(memory.total, _LARGEST) if memory is not None else None,
            driver_version=driver,
            cuda_version=cuda,
            compute_capability=(int(capability[0]), int(capability[1])) if capability is not None else None,
            architecture=_ARCHITECTURES.get(self._ask("nvmlDeviceGetArchitecture", handle), ""),
            mig=bool(mig[0]) if mig is not None else None,
        )

    def _use(self, handle: Any, uuid: str) -> DeviceUse:  # noqa: ANN401 -- an opaque pointer of the library
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        rates = self._ask("nvmlDeviceGetUtilizationRates", handle)
        power_mw = _within(self._ask("nvmlDeviceGetPowerUsage", handle), _MOST_MILLIWATTS)
        rows = self._ask("nvmlDeviceGetRemappedRows", handle)
        ecc = self._ask("nvmlDeviceGetTotalEccErrors", handle, _UNCORRECTED, _SINCE_LOAD)
        return DeviceUse(
            memory_used_bytes=_within(memory.used, _LARGEST) if memory is not None else None,
            gpu_percent=_within(rates.gpu, 100) if rates is not None else None,
            encoder_percent=_within(_first(self._ask("nvmlDeviceGetEncoderUtilization", handle)), 100),
            decoder_percent=_within(_first(self._ask("nvmlDeviceGetDecoderUtilization", handle)), 100),
            temperature_c=_within(self._ask("nvmlDeviceGetTemperature", handle, _TEMPERATURE_GPU), _HOTTEST_C),
            encoder_sessions=_within(_first(self._ask("nvmlDeviceGetEncoderStats", handle)), _MOST_SESSIONS),
            power_w=power_mw / 1000 if power_mw is not None else None,
            throttling=_throttling(self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)),
            ecc_errors=_within(ecc, _LARGEST),
            row_remap_failed=bool(rows[3]) if rows is not None else None,
            xids=self._xids(handle, uuid),
        )

    def _xids(self, handle: Any, uuid: str) -> tuple[int, ...]:  # noqa: ANN401 -- an opaque pointer of the library
        """Errors of this card since the last question; the first question only asks to be told."""
        if uuid not in self._heard:
            self._heard[uuid] = []
            if self._events is None:
                self._events = self._ask("nvmlEventSetCreate")
            if self._events is not None:
                self._ask("nvmlDeviceRegisterEvents", handle, _XID_EVENT, self._events)
        self._collect_events()
        xids, self._heard[uuid] = tuple(self._heard[uuid]), []
        return xids

    def _collect_events(self) -> None:
        for _ in range(_MOST_EVENTS if self._events is not None else 0):
            event = self._ask("nvmlEventSetWait_v2", self._events, 0)
            if event is None:
                return  # none left
            heard = self._heard.get(self._text("nvmlDeviceGetUUID", event.device))
            if heard is not None and event.eventType == _XID_EVENT and len(heard) < _MOST_XIDS:
                heard.append(int(event.eventData))

    def _cuda_version(self) -> str:
        number = self._ask("nvmlSystemGetCudaDriverVersion_v2")
        return f"{number // 1000}.{number % 1000 // 10}" if number else ""

    def _text(self, name: str, *arguments: object) -> str:
        """An answer of the driver as harmless text; empty when there is none."""
        try:
            return _decoded(_raw(getattr(self._nvml, name))(*arguments))
        except self._nvml.NVMLError as error:
            self._pass_on(error)
            return ""

    def _ask(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 -- whatever the library's call gives
        """An answer of the driver; None where the card, the driver or the binding does not have it."""
        function = getattr(self._nvml, name, None)
        if function is None:
            return None
        try:
            return function(*arguments)
        except self._nvml.NVMLError as error:
            self._pass_on(error)
            return None

    @staticmethod
    def _pass_on(error: Any) -> None:  # noqa: ANN401 -- the binding has no types
        if error.value in _REOPEN or error.value in {_LOST, _RESET}:
            raise error

    @staticmethod
    def _fault(index: int, error: Any) -> DeviceFault:  # noqa: ANN401 -- the binding has no types
        """What an error says about one card; raised again when it is about the library."""
        if error.value in _REOPEN:
            raise error
        return DeviceFault(index, _CARD_FAULTS.get(error.value, FaultKind.UNREADABLE), _words(error))


def _raw(function: Callable[..., Any]) -> Callable[..., Any]:
    """A call of the binding before it decodes: names with odd bytes must not be an error."""
    raw: Callable[..., Any] = getattr(function, "__wrapped__", function)
    return raw


def _decoded(text: bytes | str) -> str:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return printable(text.strip(), limit=_LONGEST_NAME)


def _words(error: Any) -> str:  # noqa: ANN401 -- the binding has no types
    try:
        return printable(str(error), limit=_LONGEST_NAME)
    except Exception:  # noqa: BLE001 -- the binding asks the library for words, and that may fail in any way
        return f"NVML error {error.value}"


def _trouble(error: Any) -> InventoryError:  # noqa: ANN401 -- the binding has no types
    other = (InventoryTrouble.OTHER, f"the NVIDIA driver answers with an error: {_words(error)}")
    return InventoryError(*_REASONS.get(error.value, other))


def _first(values: Any) -> Any:  # noqa: ANN401 -- whatever the library's call gives
    return values[0] if values is not None else None


def _within(value: int | None, most: int) -> int | None:
    """A number that makes sense, or None: drivers write all ones where they know nothing."""
    return int(value) if value is not None and 0 <= value <= most else None


def _throttling(bits: int | None) -> tuple[Throttling, ...] | None:
    return None if bits is None else tuple(reason for mask, reason in _THROTTLING if bits & mask)
