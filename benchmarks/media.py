"""What benchmarks stream: the demo's clip at 720p, and the same clip made larger at 1080p, cut into segments of 2 s."""

from dataclasses import dataclass
from pathlib import Path

from baton.selftest import segmenter
from baton.selftest.demonstration import CLIP
from baton.selftest.inspector import run_bounded
from benchmarks.ladders import LADDER_720, LADDER_1080, Ladder

__all__ = ["SOURCES", "Material", "make_source"]

SOURCES: dict[str, tuple[Ladder, float]] = {"720p": (LADDER_720, 24.0), "1080p": (LADDER_1080, 16.0)}
"""The ladder of each source, and seconds of video that all streams together send in a round."""


@dataclass(frozen=True, slots=True)
class Material:
    """A cut source, its segments in memory."""

    name: str
    source: segmenter.Source
    data: tuple[bytes, ...]


async def make_source(name: str, ffmpeg: str, folder: Path, *, seconds: float) -> Material:
    """The source called ``name``, ``seconds`` of it.

    Raises:
        RuntimeError: FFmpeg could not make it.
        SegmentError: it could not be cut.
    """
    folder.mkdir()  # noqa: ASYNC240 -- a moment's work, and nothing else runs
    clip = CLIP if name == "720p" else await _larger(ffmpeg, folder / "large.mp4", seconds)
    source = await segmenter.cut(clip, folder, limit_s=seconds)
    return Material(name, source, tuple(segment.path.read_bytes() for segment in source.segments))


async def _larger(ffmpeg: str, path: Path, seconds: float) -> Path:
    """The clip at 1920x1080, with a little noise for the detail that enlarging does not bring."""
    command = (
        *(ffmpeg, "-hide_banner", "-loglevel", "error", "-y", "-i", str(CLIP), "-t", str(seconds)),
        *("-vf", "scale=1920:1080:flags=lanczos,noise=alls=6:allf=t", "-c:v", "libx264", "-preset", "veryfast"),
        *("-b:v", "6M", "-maxrate", "6M", "-bufsize", "6M", "-force_key_frames", "expr:gte(t,n_forced*2)"),
        *("-pix_fmt", "yuv420p", "-c:a", "copy", str(path)),
    )
    finished = await run_bounded(command, timeout_s=300)
    if finished.returncode:
        message = f"the larger source could not be made: {finished.stderr.strip()[-300:]}"
        raise RuntimeError(message)
    return path
