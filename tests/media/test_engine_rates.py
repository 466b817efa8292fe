"""The rate buffer holds: a rendition never runs ahead of its bitrate by more than the buffer (video.md 7.2)."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from baton.kernel.profiles import VideoCodec, VideoProfile
from baton.media.engine.encoders.base import rate_control
from baton.media.job import EncoderTuning
from tests.media.engine_samples import PLAIN, ask, made, opened
from tests.media.samples import run_ffmpeg

pytestmark = pytest.mark.media

_RATE = 30
_ASKED = replace(PLAIN, width=320, height=180, bitrate_bps=400_000)
_SLACK_BITS = 20_000
"""One frame's worth of rounding and of what the codec cannot make smaller."""


def _restless() -> Path:
    """Four quiet seconds, then noise that no bitrate is enough for, then quiet again."""

    def make(folder: Path) -> None:
        noise = "noise=alls=60:allf=t:all_seed=1:enable='between(t,2,4)'"
        source = ["-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={_RATE}:duration=6", "-vf", noise]
        run_ffmpeg(
            *source, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-f", "mpegts", str(folder / "source")
        )

    return made("restless-1", make) / "source"


def _frame_bits(data: bytes) -> Iterator[int]:
    with opened(data) as container:
        for packet in container.demux(video=0):
            if packet.size:
                yield 8 * packet.size


def _fullest_bits(profile: VideoProfile, tuning: EncoderTuning) -> int:
    """How far the frames run ahead of the bitrate: the size a decoder's buffer must have."""
    ahead = fullest = Fraction(0)
    for bits in _frame_bits(ask(_restless(), profile, tuning=tuning).renditions[0].data):
        ahead += bits
        fullest = max(fullest, ahead)
        ahead = max(ahead - Fraction(profile.bitrate_bps, _RATE), Fraction(0))
    return int(fullest)


@pytest.mark.parametrize("codec", [VideoCodec.H264, VideoCodec.H265])
@pytest.mark.parametrize("buffer_ms", [250, 1000, 4000])
def test_bursts_fit_the_buffer_that_the_operator_chose(codec: VideoCodec, buffer_ms: int) -> None:
    tuning = EncoderTuning(preset="veryfast", threads=1, buffer_ms=buffer_ms)
    profile = replace(_ASKED, codec=codec)
    assert _fullest_bits(profile, tuning) <= profile.bitrate_bps * buffer_ms // 1000 + _SLACK_BITS


def test_a_larger_buffer_is_used() -> None:
    small, large = (
        _fullest_bits(_ASKED, EncoderTuning(preset="veryfast", threads=1, buffer_ms=buffer_ms))
        for buffer_ms in (250, 4000)
    )
    assert large > 2 * small


def test_the_buffer_is_a_part_of_the_bitrate_and_bounded() -> None:
    asked = replace(PLAIN, bitrate_bps=2_000_000)
    assert rate_control(asked)["bufsize"] == "2000000"
    assert rate_control(asked, buffer_ms=250)["bufsize"] == "500000"
    assert rate_control(asked, buffer_ms=250)["maxrate"] == "2000000"
    assert rate_control(replace(asked, bitrate_bps=1), buffer_ms=100)["bufsize"] == "1000"
    assert rate_control(replace(asked, bitrate_bps=2**31 - 1), buffer_ms=10_000)["bufsize"] == str(2**31 - 1)
    assert rate_control(replace(asked, bitrate_bps=0), buffer_ms=250) == {}
