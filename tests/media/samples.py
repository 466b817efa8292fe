"""Test media: every kind of stream that a gateway may send, made by an independent FFmpeg when a test asks for it.

A sample is a recipe and the facts that are known about its result. Results are kept in a folder of the machine's
temporary space, named by a hash of recipe and FFmpeg version, and moved into place whole, so parallel test processes
share them. Nothing is random: the same recipe gives the same frames.

Streams are cut at their key frames, 2 s each unless the recipe says otherwise, and keep one time line over all
segments, as live segmenters do.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import imageio_ffmpeg

import baton

__all__ = ["CLIP", "MATRIX", "SAMPLES", "SEGMENT_S", "Sample", "clip_segments", "ffmpeg", "run_ffmpeg"]

SEGMENT_S = 2
START_S = 10
"""Where streams start on their time line; B-frames make nothing negative there."""
CLIP = Path(baton.__file__).parent / "selftest" / "media" / "clip.mp4"
"""The clip in the repository: 24 s, 720p30, H.264 High with B-frames, AAC."""
_LIMIT_S = 120


def ffmpeg() -> str:
    """The FFmpeg binary that makes and judges test media; it shares no code with the engines under test."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def run_ffmpeg(*arguments: str, timeout_s: float = _LIMIT_S) -> bytes:
    """Run FFmpeg to its end and return what it printed on stdout; its own words are in the error otherwise."""
    command = [ffmpeg(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
    if done.returncode:
        message = f"ffmpeg {' '.join(arguments)}: {done.stderr.decode(errors='replace')}"
        raise RuntimeError(message)
    return done.stdout


@dataclass(frozen=True, slots=True)
class Sample:
    """One stream: how to make it, and what is true of it."""

    name: str
    width_px: int = 640
    height_px: int = 360
    rate: Fraction = Fraction(30)
    """Frames per second of the source before ``filters``."""
    duration_s: int = 6
    video: tuple[str, ...] = ("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-bf", "3")
    """Encoder options; empty for a stream without video."""
    filters: str = ""
    """Filters between the source picture and the encoder."""
    pixel_format: str = "yuv420p"
    audio: tuple[str, ...] = ("-c:a", "aac", "-b:a", "96k")
    """Encoder options; empty for a stream without audio."""
    audio_delay_s: int = 0
    container: str = "mpegts"
    start_s: int = START_S
    remux_input: tuple[str, ...] = ()
    """Input options of the cut, such as a display matrix."""
    remux: tuple[str, ...] = ()
    """Output options of the cut, such as a bit stream filter that damages packets."""
    cut: bool = True
    """Cut into segments; otherwise the stream is one segment."""
    damage: str = ""
    """What is done to the bytes of each segment afterwards: ``truncate`` or ``flip``."""
    segment_frames: tuple[int, ...] = (60, 60, 60)
    """Coded frames of each segment."""
    video_codec: str = "h264"
    audio_codec: str = "aac"
    decodes_whole: bool = True
    """Every coded frame of every segment decodes when the segment stands alone."""

    @property
    def frames(self) -> int:
        """Coded frames of the whole stream."""
        return sum(self.segment_frames)

    @property
    def has_video(self) -> bool:
        """Whether there are video frames."""
        return self.frames > 0

    @property
    def has_audio(self) -> bool:
        """Whether there is an audio track with packets in it."""
        return bool(self.audio)

    @property
    def extension(self) -> str:
        """File name ending of its segments."""
        return {"mpegts": ".ts", "mp4": ".mp4"}[self.container]

    def segments(self) -> tuple[Path, ...]:
        """The segment files in order; made now unless they are there already."""
        return tuple(sorted((_folder(self) / "segments").iterdir()))

    def whole(self) -> Path:
        """The uncut stream in one file, made before any damage was done."""
        return _folder(self) / f"whole{self.extension}"


def _encode_arguments(sample: Sample) -> list[str]:
    """Inputs, filters and encoders of the uncut stream."""
    arguments: list[str] = []
    size = f"{sample.width_px}x{sample.height_px}"
    if sample.video:
        source = f"testsrc2=size={size}:rate={sample.rate}:duration={sample.duration_s}"
        arguments += ["-f", "lavfi", "-i", source]
    if sample.audio:
        arguments += ["-itsoffset", str(sample.audio_delay_s), "-f", "lavfi"]
        tone = "aevalsrc='0.3*sin(2*PI*t*(330+110*floor(mod(t*2,4))))+0.05*random(0)|0.3*sin(2*PI*t*220)':s=48000"
        arguments += ["-i", f"{tone}:d={sample.duration_s - sample.audio_delay_s}"]
    if sample.video:
        chain = f"{sample.filters},format={sample.pixel_format}" if sample.filters else f"format={sample.pixel_format}"
        keys = f"expr:gte(t,n_forced*{SEGMENT_S})"
        arguments += ["-map", "0:v", "-vf", chain, "-fps_mode", "passthrough", "-force_key_frames", keys]
        arguments += ["-sc_threshold", "0", "-g", "9999", "-threads", "2", *sample.video]
    if sample.audio:
        arguments += ["-map", f"{int(bool(sample.video))}:a", *sample.audio]
    arguments += ["-flags", "+bitexact", "-fflags", "+bitexact", "-map_metadata", "-1"]
    if sample.container == "mpegts":
        arguments += ["-output_ts_offset", str(sample.start_s), "-muxdelay", "0", "-muxpreload", "0", "-f", "mpegts"]
    else:
        arguments += ["-f", "mp4", "-movflags", "+faststart"]
    return arguments


def _cut_arguments(sample: Sample) -> list[str]:
    """Muxer options that cut the stream, or copy it as one segment."""
    arguments = ["-map", "0", "-c", "copy", "-muxdelay", "0", "-muxpreload", "0", *sample.remux]
    if not sample.cut:
        return [*arguments, "-f", sample.container]
    arguments += ["-f", "segment", "-segment_format", sample.container, "-segment_time", str(SEGMENT_S)]
    arguments += ["-segment_time_delta", "0.05"]
    if sample.container == "mpegts":
        arguments += ["-segment_format_options", "mpegts_copyts=1"]
    return [*arguments, "-reset_timestamps", "0"]


@cache
def _folder(sample: Sample) -> Path:
    """Make the sample unless some process of this machine already did."""
    recipe = repr((sample, _encode_arguments(sample), _cut_arguments(sample), Path(ffmpeg()).name))
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return _keep(f"{sample.name}-{key}", lambda folder: _make(sample, folder))


def _keep(name: str, make: Callable[[Path], None]) -> Path:
    root = Path(os.environ.get("BATON_TEST_MEDIA", Path(tempfile.gettempdir()) / f"baton-test-media-{os.getuid()}"))
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    final = root / name
    if final.is_dir():
        return final
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=root))
    try:
        make(draft)
        draft.rename(final)
    except OSError:
        if not final.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return final


