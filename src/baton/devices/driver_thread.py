"""One thread for the calls of a driver that may never return.

Calls run one after another. The event loop waits for a call only so long; a thread that is then still inside the driver
is left alone, and further calls are refused at once until it comes back, so a hung driver costs one thread and no
time. The thread is a daemon: it never keeps the process from ending.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from baton.kernel.clock import Clock

__all__ = ["DriverBusyError", "DriverThread"]

T = TypeVar("T")
_MOST_WAITING = 16


class DriverBusyError(Exception):
    """A call did not end in time: the driver is silent for ``for_s`` seconds, ``fresh`` when since this call."""

    def __init__(self, for_s: float, *, fresh: bool) -> None:
        """Seconds since the call began that does not return."""
        super().__init__(f"the driver has not answered for {for_s:.0f} s")
        self.for_s = for_s
        self.fresh = fresh


class _Job:
    """One call on its way: where its answer goes, and since when it runs."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.loop = asyncio.get_running_loop()
        self.work = work
        self.answer: asyncio.Future[Any] = self.loop.create_future()
        self.unwanted = False
        """Nobody waits for it any more; one that has not begun is left out."""
        self.began_at: float | None = None


class DriverThread:
    """Runs calls one at a time off the event loop, each with a deadline."""

    def __init__(self, *, name: str, clock: Clock) -> None:
        """The thread begins with the first call."""
        self._name = name
        self._clock = clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._running: _Job | None = None
        self._overdue: _Job | None = None
        self._closed = False

    @property
    def silent_for_s(self) -> float:
        """Seconds since the call began that did not end in time; 0 while the driver answers."""
        with self._lock:
            job = self._overdue
            return 0.0 if job is None or job.began_at is None else self._clock.monotonic() - job.began_at

    async def call(self, work: Callable[[], T], *, timeout_s: float) -> T:
        """What ``work`` returns or raises.

        Raises:
            DriverBusyError: it did not end within ``timeout_s``, or an earlier call still has not.
        """
        if self._closed or self._overdue is not None or self._jobs.qsize() >= _MOST_WAITING:
            raise DriverBusyError(self.silent_for_s, fresh=False)
        job = _Job(work)
        self._begin()
        self._jobs.put(job)
        try:
            async with asyncio.timeout(timeout_s):
                result: T = await job.answer
        except TimeoutError:
            if not job.answer.cancelled():
                raise  # the work's own
            with self._lock:
                self._overdue = self._running
                fresh = job is self._running
            raise DriverBusyError(timeout_s, fresh=fresh) from None
        finally:
            job.unwanted = True
        return result

    def close(self) -> None:
        """Let the thread end after the call it has; one that hangs is left behind. Further calls are refused."""
        self._closed = True
        if self._thread is not None:
            self._jobs.put(None)

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.unwanted:
                continue
            with self._lock:
                job.began_at = self._clock.monotonic()
                self._running = job
            try:
                result, error = job.work(), None
            except BaseException as problem:  # noqa: BLE001 -- the caller gets it, whatever it is
                result, error = None, problem
            with self._lock:
                self._running = None
                if self._overdue is job:
                    self._overdue = None
            _deliver(job, result, error)


def _deliver(job: _Job, result: object, error: BaseException | None) -> None:
    def arrive() -> None:
        if job.answer.done():
            return
        if error is not None:
            job.answer.set_exception(error)
        else:
            job.answer.set_result(result)

    try:
        job.loop.call_soon_threadsafe(arrive)
    except RuntimeError:
        return  # the loop has ended, and with it whoever asked
