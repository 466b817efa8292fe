"""What comes in comes out in 8-bit 4:2:0 with its colours: the same pictures as FFmpeg's own conversion (video.md 7.1).

Both sides encode almost without loss; what is compared is conversion and scaling, and what the stream says about them.
"""

import hashlib
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from baton.kernel.profiles import OutputFormat
from baton.media.engine.transcode import transcode
from baton.media.job import EncoderTuning, HdrTreatment, RenditionOutput, TranscodeRequest
from tests.media.engine_samples import FAST, PLAIN, made, opened, picture
from tests.media.judge import least_psnr_db
from tests.media.samples import ffmpeg, run_ffmpeg

pytestmark = pytest.mark.media

_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "5")
_NEAR_LOSSLESS = replace(PLAIN, width=320, height=180, bitrate_bps=20_000_000, quality=1)
_LEAST_PSNR_DB = 50.0
"""Two encoders' rounding leaves about 60; a wrong matrix, range or chroma place is below 40."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A source, and what the streams on both sides say about its colours."""

    name: str
    filters: str
    coding: tuple[str, ...] = _X264
    container: str = "mpegts"
    size: str = "640x360"
    rate: int = 30


_TAGGED = "setparams=color_primaries={0}:color_trc={0}:colorspace={0}"
_CASES = (
    *(_Case(name, f"format={name}") for name in ("yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")),
    _Case(
        "hevc_12bit", "format=yuv420p12le", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0")
    ),
    _Case("gray", "format=gray"),
    _Case("rgb", "format=gbrp", ("-c:v", "libx264rgb", "-preset", "ultrafast", "-crf", "5")),
    _Case("full_range", "scale=out_range=pc,format=yuvj420p"),
    _Case(
        "full_range_709", "scale=out_range=pc:out_color_matrix=bt709,format=yuv420p,setparams=colorspace=bt709:range=pc"
    ),
    _Case(
        "matrix_601_enlarged",
        "scale=out_color_matrix=bt601,format=yuv420p," + _TAGGED.format("smpte170m"),
        size="176x144",
    ),
    _Case(
        "matrix_709_reduced", "scale=out_color_matrix=bt709,format=yuv420p," + _TAGGED.format("bt709"), size="1280x720"
    ),
    _Case(
        "interlaced",
        "tinterlace=interleave_top,setfield=tff,format=yuv420p",
        (*_X264, "-flags", "+ilme+ildct", "-x264-params", "tff=1"),
        rate=60,
    ),
    _Case("anamorphic", "format=yuv420p", (*_X264, "-aspect", "16:9"), size="720x576"),
    _Case("odd_sides", "scale=427:239,format=yuv444p"),
    _Case("alpha", "format=rgba,colorchannelmixer=aa=0.5", ("-c:v", "png"), "mov"),
    _Case("palette", "split[a][b];[a]palettegen[p];[b][p]paletteuse", ("-c:v", "png", "-pix_fmt", "pal8"), "mov"),
    _Case("vp8", "format=yuv420p", ("-c:v", "libvpx", "-deadline", "realtime", "-b:v", "5M"), "webm"),
    _Case("vp9", "format=yuv420p", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-b:v", "5M"), "webm"),
    _Case(
        "vp9_10bit",
        "format=yuv420p10le",
        ("-c:v", "libvpx-vp9", "-profile:v", "2", "-deadline", "realtime", "-b:v", "5M"),
        "webm",
    ),
    _Case(
        "hdr_passed_through",
        "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc",
    ),
)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_pictures_are_those_of_ffmpeg_s_own_conversion(case: _Case, tmp_path: Path) -> None:
    source = _source(case)
    rendition = _ask(source, tuning=replace(FAST, hdr=HdrTreatment.PASS_THROUGH))
    ours, theirs = tmp_path / "ours.ts", tmp_path / "theirs.ts"
    ours.write_bytes(rendition.data)
    scaled = ["-vf", f"scale={rendition.width}:{rendition.height}", "-pix_fmt", "yuv420p"]
    coding = [*_X264[:4], "-crf", "1", "-fps_mode", "passthrough"]
    run_ffmpeg("-noautorotate", "-copyts", "-i", str(source), "-map", "0:v:0", *scaled, *coding, str(theirs))
    assert rendition.frames == 15
    assert least_psnr_db(ours, theirs) > _LEAST_PSNR_DB
    assert _said(ours) == _said(theirs)


def test_a_matrix_that_changes_on_the_way_is_told_where_it_changes(tmp_path: Path) -> None:
    early = picture(frames=10, pixel_format="yuv420p").read_bytes()
    full = ("-c:v", "libx264", "-preset", "ultrafast", "-color_range", "pc", "-colorspace", "bt709")
    late = picture(frames=10, pixel_format="yuvj420p", times="N+10", coding=full).read_bytes()
    source = tmp_path / "changing-colours"
    source.write_bytes(early + late)
    for output_format in OutputFormat:
        with opened(_ask(source, tuning=FAST, output_format=output_format).data) as container:
            said = [(int(frame.color_range), int(frame.colorspace)) for frame in container.decode(video=0)]
        assert len(said) == 20
        assert {said[0], said[-1]} == {(0, 2), (2, 1)}
        assert said == sorted(said)


def test_rotation_is_not_applied() -> None:
    turned = _source(_Case("turned", "format=yuv420p", container="mov"), turn=True)
    rendition = _ask(turned, tuning=FAST)
    assert (rendition.width, rendition.height) == (320, 180)


def _ask(source: Path, *, tuning: EncoderTuning, output_format: OutputFormat = OutputFormat.MPEGTS) -> RenditionOutput:
    profile = replace(_NEAR_LOSSLESS, format=output_format)
    return transcode(TranscodeRequest(input_path=str(source), profiles=(profile,), tuning=tuning)).renditions[0]


def _source(case: _Case, *, turn: bool = False) -> Path:
    def make(folder: Path) -> None:
        shown = [
            "-f",
            "lavfi",
            "-i",
            f"testsrc2=size={case.size}:rate={case.rate}:duration=1",
            "-filter_complex",
            case.filters,
        ]
        output = ["-frames:v", "15", *case.coding, "-f", case.container]
        run_ffmpeg(*shown, *output, str(folder / "flat"))
        turned = ["-display_rotation", "90"] if turn else []
        run_ffmpeg(
            *turned, "-copyts", "-i", str(folder / "flat"), "-c", "copy", "-f", case.container, str(folder / "source")
        )

    key = hashlib.sha256(repr((case, turn)).encode()).hexdigest()[:16]
    return made(f"colors-{case.name}-{key}", make) / "source"


def _said(path: Path) -> tuple[str, ...]:
    """Pixel format, colours, size and shape, as FFmpeg reads them."""
    command = [ffmpeg(), "-nostdin", "-hide_banner", "-i", str(path)]
    words = subprocess.run(command, capture_output=True, timeout=60, check=False).stderr.decode(errors="replace")
    line = next(line for line in words.splitlines() if " Video: " in line)
    return tuple(line.split(", ", 1)[1].split(" fps")[0].rsplit(", ", 1)[0].split(", "))
