"""The installed command as an operator types it, with a temporary folder of its own that can be looked into."""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["baton", "environment", "processes_of"]

ROOT = Path(__file__).resolve().parents[2]


def environment(temporary: Path) -> dict[str, str]:
    """Where the command's temporary files go; nothing of the operator's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", "TMPDIR": str(temporary)}


def baton(temporary: Path, *arguments: str, timeout_s: float = 110) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "baton", *arguments],
        env=environment(temporary),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def processes_of(temporary: Path) -> dict[int, str]:
    """Command lines, by process id, of everything alive that was started with ``temporary`` in its environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if f"TMPDIR={temporary}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found
