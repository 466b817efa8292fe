"""Short real segments made by an independent FFmpeg, and what that FFmpeg says about renditions.

The binary is the one of the ``imageio-ffmpeg`` wheel: not the library the node transcodes with.
"""

import functools
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

__all__ = [
    "FrameLine",
    "audio_packet_hashes",
    "decoded_frames",
    "decoded_px",
    "key_frames",
    "make_file",
    "make_segments",
    "make_segments_at",
    "packet_times",
]


@functools.cache
def ffmpeg_binary() -> str:
    """Path of the independent FFmpeg."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _run(arguments: list[str], *, level: str = "error", stderr: bool = False) -> bytes:
    command = [ffmpeg_binary(), "-v", level, "-nostdin", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=55, check=False)
    if done.returncode:
        message = f"ffmpeg {' '.join(arguments)}: {done.stderr.decode(errors='replace')[-500:]}"
        raise AssertionError(message)
    return done.stderr if stderr else done.stdout


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A file that holds ``data``: some containers are only read whole when the reader can seek."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.name


def make_segments(
    folder: Path, *, count: int = 3, seconds: int = 2, size: str = "320x180", rate: int = 30, noise: bool = False
) -> tuple[bytes, ...]:
    """``count`` MPEG-TS segments of one stream: a moving picture with AAC sound, a key frame at each joint.

    ``noise`` makes the picture expensive to encode, for tests that need a segment to take its time.
    """
    picture = f"testsrc2=size={size}:rate={rate}" + (",noise=alls=60:allf=t" if noise else "")
    total = count * seconds
    _run(
        [
            *["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"],
            *["-t", str(total), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", str(rate)],
            *["-force_key_frames", f"expr:gte(t,n_forced*{seconds})", "-c:a", "aac", "-b:a", "64k"],
            *["-f", "segment", "-segment_time", str(seconds), "-segment_format", "mpegts"],
            str(folder / "%03d.ts"),
        ]
    )
    made = sorted(folder.glob("*.ts"))[:count]
    assert len(made) == count, f"asked for {count} segments, got {len(made)}"
    return tuple(path.read_bytes() for path in made)


def make_segments_at(folder: Path, *, start_ms: int, seconds: int, cut_s: int, rate: int) -> tuple[bytes, ...]:
    """MPEG-TS segments of one silent stream whose frames are stamped in whole milliseconds from ``start_ms`` on."""
    stamps = f"settb=1/1000,setpts={start_ms}+round(N*1000/{rate})"
    whole = folder / "whole.ts"
    _run(
        [
            *["-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={rate}:duration={seconds}", "-vf", stamps, "-copyts"],
            *["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0", "-g", str(rate * cut_s)],
            *["-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-muxdelay", "0", "-muxpreload", "0"],
            *["-f", "mpegts", str(whole)],
        ]
    )
    _run(
        [
            *["-copyts", "-i", str(whole), "-c", "copy", "-muxdelay", "0", "-muxpreload", "0", "-f", "segment"],
            *["-segment_time", str(cut_s), "-segment_time_delta", "0.02", "-segment_format", "mpegts"],
            *["-segment_format_options", "mpegts_copyts=1", "-reset_timestamps", "0", str(folder / "%03d.ts")],
        ]
    )
    return tuple(path.read_bytes() for path in sorted(folder.glob("[0-9]*.ts")))


def packet_times(data: bytes) -> list[int]:
    """Presentation times of the video packets as they are stored, in shown order; 90 kHz in MPEG-TS."""
    return sorted(line.pts for line in _lines(data, "-map", "0:v:0", "-c", "copy", "-f", "framehash", "-hash", "md5"))


def make_file(folder: Path, name: str, *arguments: str) -> bytes:
    """Whatever ``arguments`` make FFmpeg write into ``name``."""
    path = folder / name
    _run([*arguments, "-y", str(path)])
    return path.read_bytes()


@dataclass(frozen=True, slots=True)
class FrameLine:
    """One decoded frame: presentation time in its stream's time base, its bytes as 8-bit 4:2:0, and their hash."""

    pts: int
    size_bytes: int
    digest: str


def _lines(data: bytes, *arguments: str) -> tuple[FrameLine, ...]:
    with _as_file(data) as path:
        output = _run(["-copyts", "-i", path, *arguments, "-"])
    rows = [line.split(",") for line in output.decode().splitlines() if line and not line.startswith("#")]
    return tuple(FrameLine(pts=int(r[2]), size_bytes=int(r[4]), digest=r[5].strip()) for r in rows)


def decoded_frames(data: bytes) -> tuple[FrameLine, ...]:
    """Every frame of the video, decoded and none dropped or repeated."""
    return _lines(
        data, "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "framehash", "-hash", "md5"
    )


def decoded_px(data: bytes) -> int:
    """Pixels of the decoded video: what a verifying gateway counts (video.md 7.6)."""
    return sum(frame.size_bytes for frame in decoded_frames(data)) * 2 // 3


def key_frames(data: bytes) -> list[int]:
    """Places of the key frames among the frames in the order they are shown."""
    arguments = ["-map", "0:v:0", "-vf", "showinfo", "-fps_mode", "passthrough", "-f", "null", "-"]
    with _as_file(data) as path:
        output = _run(["-i", path, *arguments], level="info", stderr=True)
    lines = [line for line in output.decode(errors="replace").splitlines() if " iskey:" in line]
    return [place for place, line in enumerate(lines) if " iskey:1 " in line]


def audio_packet_hashes(data: bytes) -> tuple[str, ...]:
    """Hashes of the audio packets, equal for a bit-exact copy (video.md 7.7).

    AAC is hashed without its ADTS headers, which MPEG-TS needs and MP4 has no place for.
    """
    bare = [] if data[4:8] == b"ftyp" else ["-bsf:a", "aac_adtstoasc"]
    lines = _lines(data, "-map", "0:a:0", "-c", "copy", *bare, "-f", "framehash", "-hash", "md5")
    return tuple(line.digest for line in lines)
