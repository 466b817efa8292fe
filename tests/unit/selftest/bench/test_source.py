"""Playlists and files as sources: what is read, and what is refused with which reason."""

import asyncio
from pathlib import Path

import pytest

from baton.selftest.bench.source import BenchSegment, BenchSource, SourceError, open_source, read_playlist


def playlist(folder: Path, *lines: str, files: tuple[str, ...] = ("a.ts", "b.ts", "c.ts")) -> Path:
    for name in files:
        (folder / name).write_bytes(bytes(188))
    path = folder / "x.m3u8"
    path.write_text("\n".join(("#EXTM3U", *lines)))
    return path


def opened(path: Path, folder: Path, *, most_segments: int = 0) -> BenchSource:
    return asyncio.run(open_source(path, folder=folder, most_segments=most_segments))


MEDIA = (
    *("#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:3", "", "#EXTINF:2.002,title, with comma", "a.ts"),
    *("# a comment", "#EXT-X-DISCONTINUITY", "#EXTINF:2", "b.ts", "#EXTINF:0.5,", "c.ts", "#EXT-X-ENDLIST"),
)


def test_segments_lie_beside_their_playlist_and_last_as_it_says(tmp_path: Path) -> None:
    source = opened(playlist(tmp_path, *MEDIA), tmp_path)
    assert source.name == "x.m3u8"
    assert source.segments == (
        BenchSegment(tmp_path / "a.ts", 2.002, 188),
        BenchSegment(tmp_path / "b.ts", 2.0, 188),
        BenchSegment(tmp_path / "c.ts", 0.5, 188),
    )
    assert [segment.path.name for segment in source.typical] == ["a.ts", "b.ts"]


def test_no_more_segments_than_asked_for(tmp_path: Path) -> None:
    path = playlist(tmp_path, *MEDIA, files=("a.ts",))
    assert len(read_playlist(path, most_segments=1).segments) == 1
    with pytest.raises(SourceError, match=r"no such segment: .*b\.ts"):
        read_playlist(path, most_segments=2)


def test_mark_and_carriage_returns_are_no_matter(tmp_path: Path) -> None:
    path = playlist(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf#EXTM3U\r\n#EXTINF:2,\r\na.ts\r\n")
    assert opened(path, tmp_path).segments[0].duration_s == 2.0


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((), "names no segment"),
        (("#EXT-X-STREAM-INF:BANDWIDTH=1", "low.m3u8"), "list of playlists"),
        (('#EXT-X-MAP:URI="init.mp4"', "#EXTINF:2,", "a.ts"), "fragmented MP4"),
        (("#EXTINF:2,", "#EXT-X-BYTERANGE:10@0", "a.ts"), "byte ranges"),
        (('#EXT-X-KEY:METHOD=AES-128,URI="k"', "#EXTINF:2,", "a.ts"), "encrypted"),
        (("a.ts",), "x.m3u8:2: a segment without #EXTINF"),
        (("#EXTINF:2,", "a.ts", "b.ts"), "x.m3u8:4: a segment without #EXTINF"),
        (("#EXTINF:0,", "a.ts"), "must be seconds up to 300, not '0'"),
        (("#EXTINF:nan,", "a.ts"), "not 'nan'"),
        (("#EXTINF:301,", "a.ts"), "not '301'"),
        (("#EXTINF:-2,", "a.ts"), "not '-2'"),
        (("#EXTINF:x\x1b[2J,", "a.ts"), r"not 'x\\+x1b\[2J'"),
        (("#EXTINF:2,", "https://o.example/a.ts"), "x.m3u8:3: only local files"),
        (("#EXTINF:2,", "d.ts"), "no such segment"),
        (("#EXTINF:2,", "a\0.ts"), "no such segment"),
        (("#EXTINF:2,", "."), "no such segment"),
    ],
)
def test_playlist_that_cannot_be_measured(lines: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=reason):
        opened(playlist(tmp_path, *lines), tmp_path)


def test_empty_segment_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = playlist(tmp_path, "#EXTINF:2,", "a.ts")
    (tmp_path / "a.ts").write_bytes(b"")
    with pytest.raises(SourceError, match="has 0 bytes"):
        opened(path, tmp_path)


def test_endless_playlist_is_not_read(tmp_path: Path) -> None:
    path = playlist(tmp_path, "#" * (16 << 20))
    with pytest.raises(SourceError, match="16 MiB"):
        opened(path, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("missing.mp4", None, "No such file"), ("empty.mp4", b"", "empty"), ("noise.mp4", bytes(9000), "no video file")],
)
def test_file_that_is_no_video(name: str, content: bytes | None, reason: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=reason):
        opened(tmp_path / name, tmp_path)


def test_directory_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a directory"):
        opened(tmp_path, tmp_path)
