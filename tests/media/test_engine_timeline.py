"""Time and form in the corners: clips with sound, the wrap of the 33-bit clock, interlaced, rotated, other inputs."""

from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from baton.kernel.profiles import OutputFormat
from baton.media.job import Clip, EncoderTuning
from tests.media import judge
from tests.media.engine_samples import PLAIN, ask, decode, made, opened, picture
from tests.media.judge import Entry
from tests.media.samples import SAMPLES, run_ffmpeg

pytestmark = pytest.mark.media


def _packets(data: bytes, folder: Path, stream: str) -> tuple[Entry, ...]:
    path = folder / "rendition.ts"
    path.write_bytes(data)
    return judge.packets(path, stream=stream)


def test_a_clip_cuts_sound_and_picture_to_the_same_length(tmp_path: Path) -> None:
    segment = SAMPLES["h264_high"].segments()[1]
    whole = judge.packets(segment, stream="a:0")
    data = ask(segment, PLAIN, clip=Clip(from_ms=500, to_ms=1500)).renditions[0].data
    frames = decode(data)
    assert len(frames) == 31
    sound = _packets(data, tmp_path, "a:0")
    since_s = [entry.pts_s - whole[0].pts_s for entry in whole]
    expected = [
        entry.md5 for entry, at_s in zip(whole, since_s, strict=True) if Fraction(1, 2) <= at_s <= Fraction(3, 2)
    ]
    assert [entry.md5 for entry in sound] == expected
    # B-frames would decode before zero; the muxer moves picture and sound together.
    assert 0 <= sound[0].pts_s - frames[0].pts_s < Fraction(1, 20)
    assert frames[0].pts_s <= Fraction(1, 10)
    with opened(data) as container:
        assert next(container.demux(video=0)).is_keyframe


def test_a_clip_with_only_an_end_keeps_the_time_line(tmp_path: Path) -> None:
    segment = SAMPLES["h264_high"].segments()[1]
    data = ask(segment, PLAIN, clip=Clip(from_ms=0, to_ms=1000)).renditions[0].data
    source = judge.decoded_frames(segment)
    assert [entry.pts_s for entry in decode(data)] == [entry.pts_s for entry in source][:31]
    sound = judge.packets(segment, stream="a:0")
    kept = [entry.pts_s for entry in sound if entry.pts_s - sound[0].pts_s <= 1]
    assert [entry.pts_s for entry in _packets(data, tmp_path, "a:0")] == kept


def test_a_clip_beyond_the_end_leaves_nothing() -> None:
    rendition = ask(SAMPLES["h264_high"].segments()[0], PLAIN, clip=Clip(from_ms=5000, to_ms=6000)).renditions[0]
    assert (rendition.frames, rendition.pixels) == (0, 0)


def test_a_rate_below_one_frame_per_segment_is_no_error() -> None:
    """On a grid of ten seconds most segments have no frame; the sound goes on."""
    counts = [
        ask(segment, replace(PLAIN, fps=1, fps_den=10)).renditions[0].frames
        for segment in SAMPLES["h264_high"].segments()
    ]
    assert sum(counts) <= 1


_WRAP_S = Fraction(2**33, 90_000)


@cache
def _around_the_wrap() -> tuple[Path, ...]:
    """Two segments of two seconds; the clock of MPEG-TS wraps in the middle of the first."""

    def make(folder: Path) -> None:
        inputs = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=30", "-f", "lavfi", "-i", "sine=r=48000", "-t", "2"]
        coding = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-c:a", "aac"]
        for number, start_s in enumerate((_WRAP_S - 1, _WRAP_S + 1)):
            offset = ["-output_ts_offset", str(float(start_s)), "-muxdelay", "0", "-muxpreload", "0", "-f", "mpegts"]
            run_ffmpeg(*inputs, *coding, *offset, str(folder / f"{number}.ts"))

    return tuple(sorted(made("around-the-wrap", make).iterdir()))


def test_times_go_on_over_the_wrap_of_the_transport_clock(tmp_path: Path) -> None:
    shown: list[Fraction] = []
    for segment in _around_the_wrap():
        data = ask(segment, PLAIN).renditions[0].data
        times = [entry.pts_s for entry in decode(data)]
        assert times == [entry.pts_s for entry in judge.decoded_frames(segment)]
        sound = [(entry.md5, entry.pts_s) for entry in judge.packets(segment, stream="a:0")]
        assert [(entry.md5, entry.pts_s) for entry in _packets(data, tmp_path, "a:0")] == sound
        shown += times
    assert shown[0] < 0 < shown[-1], "the sample wraps where it should"
    assert all(abs(later - earlier - Fraction(1, 30)) < Fraction(1, 1000) for earlier, later in pairwise(shown))


