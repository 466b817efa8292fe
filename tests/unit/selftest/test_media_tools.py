"""Cutting and looking into media: segments run on without a gap, two engines agree, hostile files harm nobody."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from baton.selftest import segmenter
from baton.selftest.inspector import InspectError, Inspector, run_bounded
from baton.selftest.mediafacts import parse_reports
from tests.unit.selftest.made import FFMPEG, Fixture, make_clip, run_ffmpeg

pytestmark = pytest.mark.media


def cut(clip: Path, folder: Path, *, limit_s: float = 30.0) -> segmenter.Source:
    return asyncio.run(segmenter.cut(clip, folder, limit_s=limit_s))


def test_segments_hold_the_whole_clip_without_a_gap(streamed_clip: Fixture) -> None:
    inspector = Inspector(ffmpeg=FFMPEG)
    source = streamed_clip.source
    facts = [asyncio.run(inspector.inspect(segment.path)) for segment in source.segments]
    assert [segment.duration_ms for segment in source.segments] == [2000, 2000]
    assert [one.frames for one in facts] == [60, 60]
    assert facts[0].frame_pts[0] == 900_000
    times = [at for one in facts for at in one.frame_pts]
    assert {later - earlier for earlier, later in pairwise(times)} == {3000}
    decode = [at for one in facts for at in one.packet_dts]
    assert all(later > earlier for earlier, later in pairwise(decode))
    whole = streamed_clip.clip.with_suffix(".ts")
    run_ffmpeg("-i", str(streamed_clip.clip), "-c", "copy", str(whole))
    uncut = asyncio.run(inspector.inspect(whole))
    assert tuple(h for one in facts for h in one.audio_hashes) == uncut.audio_hashes
    assert (source.codec, source.width_px, source.height_px, source.capability_ids) == ("h264", 320, 180, (0,))


def test_limit_ends_at_a_key_frame(streamed_clip: Fixture, tmp_path: Path) -> None:
    assert [s.duration_ms for s in cut(streamed_clip.clip, tmp_path, limit_s=2).segments] == [2000]


def test_both_engines_see_the_same(streamed_clip: Fixture) -> None:
    path = streamed_clip.source.segments[0].path
    assert asyncio.run(Inspector(ffmpeg=FFMPEG).inspect(path)) == asyncio.run(Inspector(ffmpeg=None).inspect(path))


@pytest.mark.parametrize(
    ("name", "video", "ids"),
    [
        ("a.mkv", ("libx264", "-profile:v", "high10", "-vf", "format=yuv420p10le"), (0,)),
        ("b.mp4", ("libx265", "-x265-params", "log-level=error"), (15,)),
    ],
)
def test_other_codecs_and_containers_travel(
    tmp_path: Path, name: str, video: tuple[str, ...], ids: tuple[int, ...]
) -> None:
    source = cut(make_clip(tmp_path / name, seconds=1, video=video), tmp_path)
    assert source.capability_ids == ids
    facts = asyncio.run(Inspector.best().inspect(source.segments[0].path))
    assert facts.frames == 30


def test_ten_bit_is_said_to_the_orchestrator(tmp_path: Path) -> None:
    clip = tmp_path / "ten.mp4"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=1"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p10le", str(clip)),
    )
    source = cut(clip, tmp_path)
    assert source.capability_ids == (0, 25)
    assert asyncio.run(Inspector.best().inspect(source.segments[0].path)).audio_hashes == ()


def test_streams_with_open_gops_are_cut_into_segments_that_decode_alone(tmp_path: Path) -> None:
    clip = tmp_path / "open.mkv"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=5", "-f", "lavfi", "-i", "sine=d=5"),
        *("-c:v", "libx264", "-x264-params", "open-gop=1:keyint=30:bframes=3", "-pix_fmt", "yuv420p"),
        *("-c:a", "libmp3lame", str(clip)),
    )
    source = cut(clip, tmp_path)
    assert len(source.segments) == 3
    assert source.notes == ()
    for segment in source.segments:
        facts = asyncio.run(Inspector(ffmpeg=FFMPEG).inspect(segment.path))
        assert facts.frames >= segment.duration_ms * 30 // 1000 - 3  # pictures that lean on the segment before may go
        assert facts.audio_hashes


def test_codec_that_no_orchestrator_takes_is_named(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "v.mkv", seconds=1, video=("libvpx-vp9", "-deadline", "realtime"))
    with pytest.raises(segmenter.SegmentError, match="video codec vp9 cannot be sent"):
        cut(clip, tmp_path)


def test_audio_that_does_not_fit_is_left_out_with_a_note(tmp_path: Path) -> None:
    clip = tmp_path / "pcm.mkv"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=1", "-f", "lavfi", "-i", "sine=d=1"),
        *("-c:v", "libx264", "-c:a", "pcm_s16le", str(clip)),
    )
    source = cut(clip, tmp_path)
    assert source.notes == ("audio codec pcm_s16le does not fit into MPEG-TS: sent without audio",)


def test_files_without_video_are_refused_in_words(tmp_path: Path) -> None:
    sound = tmp_path / "a.m4a"
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac", str(sound))
    text = tmp_path / "notes.txt"
    text.write_text("no video here\n" * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(segmenter.SegmentError, match="no video"):
        cut(sound, tmp_path)
    with pytest.raises(segmenter.SegmentError, match=r"read as video: damaged, or no video file$"):
        cut(text, tmp_path)
    with pytest.raises(segmenter.SegmentError, match="the file is empty"):
        cut(empty, tmp_path)
    with pytest.raises(segmenter.SegmentError, match="no such file"):
        cut(tmp_path / "missing.mp4", tmp_path)


def test_playlist_is_not_followed_by_the_cutter(tmp_path: Path, streamed_clip: Fixture) -> None:
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/{streamed_clip.clip.name}\n")
    with pytest.raises(segmenter.SegmentError):
        cut(playlist, tmp_path)


@pytest.mark.parametrize("engine", [FFMPEG, None], ids=["ffmpeg", "pyav"])
@pytest.mark.parametrize("content", [b"", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"\x47" * 5000, bytes(3000)])
def test_what_is_not_media_is_an_error_not_a_verdict(tmp_path: Path, engine: str | None, content: bytes) -> None:
    file = tmp_path / "x.ts"
    file.write_bytes(content)
    with pytest.raises(InspectError):
        asyncio.run(Inspector(ffmpeg=engine).inspect(file))


def test_damage_is_noticed(tmp_path: Path, streamed_clip: Fixture) -> None:
    data = bytearray(streamed_clip.source.segments[0].path.read_bytes())
    for at in range(3000, len(data), 500):
        data[at] ^= 0xFF
    file = tmp_path / "damaged.ts"
    file.write_bytes(data)
    facts = asyncio.run(Inspector(ffmpeg=FFMPEG).inspect(file))
    assert facts.complaints


def test_child_that_does_not_end_is_ended() -> None:
    with pytest.raises(InspectError, match=r"sleep did not finish within 0\.2 s"):
        asyncio.run(run_bounded(("sleep", "60"), timeout_s=0.2))


def test_child_that_talks_without_end_is_cut_short() -> None:
    finished = asyncio.run(run_bounded(("head", "-c", "3000000", "/dev/zero"), timeout_s=20))
    assert (finished.returncode, len(finished.stdout)) == (0, 1 << 20)


@pytest.mark.parametrize("frames", ["1, 2\n", "0, 1, 1, 1, 4, x\n", "#tb 0: 1/0\n", "#tb x: 1/2\n"])
def test_reports_that_are_none_are_refused(frames: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- any text will do
        parse_reports(frames=frames, packets="")


def test_reports_are_read_on_the_clock_of_mpeg_ts() -> None:
    frames = "#tb 0: 1/30\n#dimensions 0: 4x2\n#tb 1: 1/44100\n0, 30, 30, 1, 8, aa\n1, 44100, 44100, 1024, 5, bb\n"
    facts = parse_reports(frames=frames, packets="#tb 0: 1/90000\n0, 84000, 90000, 3000, 50, 0x1, F=0x0\n")
    assert facts.frame_pts == (90_000,)
    assert (facts.pixels, facts.width_px, facts.height_px) == (8, 4, 2)
    assert facts.packet_dts == (84_000,)
    assert facts.audio_hashes == ("bb",)
