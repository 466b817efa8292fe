"""The transcoder's proof: over the whole media matrix, segments transcoded apart fit together again.

An independent FFmpeg reads the source segments and our renditions, and predicts what a frame rate filter must give.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from baton.kernel.profiles import OutputFormat, VideoCodec
from baton.media.job import RenditionOutput
from tests.media import judge
from tests.media.engine_samples import PLAIN, ask, decode, ticks
from tests.media.judge import Entry
from tests.media.samples import MATRIX, SAMPLES, Sample, clip_segments, run_ffmpeg

pytestmark = pytest.mark.media

_TICK_S = Fraction(1, 90_000)
_VARIABLE = "vfr"
_ADTS_BYTES = 7
_B_FRAME_DELAY = 2
"""Frames by which x264 decodes ahead of what it shows."""
_PASSED, _HALVED, _MP4 = range(3)


def _fps(sample: Sample) -> int:
    """A fixed rate that is none of the sources' but no runaway either."""
    return 2 if sample.rate < 5 else 15


@cache
def _renditions(sample: Sample) -> tuple[tuple[RenditionOutput, ...], ...]:
    """Per segment: timestamps passed through, a fixed rate, and MP4."""
    profiles = (PLAIN, replace(PLAIN, fps=_fps(sample)), replace(PLAIN, format=OutputFormat.MP4))
    return tuple(ask(segment, *profiles).renditions for segment in sample.segments())


def _files(folder: Path, sample: Sample, which: int) -> list[Path]:
    paths = []
    for number, renditions in enumerate(_renditions(sample)):
        path = folder / f"{which}-{number}{'.mp4' if which == _MP4 else '.ts'}"
        path.write_bytes(renditions[which].data)
        paths.append(path)
    return paths


def _at_fixed_rate(segment: Path, fps: int) -> list[int]:
    """Grid places that the independent FFmpeg fills when it puts the segment on a frame rate."""
    chain = ["-copyts", "-noautorotate", "-i", str(segment), "-map", "0:v", "-vf", f"scale=64:64,fps={fps}"]
    text = run_ffmpeg(*chain, "-fps_mode", "passthrough", "-enc_time_base", f"1:{fps}", "-f", "framecrc", "-").decode()
    return [int(line.split(",")[2]) for line in text.splitlines() if line and not line.startswith("#")]


_each_sample: Callable[[Callable[..., None]], Callable[..., None]] = pytest.mark.parametrize(
    "sample", MATRIX, ids=lambda sample: sample.name
)


@_each_sample
def test_passthrough_keeps_the_frames_and_times_that_ffmpeg_decodes(sample: Sample, tmp_path: Path) -> None:
    for which in (_PASSED, _MP4):
        for segment, file in zip(sample.segments(), _files(tmp_path, sample, which), strict=True):
            expected = [entry.pts_s for entry in judge.decoded_frames(segment)]
            assert [entry.pts_s for entry in judge.decoded_frames(file)] == expected


@_each_sample
def test_fixed_rate_fills_the_same_grid_as_ffmpeg(sample: Sample, tmp_path: Path) -> None:
    fps = _fps(sample)
    for segment, file in zip(sample.segments(), _files(tmp_path, sample, _HALVED), strict=True):
        times = [entry.pts_s * fps for entry in judge.decoded_frames(file)]
        expected = _at_fixed_rate(segment, fps)
        # Near zero the muxer makes room for the B-frames' delay and moves the whole segment (video.md 7.4).
        moved = times[0] - expected[0] if expected[0] < _B_FRAME_DELAY else 0
        assert times == [place + moved for place in expected]
        assert 0 <= moved <= _B_FRAME_DELAY


@_each_sample
def test_reported_pixels_are_what_a_decoder_counts(sample: Sample, tmp_path: Path) -> None:
    for which in (_PASSED, _HALVED, _MP4):
        for renditions, file in zip(_renditions(sample), _files(tmp_path, sample, which), strict=True):
            decoded = judge.decoded_frames(file)
            assert renditions[which].frames == len(decoded) > 0
            assert renditions[which].pixels == sum(entry.size_bytes for entry in decoded) * 2 // 3


@_each_sample
def test_decode_times_rise_over_all_segments(sample: Sample, tmp_path: Path) -> None:
    for which in (_PASSED, _HALVED):
        segments = [judge.packets(file, stream="v:0") for file in _files(tmp_path, sample, which)]
        if sample.start_s == 0 and which == _HALVED:
            del segments[0]  # moved by the B-frames' delay, see above
        times = [entry.dts_s for segment in segments for entry in segment]
        assert all(later > earlier for earlier, later in pairwise(times))
        if not sample.decodes_whole or sample.name == _VARIABLE:
            continue  # the source itself has gaps where its segments meet
        interval_s = 1 / (Fraction(_fps(sample)) if which == _HALVED else _shown_rate(sample))
        for earlier, later in pairwise(segments):
            assert abs(later[0].dts_s - earlier[-1].dts_s - interval_s) <= _TICK_S


