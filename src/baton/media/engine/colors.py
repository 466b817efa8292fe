"""What a decoded picture says about its colours, where that decides how it must be treated (ITU-T H.273)."""

import struct
from collections.abc import Callable, Mapping
from typing import cast

from av.buffer import Buffer
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame

from baton.media.engine.tonemapping import Colors, Light, colors_of_tags

__all__ = ["input_matrix", "source_colors"]

_UNSPECIFIED = 2
_CONTENT_LIGHT = struct.Struct("=II")
"""The library's statement of the brightest pixel and the brightest average, in nits."""
_MASTERING = struct.Struct("=22i")
"""Its statement of the display used: primaries, white, darkest and brightest light as fractions, what of it holds."""
_MASTERING_PEAK = 18
_MASTERING_HAS_LIGHT = 21


def source_colors(picture: VideoFrame) -> Colors | None:
    """The table that the picture needs to be shown as BT.709; None when it can stay as it is."""
    transfer = int(picture.color_trc)
    return colors_of_tags(
        transfer=transfer,
        primaries=int(picture.color_primaries),
        stated_peak_nits=_stated_peak_nits(picture) if transfer == Light.PQ else 0,
    )


def input_matrix(picture: VideoFrame) -> str:
    """The scaler's word for the matrix of a picture that needs a table: its own, or BT.2020's when it names none."""
    return "bt2020" if picture.colorspace == _UNSPECIFIED and not picture.format.is_rgb else "auto"


def _stated_peak_nits(picture: VideoFrame) -> int:
    """Brightest light by the stream's own statements, 0 without one. Statements are a stranger's; see ``peak_of``."""
    light = _statement(picture, Type.CONTENT_LIGHT_LEVEL)
    if len(light) >= _CONTENT_LIGHT.size:
        brightest_nits = int(_CONTENT_LIGHT.unpack_from(light)[0])
        if brightest_nits:
            return brightest_nits
    mastering = _statement(picture, Type.MASTERING_DISPLAY_METADATA)
    if len(mastering) < _MASTERING.size:
        return 0
    numbers = _MASTERING.unpack_from(mastering)
    over, under = numbers[_MASTERING_PEAK], numbers[_MASTERING_PEAK + 1]
    return over // under if numbers[_MASTERING_HAS_LIGHT] and under > 0 else 0


def _statement(picture: VideoFrame, kind: Type) -> bytes:
    # The picture's own attribute would be kept by the picture and keep it: a circle that holds frames in memory.
    container = cast("Callable[[VideoFrame], Mapping[Type, Buffer]]", SideDataContainer)  # its stub has no arguments
    statements = container(picture)
    try:
        return bytes(statements[kind])
    except KeyError:
        return b""
