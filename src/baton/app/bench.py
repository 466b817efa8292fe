"""``baton bench`` assembled: engines as a node of these settings would run them, and a benchmark on top of them.

The engines are a node's own pool behind its own transcoder, so that the figures are those of ``baton run``. Only what
would distort them is wide open: a segment may take as long as it takes and as many may wait as are sent.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from baton.app.engines import CPU, EngineDevice, EngineRules, Engines, nvidia_devices
from baton.config.model import Settings
from baton.devices.find import find_devices
from baton.devices.nvml import NvmlInventory
from baton.kernel.clock import SystemClock
from baton.kernel.ids import ManifestId, SessionId
from baton.kernel.metrics import SilentMetrics
from baton.kernel.profiles import VideoProfile
from baton.media.job import TranscodeOutput
from baton.media.pool import EnginePool, PoolLimits
from baton.selftest.bench.course import Course, Measured, MeasuredDevice
from baton.selftest.bench.outputs import RenditionFiles
from baton.selftest.bench.plan import BenchError, BenchPlan, DeviceFacts, Findings
from baton.selftest.bench.source import BenchSegment, BenchSource, SourceError, open_source
from baton.video.job import SegmentJob
from baton.video.local import LocalTranscoder

__all__ = ["run_bench"]

_PATIENCE_S = 1800.0
"""Longer than any segment takes that anybody would measure."""
_WAITING_MOST = 100_000
_LOOKS = 400
_LOOK_S = 0.05


class _Engine:
    """Satisfies ``selftest.bench.load.BenchEngine`` with a node's transcoder."""

    def __init__(self, pool: EnginePool, *, profiles: tuple[VideoProfile, ...], perceptual_hash: bool) -> None:
        self._pool = pool
        self._transcoder = LocalTranscoder(engine=pool)
        self._profiles = profiles
        self._perceptual_hash = perceptual_hash

    async def transcode(self, segment: BenchSegment, *, session: str, place: int) -> TranscodeOutput:
        """Renditions of the segment, as a job of a session of that name."""
        job = SegmentJob(
            session_id=SessionId(session),
            manifest_id=ManifestId(session),
            seq=place,
            # Stands for the content: whatever wrecks the engine is known again by it.
            content_hash=hashlib.sha256(str(segment.path).encode(errors="surrogateescape")).digest(),
            input_path=str(segment.path),
            size_bytes=segment.size_bytes,
            duration_ms=max(1, round(segment.duration_s * 1000)),
            profiles=self._profiles,
            perceptual_hash=self._perceptual_hash,
        )
        return await self._transcoder.transcode(job, deadline_s=_PATIENCE_S)

    def end(self, session: str) -> None:
        """The session is over: its encoders on a device are closed."""
        self._pool.release(session)


async def _cards(settings: Settings) -> tuple[EngineDevice, ...]:
    """The devices that a node with these settings would transcode on."""
    if not settings.engine.nvidia:
        return (CPU,)
    inventory = NvmlInventory(clock=SystemClock())
    try:
        return nvidia_devices(await find_devices(settings.engine.nvidia, inventory=inventory))
    finally:
        await inventory.close()


@asynccontextmanager
async def _running(pools: tuple[EnginePool, ...]) -> AsyncIterator[None]:
    """Pools that are up, and gone afterwards whatever happens."""
    try:
        async with asyncio.TaskGroup() as group:
            keepers: list[asyncio.Task[None]] = []
            try:
                for pool in pools:
                    await pool.start()
                    keepers.append(group.create_task(pool.run()))
                yield
            finally:
                for pool in pools:
                    await asyncio.shield(pool.stop())
                for keeper in keepers:
                    keeper.cancel()
    except BaseExceptionGroup as failed:
        if len(failed.exceptions) == 1:
            raise failed.exceptions[0] from None
        raise


async def _all_up(pool: EnginePool) -> None:
    """Wait until every child is up, so that none is being started beside what is measured; not for ever."""
    for _ in range(_LOOKS):
        if len(pool.children) == pool.places:
            return
        await asyncio.sleep(_LOOK_S)


async def run_bench(
    settings: Settings, findings: Findings, *, listener: Measured, devices: tuple[EngineDevice, ...] | None = None
) -> None:
    """Do what ``findings.plan`` asks and note everything in ``findings``, which holds what is known at any time.

    Every one of ``devices``, or of those that the settings choose, is measured by itself, then all of them together.

    Raises:
        BenchError: there is nothing to measure, or it cannot be measured.
        StartError: the engine does not work on this machine.
    """
    plan = findings.plan
    engine = settings.engine
    findings.settings = (
        ("engine-children", str(engine.children)),
        ("encoder-preset", engine.preset),
        ("engine-threads", str(engine.threads)),
        ("engine-memory-limit", str(engine.memory_limit_bytes)),
        ("engine-recycle-after", str(engine.recycle_after_jobs)),
    )
    files = RenditionFiles(plan.out_prefix, plan.ladder.profiles) if plan.out_prefix else None
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as folder:
        if findings.machine.is_busy:
            listener.step("other work keeps this machine busy, so that the figures will be lower than they could be")
        listener.step(f"reading {plan.source.name}")
        try:
            findings.source = await open_source(plan.source, folder=Path(folder), most_segments=plan.most_segments)
        except SourceError as error:
            raise BenchError(str(error)) from error
        listener.step("starting the engines")
        # Each device by itself, without the node's care for faulty ones: a bench shall say what fails.
        pools = Engines(
            devices=devices if devices is not None else await _cards(settings),
            settings=engine,
            clock=SystemClock(),
            metrics=SilentMetrics(),
            rules=EngineRules(pool=PoolLimits(waiting_most=_WAITING_MOST)),
        ).pools
        async with _running(pools):
            findings.devices = tuple([await _tested(pool, at_once=engine.children) for pool in pools])
            measured = tuple(
                MeasuredDevice(
                    name=pool.device,
                    engine=_Engine(
                        pool,
                        profiles=plan.ladder.profiles,
                        perceptual_hash=plan.perceptual_hash,
                    ),
                    at_once=engine.children,
                )
                for pool in pools
            )
            told = replace(listener, output=files.write) if files is not None else listener
            course = Course(measured, clock=SystemClock(), listener=told)
            try:
                await _measure(course, plan, findings.source)
            finally:
                findings.found = course.found


async def _tested(pool: EnginePool, *, at_once: int) -> DeviceFacts:
    await _all_up(pool)
    return DeviceFacts(pool.device, at_once, await pool.probe())


async def _measure(course: Course, plan: BenchPlan, source: BenchSource) -> None:
    if plan.sessions is not None:
        await course.ask(
            sessions=plan.sessions,
            segments=source.segments,
            live=plan.live,
            delay_s=plan.session_delay_s,
            repeat=plan.repeat,
        )
        asked = course.found.asked
        if asked is not None and asked.trouble:
            raise BenchError(asked.trouble)
        return
    trouble = await course.warm_up(source.typical)
    if trouble:
        raise BenchError(trouble)
    await course.search(
        segments=source.typical, most=plan.most_sessions, live=plan.live, time_limit_s=plan.time_limit_s
    )
