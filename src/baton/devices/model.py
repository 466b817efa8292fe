"""Cards as plain values: what a card is, how it fares now, what is wrong with it, and the port that tells.

Pure. Whatever a card or its driver does not tell is None, and never a reason to fail.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from baton.kernel.errors import BatonError

__all__ = [
    "Device",
    "DeviceFault",
    "DeviceInventory",
    "DeviceUse",
    "DeviceWatch",
    "FaultKind",
    "InventoryError",
    "InventoryTrouble",
    "Reading",
    "Survey",
    "Throttling",
]


@dataclass(frozen=True, slots=True)
class Device:
    """One card as the driver describes it; nothing here changes while the node runs."""

    index: int
    """Its place in the driver's list, which is ordered by PCI bus; what ``--nvidia`` names."""
    uuid: str
    """``GPU-…``, the same after restarts and in any order; what a child process is given to see."""
    name: str = ""
    pci_bus_id: str = ""
    """``00000000:3b:00.0``."""
    memory_bytes: int | None = None
    driver_version: str = ""
    cuda_version: str = ""
    """The newest CUDA that the driver can serve, such as ``12.4``; not what is installed."""
    compute_capability: tuple[int, int] | None = None
    architecture: str = ""
    """``turing``, ``ampere``, …; empty when the driver is older than the question or younger than our table."""
    mig: bool | None = None
    """Whether it is partitioned into instances now; None when it cannot be."""

    @property
    def label(self) -> str:
        """What the node calls it in metrics and status: ``nvidia-0``."""
        return f"nvidia-{self.index}"


class Throttling(Enum):
    """Why a card runs slower than it could. Being idle, or clocks that an operator set, are no throttling."""

    POWER_CAP = "power-cap"
    THERMAL = "thermal"
    HARDWARE = "hardware"
    POWER_BRAKE = "power-brake"


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """How a card fares at this moment. Shares are percent of the last sampling period of the driver."""

    memory_used_bytes: int | None = None
    gpu_percent: int | None = None
    encoder_percent: int | None = None
    decoder_percent: int | None = None
    temperature_c: int | None = None
    encoder_sessions: int | None = None
    """Encoder sessions open on the card, those of other programs too."""
    power_w: float | None = None
    throttling: tuple[Throttling, ...] | None = None
    ecc_errors: int | None = None
    """Uncorrected memory errors since the driver was loaded."""
    row_remap_failed: bool | None = None
    """Whether broken memory could not be replaced by spare rows: the card must be exchanged."""
    xids: tuple[int, ...] = ()
    """Error numbers of the driver about this card since the last reading."""


class FaultKind(Enum):
    """What is wrong with a card."""

    LOST = "lost"
    """It fell off the bus, or the driver no longer knows it."""
    RESET_REQUIRED = "reset-required"
    """The driver asks for a reset of the card."""
    UNRESPONSIVE = "unresponsive"
    """A question about it is not answered."""
    ECC = "ecc"
    """New memory errors that could not be corrected, or no spare memory left."""
    XID = "xid"
    """The driver reported an error of the hardware."""
    UNREADABLE = "unreadable"
    """The driver answers any question about it with an error."""


@dataclass(frozen=True, slots=True)
class DeviceFault:
    """Something wrong with one card. ``reason`` is for the operator."""

    index: int
    kind: FaultKind
    reason: str


Reading = DeviceUse | DeviceFault
"""What looking at one card gives."""


@dataclass(frozen=True, slots=True)
class Survey:
    """All cards that the driver lists: those that answer, by index, and the others."""

    devices: tuple[Device, ...] = ()
    faults: tuple[DeviceFault, ...] = ()


class InventoryTrouble(Enum):
    """Why no card at all can be asked."""

    NO_LIBRARY = "no-library"
    NO_DRIVER = "no-driver"
    NO_PERMISSION = "no-permission"
    MISMATCH = "version-mismatch"
    UNRESPONSIVE = "unresponsive"
    OTHER = "other"


class InventoryError(BatonError):
    """The driver cannot be asked; the text says why and what helps."""

    def __init__(self, trouble: InventoryTrouble, reason: str) -> None:
        """``reason`` is for the operator."""
        super().__init__(reason)
        self.trouble = trouble


class DeviceInventory(Protocol):
    """Where cards come from. Every call returns within a bounded time, whatever the driver does."""

    async def survey(self) -> Survey:
        """All cards of this machine.

        Raises:
            InventoryError: the driver cannot be asked. A machine without cards is an empty answer and no error.
        """
        ...

    async def read(self, devices: Sequence[Device]) -> tuple[Reading | None, ...]:
        """How these cards fare, in their order; None for a card that could not be looked at this time.

        A card whose question hangs is ``UNRESPONSIVE``; those behind it in the order are None until it answers.

        Raises:
            InventoryError: the driver cannot be asked about any card.
        """
        ...

    async def close(self) -> None:
        """Let go of the driver. Waits for nothing that hangs."""
        ...


class DeviceWatch(Protocol):
    """Who wants to know when a card can no longer be trusted. Called on the event loop; must return at once."""

    def device_failed(self, device: Device, fault: DeviceFault) -> None:
        """Something is wrong with a card that was fine; told once until it recovered."""
        ...

    def device_recovered(self, device: Device) -> None:
        """It has been fine again for a while."""
        ...
