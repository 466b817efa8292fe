"""The engine against the network's known answers: sizes, frame counts, timestamps, key frames (video.md 10.7, 10.8)."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import INTRA_ONLY_GOP, EncoderProfile
from baton.media.job import Clip, EncoderTuning
from tests.media import judge
from tests.media.engine_samples import (
    PLAIN,
    ask,
    decode,
    key_frames,
    opened,
    picture,
    ticks,
    vector_segments,
    vector_whole,
)
from tests.media.samples import SAMPLES

pytestmark = pytest.mark.media

_SIZES = (
    ((150, 200), (0, 250), (188, 250)),
    ((200, 300), (0, 427), (284, 426)),
    ((200, 300), (426, 0), (284, 426)),
    ((123, 456), (0, 426), (146, 542)),
    ((400, 456), (0, 40), (146, 166)),
    ((200, 300), (0, 428), (286, 428)),
    ((456, 123), (426, 0), (426, 114)),
    ((456, 123), (0, 301), (300, 80)),
    ((456, 400), (100, 0), (146, 128)),
    ((500, 100), (0, 200), (250, 50)),
    ((456, 120), (0, 400), (400, 106)),
    ((123, 123), (426, 0), (426, 426)),
    ((1280, 720), (0, 123), (146, 82)),
    ((56, 100), (256, 144), (146, 260)),
    ((100, 56), (256, 144), (256, 144)),
    ((640, 480), (1280, 720), (1280, 960)),
    ((1080, 1920), (1280, 720), (720, 1280)),
    ((1920, 800), (854, 480), (854, 356)),
)


@pytest.mark.parametrize(("source_px", "asked_px", "expected_px"), _SIZES)
def test_rendition_has_the_size_of_the_rule(
    source_px: tuple[int, int], asked_px: tuple[int, int], expected_px: tuple[int, int]
) -> None:
    source = picture(
        width_px=source_px[0],
        height_px=source_px[1],
        frames=2,
        pixel_format="yuv444p",
        container="matroska",
        coding=("-c:v", "ffv1"),
    )
    output = ask(source, replace(PLAIN, width=asked_px[0], height=asked_px[1]))
    rendition = output.renditions[0]
    assert (rendition.width, rendition.height) == expected_px
    assert rendition.pixels == 2 * expected_px[0] * expected_px[1]
    with opened(rendition.data) as container:
        assert [(frame.width, frame.height) for frame in container.decode(video=0)] == [expected_px] * 2
    assert (output.decoded_frames, output.decoded_px) == (2, 2 * source_px[0] * source_px[1])


_FIRST_TICKS = (128_970, 308_970, 488_970, 668_970)
_GRIDS = (
    (30, 60, 3000, (129_000, 309_000, 489_000, 669_000)),
    (60, 120, 1500, (129_000, 309_000, 489_000, 669_000)),
    (120, 240, 750, (129_000, 309_000, 489_000, 669_000)),
)


def test_the_source_is_the_one_the_vectors_describe() -> None:
    times = [ticks(judge.decoded_frames(segment)) for segment in vector_segments()]
    assert [(len(segment), segment[0]) for segment in times] == [(120, first) for first in _FIRST_TICKS]
    assert (times[0][:3], times[0][-1]) == ([128_970, 130_500, 131_940], 307_440)


def test_passthrough_keeps_every_timestamp() -> None:
    for segment in vector_segments():
        rendition = ask(segment, PLAIN).renditions[0]
        assert rendition.frames == 120
        assert ticks(decode(rendition.data)) == ticks(judge.decoded_frames(segment))


@pytest.mark.parametrize(("fps", "frames", "step", "starts"), _GRIDS)
def test_fixed_rates_lie_on_the_absolute_grid(fps: int, frames: int, step: int, starts: tuple[int, ...]) -> None:
    for segment, start in zip(vector_segments(), starts, strict=True):
        rendition = ask(segment, replace(PLAIN, fps=fps)).renditions[0]
        assert rendition.frames == frames
        assert ticks(decode(rendition.data)) == [start + step * number for number in range(frames)]


def test_grid_ends_where_the_vectors_say() -> None:
    first = vector_segments()[0]
    ends = [
        ticks(decode(rendition.data))[-1]
        for rendition in ask(first, *(replace(PLAIN, fps=fps) for fps in (30, 60, 120))).renditions
    ]
    assert ends == [306_000, 307_500, 308_250]


def test_123_frames_per_second_of_one_segment() -> None:
    assert ask(vector_segments()[0], replace(PLAIN, fps=123)).renditions[0].frames == 246


@pytest.mark.parametrize(
    ("rate", "counts"),
    [((24_000, 1001), {48, 49}), ((30_000, 1001), {60, 61}), ((60_000, 1001), {119, 120})],
)
def test_fractional_rates(rate: tuple[int, int], counts: set[int]) -> None:
    profile = replace(PLAIN, fps=rate[0], fps_den=rate[1])
    times: list[int] = []
    for segment in vector_segments():
        rendition = ask(segment, profile).renditions[0]
        assert rendition.frames in counts
        times += ticks(decode(rendition.data))
    steps = {later - earlier for earlier, later in pairwise(times)}
    nominal = Fraction(90_000 * rate[1], rate[0])
    assert steps <= {int(nominal), int(nominal) + 1}, "segments line up without a gap or an overlap"


@pytest.mark.parametrize(("fps", "frames"), [(30, 30), (60, 61), (123, 125)])
def test_first_second(fps: int, frames: int) -> None:
    assert ask(vector_whole(frames=61), replace(PLAIN, fps=fps)).renditions[0].frames == frames


@pytest.mark.parametrize("fps", [0, 30])
def test_gop_of_300_ms_gives_seven_key_frames_per_segment(fps: int) -> None:
    for segment in vector_segments():
        output = ask(segment, replace(PLAIN, fps=fps, gop_ms=300), tuning=EncoderTuning(preset="medium"))
        assert key_frames(output.renditions[0].data) == 7


_SLOW = ((2000, 0, 5, 10), (INTRA_ONLY_GOP, 0, 10, 10), (INTRA_ONLY_GOP, 10, 100, 100))


@pytest.mark.parametrize(("gop_ms", "fps", "keys", "frames"), _SLOW)
def test_key_frames_of_a_slow_source(gop_ms: int, fps: int, keys: int, frames: int) -> None:
    source = picture(rate=Fraction(1), frames=10)
    profile = replace(PLAIN, gop_ms=gop_ms, fps=fps)
    rendition = ask(source, profile, tuning=EncoderTuning(preset="medium")).renditions[0]
    assert (rendition.frames, key_frames(rendition.data)) == (frames, keys)


def test_five_frames_ten_seconds_apart_run_away_at_5_fps() -> None:
    with pytest.raises(TranscodeError) as caught:
        ask(picture(rate=Fraction(1, 10), frames=5), replace(PLAIN, fps=5))
    assert caught.value.text == Text.RUNAWAY == "Encoded frames runaway"


@pytest.mark.parametrize(("profile", "step"), [(EncoderProfile.DEFAULT, -6000), (EncoderProfile.H264_BASELINE, 6000)])
def test_b_frames_near_zero_overlap_by_one_frame(profile: EncoderProfile, step: int) -> None:
    """15 frames/s: the muxer moves a segment that would begin before zero, so its end runs into the next one."""
    coding = ("-c:v", "libx264", "-preset", "ultrafast")
    asked = replace(PLAIN, profile=profile)
    times: list[int] = []
    for shift in ("", "N+30"):
        source = picture(rate=Fraction(15), frames=30, times=shift, coding=coding)
        data = ask(source, asked, tuning=EncoderTuning(preset="medium")).renditions[0].data
        with opened(data) as container:
            times += [packet.dts for packet in container.demux(video=0) if packet.dts is not None]
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert steps == [6000] * 29 + [step] + [6000] * 29


def test_eleven_outputs_are_too_many() -> None:
    with pytest.raises(TranscodeError) as caught:
        ask(vector_segments()[0], *[PLAIN] * 11)
    assert caught.value.text == "Too many outputs"


def test_more_than_300_seconds_are_refused() -> None:
    with pytest.raises(TranscodeError) as caught:
        ask(SAMPLES["longer_than_300_s"].segments()[0], PLAIN)
    assert caught.value.text == "TranscoderInvalidDuration"


def test_clip_of_two_seconds_passes_120_frames() -> None:
    """Both ends of a clip are kept, so the vector's source ran a hair below 60 frames/s; at exactly 60 it is 121."""
    near_sixty = picture(rate=Fraction(60_000, 1001), frames=480)
    clip = Clip(from_ms=1000, to_ms=3000)
    assert ask(near_sixty, PLAIN, clip=clip).renditions[0].frames == 120
    assert ask(vector_whole(), PLAIN, clip=clip).renditions[0].frames == 121


def test_clip_of_five_seconds_at_120_frames_per_second() -> None:
    clip = Clip(from_ms=1000, to_ms=6000)
    output = ask(vector_whole(), replace(PLAIN, fps=120), clip=clip)
    assert output.renditions[0].frames == 601
    assert output.decoded_frames == 480
