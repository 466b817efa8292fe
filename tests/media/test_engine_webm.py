"""VP8 and VP9 come in, with whatever sound they have (video.md 5.7, 7.7)."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from baton.kernel.profiles import OutputFormat
from tests.media import judge
from tests.media.engine_samples import PLAIN, ask, decode, made, opened
from tests.media.samples import run_ffmpeg

pytestmark = pytest.mark.media

_VPX = ("-deadline", "realtime", "-cpu-used", "8", "-b:v", "500k", "-g", "30")
_VP8, _VP9 = ("-c:v", "libvpx", *_VPX), ("-c:v", "libvpx-vp9", *_VPX)
_SOURCES = (
    ("vp8-vorbis", _VP8, ("-c:a", "libvorbis"), "webm", "vorbis"),
    ("vp9-opus", _VP9, ("-c:a", "libopus"), "webm", "opus"),
    ("vp9-aac", _VP9, ("-c:a", "aac"), "mp4", "aac"),
    ("vp9-10bit-opus", (*_VP9, "-profile:v", "2", "-pix_fmt", "yuv420p10le"), ("-c:a", "libopus"), "webm", "opus"),
    ("vp9-silent", _VP9, (), "webm", ""),
)
_FRAMES = 90


def _source(name: str, video: tuple[str, ...], audio: tuple[str, ...], container: str) -> Path:
    def make(folder: Path) -> None:
        shown = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=3"]
        heard = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=3"] if audio else []
        run_ffmpeg(*shown, *heard, *video, *audio, "-f", container, str(folder / "source"))

    key = hashlib.sha256(repr((video, audio, container)).encode()).hexdigest()[:16]
    return made(f"webm-{name}-{key}", make) / "source"


@pytest.mark.parametrize("output_format", list(OutputFormat))
@pytest.mark.parametrize(("name", "video", "audio", "container", "sound"), _SOURCES, ids=[row[0] for row in _SOURCES])
def test_every_frame_and_every_sound_arrives(
    name: str,
    video: tuple[str, ...],
    audio: tuple[str, ...],
    container: str,
    sound: str,
    output_format: OutputFormat,
    tmp_path: Path,
) -> None:
    source = _source(name, video, audio, container)
    rendition = ask(source, replace(PLAIN, format=output_format)).renditions[0]
    assert rendition.frames == _FRAMES
    assert len(decode(rendition.data, extension=output_format.extension)) == _FRAMES
    result = tmp_path / "result"
    result.write_bytes(rendition.data)
    with opened(rendition.data) as opened_result:
        names = [stream.codec_context.name for stream in opened_result.streams.audio]
    if sound == "vorbis" and output_format is OutputFormat.MPEGTS:
        # MPEG-TS has no name for Vorbis: its packets are there as private data that no player reads, as the
        # reference's muxer writes them.
        assert names == []
        with opened(rendition.data) as opened_result:
            assert len(opened_result.streams.data) == 1
            private = sum(1 for packet in opened_result.demux(opened_result.streams.data[0]) if packet.size)
        assert private == len(judge.packets(source, stream="a:0"))
        return
    assert names == ([sound] if sound else [])
    if sound and sound != "aac":  # AAC is wrapped anew where MP4 becomes MPEG-TS
        assert list(_sounds(result)) == list(_sounds(source))


def _sounds(path: Path) -> Iterator[str]:
    for packet in judge.packets(path, stream="a:0"):
        yield packet.md5
