"""The machine below the benchmarks, and what its processes take of it: description, load, CPU time, memory.

Reads ``/proc``, so the figures of processes exist on Linux only.
"""

import importlib.metadata
import os
import platform
import resource
from pathlib import Path

__all__ = [
    "core_wait_s",
    "describe",
    "load",
    "memory_bytes",
    "own_children_cpu_s",
    "process_cpu_s",
    "session_cpu_s",
    "session_pids",
]

_LIBRARIES = ("jh2", "uvicorn", "httptools", "av", "imageio-ffmpeg")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def describe() -> dict[str, str]:
    """What a reader of figures must know of the machine: cores, architecture, memory, system, Python, libraries."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "architecture": platform.machine(),
        "memory": f"{memory_bytes / (1 << 30):.0f} GiB",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES),
    }


def load() -> float:
    """How many programs wanted a core, on average over the last minute. Ours are among them."""
    return os.getloadavg()[0]


def own_children_cpu_s() -> float:
    """CPU seconds of the programs we started that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _stat(pid: int) -> list[str] | None:
    """The fields of ``/proc/PID/stat`` behind the name; None when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def process_cpu_s(pid: int) -> float:
    """CPU seconds of one living process, all threads, without children."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S if fields else 0.0


def core_wait_s(pid: int) -> float:
    """Seconds that the first thread of a process was ready to run while all cores were taken; 0 when it ended."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def session_pids(leader: int) -> tuple[int, ...]:
    """All living processes of the session that ``leader`` opened."""
    pids = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    return tuple(pid for pid in pids if (fields := _stat(pid)) and int(fields[3]) == leader)


def session_cpu_s(leader: int) -> float:
    """CPU seconds of all living processes of a session, and of those that they started and saw end."""
    total = 0
    for pid in session_pids(leader):
        if fields := _stat(pid):
            total += sum(int(ticks) for ticks in fields[11:15])
    return total / _TICKS_PER_S


def memory_bytes(pid: int) -> int:
    """Memory that is this process's own share: pages it shares with others count in parts (PSS). 0 when it ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    kilobytes = next((line.split()[1] for line in text.splitlines() if line.startswith("Pss:")), "0")
    return int(kilobytes) * 1024
