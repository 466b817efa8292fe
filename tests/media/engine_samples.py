"""Sources that the engine's known-answer vectors describe, and short words for asking the engine."""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
from av.container import InputContainer

from baton.kernel.profiles import VideoProfile
from baton.media.engine.transcode import transcode
from baton.media.job import Clip, EncoderTuning, TranscodeOutput, TranscodeRequest
from tests.media import judge, samples
from tests.media.judge import Entry
from tests.media.samples import run_ffmpeg

__all__ = [
    "FAST",
    "PLAIN",
    "ask",
    "decode",
    "key_frames",
    "made",
    "opened",
    "picture",
    "ticks",
    "vector_segments",
    "vector_whole",
]

FAST = EncoderTuning(preset="ultrafast", threads=1)
PLAIN = VideoProfile(name="plain", width=256, height=144, bitrate_bps=200_000)
"""A rendition as small as gateways ask for."""


def ask(path: Path, *profiles: VideoProfile, clip: Clip | None = None, tuning: EncoderTuning = FAST) -> TranscodeOutput:
    """Transcode ``path`` as a child would."""
    return transcode(TranscodeRequest(input_path=str(path), profiles=profiles, clip=clip, tuning=tuning))


def decode(data: bytes, *, extension: str = ".ts") -> tuple[Entry, ...]:
    """What an independent FFmpeg decodes from a rendition."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"rendition{extension}"
        path.write_bytes(data)
        return judge.decoded_frames(path)


def ticks(entries: tuple[Entry, ...]) -> list[int]:
    """Presentation times in 1/90000 s."""
    return [int(entry.pts_s * 90_000) for entry in entries]


@contextmanager
def opened(data: bytes) -> Iterator[InputContainer]:
    """A rendition in the hands of the codec library."""
    with av.open(io.BytesIO(data), mode="r") as container:
        yield container


def key_frames(data: bytes) -> int:
    """How many coded frames of a rendition are key frames."""
    with opened(data) as container:
        return sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size)


def made(name: str, make: Callable[[Path], None]) -> Path:
    """A folder filled once per machine by ``make``; change ``name`` when the recipe changes."""
    return samples._keep(f"engine-{name}", make)


@cache
def vector_segments() -> tuple[Path, ...]:
    """The four 2 s segments of the 60 frames/s source that the frame and timestamp vectors speak of (video.md 10.8).

    Its times are whole milliseconds, rounded down, and begin at frame 86: 128970 ticks.
    """

    def make(folder: Path) -> None:
        picture = "testsrc2=size=1280x720:rate=60:duration=8,settb=1/1000,setpts=floor((N+86)*1000/60)"
        coding = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "32", "-g", "120", "-sc_threshold", "0"]
        times = ["-fps_mode", "passthrough", "-enc_time_base", "1/90000", "-copyts", "-muxdelay", "0"]
        cut = ["-f", "segment", "-segment_format", "mpegts", "-segment_frames", "120,240,360"]
        options = ["-segment_format_options", "mpegts_copyts=1", "-reset_timestamps", "0"]
        run_ffmpeg("-f", "lavfi", "-i", picture, *coding, *times, *cut, *options, str(folder / "%d.ts"))

    return tuple(sorted(made("vectors", make).iterdir()))


@cache
def vector_whole(*, frames: int = 480) -> Path:
    """The first frames of the vector source in one file."""

    def make(folder: Path) -> None:
        source = "concat:" + "|".join(map(str, vector_segments()))
        cut = ["-c", "copy", "-frames:v", str(frames), "-muxdelay", "0", "-f", "mpegts", "-mpegts_copyts", "1"]
        run_ffmpeg("-copyts", "-i", source, *cut, str(folder / "whole.ts"))

    return made(f"whole-{frames}", make) / "whole.ts"


@cache
def picture(
    *,
    width_px: int = 320,
    height_px: int = 180,
    rate: Fraction = Fraction(25),
    frames: int = 5,
    pixel_format: str = "yuv420p",
    times: str = "",
    container: str = "mpegts",
    coding: tuple[str, ...] = ("-c:v", "libx264", "-preset", "ultrafast"),
) -> Path:
    """A short stream of one size; ``times`` is a setpts expression, in the frame rate's ticks."""

    # The test source has even sides only.
    chain = f"format={pixel_format},scale={width_px}:{height_px}" + (f",setpts={times}" if times else "")
    made_of = ["-f", "lavfi", "-i", f"testsrc2=size={width_px}x{height_px}:rate={rate}", "-frames:v", str(frames)]
    output = ["-fps_mode", "passthrough", "-muxdelay", "0", "-muxpreload", "0", "-f", container]
    recipe = ["-copyts", *made_of, "-vf", chain, *coding, *output]
    name = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
    return made(f"picture-{name}", lambda folder: _run(recipe, folder / "picture")) / "picture"


def _run(recipe: list[str], target: Path) -> None:
    run_ffmpeg(*recipe, str(target))
