"""A short clip, cut into segments, and honest renditions of each, made once per test run by an independent FFmpeg."""

import asyncio

import pytest

from baton.kernel.crypto import keccak256
from baton.selftest import segmenter
from baton.selftest.inspector import Inspector
from tests.unit.selftest.fake_orchestrator import Made
from tests.unit.selftest.made import FFMPEG, Fixture, make_clip, transcode


@pytest.fixture(scope="session")
def streamed_clip(tmp_path_factory: pytest.TempPathFactory) -> Fixture:
    folder = tmp_path_factory.mktemp("selftest")
    clip = make_clip(folder / "clip.mp4")
    inspector = Inspector(ffmpeg=FFMPEG)

    async def build() -> Fixture:
        source = await segmenter.cut(clip, folder, limit_s=30)
        renditions: dict[bytes, tuple[Made, ...]] = {}
        for segment in source.segments:
            output = folder / f"made-{segment.path.name}"
            data = transcode(segment.path, output)
            facts = await inspector.inspect(output)
            renditions[keccak256(segment.path.read_bytes())] = (Made(data, facts.pixels),)
        return Fixture(clip, source, renditions)

    return asyncio.run(build())
