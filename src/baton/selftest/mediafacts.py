"""What a judge of media needs to know about one file: frames, pixels, timestamps and audio packets. Pure values.

Timestamps are ticks of 1/90000 s, the clock of MPEG-TS. The reports parsed here are FFmpeg's ``framehash`` and
``framecrc`` texts: comment lines, then one line per frame or packet
(stream, dts, pts, duration, bytes, hash).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["TICKS_PER_S", "MediaFacts", "parse_reports"]

TICKS_PER_S = 90_000
_FIELDS = 6


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """One media file as an independent decoder sees it."""

    frame_pts: tuple[int, ...]
    """Presentation times of the decoded frames, in order of output."""
    frame_px: tuple[int, ...]
    """Width times height of each decoded frame."""
    width_px: int
    height_px: int
    packet_dts: tuple[int, ...]
    """Decode times of the video packets, in order of the file."""
    audio_hashes: tuple[str, ...]
    """MD5 of each audio packet."""
    complaints: tuple[str, ...] = ()
    """What the decoder had to say about the file; a good file leaves it silent."""

    @property
    def frames(self) -> int:
        """Decoded frames."""
        return len(self.frame_pts)

    @property
    def pixels(self) -> int:
        """Decoded pixels: what a gateway counts and compares with the reported number (video.md 7.6)."""
        return sum(self.frame_px)


@dataclass(frozen=True, slots=True)
class _Row:
    stream: int
    dts: int
    pts: int
    size_bytes: int
    hash: str


def _ticks(value: str, base: Fraction) -> int:
    return round(int(value) * base * TICKS_PER_S)


def _rows(text: str) -> Iterator[_Row]:
    bases: dict[int, Fraction] = {}
    for line in text.splitlines():
        if line.startswith("#tb "):
            stream, _, stated = line[4:].partition(":")
            bases[int(stream)] = Fraction(stated.strip())
        elif line and not line.startswith("#"):
            fields = [field.strip() for field in line.split(",")]
            if len(fields) < _FIELDS:
                message = f"unexpected report line: {line[:80]!r}"
                raise ValueError(message)
            stream_id = int(fields[0])
            base = bases[stream_id]
            yield _Row(stream_id, _ticks(fields[1], base), _ticks(fields[2], base), int(fields[4]), fields[5])


def _dimensions(text: str) -> tuple[int, int]:
    for line in text.splitlines():
        if line.startswith("#dimensions 0:"):
            width, _, height = line.partition(":")[2].strip().partition("x")
            return int(width), int(height)
    return 0, 0


def parse_reports(*, frames: str, packets: str, complaints: tuple[str, ...] = ()) -> MediaFacts:
    """Facts from two reports.

    ``frames`` holds decoded 8-bit grey frames (stream 0) and copied audio packets (stream 1), ``packets`` the copied
    video packets.

    Raises:
        ValueError: not such reports.
    """
    try:
        decoded = tuple(_rows(frames))
        copied = tuple(_rows(packets))
    except (KeyError, ZeroDivisionError) as error:
        message = f"unexpected report: {error}"
        raise ValueError(message) from error
    width_px, height_px = _dimensions(frames)
    return MediaFacts(
        frame_pts=tuple(row.pts for row in decoded if row.stream == 0),
        frame_px=tuple(row.size_bytes for row in decoded if row.stream == 0),
        width_px=width_px,
        height_px=height_px,
        packet_dts=tuple(row.dts for row in copied),
        audio_hashes=tuple(row.hash for row in decoded if row.stream == 1),
        complaints=complaints,
    )
