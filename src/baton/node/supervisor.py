"""The node's life: start the services in order, keep them alive, drain on a signal, stop them in reverse order.

One task per service in one task group. A critical service that ends by itself ends the node under its name; a
restartable one is run again, five times in sixty seconds, and then counts as critical. The first SIGTERM or SIGINT
drains, the second stops now, the third kills; SIGHUP is
passed on and never ends it. Logs one line per event; services log their own business.
"""

import asyncio
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog

from baton.kernel.clock import Clock
from baton.kernel.errors import ExitCode, StartError
from baton.kernel.metrics import Metrics
from baton.node.drain import Drain, DrainState
from baton.node.health import Health
from baton.node.service import Criticality, Service

__all__ = ["RESTART_BUDGET", "RESTART_WINDOW_S", "Node", "RestartBudget"]

RESTART_BUDGET = 5
RESTART_WINDOW_S = 60.0

_FIRST_PAUSE_S = 0.1
_TICK_S = 0.05
_HURRIED_STOP_S = 0.5
"""What a service gets to stop once the operator has asked twice."""
_CANCEL_BUDGET_S = 5.0

log = structlog.get_logger("baton.node")


def _nothing() -> None:
    """For a node that has nothing to read again."""


class RestartBudget:
    """Counts restarts of one service in a sliding window."""

    def __init__(self, *, clock: Clock, most: int = RESTART_BUDGET, window_s: float = RESTART_WINDOW_S) -> None:
        """``most`` restarts within ``window_s`` seconds are allowed."""
        self._clock = clock
        self._most = most
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=most)

    def spend(self) -> float | None:
        """Take one restart: the pause before it in seconds, or None when the budget is used up."""
        now = self._clock.monotonic()
        while self._times and now - self._times[0] >= self._window_s:
            self._times.popleft()
        if len(self._times) >= self._most:
            return None
        pause_s: float = _FIRST_PAUSE_S * 2 ** len(self._times)
        self._times.append(now)
        return pause_s


