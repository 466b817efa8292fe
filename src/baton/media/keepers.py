"""The keepers of the engine children: one task per child that raises it, waits for its death and raises the next.

The owner of every child from its birth to its burial. A child that dies over a job is replaced at once, since jobs
arrive no faster than gateways send them; one that dies without ever having done one is replaced after a growing pause,
so that a broken engine does not keep the machine busy with its own restarts.
"""

import asyncio
from dataclasses import dataclass

import structlog

from baton.kernel.errors import ExitCode, StartError
from baton.kernel.metrics import Metrics
from baton.media.line import ChildLine
from baton.media.process import BURIAL_S, ChildCommand, ChildLostError, ChildState, DeathCause, EngineChild, start_child

__all__ = ["ChildKeepers", "ChildView", "KeeperLimits"]

log = structlog.get_logger("baton.media")

_FIRST_CHILDREN = 2
_PLANNED = frozenset({DeathCause.RECYCLED, DeathCause.CANCELLED, DeathCause.QUARANTINED, DeathCause.SHUTDOWN})


@dataclass(frozen=True, slots=True)
class KeeperLimits:
    """How children are raised and watched."""

    spares: int = 1
    """Children that stand by beyond those that may work."""
    start_timeout_s: float = 30.0
    """Time to load the engine."""
    watch_interval_s: float = 0.1
    """Between two looks at a child's memory; what it can grow in between comes on top of its limit."""
    burial_s: float = BURIAL_S
    """Time for a killed child to be gone before its place is filled regardless."""
    pause_first_s: float = 0.5
    pause_most_s: float = 30.0
    """Pauses before replacing a child that never did a job: doubling from the first to the most."""


@dataclass(frozen=True, slots=True)
class ChildView:
    """One child for the operator's eyes."""

    pid: int
    state: str
    jobs_done: int
    rss_bytes: int
    place: int = 0
    """Which of the pool's places it fills; its successor gets the same one."""
    device: str = "cpu"

    @property
    def name(self) -> str:
        """What it is called in the status and in metrics: its device and its place."""
        return f"{self.device}-{self.place}"