def _shown_rate(sample: Sample) -> Fraction:
    """Frames per second after the recipe's filters."""
    return sample.rate / 2 if sample.name == "interlaced" else sample.rate


@pytest.mark.parametrize("sample", [one for one in MATRIX if one.has_audio], ids=lambda sample: sample.name)
def test_audio_packets_are_those_of_the_source(sample: Sample, tmp_path: Path) -> None:
    which = _PASSED if sample.container == "mpegts" else _MP4
    for segment, file in zip(sample.segments(), _files(tmp_path, sample, which), strict=True):
        expected = judge.packets(segment, stream="a:0")
        copied = judge.packets(file, stream="a:0")
        assert [entry.md5 for entry in copied] == [entry.md5 for entry in expected]
        assert _spread(expected, copied) <= _TICK_S


def _spread(expected: tuple[Entry, ...], copied: tuple[Entry, ...]) -> Fraction:
    """Largest difference between two lists of times."""
    pairs = zip(expected, copied, strict=True)
    return max((abs(one.pts_s - other.pts_s) for one, other in pairs), default=Fraction(0))


@pytest.mark.parametrize("name", ["h264_high", "mp4"])
def test_aac_is_repackaged_between_containers_without_a_change(name: str, tmp_path: Path) -> None:
    """MPEG-TS carries a header of seven bytes with each AAC packet, MP4 has it in its index."""
    sample = SAMPLES[name]
    for segment, ts, mp4 in zip(
        sample.segments(), _files(tmp_path, sample, _PASSED), _files(tmp_path, sample, _MP4), strict=True
    ):
        expected = [_bare_size(entry, segment.suffix) for entry in judge.packets(segment, stream="a:0")]
        assert [_bare_size(entry, ".ts") for entry in judge.packets(ts, stream="a:0")] == expected
        assert [_bare_size(entry, ".mp4") for entry in judge.packets(mp4, stream="a:0")] == expected
        sounds = [judge.decoded_frames(path, stream="a:0") for path in (ts, mp4)]
        assert [entry.md5 for entry in sounds[0]][1:] == [entry.md5 for entry in sounds[1]][1:]


def _bare_size(entry: Entry, suffix: str) -> int:
    return entry.size_bytes - (_ADTS_BYTES if suffix == ".ts" else 0)


def test_no_audio_stays_no_audio(tmp_path: Path) -> None:
    for file in _files(tmp_path, SAMPLES["no_audio"], _PASSED):
        assert judge.packets(file, stream="a:0") == ()


def test_late_audio_appears_when_the_source_has_it(tmp_path: Path) -> None:
    counts = [len(judge.packets(file, stream="a:0")) for file in _files(tmp_path, SAMPLES["late_audio"], _PASSED)]
    assert counts[0] == 0
    assert min(counts[1:]) > 0


@pytest.mark.parametrize("codec", [VideoCodec.H264, VideoCodec.H265])
def test_the_repository_clip_comes_out_whole(codec: VideoCodec, tmp_path: Path) -> None:
    profile = replace(PLAIN, codec=codec)
    files = []
    for number, segment in enumerate(clip_segments(3)):
        rendition = ask(segment, profile).renditions[0]
        assert ticks(decode(rendition.data)) == ticks(judge.decoded_frames(segment))
        path = tmp_path / f"{number}.ts"
        path.write_bytes(rendition.data)
        files.append(path)
    times = [entry.dts_s for file in files for entry in judge.packets(file, stream="v:0")]
    assert {later - earlier for earlier, later in pairwise(times)} == {Fraction(1, 30)}
    whole = judge.decoded_frames(*files)
    assert len(whole) == len(times)


def test_the_picture_is_the_source_picture_scaled(tmp_path: Path) -> None:
    """At a bitrate that hides nothing, every frame is close to FFmpeg's own scaling of the same source frame."""
    segment = SAMPLES["h264_high"].segments()[0]
    rendition = ask(segment, replace(PLAIN, bitrate_bps=0, quality=1)).renditions[0]
    path = tmp_path / "fine.ts"
    path.write_bytes(rendition.data)
    graph = "[0:v]scale=256:144:flags=bicubic[a];[1:v]format=yuv420p[b];[a][b]psnr=stats_file=-"
    inputs = ["-i", str(segment), "-i", str(path)]
    text = run_ffmpeg(*inputs, "-filter_complex", graph, "-f", "null", "-").decode()
    values = [line.split("psnr_avg:")[1].split()[0] for line in text.splitlines() if "psnr_avg:" in line]
    assert len(values) == 60
    assert min(100.0 if value == "inf" else float(value) for value in values) > 40
