"""The node's end of the socket to one engine child: frames in, answers out, and distrust.

A child speaks only when asked. Bytes nobody waits for, a frame that breaks the rules or an answer that makes no sense
end the relation: the owner is told once and kills the child.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from baton.media.frames import FrameError, FrameReader
from baton.media.messages import ANSWER_LIMITS, Accepted, Answer, decode_answer

__all__ = ["Link"]


class Link(asyncio.Protocol):
    """Owned by one child and, while it works, read by the one task that gave it the job."""

    def __init__(self, *, misbehaved: Callable[[str], None], closed: Callable[[], None]) -> None:
        """``misbehaved`` gets what the child did wrong; ``closed`` is called when its end is gone."""
        self._misbehaved = misbehaved
        self._closed = closed
        self._reader = FrameReader(limits=ANSWER_LIMITS)
        self.accepted = False
        """Whether the child has taken the job it was given last; known at once, not when the answer is read."""
        self._expected = 0
        self._arrived: deque[Answer] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Exception | None = None

    def expect(self, answers: int) -> None:
        """Let the child speak ``answers`` times."""
        self._expected = answers
        self.accepted = False

    async def next(self) -> Answer:
        """The next answer; one task at a time. Raises what ``fail`` was given."""
        while not self._arrived:
            if self._failure is not None:
                raise self._failure
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._arrived.popleft()

    def fail(self, failure: Exception, *, keep_arrived: bool) -> None:
        """No answer will come any more: whoever waits, now or later, gets ``failure``.

        ``keep_arrived`` leaves a complete answer that came just before to be read first.
        """
        if self._failure is None:
            self._failure = failure
            if not keep_arrived:
                self._arrived.clear()
            self._wake()

    def data_received(self, data: bytes) -> None:
        """Bytes from the child."""
        if self._failure is not None:
            return
        try:
            for frame in self._reader.feed(data):
                self._take(decode_answer(frame))
            if self._reader.in_frame and self._expected == 0:
                self._refuse()
        except FrameError as error:
            self._misbehaved(str(error))
            return
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The child closed its end or died."""
        del exc
        self._closed()

    def _take(self, answer: Answer) -> None:
        if self._expected == 0:
            self._refuse()
        self._expected -= 1
        self.accepted = self.accepted or isinstance(answer, Accepted)
        self._arrived.append(answer)

    def _refuse(self) -> None:
        message = "it spoke without being asked"
        raise FrameError(message)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
