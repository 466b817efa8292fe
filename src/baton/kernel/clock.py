"""Time as an argument: a port, the system's clock, and one that a test holds still.

Wall time (Unix seconds) is for what leaves the process, such as token expiry; monotonic seconds are for waits.
"""

import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """Where the present comes from."""

    def now(self) -> float:
        """Unix time in seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, *, now: float = 1_700_000_000.0) -> None:
        """Start at Unix time ``now`` seconds."""
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        """Unix time in seconds."""
        return self._now

    def monotonic(self) -> float:
        """Monotonic seconds."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks ``seconds`` ahead."""
        self._now += seconds
        self._monotonic += seconds
