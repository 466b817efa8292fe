"""Who gets which engine child: free children on one side, waiting jobs on the other, first come first served.

Each waiter is its caller's own task, so a caller that goes away simply leaves. At most ``running_most`` children work
at a time; a child beyond that number stands by, ready to take the place of one that dies.

A stream goes to the child that keeps its encoders open when that one is free, and never waits for it while another is:
opening encoders anew costs a fraction of what a busy child still needs for its segment.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from baton.kernel.errors import CapacityError, EngineLostError, Text, TranscodeError
from baton.media.holding import Holdings
from baton.media.process import EngineChild

__all__ = ["ChildLine"]


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    """A job in line."""

    child: "asyncio.Future[EngineChild]"
    session_key: str
    beside: bool


class ChildLine:
    """The line in front of the engine children. Belongs to the event loop."""

    def __init__(self, *, running_most: int, waiting_most: int) -> None:
        """``waiting_most`` jobs may wait; the next one is refused."""
        self.holdings: Holdings[EngineChild] = Holdings()
        """What the children keep; whoever gives them work writes it down here."""
        self._running_most = running_most
        self._waiting_most = waiting_most
        self._free: list[EngineChild] = []
        self._running: set[EngineChild] = set()
        self._beside: set[EngineChild] = set()
        self._waiting: deque[_Turn] = deque()
        self._closed = False

    @property
    def running(self) -> int:
        """Children that somebody holds."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Jobs in line."""
        return len(self._waiting)

    async def take(self, *, first: bool = False, session_key: str = "", beside: bool = False) -> EngineChild:
        """Wait for a child and hold it until ``give_back``. ``first`` goes before all others, refused by no limit.

        ``beside`` does not count as work: it gets the child that stands by while all others hang.

        Raises:
            CapacityError: ``OrchestratorBusy`` when too many wait already.
            TranscodeError: ``TranscoderStopped`` when the line was closed.
            EngineLostError: everybody in line was turned away.
        """
        if self._closed:
            raise _stopped()
        if not first and len(self._waiting) >= self._waiting_most:
            raise CapacityError(Text.BUSY, detail=f"{len(self._waiting)} jobs wait for an engine")
        turn = _Turn(asyncio.get_running_loop().create_future(), session_key, beside)
        if first:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        self._serve()
        try:
            return await turn.child
        except asyncio.CancelledError:
            if turn.child.done() and not turn.child.cancelled() and turn.child.exception() is None:
                self.give_back(turn.child.result())
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def give_back(self, child: EngineChild) -> None:
        """A job is done with its child; dead ones are fine."""
        if child in self._running or child in self._beside:
            self._running.discard(child)
            self._beside.discard(child)
            self.add(child)

    def add(self, child: EngineChild) -> None:
        """A child is free. Dead ones are left out."""
        if child.lost is None:
            self._free.append(child)
        self._serve()

    def drop(self, child: EngineChild) -> None:
        """A child is dead. Whoever holds it finds out by itself."""
        self.holdings.forget(child)
        if child in self._free:
            self._free.remove(child)

    def close(self) -> None:
        """Nobody gets a child any more: those who wait are told so, and those who come."""
        self._closed = True
        self._refuse_all(_stopped)

    def turn_away(self, reason: str) -> None:
        """Those who wait shall go to another device; who comes later may wait."""
        self._refuse_all(lambda: EngineLostError(Text.TRANSCODER_STOPPED, detail=reason, displaced=True))

    def set_aside(self) -> EngineChild | None:
        """A free child that shall let go of something, out of the line until it is added again; None without one."""
        for child in self._free:
            if child.lost is None and self.holdings.due(child):
                self._free.remove(child)
                return child
        return None

    def _refuse_all(self, error: Callable[[], TranscodeError]) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.child.done():
                turn.child.set_exception(error())

    def _serve(self) -> None:
        """Match free children with jobs."""
        while self._waiting and self._free:
            if len(self._running) >= self._running_most and not self._waiting[0].beside:
                return
            turn = self._waiting.popleft()
            if turn.child.done():
                continue
            child = self._pick(turn.session_key)
            if child is None:
                self._waiting.appendleft(turn)
                return
            self._free.remove(child)
            (self._beside if turn.beside else self._running).add(child)
            turn.child.set_result(child)

    def _pick(self, session_key: str) -> EngineChild | None:
        """The free child that keeps this stream, else the one that keeps fewest and has nothing to let go of.

        Among equals the one used last goes first: its caches are warm, and the spare stays fresh.
        """
        self._free = [child for child in self._free if child.lost is None]
        keeper = self.holdings.keeper(session_key)
        if keeper is not None and keeper in self._free:
            return keeper
        holdings = self.holdings
        return min(reversed(self._free), key=lambda c: (bool(holdings.due(c)), holdings.kept(c)), default=None)


def _stopped() -> TranscodeError:
    return TranscodeError(Text.TRANSCODER_STOPPED, detail="the engines are being stopped")
