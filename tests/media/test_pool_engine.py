"""The engine pool with the engine that ships: real segments, real codecs, real deaths."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from baton.kernel.capabilities import Capability
from baton.kernel.crypto import keccak256
from baton.kernel.errors import Text, TranscodeError
from baton.kernel.ids import ManifestId, SessionId
from baton.kernel.profiles import PRESETS
from baton.media.job import Acceleration, EncoderTuning, EngineReport, TranscodeOutput, TranscodeRequest
from baton.media.messages import Answer, Failed, Job, Release, Released, encode
from baton.media.pool import EnginePool
from baton.media.process import ChildCommand, DeathCause, start_child
from baton.video.job import SegmentJob
from baton.video.local import LocalTranscoder
from tests.media import judge
from tests.media.pooling import CountingMetrics, make_pool, running, until
from tests.media.samples import clip_segments

pytestmark = [pytest.mark.media, pytest.mark.timeout(240)]

_PROFILES = (PRESETS["P360p30fps16x9"], PRESETS["P144p30fps16x9"])
_DEADLINE_S = 120.0


def _real(metrics: CountingMetrics) -> EnginePool:
    return make_pool(
        command=ChildCommand(), metrics=metrics, tuning=EncoderTuning(preset="superfast"), memory_limit_bytes=2 << 30
    )


def _job(path: Path, *, session: str, seq: int) -> SegmentJob:
    data = path.read_bytes()
    return SegmentJob(
        session_id=SessionId(session),
        manifest_id=ManifestId(session),
        seq=seq,
        content_hash=keccak256(data),
        input_path=str(path),
        size_bytes=len(data),
        duration_ms=2000,
        profiles=_PROFILES,
    )


def _check(output: TranscodeOutput, folder: Path) -> None:
    """Each rendition as an independent FFmpeg sees it: as many frames and pixels as we say."""
    for number, rendition in enumerate(output.renditions):
        path = folder / f"{number}.ts"
        path.write_bytes(rendition.data)
        frames = judge.decoded_frames(path)
        assert len(frames) == rendition.frames == 60
        assert rendition.pixels == rendition.frames * rendition.width * rendition.height


def test_the_engine_that_ships_proves_its_capabilities_in_a_child() -> None:
    async def story() -> None:
        async with running(_real(CountingMetrics())) as pool:
            report = await pool.probe()
            assert {Capability.H264, Capability.MPEGTS, Capability.MP4} <= set(report.capability_ids)
            assert "libx264" in report.encoders

    asyncio.run(story())


def test_sigkill_of_an_engine_child_in_mid_segment_leaves_all_streams_whole(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(_real(metrics)) as pool, asyncio.TaskGroup() as group:
            transcoder = LocalTranscoder(engine=pool)

            async def stream(name: str) -> list[TranscodeOutput]:
                return [
                    await transcoder.transcode(_job(path, session=name, seq=seq), deadline_s=_DEADLINE_S)
                    for seq, path in enumerate(clip_segments(3))
                ]

            streams = [group.create_task(stream(f"stream {n}")) for n in range(2)]
            await until(lambda: sum(view.state == "busy" for view in pool.children) == 2)
            os.kill(next(view.pid for view in pool.children if view.state == "busy"), signal.SIGKILL)
            for task in streams:
                outputs = await task
                assert len(outputs) == 3
                for output in outputs:
                    _check(output, tmp_path)
        assert metrics.counted["engine_restarts_total crashed"] == 1
        assert metrics.counted["poison_refusals_total"] == 0

    asyncio.run(story())


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 4096, os.urandom(100_000), b"\x47" + b"\x00" * 187],
    ids=["empty", "zeros", "noise", "one packet"],
)
def test_input_that_is_no_video_is_refused_in_good_order(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "segment"
    path.write_bytes(content)

    async def story() -> None:
        metrics = CountingMetrics()
        async with running(_real(metrics)) as pool:
            with pytest.raises(TranscodeError):
                await LocalTranscoder(engine=pool).transcode(_job(path, session="bad", seq=0), deadline_s=_DEADLINE_S)
        assert not metrics.counted

    asyncio.run(story())


async def _exchanges(command: ChildCommand, *jobs: tuple[Job, type[Answer]]) -> list[Answer]:
    """What a child of its own answers to jobs, one after another."""
    child = await start_child(command, timeout_s=_DEADLINE_S)
    try:
        deadline_at = asyncio.get_running_loop().time() + _DEADLINE_S
        return [
            await child.exchange(encode(job), wanted, accept_timeout_s=_DEADLINE_S, deadline_at=deadline_at)
            for job, wanted in jobs
        ]
    finally:
        child.kill(DeathCause.SHUTDOWN, "")
        await child.bury()


def test_an_engine_with_a_device_lets_go_of_streams_and_names_what_is_missing() -> None:
    """Where there is a device the probe is a report; either way the child lives on and works in software."""
    nvidia = EncoderTuning(preset="ultrafast", acceleration=Acceleration.NVIDIA)
    software = TranscodeRequest(
        input_path=str(clip_segments(1)[0]),
        profiles=_PROFILES[1:],
        tuning=EncoderTuning(preset="ultrafast"),
        session_key="stream",
    )
    command = ChildCommand(release="baton.media.engine.workshop:release")
    released, probed, output, again = asyncio.run(
        _exchanges(
            command,
            (Release("stream"), Released),
            (nvidia, EngineReport),
            (software, TranscodeOutput),
            (Release("stream"), Released),
        )
    )
    assert released == again == Released()
    if isinstance(probed, Failed):
        assert probed.text in {Text.NO_SUCH_DEVICE, Text.UNRECOVERABLE}
        assert probed.detail
    assert isinstance(output, TranscodeOutput)
    assert output.renditions[0].frames == 60
