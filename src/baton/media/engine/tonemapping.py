"""HDR and wide colours brought to what 8-bit BT.709 players show: the curve, and the table the codec library applies.

Pure arithmetic. PQ and HLG (ITU-R BT.2100) become light on a display, the range above SDR white is compressed by the
curve of BT.2390 on the strongest of the three colours, so that hues stay, and the rest of the way is BT.709 primaries
and the display gamma of BT.1886. The result is a table in the colours' cube that ``lut3d`` interpolates.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

__all__ = ["Colors", "Light", "colors_of_tags", "cube_text", "peak_of"]


class Light(IntEnum):
    """What a signal's numbers mean. Values are those of the transfer characteristics of ITU-T H.273."""

    WIDE_SDR = 1
    """Ordinary range, but primaries that BT.709 players do not know."""
    PQ = 16
    HLG = 18


@dataclass(frozen=True, slots=True)
class Colors:
    """A kind of source that needs a table."""

    light: Light
    primaries: int
    """By the numbers of ITU-T H.273."""
    peak_nits: int
    """Brightest light the table has room for."""


_BT709, _UNSPECIFIED, _BT2020, _P3 = 1, 2, 9, 12
_MATRICES = {
    # From linear light in these primaries to linear light in BT.709's, both with D65 white.
    _BT2020: ((1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008350), (-0.018151, -0.100579, 1.118730)),
    _P3: ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)),
}
_IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_HLG_LUMA = (0.2627, 0.6780, 0.0593)

_SDR_WHITE_NITS = 203.0
"""Where HDR puts what SDR calls white (ITU-R BT.2408)."""
_USUAL_PEAK_NITS = 1000
_PEAKS_NITS = (1000, 2000, 4000, 10000)
"""Few, so that a stream whose statements waver keeps its table."""
_LEAST_PEAK_NITS = 100
_DISPLAY_GAMMA = 2.4
_SIDE = 33
"""Points along an edge of the cube. Between them ordinary colours are off by a quarter of an 8-bit step on average and
by two in one of a hundred; the weakest part of a fully saturated colour, where the display's curve is steepest, by up
to about 50."""


def colors_of_tags(*, transfer: int, primaries: int, stated_peak_nits: int = 0) -> Colors | None:
    """What a source with these tags of ITU-T H.273 needs; None for one that needs nothing."""
    if transfer == Light.PQ:
        return Colors(Light.PQ, _hdr_primaries(primaries), peak_of(stated_peak_nits))
    if transfer == Light.HLG:
        return Colors(Light.HLG, _hdr_primaries(primaries), _USUAL_PEAK_NITS)
    return Colors(Light.WIDE_SDR, primaries, _USUAL_PEAK_NITS) if primaries in _MATRICES else None


def peak_of(stated_nits: int) -> int:
    """The brightness to make room for: what the stream states, rounded up to one of a few; 1000 when it does not."""
    if stated_nits < _LEAST_PEAK_NITS:
        return _USUAL_PEAK_NITS
    return next((peak for peak in _PEAKS_NITS if peak >= stated_nits), _PEAKS_NITS[-1])


def _hdr_primaries(primaries: int) -> int:
    """HDR that does not name its primaries has BT.2020's; any that need no matrix here are one kind, and one table."""
    if primaries == _UNSPECIFIED:
        return _BT2020
    return primaries if primaries in _MATRICES else _BT709


@cache
def cube_text(colors: Colors) -> str:
    """The table as a ``.cube`` file: signal in, BT.709 signal out, full range, red fastest. Kept: a dozen at most."""
    grid = [index / (_SIDE - 1) for index in range(_SIDE)]
    lines = [f"LUT_3D_SIZE {_SIDE}"]
    matrix = _MATRICES.get(colors.primaries, _IDENTITY)
    light = _shower(colors, grid)
    for blue in range(_SIDE):
        for green in range(_SIDE):
            for red in range(_SIDE):
                shown = light.shown(red, green, blue)
                lines.append(" ".join(f"{_signal(_dot(row, shown)):.6f}" for row in matrix))
    return "\n".join(lines) + "\n"


