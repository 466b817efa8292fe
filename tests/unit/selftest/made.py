"""Small clips and honest renditions, made by the FFmpeg binary that also judges."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from baton.selftest import segmenter
from tests.unit.selftest.fake_orchestrator import Made

__all__ = ["FFMPEG", "Fixture", "make_clip", "run_ffmpeg", "transcode"]

FFMPEG = str(imageio_ffmpeg.get_ffmpeg_exe())


@dataclass(frozen=True, slots=True)
class Fixture:
    """A clip of four seconds at 30 frames per second with tone, and what an honest orchestrator makes of it."""

    clip: Path
    source: segmenter.Source
    renditions: dict[bytes, tuple[Made, ...]]


def run_ffmpeg(*arguments: str) -> None:
    subprocess.run([FFMPEG, "-v", "error", "-nostdin", "-y", *arguments], check=True, timeout=60)


def make_clip(path: Path, *, seconds: float = 4.0, video: tuple[str, ...] = ("libx264", "-bf", "2")) -> Path:
    run_ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s=320x180:r=30:d={seconds:g}"),
        *("-f", "lavfi", "-i", f"sine=r=44100:d={seconds:g}"),
        *("-c:v", *video, "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", str(path)),
    )
    return path


def transcode(segment: Path, output: Path, *filters: str) -> bytes:
    run_ffmpeg(
        *("-copyts", "-i", str(segment), "-map", "0:v", "-map", "0:a"),
        *("-vf", ",".join(("scale=256:144", *filters)), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0"),
        *("-enc_time_base", "demux", "-fps_mode", "passthrough", "-c:a", "copy"),
        *("-muxdelay", "0", "-muxpreload", "0", "-mpegts_copyts", "1", "-f", "mpegts", str(output)),
    )
    return output.read_bytes()
