"""Becomes anvil, and dies with the process that started it; run as a file of its own, with nothing of ours loaded."""

import ctypes
import os
import signal
import sys

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main(parent: int, program: str, arguments: list[str]) -> None:
    """Replace this process by ``program``. ``parent`` is the starter's process id."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == parent:  # else it died before we could ask to die with it
        os.execv(program, [program, *arguments])  # noqa: S606 -- the program that the starter installed


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