def test_a_segment_that_begins_with_a_pause_does_not_reach_into_the_one_before(tmp_path: Path) -> None:
    """A screen that stands still for a second: B-frames make the encoder decode ahead by as long as frames last."""
    before = picture(rate=Fraction(60), frames=60, times="N+600", coding=_PLAIN_H264)
    paused = picture(rate=Fraction(60), frames=60, times="if(N\\,N+720\\,660)", coding=_PLAIN_H264)
    shown = [entry.pts_s for entry in judge.decoded_frames(paused)]
    assert (shown[0], shown[1] - shown[0]) == (Fraction(11), Fraction(61, 60))
    times: list[Fraction] = []
    for segment in (before, paused):
        data = ask(segment, PLAIN, tuning=EncoderTuning(preset="medium")).renditions[0].data
        packets = _packets(data, tmp_path, "v:0")
        assert any(packet.pts_s != packet.dts_s for packet in packets), "there are B-frames"
        times += [packet.dts_s for packet in packets]
    assert all(later > earlier for earlier, later in pairwise(times))


_PLAIN_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "0")


def test_interlaced_pictures_become_progressive_frames() -> None:
    with opened(ask(SAMPLES["interlaced"].segments()[0], PLAIN).renditions[0].data) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 50
    assert not any(frame.interlaced_frame for frame in frames)


@pytest.mark.parametrize("output_format", list(OutputFormat))
def test_rotation_is_ignored(output_format: OutputFormat) -> None:
    profile = replace(PLAIN, format=output_format)
    rendition = ask(SAMPLES["rotated"].segments()[0], profile).renditions[0]
    assert (rendition.width, rendition.height) == (256, 144)
    with opened(rendition.data) as container:
        assert {frame.rotation for frame in container.decode(video=0)} == {0}


_VPX = ("-deadline", "realtime", "-cpu-used", "8")
_INPUTS = {
    "vp8 in webm": ("webm", ("-c:v", "libvpx", *_VPX), "yuv420p"),
    "vp9 in webm": ("webm", ("-c:v", "libvpx-vp9", *_VPX), "yuv420p"),
    "flv1 in flv": ("flv", ("-c:v", "flv1"), "yuv420p"),
    "h264 in flv": ("flv", ("-c:v", "libx264", "-preset", "ultrafast"), "yuv420p"),
    "mjpeg in avi": ("avi", ("-c:v", "mjpeg"), "yuvj444p"),
    "h264 in matroska": ("matroska", ("-c:v", "libx264", "-preset", "ultrafast"), "yuv420p"),
    "ffv1 16 bit in matroska": ("matroska", ("-c:v", "ffv1"), "yuv444p16le"),
    "rgb h264": ("mpegts", ("-c:v", "libx264rgb", "-preset", "ultrafast"), "rgb24"),
    "grey h264": ("mpegts", ("-c:v", "libx264", "-preset", "ultrafast"), "gray"),
    "bare h264": ("h264", ("-c:v", "libx264", "-preset", "ultrafast"), "yuv420p"),
    "bare hevc": ("hevc", ("-c:v", "libx265", "-x265-params", "log-level=none"), "yuv420p"),
}


@pytest.mark.parametrize("name", _INPUTS)
def test_other_inputs(name: str) -> None:
    container, coding, pixel_format = _INPUTS[name]
    source = picture(container=container, coding=coding, pixel_format=pixel_format)
    rendition = ask(source, PLAIN).renditions[0]
    frames = decode(rendition.data)
    assert len(frames) == rendition.frames == 5
    assert all(later.pts_s > earlier.pts_s for earlier, later in pairwise(frames))


_COLOURS = (
    "colour_primaries=3:transfer_characteristics=3:matrix_coefficients=3",
    "colour_primaries=0:transfer_characteristics=0:matrix_coefficients=8",
    "colour_primaries=9:transfer_characteristics=16:matrix_coefficients=9",
    "colour_primaries=9:transfer_characteristics=18:matrix_coefficients=14",
    "colour_primaries=200:transfer_characteristics=200:matrix_coefficients=200",
    "video_full_range_flag=1",
)


@pytest.mark.parametrize("words", _COLOURS)
def test_colour_words_that_nobody_knows_stop_nothing(words: str, tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.ts"
    run_ffmpeg("-i", str(picture()), "-c", "copy", "-bsf:v", f"h264_metadata={words}", "-f", "mpegts", str(tagged))
    assert ask(tagged, PLAIN).renditions[0].frames == 5


def test_colours_keep_their_meaning(tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.ts"
    words = "h264_metadata=colour_primaries=1:transfer_characteristics=1:matrix_coefficients=1"
    run_ffmpeg("-i", str(picture()), "-c", "copy", "-bsf:v", words, "-f", "mpegts", str(tagged))
    with opened(ask(tagged, PLAIN).renditions[0].data) as container:
        frame = next(iter(container.decode(video=0)))
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
