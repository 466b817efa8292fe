"""Which cards of this machine an operator gave to the node: ``--nvidia 0,1``, ``--nvidia all``, or none.

Pure. Numbers are those of the driver's own list, the one that ``nvidia-smi -L`` prints.
"""

from dataclasses import dataclass

__all__ = ["NO_DEVICES", "DeviceSelection"]


@dataclass(frozen=True, slots=True)
class DeviceSelection:
    """The operator's choice; the empty one is software only, and false."""

    indices: tuple[int, ...] = ()
    """Chosen cards in the order they were given, each once."""
    every: bool = False
    """All cards that the driver lists; ``indices`` is empty then."""

    def __bool__(self) -> bool:
        """Whether any card is asked for."""
        return self.every or bool(self.indices)

    def __str__(self) -> str:
        """As an operator writes it; empty for software only."""
        return "all" if self.every else ",".join(map(str, self.indices))


NO_DEVICES = DeviceSelection()
"""Software only."""
