"""The engine pool with the engine that ships: real segments, real codecs, real deaths."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from baton.kernel.capabilities import Capability
from baton.kernel.crypto import keccak256
from baton.kernel.errors import TranscodeError
from baton.kernel.ids import ManifestId, SessionId
from baton.kernel.profiles import PRESETS
from baton.media.job import EncoderTuning, TranscodeOutput
from baton.media.pool import EnginePool
from baton.media.process import ChildCommand
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
