"""HDR and wide colours become BT.709: against zimg's conversion where nothing is compressed, by the curve's own rules
above that, and with a description that is true.
"""

import gc
import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from baton.media.engine.colors import source_colors
from baton.media.engine.tonemapping import Colors, Light, colors_of_tags, cube_text, peak_of
from baton.media.engine.transcode import transcode
from baton.media.job import HdrTreatment, TranscodeRequest
from tests.media.engine_samples import FAST, PLAIN, made, opened, picture
from tests.media.judge import least_psnr_db
from tests.media.samples import ffmpeg, run_ffmpeg

pytestmark = pytest.mark.media

_RENDITION = replace(PLAIN, width=320, height=180, bitrate_bps=20_000_000, quality=1)
_BT709, _UNSPECIFIED, _BT2020 = 1, 2, 9
_PQ = Colors(Light.PQ, _BT2020, 1000)
_HLG = Colors(Light.HLG, _BT2020, 1000)
_DARK_NITS = 60
"""A white that lies below the knee of the curve, which is at about 90 nits."""


def _hdr(transfer: str, *, white_nits: int, more: str = "", strength: float = 1.0) -> Path:
    """The test picture, its white at so many nits and its colours so strong, as 10-bit HEVC in BT.2020."""

    def make(folder: Path) -> None:
        sdr = (
            f"hue=s={strength},format=yuv444p,setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
        )
        linear = f"zscale=t=linear:npl={white_nits}:m=gbr:r=pc,format=gbrpf32le"
        coded = f"zscale=npl={white_nits}:p=2020:t={transfer}:m=2020_ncl:r=limited,format=yuv420p10le"
        tags = f"log-level=error:crf=2:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc{more}"
        source = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30", "-frames:v", "10"]
        coding = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", tags, "-f", "mpegts"]
        run_ffmpeg(*source, "-vf", f"{sdr},{linear},{coded}", *coding, str(folder / "hdr"))

    key = hashlib.sha256(f"{transfer} {white_nits} {more} {strength} 2".encode()).hexdigest()[:16]
    return made(f"hdr-{key}", make) / "hdr"


def _made(source: Path, *, hdr: HdrTreatment = HdrTreatment.TONE_MAP) -> bytes:
    request = TranscodeRequest(input_path=str(source), profiles=(_RENDITION,), tuning=replace(FAST, hdr=hdr))
    return transcode(request).renditions[0].data


def _tags(data: bytes) -> set[tuple[int, int, int, int]]:
    with opened(data) as container:
        return {
            (int(frame.color_range), int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc))
            for frame in container.decode(video=0)
        }


def test_dark_pictures_are_those_of_an_exact_conversion(tmp_path: Path) -> None:
    source = _hdr("smpte2084", white_nits=_DARK_NITS, strength=0.4)
    ours, theirs = tmp_path / "ours.ts", tmp_path / "theirs.ts"
    ours.write_bytes(_made(source))
    # The reference scales in the coded signal, as we do, and converts in floating point.
    scaled = "scale=320:180:flags=bicubic,format=yuv444p10le"
    exact = "zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=709,zscale=t=709:m=709:r=tv,format=yuv420p"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "1"]
    run_ffmpeg("-i", str(source), "-vf", f"{scaled},{exact}", *coding, str(theirs))
    assert least_psnr_db(ours, theirs) > 41
    cut = tmp_path / "cut.ts"
    cut.write_bytes(_made(source, hdr=HdrTreatment.PASS_THROUGH))
    assert least_psnr_db(cut, theirs) < 30, "what the same comparison says of numbers that were only cut"


@pytest.mark.parametrize(("transfer", "number"), [("smpte2084", 16), ("arib-std-b67", 18)])
def test_the_description_is_true_either_way(transfer: str, number: int) -> None:
    source = _hdr(transfer, white_nits=203)
    assert _tags(_made(source)) == {(1, _BT709, _BT709, _BT709)}
    assert _tags(_made(source, hdr=HdrTreatment.PASS_THROUGH)) == {(1, _BT2020, _BT2020, number)}


def test_ordinary_streams_are_left_alone() -> None:
    for source in (picture(), picture(pixel_format="yuv420p10le")):
        assert _made(source) == _made(source, hdr=HdrTreatment.PASS_THROUGH)


