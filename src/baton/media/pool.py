"""The engine pool: supervised children that transcode, one segment each, and what happens when one of them dies.

A crash, a hang, a lie or a memory blow-up costs the child and the segment it held; every other segment goes on. The
segment itself is tried once more on a fresh child, since its child may have died of something else; a second death
makes it poison (``media.poison``) and ends it with ``Unrecoverable state, restart process``, which tells the gateway
to give up the segment, not us, and not to spread it (video.md 7.11, 11.2 item 18). A stream whose segments keep
killing is answered ``TranscoderStopped`` for a while: its gateway takes it elsewhere, where it may fare better.

One more child runs than may work at a time, so that a death costs nobody the half second a replacement takes to load.
A stream returns to the child that keeps its encoders open when that one is free; a stream that is over, or went to
another child, is let go of by the one that kept it: at once when it is idle, else when its job is done.
The node process never loads a codec.
"""

import asyncio
from dataclasses import dataclass, field, replace
from typing import TypeVar

import structlog

from baton.kernel.capabilities import Capability
from baton.kernel.clock import Clock
from baton.kernel.errors import CapacityError, EngineLostError, ExitCode, StartError, Text, TranscodeError
from baton.kernel.metrics import Metrics
from baton.media.frames import FrameError
from baton.media.heap import kept_bytes
from baton.media.job import Choice, EncoderTuning, EngineReport, TranscodeOutput, TranscodeRequest
from baton.media.keepers import ChildKeepers, ChildView, KeeperLimits
from baton.media.line import ChildLine
from baton.media.messages import Failed, encode
from baton.media.poison import PoisonLimits, PoisonRegister, Verdict
from baton.media.process import ChildCommand, ChildLostError, ChildState, DeathCause, EngineChild
from baton.media.release import Releaser

__all__ = ["EnginePool", "PoolLimits"]

log = structlog.get_logger("baton.media")

_T = TypeVar("_T", TranscodeOutput, EngineReport)
_PROBE_TRIES = 2
_NOBODY = "no engine child is alive"
_BLAMELESS_TRIES = 3
_LEAST_S = 0.1
_MIN_RETRY_S = 1.0
_FAULT_SHARE = 0.5
_ESTIMATE_WEIGHT = 0.2
_JOB_FAULTS = frozenset({DeathCause.CRASHED, DeathCause.MEMORY, DeathCause.GARBAGE, DeathCause.UNRECOVERABLE})


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Waits and bounds of the pool."""

    waiting_most: int = 256
    """Jobs in line for a child; the next one is refused."""
    accept_timeout_s: float = 3.0
    """A living child takes a job at once; one that does not is replaced, and the job goes to another."""
    let_go_s: float = 2.0
    """Closing the encoders of a stream takes moments; a child that takes longer is replaced."""
    keepers: KeeperLimits = field(default_factory=KeeperLimits)
    poison: PoisonLimits = field(default_factory=PoisonLimits)


@dataclass(slots=True)
class _Case:
    """One segment on its way through the pool."""

    content_hash: bytes
    stream_key: str
    budget_s: float
    deadline_at: float
    """In the loop's time."""
    tries_left: int
    session_key: str = ""
    blameless_left: int = _BLAMELESS_TRIES