def _make(sample: Sample, folder: Path) -> None:
    whole = folder / f"whole{sample.extension}"
    run_ffmpeg(*_encode_arguments(sample), str(whole))
    target = folder / "segments"
    target.mkdir()
    pattern = target / (f"%03d{sample.extension}" if sample.cut else f"000{sample.extension}")
    run_ffmpeg(*sample.remux_input, "-copyts", "-i", str(whole), *_cut_arguments(sample), str(pattern))
    for segment in target.iterdir():
        _damage(segment, sample.damage)


def _damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "truncate":
        path.write_bytes(data[: len(data) * 6 // 10])
    elif how == "flip":
        # One flipped byte in each 1500 of the middle; the head, which holds the tables and the key frame, stays.
        for position in range(len(data) // 3, len(data), 1500):
            data[position] ^= 0x55
        path.write_bytes(data)


@cache
def clip_segments(count: int = 12) -> tuple[Path, ...]:
    """The first ``count`` 2 s segments of the repository's clip as MPEG-TS, on one time line that starts at 10 s."""
    key = hashlib.sha256(CLIP.read_bytes()).hexdigest()[:16]

    def make(folder: Path) -> None:
        options = ["-segment_format", "mpegts", "-segment_format_options", "mpegts_copyts=1", "-reset_timestamps", "0"]
        whole = str(folder / "whole.ts")
        offset = ["-output_ts_offset", str(START_S), "-muxdelay", "0", "-muxpreload", "0"]
        run_ffmpeg("-i", str(CLIP), "-map", "0", "-c", "copy", *offset, "-f", "mpegts", whole)
        times = ["-f", "segment", "-segment_time", str(SEGMENT_S)]
        cut = ["-copyts", "-i", whole, "-map", "0", "-c", "copy", "-muxdelay", "0", "-muxpreload", "0"]
        (folder / "segments").mkdir()
        run_ffmpeg(*cut, *times, *options, str(folder / "segments" / "%03d.ts"))

    return tuple(sorted((_keep(f"clip-{key}", make) / "segments").iterdir()))[:count]


_X264 = ("-c:v", "libx264", "-preset", "veryfast")
_X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params")
_X265_SET = "log-level=error:pools=2:open-gop=0"
_X265_OPEN = "log-level=error:pools=2:open-gop=1"
_BASE = Sample(name="h264_high")

MATRIX = (
    _BASE,
    replace(_BASE, name="h264_main", video=(*_X264, "-profile:v", "main", "-bf", "2")),
    replace(_BASE, name="h264_baseline", video=(*_X264, "-profile:v", "baseline")),
    replace(_BASE, name="no_audio", audio=()),
    replace(_BASE, name="h264_10bit", video=(*_X264, "-profile:v", "high10"), pixel_format="yuv420p10le"),
    replace(_BASE, name="h264_422", video=(*_X264, "-profile:v", "high422"), pixel_format="yuv422p"),
    replace(_BASE, name="hevc", video=(*_X265, _X265_SET), video_codec="hevc"),
    replace(_BASE, name="hevc_10bit", video=(*_X265, _X265_SET), pixel_format="yuv420p10le", video_codec="hevc"),
    replace(_BASE, name="vfr", filters="select='lt(mod(n,10),7)'", segment_frames=(42, 42, 42)),
    replace(_BASE, name="ntsc_29_97", rate=Fraction(30000, 1001), segment_frames=(60, 60, 60)),
    replace(_BASE, name="film_23_976", rate=Fraction(24000, 1001), segment_frames=(48, 48, 48)),
    replace(_BASE, name="pal_25", rate=Fraction(25), segment_frames=(50, 50, 50)),
    replace(_BASE, name="fps_60", rate=Fraction(60), segment_frames=(120, 120, 120)),
    replace(_BASE, name="fps_1", rate=Fraction(1), segment_frames=(2, 2, 2)),
    replace(
        _BASE,
        name="open_gop",
        video=(*_X264, "-bf", "3", "-x264-params", "open-gop=1"),
        # Frames shown before a key frame are coded after it, so they lie in its segment and cannot be decoded there.
        segment_frames=(60, 58, 62),
        decodes_whole=False,
    ),
    replace(
        _BASE,
        name="hevc_open_gop",
        video=(*_X265, _X265_OPEN),
        video_codec="hevc",
        segment_frames=(57, 60, 63),
        decodes_whole=False,
    ),
    replace(
        _BASE,
        name="interlaced",
        rate=Fraction(50),
        filters="tinterlace=interleave_top,setfield=tff",
        video=(*_X264, "-flags", "+ilme+ildct", "-x264-params", "tff=1"),
        segment_frames=(50, 50, 50),
    ),
    replace(_BASE, name="mp3_audio", audio=("-c:a", "libmp3lame", "-b:a", "96k"), audio_codec="mp3"),
    replace(_BASE, name="ac3_audio", audio=("-c:a", "ac3", "-b:a", "128k"), audio_codec="ac3"),
    replace(_BASE, name="mono_44100", audio=("-c:a", "aac", "-ac", "1", "-ar", "44100")),
    replace(_BASE, name="late_audio", audio_delay_s=3),
    replace(_BASE, name="mp4", container="mp4", start_s=0),
    replace(_BASE, name="rotated", container="mp4", start_s=0, remux_input=("-display_rotation", "90")),
    replace(_BASE, name="starts_at_zero", start_s=0),
    replace(_BASE, name="portrait", width_px=360, height_px=640),
    replace(_BASE, name="four_by_three", width_px=640, height_px=480),
    replace(_BASE, name="odd_size", width_px=426, height_px=238),
    replace(
        _BASE,
        name="uhd",
        width_px=3840,
        height_px=2160,
        duration_s=1,
        video=("-c:v", "libx264", "-preset", "ultrafast"),
        segment_frames=(30,),
    ),
)
"""Streams that must come out right: every frame, every audio packet."""

_HOSTILE = (
    replace(_BASE, name="audio_only", video=(), segment_frames=(0, 0, 0)),
    replace(_BASE, name="video_track_without_frames", remux=("-bsf:v", "noise=drop=1"), cut=False, segment_frames=(0,)),
    replace(
        _BASE,
        name="no_key_frame",
        remux=("-bsf:v", "noise=drop=key"),
        cut=False,
        segment_frames=(177,),
        decodes_whole=False,
    ),
    replace(_BASE, name="truncated", damage="truncate", decodes_whole=False),
    replace(_BASE, name="corrupted", damage="flip", decodes_whole=False),
    replace(
        _BASE,
        name="mpeg2",
        video=("-c:v", "mpeg2video", "-b:v", "2M", "-bf", "0"),
        video_codec="mpeg2video",
        audio=(),
    ),
    replace(
        _BASE,
        name="longer_than_300_s",
        width_px=160,
        height_px=120,
        rate=Fraction(1),
        duration_s=310,
        cut=False,
        segment_frames=(310,),
    ),
)

SAMPLES = {sample.name: sample for sample in (*MATRIX, *_HOSTILE)}
"""All samples by name: the matrix, and streams that must be refused or survived."""
