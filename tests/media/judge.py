"""An independent opinion on media: what the FFmpeg binary of the tests reads and decodes from a file."""

import re
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from tests.media.samples import ffmpeg, run_ffmpeg

__all__ = ["Entry", "decoded_frames", "least_psnr_db", "packets", "time_base"]

_NO_SUCH_STREAM = ("does not contain any stream", "sample rate not set", "dimensions not set")
"""How FFmpeg says that a track is absent, or announced without one packet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One packet or one decoded frame. Times are seconds."""

    dts_s: Fraction
    pts_s: Fraction
    size_bytes: int
    md5: str


def decoded_frames(*paths: Path, stream: str = "v:0") -> tuple[Entry, ...]:
    """Decode the stream of the concatenated files; size and hash are those of the raw picture."""
    return _framemd5(paths, stream, ("-fps_mode", "passthrough", "-enc_time_base", "demux"))


def packets(*paths: Path, stream: str) -> tuple[Entry, ...]:
    """Read the coded packets of the stream of the concatenated files, decoding nothing."""
    return _framemd5(paths, stream, ("-c", "copy"))


def least_psnr_db(one: Path, other: Path) -> float:
    """The worst of the planes' mean likeness of two videos, frame by frame in order, whatever their times."""
    by_place = "[0:v]setpts=N[a];[1:v]setpts=N[b];[a][b]psnr"
    command = [
        ffmpeg(),
        "-nostdin",
        "-hide_banner",
        "-i",
        str(one),
        "-i",
        str(other),
        "-lavfi",
        by_place,
        "-f",
        "null",
        "-",
    ]
    words = subprocess.run(command, capture_output=True, timeout=60, check=True).stderr.decode(errors="replace")
    found = re.search(r"PSNR y:(\S+) u:(\S+) v:(\S+)", words)
    assert found is not None, words
    return min(float(value) for value in found.groups())


def time_base(path: Path, *, stream: str = "v:0") -> Fraction:
    """Unit of the time stamps of a stream, in seconds."""
    text = run_ffmpeg("-copyts", "-i", str(path), "-map", f"0:{stream}", "-c", "copy", "-f", "framemd5", "-").decode()
    return _unit(text)


def _framemd5(paths: tuple[Path, ...], stream: str, how: tuple[str, ...]) -> tuple[Entry, ...]:
    source = "concat:" + "|".join(map(str, paths)) if len(paths) > 1 else str(paths[0])
    others = {"v": ("-an",), "a": ("-vn",)}[stream[0]]
    arguments = ("-copyts", "-noautorotate", "-i", source, "-map", f"0:{stream}?", *others, "-sn", "-dn", *how)
    try:
        text = run_ffmpeg(*arguments, "-f", "framemd5", "-").decode()
    except RuntimeError as error:
        if any(words in str(error) for words in _NO_SUCH_STREAM):
            return ()
        raise
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    if not lines:
        return ()
    unit = _unit(text)
    rows = [[field.strip() for field in line.split(",")] for line in lines]
    return tuple(
        Entry(dts_s=int(row[1]) * unit, pts_s=int(row[2]) * unit, size_bytes=int(row[4]), md5=row[5]) for row in rows
    )


def _unit(text: str) -> Fraction:
    line = next(line for line in text.splitlines() if line.startswith("#tb 0:"))
    return Fraction(line.split(":", 1)[1].strip())
