"""What a benchmark transcodes: a local media playlist with its segments, a media file that is cut, or the demo's clip.

A playlist is read as the reference's benchmark does (video.md 7.13): segments relative to it, durations as it states
them. What no gateway would send is refused with its reason: other playlists, encrypted or fragmented media, addresses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from baton.kernel.redaction import printable
from baton.selftest import segmenter

__all__ = ["BenchSegment", "BenchSource", "SourceError", "open_source", "read_playlist"]

_LARGEST_PLAYLIST_BYTES = 16 << 20
_LARGEST_SEGMENT_BYTES = 300_000_000
_MOST_SEGMENTS = 100_000
_LONGEST_SEGMENT_S = 300.0
_MOST_OF_A_FILE_S = 120.0
"""A benchmark repeats what it has; a film need not be cut to its end."""
_REFUSED_TAGS = (
    ("#EXT-X-STREAM-INF", "is a list of playlists; name one of them"),
    ("#EXT-X-MAP", "holds fragmented MP4; gateways send MPEG-TS or whole MP4 segments"),
    ("#EXT-X-BYTERANGE", "holds byte ranges of files; segments must be files"),
    ("#EXT-X-KEY:METHOD=AES", "is encrypted"),
    ("#EXT-X-KEY:METHOD=SAMPLE", "is encrypted"),
)


class SourceError(Exception):
    """Nothing that could be transcoded; the text says why, for the person who named it."""


@dataclass(frozen=True, slots=True)
class BenchSegment:
    """One segment on disk."""

    path: Path
    duration_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BenchSource:
    """Segments in order, and what to call them."""

    name: str
    segments: tuple[BenchSegment, ...]
    words: str = ""
    """What is known of the video itself."""
    notes: tuple[str, ...] = ()

    @property
    def typical(self) -> "tuple[BenchSegment, ...]":
        """Without the remnants at joints and ends: segments at least half as long as the median one.

        A session that waits its turn behind others cannot do a remnant in real time, however fast the machine is.
        """
        lengths = sorted(segment.duration_s for segment in self.segments)
        least_s = lengths[len(lengths) // 2] / 2
        return tuple(segment for segment in self.segments if segment.duration_s >= least_s)


async def open_source(path: Path, *, folder: Path, most_segments: int) -> BenchSource:
    """The segments of a playlist, or of a media file that is cut into ``folder``; at most ``most_segments``, 0 for all.

    Raises:
        SourceError: no such file, nothing in it, or nothing that a gateway would send.
    """
    if _is_playlist(path):
        return read_playlist(path, most_segments=most_segments)
    try:
        cut = await segmenter.cut(path, folder, limit_s=_MOST_OF_A_FILE_S)
    except segmenter.SegmentError as error:
        raise SourceError(str(error)) from error
    segments = [_segment(each.path, each.duration_ms / 1000) for each in cut.segments]
    words = f"{cut.codec} {cut.width_px}x{cut.height_px}, {cut.fps:.5g} frames per second"
    return BenchSource(path.name, tuple(segments[: most_segments or None]), words, cut.notes)


def _is_playlist(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(b"\xef\xbb\xbf#EXTM3U")).removeprefix(b"\xef\xbb\xbf").startswith(b"#EXTM3U")
    except IsADirectoryError as error:
        message = f"{path} is a directory"
        raise SourceError(message) from error
    except OSError as error:
        message = f"{path}: {error.strerror or error}"
        raise SourceError(message) from error


def read_playlist(path: Path, *, most_segments: int) -> BenchSource:
    """The segments of a media playlist, each of them there.

    Raises:
        SourceError: it is none, names what is missing, or names nothing.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST_PLAYLIST_BYTES + 1)
    if len(content) > _LARGEST_PLAYLIST_BYTES:
        message = f"{path} is larger than 16 MiB"
        raise SourceError(message)
    segments: list[BenchSegment] = []
    for number, duration_s, name in _entries(content.decode("utf-8-sig", errors="replace"), path):
        if "://" in name:
            message = f"{path}:{number}: only local files can be measured, not {printable(name, limit=120)!r}"
            raise SourceError(message)
        segments.append(_segment(path.parent / name, duration_s))
        if len(segments) in {most_segments, _MOST_SEGMENTS}:
            break
    if not segments:
        message = f"{path} names no segment"
        raise SourceError(message)
    return BenchSource(path.name, tuple(segments))


def _entries(text: str, path: Path) -> Iterator[tuple[int, float, str]]:
    """Line number, duration in seconds and name of each segment."""
    duration_s: float | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        for tag, reason in _REFUSED_TAGS:
            if line.startswith(tag):
                message = f"{path} {reason}"
                raise SourceError(message)
        if line.startswith("#EXTINF:"):
            duration_s = _duration_s(line, f"{path}:{number}")
        elif line and not line.startswith("#"):
            if duration_s is None:
                message = f"{path}:{number}: a segment without #EXTINF"
                raise SourceError(message)
            yield number, duration_s, line
            duration_s = None


def _duration_s(line: str, where: str) -> float:
    text = line.removeprefix("#EXTINF:").partition(",")[0].strip()
    try:
        duration_s = float(text)
    except ValueError:
        duration_s = 0.0
    if not 0 < duration_s <= _LONGEST_SEGMENT_S:
        message = f"{where}: a segment's duration must be seconds up to 300, not {printable(text, limit=40)!r}"
        raise SourceError(message)
    return duration_s


def _segment(path: Path, duration_s: float) -> BenchSegment:
    try:
        size_bytes = path.stat().st_size if path.is_file() else -1
    except (OSError, ValueError):
        size_bytes = -1
    if size_bytes < 0:
        message = f"no such segment: {printable(str(path), limit=300)}"
        raise SourceError(message)
    if not 0 < size_bytes <= _LARGEST_SEGMENT_BYTES:
        message = f"segment {printable(str(path), limit=300)} has {size_bytes} bytes; gateways send 1 to 300,000,000"
        raise SourceError(message)
    return BenchSegment(path.resolve(), duration_s, size_bytes)