def test_white_of_hdr_is_bright_and_the_picture_keeps_its_colours() -> None:
    """Reference white ends near white, and a saturated picture stays one: the plain cut makes it grey."""

    def saturation(data: bytes) -> float:
        raw = subprocess.run(
            [ffmpeg(), "-v", "error", "-i", "-", "-frames:v", "1", "-pix_fmt", "yuv444p", "-f", "rawvideo", "-"],
            input=data,
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout
        third = len(raw) // 3
        return sum(abs(value - 128) for value in raw[third:]) / (2 * third)

    source = _hdr("smpte2084", white_nits=203)
    assert saturation(_made(source)) > 2 * saturation(_made(source, hdr=HdrTreatment.PASS_THROUGH))


def test_stated_brightness_chooses_the_table() -> None:
    display = ":hdr10=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(40000000,50)"
    for more, peak_nits in (("", 1000), (f"{display}:max-cll=0,0", 4000), (f"{display}:max-cll=1800,400", 2000)):
        with opened(_hdr("smpte2084", white_nits=203, more=more).read_bytes()) as container:
            found = {source_colors(frame) for frame in container.decode(video=0)}
        assert found == {Colors(Light.PQ, _BT2020, peak_nits)}


def test_tags_that_need_a_table() -> None:
    assert colors_of_tags(transfer=16, primaries=_UNSPECIFIED) == _PQ
    assert colors_of_tags(transfer=18, primaries=_BT2020, stated_peak_nits=4000) == _HLG
    assert colors_of_tags(transfer=1, primaries=_BT2020) == Colors(Light.WIDE_SDR, _BT2020, 1000)
    assert colors_of_tags(transfer=1, primaries=12) == Colors(Light.WIDE_SDR, 12, 1000)
    # A stranger's tags make no more tables than there are kinds of light, and each is a megabyte.
    assert {colors_of_tags(transfer=16, primaries=tag) for tag in range(3, 9)} == {Colors(Light.PQ, _BT709, 1000)}
    for primaries in (_BT709, _UNSPECIFIED, 5, 6):
        assert colors_of_tags(transfer=1, primaries=primaries) is None


@pytest.mark.parametrize(
    ("stated", "used"),
    [(0, 1000), (-1, 1000), (99, 1000), (100, 1000), (1000, 1000), (1001, 2000), (10_000, 10_000), (2**31, 10_000)],
)
def test_peaks_are_few_whatever_a_stream_states(stated: int, used: int) -> None:
    assert peak_of(stated) == used


def _cube(colors: Colors) -> Callable[[int, int, int], tuple[float, ...]]:
    head, *lines = cube_text(colors).splitlines()
    side = int(head.split()[1])
    assert len(lines) == side**3
    rows = [tuple(float(word) for word in line.split()) for line in lines]
    assert all(0 <= value <= 1 for row in rows for value in row)
    return lambda red, green, blue: rows[red + side * (green + side * blue)]


@pytest.mark.parametrize("colors", [_PQ, replace(_PQ, peak_nits=4000), _HLG, Colors(Light.WIDE_SDR, _BT2020, 1000)])
def test_greys_stay_grey_and_rise(colors: Colors) -> None:
    look = _cube(colors)
    greys = [look(step, step, step) for step in range(33)]
    assert all(max(grey) - min(grey) < 0.002 for grey in greys)
    assert greys[0][0] == 0
    assert greys[-1][0] > 0.999
    assert all(later[0] >= earlier[0] for earlier, later in pairwise(greys))


def test_light_above_white_is_compressed_and_not_cut() -> None:
    look = _cube(_PQ)
    # Points of the grid below, at and above 203 nits (0.58 of the signal), up to almost 1000 (0.75).
    levels = [look(step, step, step)[1] for step in (14, 16, 18, 19, 20, 21, 22, 23)]
    assert all(later - earlier > 0.002 for earlier, later in pairwise(levels))
    assert 0.8 < look(19, 19, 19)[1] < 0.97, "HDR's reference white is bright and leaves room above"


def test_hlg_and_pq_agree_on_reference_white() -> None:
    """75 % of HLG and 58 % of PQ are the same 203 nits (ITU-R BT.2408)."""
    hlg = _cube(_HLG)(24, 24, 24)[1]
    pq = _cube(_PQ)
    low, high = pq(18, 18, 18)[1], pq(19, 19, 19)[1]
    at_203_nits = low + (high - low) * (0.5807 * 32 - 18)
    assert abs(hlg - at_203_nits) < 0.01


def test_an_advert_in_ordinary_colours_within_an_hdr_stream_is_followed(tmp_path: Path) -> None:
    hdr = _hdr("smpte2084", white_nits=203).read_bytes()
    tags = "colorprim=bt709:transfer=bt709:colormatrix=bt709:log-level=error"
    coding = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", tags)
    advert = picture(width_px=640, height_px=360, frames=10, times="N+100", pixel_format="yuv420p10le", coding=coding)
    source = tmp_path / "mixed"
    source.write_bytes(hdr + advert.read_bytes())
    with opened(_made(source)) as container:
        frames = [(int(frame.color_trc), int(frame.colorspace)) for frame in container.decode(video=0)]
    assert len(frames) == 20
    assert set(frames) == {(1, 1)}


def test_statements_are_read_without_holding_the_picture() -> None:
    display = ":hdr10=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(40000000,50)"
    source = _hdr("smpte2084", white_nits=203, more=f"{display}:max-cll=1800,400")
    _made(source)
    gc.collect()
    gc.disable()
    try:
        _made(source)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        held = {type(thing).__name__ for thing in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not held & {"VideoFrame", "SideDataContainer", "Graph"}
