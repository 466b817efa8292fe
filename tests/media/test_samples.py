"""The test media are what their recipes say; otherwise every test that uses them proves something else."""

from fractions import Fraction
from itertools import pairwise

import pytest

from tests.media.judge import decoded_frames, packets
from tests.media.samples import CLIP, MATRIX, SAMPLES, Sample, clip_segments, run_ffmpeg

pytestmark = pytest.mark.media

MAX_CLIP_BYTES = 4_000_000


@pytest.mark.parametrize("sample", MATRIX, ids=lambda sample: sample.name)
def test_matrix_sample_has_the_frames_that_its_recipe_states(sample: Sample) -> None:
    segments = sample.segments()
    assert tuple(len(packets(segment, stream="v:0")) for segment in segments) == sample.segment_frames
    decoded = tuple(len(decoded_frames(segment)) for segment in segments)
    if sample.decodes_whole:
        assert decoded == sample.segment_frames
    else:
        assert sum(decoded) < sample.frames


@pytest.mark.parametrize("sample", MATRIX, ids=lambda sample: sample.name)
def test_matrix_sample_has_one_time_line_over_all_segments(sample: Sample) -> None:
    for stream in ("v:0", "a:0"):
        entries = [entry for segment in sample.segments() for entry in packets(segment, stream=stream)]
        assert bool(entries) is (stream == "v:0" or sample.has_audio)
        whole = packets(sample.whole(), stream=stream)
        assert [entry.md5 for entry in entries] == [entry.md5 for entry in whole]
        if sample.container == "mpegts":
            assert all(later.dts_s > earlier.dts_s for earlier, later in pairwise(entries))


def test_audio_starts_late_where_the_recipe_says_so() -> None:
    counts = [len(packets(segment, stream="a:0")) for segment in SAMPLES["late_audio"].segments()]
    assert counts[0] == 0
    assert counts[1] > 0


def test_audio_only_has_no_video() -> None:
    for segment in SAMPLES["audio_only"].segments():
        assert packets(segment, stream="v:0") == ()
        assert packets(segment, stream="a:0")


def test_damaged_samples_differ_from_their_whole() -> None:
    for name in ("truncated", "corrupted"):
        sample = SAMPLES[name]
        damaged = sum(segment.stat().st_size for segment in sample.segments())
        honest = sum(segment.stat().st_size for segment in SAMPLES["h264_high"].segments())
        assert (damaged < honest) is (name == "truncated")
        hashes = {entry.md5 for segment in sample.segments() for entry in packets(segment, stream="v:0")}
        assert hashes != {entry.md5 for entry in packets(sample.whole(), stream="v:0")}


def test_clip_is_what_the_demo_promises() -> None:
    assert CLIP.stat().st_size <= MAX_CLIP_BYTES
    frames = decoded_frames(CLIP)
    assert len(frames) == 720
    assert {entry.size_bytes for entry in frames} == {1280 * 720 * 3 // 2}
    assert len({entry.md5 for entry in frames}) == 720
    assert {later.pts_s - earlier.pts_s for earlier, later in pairwise(frames)} == {Fraction(1, 30)}
    loudness = run_ffmpeg("-i", str(CLIP), "-map", "0:a", "-ac", "1", "-ar", "8000", "-f", "s16le", "-")
    peaks = [max(loudness[start : start + 16_000][1::2]) for start in range(0, len(loudness) - 16_000, 16_000)]
    assert all(peaks)


def test_clip_is_cut_at_its_key_frames_every_two_seconds() -> None:
    segments = clip_segments()
    assert len(segments) == 12
    assert [len(decoded_frames(segment)) for segment in segments] == [60] * 12
