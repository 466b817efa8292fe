"""Where a setting's value came from, and the row that tells an operator so. Pure."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["DEFAULT", "Origin", "Provenance", "Source"]


class Source(Enum):
    """The four sources, weakest first, and the one beside them: what an operator set while the node ran."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "command line"
    RUN_TIME = "set at run time"


@dataclass(frozen=True, slots=True)
class Origin:
    """One place that gave a value: ``where`` is the file with its line, the variable or the option."""

    source: Source
    where: str = ""

    def __str__(self) -> str:
        return f"{self.source.value} ({self.where})" if self.where else self.source.value


DEFAULT = Origin(Source.DEFAULT)
"""The origin of what nobody said."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """One setting as it is in force: its name, its value fit to be shown, and where that came from."""

    name: str
    shown: str
    origin: Origin