class Node:
    """Runs services until a signal, a request to leave, or the death of a critical one."""

    def __init__(
        self,
        *,
        services: tuple[Service, ...],
        drain: Drain,
        health: Health,
        clock: Clock,
        busy: Callable[[], int],
        drain_timeout_s: float,
        metrics: Metrics,
        hangup: Callable[[], object] = _nothing,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        abort: Callable[[int], object] = os._exit,
    ) -> None:
        """``busy`` counts segments in hand. ``hangup`` is called for each SIGHUP.

        ``abort`` ends a process whose services ignore their cancellation.
        """
        self._services = services
        self._drain = drain
        self._health = health
        self._clock = clock
        self._busy = busy
        self._drain_timeout_s = drain_timeout_s
        self._metrics = metrics
        self._hangup = hangup
        self._sleep = sleep
        self._abort = abort
        self._ending = asyncio.Event()
        self._hurry = asyncio.Event()
        self._death = ""
        self._leaving = False
        self._stopping = False
        self._tasks: dict[Service, asyncio.Task[None]] = {}

    def request_stop(self) -> None:
        """Drain and end, as the first signal does; a second call stops now, as the second signal does."""
        if self._leaving:
            self._hurry.set()
        self._leaving = True
        self._ending.set()

    async def run(self) -> ExitCode:
        """Live once: from the start of the first service to the end of the last.

        Returns the exit code: ``OK`` after a clean drain, ``DRAIN_TIMEOUT`` when work was cut, ``CRASHED`` after the
        death of a service, or that of the ``StartError`` that kept a service from starting.
        """
        with self._signals():
            async with asyncio.TaskGroup() as group:
                code = ExitCode.CRASHED
                try:
                    code = await self._start(group) or await self._serve()
                finally:
                    await self._stop(code)
        return code

    # Start.

    async def _start(self, group: asyncio.TaskGroup) -> ExitCode | None:
        """Bring everything up; an exit code when that failed, None when the node serves or is to end."""
        for service in self._services:
            outcome = await self._start_one(service)
            if isinstance(outcome, ExitCode):
                return outcome
            if outcome:
                self._tasks[service] = group.create_task(self._keep(service), name=service.name)
            if self._ending.is_set():
                return None
        self._drain.move(DrainState.SERVING)
        log.info("node serving", services=len(self._services))
        return None

    async def _start_one(self, service: Service) -> ExitCode | bool:
        """Whether it started: True, False when the node is to end first, or the exit code of its failure."""
        if service.start is None:
            await asyncio.sleep(0)  # a service that dies at once is noticed before the next one starts
            return True
        try:
            return await _finish(service.start(), budget_s=service.start_budget_s, unless=self._ending)
        except StartError as problem:
            log.critical("service cannot start", service=service.name, reason=str(problem))
            return problem.exit_code
        except TimeoutError:
            log.critical("service start timeout", service=service.name, budget_s=service.start_budget_s)
            return ExitCode.CRASHED
        except Exception:
            # Whatever kept it from starting, the services before it must still be stopped in order.
            log.critical("service start failed", service=service.name, exc_info=True)
            return ExitCode.CRASHED

    # Run.

    async def _keep(self, service: Service) -> None:
        """Run one service again and again as its budget allows; end only by cancellation, stop or death."""
        budget = RestartBudget(clock=self._clock)
        while True:
            cause = await _run_once(service)
            if self._stopping:
                return
            pause_s = budget.spend() if service.criticality is Criticality.RESTARTABLE else None
            if pause_s is None:
                log.critical("service died", service=service.name, cause=cause)
                self._death = service.name
                self._ending.set()
                return
            log.warning("service restarts", service=service.name, cause=cause, pause_s=pause_s)
            self._metrics.add("service_restarts_total", service=service.name)
            await self._sleep(pause_s)

    async def _serve(self) -> ExitCode:
        await self._ending.wait()
        return ExitCode.CRASHED if self._death else await self._drain_out()

    async def _drain_out(self) -> ExitCode:
        """Let work in hand finish. Running streams go on for half of the time, so that some end by themselves."""
        started = self._clock.monotonic()
        if self._drain.may_move(DrainState.DRAINING):
            self._drain.move(DrainState.DRAINING)
        log.info("node draining", busy=self._busy(), budget_s=self._drain_timeout_s)
        await self._until_idle(started + self._drain_timeout_s / 2)
        self._drain.move(DrainState.CLOSING)
        await self._until_idle(started + self._drain_timeout_s)
        left = self._busy()
        if self._death:
            return ExitCode.CRASHED
        if left:
            log.warning("drain cut", busy=left, asked_twice=self._hurry.is_set())
            return ExitCode.DRAIN_TIMEOUT
        log.info("node drained", took_s=round(self._clock.monotonic() - started, 3))
        return ExitCode.OK

    async def _until_idle(self, deadline: float) -> None:
        while self._busy() and not self._death and not self._hurry.is_set() and self._clock.monotonic() < deadline:
            await asyncio.wait({(waiter := asyncio.ensure_future(self._hurry.wait()))}, timeout=_TICK_S)
            waiter.cancel()

    # Stop.

    async def _stop(self, code: ExitCode) -> None:
        """Stop what was started, last first; give up on a process whose services ignore their cancellation."""
        self._stopping = True
        self._drain.move(DrainState.STOPPED)
        for service in reversed(self._tasks):
            await self._stop_one(service)
        stuck = tuple(service.name for service, task in self._tasks.items() if not task.done())
        if stuck:
            log.critical("services ignore cancellation", services=stuck)
            self._abort(ExitCode.DRAIN_TIMEOUT if code is ExitCode.OK else code)
        log.info("node stopped", exit_code=int(code), meaning=code.name)

    async def _stop_one(self, service: Service) -> None:
        if service.stop is not None:
            hurried = self._hurry.is_set()
            budget_s = min(service.stop_budget_s, _HURRIED_STOP_S) if hurried else service.stop_budget_s
            try:
                await _finish(service.stop(), budget_s=budget_s, unless=None if hurried else self._hurry)
            except TimeoutError:
                log.warning("service stop timeout", service=service.name, budget_s=budget_s)
            except Exception:
                # The services before it are stopped in any case.
                log.exception("service stop failed", service=service.name)
        task = self._tasks[service]
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_BUDGET_S)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask to leave while the node runs; after the second one they act as by default."""
        loop = asyncio.get_running_loop()
        caught = (signal.SIGTERM, signal.SIGINT)

        def on_signal(name: str) -> None:
            log.warning("signal received", signal=name, again=self._leaving)
            self.request_stop()
            if self._hurry.is_set():
                for number in caught:
                    loop.remove_signal_handler(number)

        def on_hangup() -> None:
            log.warning("signal received", signal="SIGHUP")
            self._hangup()

        for number in caught:
            loop.add_signal_handler(number, on_signal, number.name)
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
        try:
            yield
        finally:
            for number in (*caught, signal.SIGHUP):
                loop.remove_signal_handler(number)


async def _run_once(service: Service) -> str:
    """Run a service until it ends by itself; in words, how it ended."""
    try:
        await service.run()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return "it cancelled itself"
    except Exception as problem:
        log.exception("service failed", service=service.name)
        return f"{type(problem).__name__}: {problem}"
    return "it returned"


async def _finish(work: Awaitable[None], *, budget_s: float, unless: asyncio.Event | None) -> bool:
    """Await ``work`` for at most ``budget_s`` seconds; False when ``unless`` is set before it is done.

    Raises:
        TimeoutError: the budget ended first. Anything that ``work`` raises comes through too.
    """
    task = asyncio.ensure_future(work)
    other = asyncio.ensure_future((unless or asyncio.Event()).wait())
    try:
        await asyncio.wait({task, other}, timeout=budget_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        elif not other.done():
            raise TimeoutError
        return task.done()
    finally:
        other.cancel()
        task.cancel()
        await asyncio.wait({task, other}, timeout=_CANCEL_BUDGET_S)
        if task.done() and not task.cancelled():
            task.exception()  # its outcome came too late to matter, but must not be reported as never retrieved
