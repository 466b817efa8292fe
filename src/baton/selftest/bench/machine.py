"""What machine a figure belongs to: cores, processor, memory, and how busy it was with other things."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from baton.kernel.redaction import printable
from baton.kernel.version import VERSION

__all__ = ["Machine", "this_machine"]

_BUSY_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts of the machine, as far as the system tells them."""

    cpu: str
    cores: int
    """Those that this process may use."""
    memory_bytes: int
    system: str
    python: str
    baton: str
    load_before: float
    """Mean number of processes that wanted to run in the minute before."""

    @property
    def is_busy(self) -> bool:
        """Whether other work will spoil the figures."""
        return self.load_before > _BUSY_SHARE * self.cores


def this_machine() -> Machine:
    """The facts of this machine, now."""
    try:
        memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        memory_bytes = 0
    try:
        load = os.getloadavg()[0]
    except OSError:
        load = 0.0
    return Machine(
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=memory_bytes,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        baton=VERSION,
        load_before=round(load, 2),
    )


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                name, colon, value = line.partition(":")
                if colon and name.strip().lower() in {"model name", "hardware", "cpu model"}:
                    return printable(value.strip(), limit=120)
    except OSError:
        pass
    return platform.processor() or platform.machine()
