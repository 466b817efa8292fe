"""Letting go of streams: what a child keeps in vain goes back to its device, soon, surely, and in no stream's way.

A child at rest is told at once, one child at a time, so that the spare covers for it; a child at work when its job is
done. When every child always has a next job, it is told before that one: closing encoders takes moments, and makes room
for those that the next stream opens.
"""

import asyncio

from baton.media.line import ChildLine
from baton.media.messages import Failed, Release, Released, encode
from baton.media.process import ChildLostError, DeathCause, EngineChild

__all__ = ["Releaser"]


class Releaser:
    """Tells children what to let go of. Belongs to the event loop."""

    def __init__(self, *, line: ChildLine, keeps: bool, within_s: float) -> None:
        """``keeps`` False: the engine keeps nothing. A child that takes longer than ``within_s`` is replaced."""
        self._line = line
        self._keeps = keeps
        self._within_s = within_s
        self._look = asyncio.Event()

    def keeps(self, session_key: str, child: EngineChild) -> None:
        """A child that somebody holds begins with a segment of this stream, and keeps it from now on."""
        if session_key and self._keeps and self._line.holdings.takes(session_key, child) is not None:
            self._look.set()

    def release(self, session_key: str) -> None:
        """The stream is over, or went to another device; unknown ones are fine."""
        if self._line.holdings.shall_let_go(session_key) is not None:
            self._look.set()

    def look(self) -> None:
        """A child came to rest."""
        self._look.set()

    async def run(self) -> None:
        """Have idle children let go of what they shall not keep, until cancelled."""
        while True:
            await self._look.wait()
            self._look.clear()
            while (child := self._line.set_aside()) is not None:
                try:
                    await self.settle(child)
                except ChildLostError:
                    continue  # its keeper has seen it too, and tells
                finally:
                    self._line.add(child)

    async def settle(self, child: EngineChild) -> None:
        """Have a child that we hold let go of what it shall not keep; nearly always there is nothing.

        Raises:
            ChildLostError: it was lost over it, which is not the fault of whatever comes next.
        """
        holdings = self._line.holdings
        while due := holdings.due(child):
            deadline_at = asyncio.get_running_loop().time() + self._within_s
            try:
                answer = await child.exchange(
                    encode(Release(due[0])), Released, accept_timeout_s=self._within_s, deadline_at=deadline_at
                )
            except ChildLostError as lost:
                raise ChildLostError(DeathCause.UNRESPONSIVE, f"over a stream it should let go of: {lost}") from lost
            if isinstance(answer, Failed):
                detail = f"it could not let go of a stream: {answer.text}: {answer.detail}"
                raise child.kill(DeathCause.RECYCLED, detail)
            holdings.has_let_go(due[0], child)