def _shower(colors: Colors, grid: list[float]) -> "_Pq | _Hlg | _WideSdr":
    if colors.light is Light.PQ:
        return _Pq(grid, colors.peak_nits)
    return _Hlg(grid, colors.peak_nits) if colors.light is Light.HLG else _WideSdr(grid)


class _Pq:
    """Absolute light: each number is a brightness."""

    def __init__(self, grid: list[float], peak_nits: int) -> None:
        self._nits = [_pq_nits(value) for value in grid]
        self._gains = [_gain(nits, peak_nits) for nits in self._nits]

    def shown(self, red: int, green: int, blue: int) -> tuple[float, float, float]:
        """Linear light of a point of the grid, 1 is SDR white."""
        gain = self._gains[max(red, green, blue)]
        return self._nits[red] * gain, self._nits[green] * gain, self._nits[blue] * gain


class _Hlg:
    """Light of the scene: a display of 1000 nits shows it with a gamma of 1.2."""

    def __init__(self, grid: list[float], peak_nits: int) -> None:
        self._scene = [_hlg_scene(value) for value in grid]
        self._peak_nits = peak_nits

    def shown(self, red: int, green: int, blue: int) -> tuple[float, float, float]:
        """Linear light of a point of the grid, 1 is SDR white."""
        scene = self._scene[red], self._scene[green], self._scene[blue]
        system = self._peak_nits * _dot(_HLG_LUMA, scene) ** 0.2
        gain = system * _gain(max(scene) * system, self._peak_nits)
        return scene[0] * gain, scene[1] * gain, scene[2] * gain


class _WideSdr:
    """Light of an ordinary display in other primaries."""

    def __init__(self, grid: list[float]) -> None:
        self._linear = [value**_DISPLAY_GAMMA for value in grid]

    def shown(self, red: int, green: int, blue: int) -> tuple[float, float, float]:
        """Linear light of a point of the grid, 1 is SDR white."""
        return self._linear[red], self._linear[green], self._linear[blue]


def _dot(row: tuple[float, float, float], color: tuple[float, float, float]) -> float:
    return row[0] * color[0] + row[1] * color[1] + row[2] * color[2]


def _signal(linear: float) -> float:
    """The display's signal; what BT.709 cannot show is cut off."""
    return float(min(max(linear, 0.0), 1.0) ** (1 / _DISPLAY_GAMMA))


_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128
_PQ_PEAK_NITS = 10_000.0


def _pq_nits(signal: float) -> float:
    root = signal ** (1 / _M2)
    return float(_PQ_PEAK_NITS * (max(root - _C1, 0.0) / (_C2 - _C3 * root)) ** (1 / _M1))


def _pq_signal(nits: float) -> float:
    power = (nits / _PQ_PEAK_NITS) ** _M1
    return float(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073
_HLG_KNEE = 0.5


def _hlg_scene(signal: float) -> float:
    return signal * signal / 3 if signal <= _HLG_KNEE else (math.exp((signal - _HLG_C) / _HLG_A) + _HLG_B) / 12


def _gain(nits: float, peak_nits: float) -> float:
    """From light in nits to light where 1 is SDR white, compressed by the curve of BT.2390 above its knee."""
    if nits <= 0:
        return 1 / _SDR_WHITE_NITS
    whole = _pq_signal(peak_nits)
    top = _pq_signal(_SDR_WHITE_NITS) / whole
    knee = 1.5 * top - 0.5
    signal = min(_pq_signal(nits) / whole, 1.0)
    if signal > knee:
        t = (signal - knee) / (1 - knee)
        signal = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * top
    return _pq_nits(signal * whole) / (nits * _SDR_WHITE_NITS)
