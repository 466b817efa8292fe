"""Turns: segments of one session run one after another, in the order they came.

Each waiting segment is its own request's task, so a request that goes away simply leaves the line: nothing is queued
that nobody waits for, and no answer can be lost. The line always takes one running and four waiting segments, as
gateways expect; more only while the estimate says they would still be answered in time (video.md 11.2 item 23).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from baton.kernel.clock import Clock
from baton.kernel.errors import CapacityError, Text

__all__ = ["WAITING_ALWAYS", "WAITING_MOST", "Turnstile"]

WAITING_ALWAYS = 4
"""Segments that may wait whatever the estimate says."""

WAITING_MOST = 32
"""Segments that may ever wait in one session."""

_ESTIMATE_WEIGHT = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    granted: "asyncio.Future[None]"


class Turnstile:
    """The line of one session. All methods belong to the event loop."""

    def __init__(self, *, clock: Clock) -> None:
        """An empty line."""
        self._clock = clock
        self._waiting: deque[_Waiter] = deque()
        self._running = False
        self._closed = False
        self._turn_s = 0.0

    @property
    def waiting(self) -> int:
        """Segments in line."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, *, budget_s: float) -> AsyncIterator[float]:
        """Wait for this segment's turn and hold it; yields the seconds waited.

        Raises:
            CapacityError: ``OrchestratorBusy`` when the line is full, or too long to be served within ``budget_s``;
                ``Session ended`` when the session ended while this segment waited.
        """
        arrived = self._clock.monotonic()
        if self._closed:
            raise CapacityError(Text.SESSION_ENDED)
        extra = False
        if self._running or self._waiting:
            extra = self._check_room(budget_s)
            await self._stand_in_line()
        self._running = True
        started = self._clock.monotonic()
        try:
            if extra and started - arrived > budget_s:
                raise CapacityError(Text.BUSY, detail=f"waited {started - arrived:.1f} s of {budget_s:.1f} s")
            yield started - arrived
            spent = self._clock.monotonic() - started
            self._turn_s += (spent - self._turn_s) * (_ESTIMATE_WEIGHT if self._turn_s else 1.0)
        finally:
            self._running = False
            self._next()

    def close(self) -> None:
        """The session is over: who waits is told so, and whoever comes later too. The running segment finishes."""
        self._closed = True
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.granted.done():
                waiter.granted.set_exception(CapacityError(Text.SESSION_ENDED))

    def _check_room(self, budget_s: float) -> bool:
        """Raise when the line is too long; True when only the estimate let this segment in."""
        if len(self._waiting) < WAITING_ALWAYS:
            return False
        estimate_s = (len(self._waiting) + 2) * self._turn_s
        if len(self._waiting) >= WAITING_MOST or not self._turn_s or estimate_s > budget_s:
            detail = f"{len(self._waiting)} waiting, about {estimate_s:.1f} s of {budget_s:.1f} s"
            raise CapacityError(Text.BUSY, detail=detail)
        return True

    async def _stand_in_line(self) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled() and waiter.granted.exception() is None:
                self._running = False
                self._next()
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def _next(self) -> None:
        """Hand the turn to the first that still waits. ``_running`` stays set, so that nobody slips in between."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.granted.done():
                self._running = True
                waiter.granted.set_result(None)
                return