class EnginePool:
    """All engine children of one device. Belongs to the event loop.

    ``start`` first, then ``run`` for as long as the node lives, ``stop`` in the end. Between ``start`` and ``run``
    jobs and probes work already; only replacing the dead waits for ``run``.
    """

    def __init__(
        self,
        *,
        device: str,
        children: int,
        tuning: EncoderTuning,
        memory_limit_bytes: int,
        recycle_after_jobs: int,
        clock: Clock,
        metrics: Metrics,
        limits: PoolLimits | None = None,
        command: ChildCommand | None = None,
        poison: PoisonRegister | None = None,
    ) -> None:
        """``children`` segments at the same time, all with this ``tuning``, whatever a request says.

        A child is replaced when it exceeds ``memory_limit_bytes`` of resident memory, and at rest when it holds more
        than half of it or has done ``recycle_after_jobs`` jobs. ``device`` is a name for metrics and logs. Pools of one
        node share their ``poison``, so that a bad segment is known on every device.
        """
        command = replace(command or ChildCommand(), kept_bytes=kept_bytes(memory_limit_bytes))
        self.device = device
        self._limits = limits or PoolLimits()
        self._tuning = tuning
        self._is_narrowed = False
        self._memory_limit_bytes = memory_limit_bytes
        self._recycle_after_jobs = recycle_after_jobs
        self._clock = clock
        self._metrics = metrics
        self._running_most = children
        self._poison = poison or PoisonRegister(limits=self._limits.poison)
        self._line = ChildLine(running_most=children, waiting_most=self._limits.waiting_most)
        self._releaser = Releaser(line=self._line, keeps=bool(command.release), within_s=self._limits.let_go_s)
        self._keepers = ChildKeepers(
            device=device,
            children=children,
            command=command,
            memory_limit_bytes=memory_limit_bytes,
            line=self._line,
            metrics=metrics,
            limits=self._limits.keepers,
        )
        self._job_s = 0.0

    @property
    def children(self) -> tuple[ChildView, ...]:
        """Every living child, the spare among them."""
        return self._keepers.views

    @property
    def places(self) -> int:
        """How many children there are when all are up: their places are 0 to one less."""
        return self._keepers.count

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the living children."""
        return tuple(child.pid for child in self._keepers.living)

    @property
    def alive(self) -> int:
        """How many children are up."""
        return len(self._keepers.living)

    @property
    def waiting(self) -> int:
        """Jobs in line for a child."""
        return self._line.waiting

    async def start(self) -> None:
        """Bring the first children up.

        Raises:
            StartError: exit code ``ENGINE``: none came up; the message holds the last words of one.
        """
        await self._keepers.start()

    async def run(self) -> None:
        """Service body: watch the children and replace the dead, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keepers.run())
            group.create_task(self._releaser.run())

    async def stop(self) -> None:
        """Kill all children and wait until none is left. Jobs in hand end with ``TranscoderStopped``."""
        await self._keepers.stop()

    async def probe(self, *, within_s: float = 100.0) -> EngineReport:
        """What the engine really does on this machine, tried inside a child within ``within_s`` seconds.

        Raises:
            StartError: exit code ``ENGINE``: the probe failed, took too long, cost two children, or found nothing that
                works.
            CapacityError: ``OrchestratorBusy``: it could not even begin within that time, every child being at work.
        """
        job = encode(self._tuning)
        reason = ""
        for _ in range(_PROBE_TRIES):
            child = await self._take_for_probe(within_s)
            deadline_at = asyncio.get_running_loop().time() + within_s
            try:
                answer = await self._work(child, job, EngineReport, deadline_at=deadline_at)
            except ChildLostError as error:
                reason = f"{type(error).__name__}: {error}"
                if error.cause is DeathCause.DEADLINE:
                    reason = f"it was not through its test within {within_s} s"
                    break
                continue
            if isinstance(answer, EngineReport):
                report = _something_works(answer)
                if not self._is_narrowed:  # later probes try the same again, whatever failed meanwhile
                    self._tuning, self._is_narrowed = _narrowed(self._tuning, report), True
                return report
            reason = f"{answer.text}: {answer.detail}"
            break
        raise _does_not_work(reason)

    async def _take_for_probe(self, within_s: float) -> EngineChild:
        try:
            async with asyncio.timeout(within_s):
                return await self._line.take(first=True, beside=True)
        except TimeoutError as error:
            if self._keepers.living:
                raise CapacityError(Text.BUSY, detail=f"no engine was free within {within_s:.1f} s") from error
            raise _does_not_work(_NOBODY) from error
        except TranscodeError as error:
            raise _does_not_work(error.detail) from error

    def release(self, session_key: str) -> None:
        """A stream is over, or went to another device: whatever a child keeps of it is given back soon."""
        self._releaser.release(session_key)

    def renew(self, *, blameless_since_s: float, displace: bool) -> None:
        """The device is out of use: children at rest are replaced, and nothing is held against what failed since then.

        ``displace`` also takes away what is in hand, since other devices can do it: those who wait are turned away,
        those at work lose their child.
        """
        self._poison.pardon(since=blameless_since_s)
        if displace:
            self._line.turn_away(f"{self.device} is out of use")
        for child in self._keepers.living:
            if displace or child.state is ChildState.IDLE:
                child.kill(DeathCause.QUARANTINED, "")

    async def transcode(
        self, request: TranscodeRequest, *, deadline_s: float, content_hash: bytes, stream_key: str, tries: int = 2
    ) -> TranscodeOutput:
        """Renditions of one segment within ``deadline_s`` seconds, waiting for a child included.

        ``content_hash`` and ``stream_key`` are what deaths are held against. At most ``tries`` children die of it.
        Cancelling leaves the line, or kills the child that works on it.

        Raises:
            TranscodeError: the engine's own refusal; ``Unrecoverable state, restart process`` when the segment outgrew
                its child's memory or did so before; ``TranscoderStopped`` when its stream is in quarantine, it had too
                little time, or the node stops.
            EngineLostError: ``Unrecoverable state, restart process`` when the segment took its child with it;
                ``TranscoderStopped`` when it took too long or the device was put out of use;
                ``ErrTranscoderUnavailable`` when no child is alive.
            CapacityError: ``OrchestratorBusy``: no child could be had in time.
        """
        verdict = self._poison.judge(content_hash=content_hash, stream_key=stream_key, now=self._clock.monotonic())
        self._refuse(verdict)
        self._refuse_late(deadline_s)
        deadline_at = asyncio.get_running_loop().time() + deadline_s
        try:
            job = encode(replace(request, tuning=self._tuning, deadline_ms=round(deadline_at * 1000)))
        except FrameError as error:
            raise TranscodeError(Text.INVALID_ARGUMENT, detail=str(error)) from error
        case = _Case(
            content_hash=content_hash,
            stream_key=stream_key,
            budget_s=deadline_s,
            deadline_at=deadline_at,
            tries_left=1 if verdict is Verdict.SUSPECT else tries,
            session_key=request.session_key,
        )
        answer = await self._see_through(case, job)
        if isinstance(answer, Failed):
            raise TranscodeError(answer.text, detail=answer.detail)
        self._poison.clear(content_hash=content_hash, stream_key=stream_key)
        return answer

    async def _see_through(self, case: _Case, job: tuple[bytes, ...]) -> TranscodeOutput | Failed:
        """Try until there is an answer, or no more try is left."""
        loop = asyncio.get_running_loop()
        arrived_at = loop.time()
        child = await self._take(case, first=False)
        self._metrics.observe("engine_wait_seconds", loop.time() - arrived_at, device=self.device)
        while True:
            started_at = loop.time()
            try:
                self._releaser.keeps(case.session_key, child)
                answer = await self._work(child, job, TranscodeOutput, deadline_at=case.deadline_at)
            except ChildLostError as lost:
                self._after_loss(case, lost, ran_s=loop.time() - started_at)
            else:
                if isinstance(answer, TranscodeOutput):
                    self._learn(loop.time() - started_at)
                return answer
            child = await self._take(case, first=True)

    async def _take(self, case: _Case, *, first: bool) -> EngineChild:
        try:
            # A child that gets a job with no time to do it would be killed over nothing.
            async with asyncio.timeout_at(case.deadline_at - _LEAST_S):
                return await self._line.take(first=first, session_key=case.session_key)
        except TimeoutError as error:
            if not self._keepers.living:
                raise EngineLostError(Text.NO_TRANSCODER, detail=_NOBODY) from error
            raise CapacityError(Text.BUSY, detail=f"no engine was free within {case.budget_s:.1f} s") from error

    async def _work(
        self, child: EngineChild, job: tuple[bytes, ...], wanted: type[_T], *, deadline_at: float
    ) -> _T | Failed:
        """Let a child that we hold do one job, and let go of it."""
        try:
            await self._releaser.settle(child)
            return await child.exchange(
                job, wanted, accept_timeout_s=self._limits.accept_timeout_s, deadline_at=deadline_at
            )
        finally:
            self._retire(child)
            self._line.give_back(child)
            self._releaser.look()

    def _retire(self, child: EngineChild) -> None:
        """Replace a child that has done its share or is large at rest. The spare takes its place."""
        child.look(memory_limit_bytes=self._memory_limit_bytes)
        if child.jobs_done >= self._recycle_after_jobs:
            child.kill(DeathCause.RECYCLED, f"{child.jobs_done} jobs")
        elif child.rss_bytes > self._memory_limit_bytes // 2:
            child.kill(DeathCause.RECYCLED, f"{child.rss_bytes} bytes at rest")

    def _after_loss(self, case: _Case, lost: ChildLostError, *, ran_s: float) -> None:
        """A child died under a segment: return when another shall try, else raise what the gateway shall read."""
        if lost.cause is DeathCause.SHUTDOWN:
            raise TranscodeError(Text.TRANSCODER_STOPPED, detail=str(lost)) from lost
        if lost.cause is DeathCause.QUARANTINED:
            raise EngineLostError(Text.TRANSCODER_STOPPED, detail=str(lost), displaced=True) from lost
        if lost.cause is DeathCause.DEADLINE:
            detail = f"not done after {ran_s:.1f} s"
            # A job that got only the end of its time, because it waited for a child, is not to blame for being late.
            if ran_s < _FAULT_SHARE * case.budget_s:
                raise TranscodeError(Text.TRANSCODER_STOPPED, detail=detail) from lost
            self._strike(case)
            raise EngineLostError(Text.TRANSCODER_STOPPED, detail=detail) from lost
        if not (lost.at_work and lost.cause in _JOB_FAULTS):
            case.blameless_left -= 1
            if case.blameless_left == 0:
                raise EngineLostError(Text.TRANSCODER_STOPPED, detail=str(lost)) from lost
            return
        self._strike(case)
        case.tries_left -= 1
        left_s = case.deadline_at - asyncio.get_running_loop().time()
        # What outgrew its memory would do so again; what died late would not be done in time.
        if lost.cause is DeathCause.MEMORY:
            raise TranscodeError(Text.UNRECOVERABLE, detail=str(lost)) from lost
        if case.tries_left == 0 or left_s < max(_MIN_RETRY_S, ran_s):
            raise EngineLostError(Text.UNRECOVERABLE, detail=str(lost)) from lost

    def _strike(self, case: _Case) -> None:
        now = self._clock.monotonic()
        verdict = self._poison.strike(content_hash=case.content_hash, stream_key=case.stream_key, now=now)
        log.warning(
            "segment took its engine child along",
            device=self.device,
            content_hash=case.content_hash.hex(),
            stream=case.stream_key,
            verdict=verdict.value,
        )

    def _refuse(self, verdict: Verdict) -> None:
        if verdict is Verdict.POISON:
            self._metrics.add("poison_refusals_total")
            raise TranscodeError(Text.UNRECOVERABLE, detail="this content took engine children along before")
        if verdict is Verdict.QUARANTINED:
            self._metrics.add("poison_refusals_total")
            raise TranscodeError(Text.TRANSCODER_STOPPED, detail="its stream took engine children along before")

    def _refuse_late(self, deadline_s: float) -> None:
        """Say no at once to what would wait in vain, so that its gateway can still go elsewhere."""
        ahead = self._line.waiting + 1 if self._line.running >= self._running_most else 0
        wait_s = ahead * self._job_s / self._running_most
        if wait_s + _LEAST_S >= deadline_s:
            raise CapacityError(Text.BUSY, detail=f"about {wait_s:.1f} s of waiting, {deadline_s:.1f} s left")

    def _learn(self, took_s: float) -> None:
        self._job_s += (took_s - self._job_s) * (_ESTIMATE_WEIGHT if self._job_s else 1.0)


def _narrowed(tuning: EncoderTuning, report: EngineReport) -> EncoderTuning:
    """What is not offered is not made either, should somebody ask for it all the same."""
    offered = Capability.HEVC_ENCODE in report.capability_ids
    return replace(tuning, hevc_encoding=Choice.ON if offered else Choice.OFF)


def _something_works(report: EngineReport) -> EngineReport:
    """The same report. An engine that encodes nothing would only cost gateways their segments."""
    if report.encoders:
        return report
    reasons = "; ".join(dict.fromkeys(reason for _, reason in report.refused)) or "it has no encoder"
    raise _does_not_work(reasons)


def _does_not_work(reason: str) -> StartError:
    message = f"the transcoding engine does not work on this machine: {reason}"
    return StartError(message, exit_code=ExitCode.ENGINE)
