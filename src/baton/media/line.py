"""Who gets which engine child: free children on one side, waiting jobs on the other, first come first served.

Each waiter is its caller's own task, so a caller that goes away simply leaves. At most ``running_most`` children work
at a time; a child beyond that number stands by, ready to take the place of one that dies.
"""

import asyncio
from collections import deque

from baton.kernel.errors import CapacityError, Text, TranscodeError
from baton.media.process import EngineChild

__all__ = ["ChildLine"]


class ChildLine:
    """The line in front of the engine children. Belongs to the event loop."""

    def __init__(self, *, running_most: int, waiting_most: int) -> None:
        """``waiting_most`` jobs may wait; the next one is refused."""
        self._running_most = running_most
        self._waiting_most = waiting_most
        self._free: list[EngineChild] = []
        self._running: set[EngineChild] = set()
        self._waiting: deque[asyncio.Future[EngineChild]] = deque()
        self._closed = False

    @property
    def running(self) -> int:
        """Children that somebody holds."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Jobs in line."""
        return len(self._waiting)

    async def take(self, *, first: bool = False) -> EngineChild:
        """Wait for a child and hold it until ``give_back``. ``first`` goes before all others, refused by no limit.

        Raises:
            CapacityError: ``OrchestratorBusy`` when too many wait already.
            TranscodeError: ``TranscoderStopped`` when the line was closed.
        """
        if self._closed:
            raise _stopped()
        if not first and len(self._waiting) >= self._waiting_most:
            raise CapacityError(Text.BUSY, detail=f"{len(self._waiting)} jobs wait for an engine")
        turn: asyncio.Future[EngineChild] = asyncio.get_running_loop().create_future()
        if first:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        self._serve()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give_back(turn.result())
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def give_back(self, child: EngineChild) -> None:
        """A job is done with its child; dead ones are fine."""
        if child in self._running:
            self._running.remove(child)
            self.add(child)

    def add(self, child: EngineChild) -> None:
        """A child is free. Dead ones are left out."""
        if child.lost is None:
            self._free.append(child)
        self._serve()

    def drop(self, child: EngineChild) -> None:
        """A child is dead. Whoever holds it finds out by itself."""
        if child in self._free:
            self._free.remove(child)

    def close(self) -> None:
        """Nobody gets a child any more: those who wait are told so, and those who come."""
        self._closed = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(_stopped())

    def _serve(self) -> None:
        """Match free children with jobs. The child used last goes first: its caches are warm, the spare stays fresh."""
        while self._waiting and self._free and len(self._running) < self._running_most:
            turn = self._waiting.popleft()
            if turn.done():
                continue
            child = self._free.pop()
            if child.lost is not None:
                self._waiting.appendleft(turn)
                continue
            self._running.add(child)
            turn.set_result(child)


def _stopped() -> TranscodeError:
    return TranscodeError(Text.TRANSCODER_STOPPED, detail="the engines are being stopped")