class ChildKeepers:
    """All children of a pool and the tasks that keep their number up. Belongs to the event loop."""

    def __init__(
        self,
        *,
        device: str,
        children: int,
        command: ChildCommand,
        memory_limit_bytes: int,
        line: ChildLine,
        metrics: Metrics,
        limits: KeeperLimits,
    ) -> None:
        """``children`` plus the spares of ``device`` are kept alive; those that are up go into ``line``."""
        self._device = device
        self._count = children + limits.spares
        self._command = command
        self._memory_limit_bytes = memory_limit_bytes
        self._line = line
        self._metrics = metrics
        self._limits = limits
        self._children: list[EngineChild] = []
        self._places: dict[EngineChild, int] = {}
        self._undead: list[EngineChild] = []
        """Killed, but not gone: stuck in the kernel."""
        self._running = False
        self._stopping = False
        self._failing = False
        for cause in DeathCause:
            if cause is not DeathCause.SHUTDOWN:
                metrics.add("engine_restarts_total", 0, device=device, reason=cause.value)

    @property
    def living(self) -> tuple[EngineChild, ...]:
        """Children that are up."""
        return tuple(child for child in self._children if child.lost is None)

    @property
    def views(self) -> tuple[ChildView, ...]:
        """Every living child."""
        return tuple(
            ChildView(c.pid, c.state.value, c.jobs_done, c.rss_bytes, self._places[c], self._device)
            for c in self.living
        )

    @property
    def count(self) -> int:
        """Places for children."""
        return self._count

    async def start(self) -> None:
        """Raise the first children, so that the pool is of use before all are up.

        Raises:
            StartError: exit code ``ENGINE``: none of them came up.
        """
        failures: list[ChildLostError] = []

        async def raise_one() -> None:
            try:
                await self._raise()
            except ChildLostError as error:
                failures.append(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(_FIRST_CHILDREN, self._count)):
                group.create_task(raise_one())
        if not self._children:
            message = f"no engine child came up: {failures[0].detail}"
            raise StartError(message, exit_code=ExitCode.ENGINE)

    async def run(self) -> None:
        """Keep the number of children up and watch them, until cancelled. All are dead and buried afterwards."""
        handed: list[EngineChild | None] = [*self._children]
        handed += [None] * (self._count - len(handed))
        self._running = True
        try:
            async with asyncio.TaskGroup() as group:
                for child in handed:
                    group.create_task(self._keep(child))
                group.create_task(self._watch())
        finally:
            self._running = False

    async def stop(self) -> None:
        """Kill all children and wait until the kernel has let go of them; none is raised any more."""
        self._stopping = True
        self._line.close()
        children = tuple(self._children)
        for child in children:
            child.kill(DeathCause.SHUTDOWN, "")
        async with asyncio.TaskGroup() as group:
            for child in children:
                group.create_task(child.bury(within_s=self._limits.burial_s))
        if not self._running:
            self._children.clear()
            self._places.clear()
        self._publish()

    async def _keep(self, child: EngineChild | None) -> None:
        """Life of one place: a child, its death, the next child."""
        futile = 0
        while not self._stopping:
            try:
                child = child or await self._raise()
            except ChildLostError as error:
                futile += 1
                self._report_no_start(error)
            else:
                futile = futile + 1 if await self._attend(child) else 0
            child = None
            if futile and not self._stopping:
                await asyncio.sleep(min(self._limits.pause_first_s * 2 ** (futile - 1), self._limits.pause_most_s))

    async def _raise(self) -> EngineChild:
        """A new child, up and in line; raises ``ChildLostError`` when it did not come up."""
        child = await start_child(self._command, timeout_s=self._limits.start_timeout_s)
        if self._stopping:
            child.kill(DeathCause.SHUTDOWN, "")
        if self._failing:
            self._failing = False
            log.info("engine children start again", device=self._device, pid=child.pid)
        self._children.append(child)
        self._places[child] = min(set(range(len(self._children))) - set(self._places.values()))
        self._line.add(child)
        self._publish()
        return child

    async def _attend(self, child: EngineChild) -> bool:
        """Wait for a child's death and bury it; True when it died of itself without ever having done a job."""
        try:
            await child.gone.wait()
        finally:
            lost = child.kill(DeathCause.SHUTDOWN, "")
            self._line.drop(child)
            try:
                await child.bury(within_s=self._limits.burial_s)
            finally:
                self._children.remove(child)
                del self._places[child]
                self._publish()
                self._report_death(child, lost)
        return lost.cause not in _PLANNED and not lost.at_work and child.jobs_done == 0

    async def _watch(self) -> None:
        while True:
            for child in self.living:
                child.look(memory_limit_bytes=self._memory_limit_bytes)
            self._undead = [child for child in self._undead if not child.is_gone]
            self._publish()
            await asyncio.sleep(self._limits.watch_interval_s)

    def _report_no_start(self, error: ChildLostError) -> None:
        """Said once per bad time, not per try."""
        self._metrics.add("engine_restarts_total", device=self._device, reason=DeathCause.NO_START.value)
        if not self._failing:
            self._failing = True
            log.error("engine child does not start", device=self._device, detail=error.detail)

    def _report_death(self, child: EngineChild, lost: ChildLostError) -> None:
        if not child.is_gone:
            # Its place is filled all the same; what the kernel holds on to must not cost us more than itself.
            self._undead.append(child)
            log.error("engine child cannot be killed", device=self._device, pid=child.pid)
        if lost.cause is DeathCause.SHUTDOWN:
            return
        self._metrics.add("engine_restarts_total", device=self._device, reason=lost.cause.value)
        tell = log.info if lost.cause in _PLANNED else log.warning
        tell(
            "engine child replaced",
            device=self._device,
            pid=child.pid,
            cause=lost.cause.value,
            detail=lost.detail,
            exit=child.exit_text,
            at_work=lost.at_work,
            jobs_done=child.jobs_done,
            last_words=child.last_words,
        )

    def _publish(self) -> None:
        living = self.living
        self._metrics.set("engine_children", len(living), device=self._device)
        busy = sum(1 for child in living if child.state is ChildState.BUSY)
        self._metrics.set("engine_children_busy", busy, device=self._device)
