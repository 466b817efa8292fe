"""Reads an MPEG-7 video signature bit by bit and says how far apart two are. Shares no code with the engine."""

from dataclasses import dataclass

__all__ = ["TH_D", "TH_DC", "TH_XH", "Coarse", "Fine", "Signature", "coarse_distances", "frame_distances", "parse"]

TH_XH = 116
"""Frames whose distance is below this are taken for the same."""
TH_D, TH_DC = 9000, 60000
"""Bags of words: distance of one word below which it is similar, and of all five together."""

_WORD_BITS = 243
_DIGITS = 5
_FRAME_BYTES = 76


@dataclass(frozen=True, slots=True)
class Coarse:
    """What is said about 90 frames at once."""

    first_frame: int
    last_frame: int
    first_pts: int
    last_pts: int
    words: tuple[int, ...]
    """Five sets of 243 words, as bits."""


@dataclass(frozen=True, slots=True)
class Fine:
    """What is said about one frame."""

    pts: int
    confidence: int
    words: tuple[int, ...]
    frame: bytes
    """76 bytes of five ternary digits each."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A whole file."""

    right_px: int
    bottom_px: int
    media_time_unit: int
    last_pts: int
    coarse: tuple[Coarse, ...]
    fine: tuple[Fine, ...]


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._number = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, bits: int) -> int:
        assert bits <= self._left, "the file ends in the middle of a field"
        self._left -= bits
        return self._number >> self._left & ((1 << bits) - 1)

    def end(self) -> None:
        assert self._left < 8, f"{self._left} bits too many"
        assert self.take(self._left) == 0, "padding is not zero"


def parse(data: bytes) -> Signature:
    """The signature in ``data``; every constant of the format is asserted."""
    bits = _Bits(data)
    constants = [bits.take(32), bits.take(1), bits.take(16), bits.take(16)]
    assert constants == [1, 1, 0, 0], "one region, given by its corners, from 0,0 on"
    right_px, bottom_px = bits.take(16), bits.take(16)
    assert bits.take(32) == 0, "the region begins with frame 0"
    frames = bits.take(32)
    unit = bits.take(16)
    assert [bits.take(1), bits.take(32)] == [1, 0], "time is given, from 0 on"
    last_pts = bits.take(32)
    coarse = tuple(_coarse(bits) for _ in range(bits.take(32)))
    assert bits.take(1) == 0, "not compressed"
    fine = tuple(_fine(bits) for _ in range(frames))
    bits.end()
    return Signature(right_px, bottom_px, unit, last_pts, coarse, fine)


def _coarse(bits: _Bits) -> Coarse:
    first, last, flag = bits.take(32), bits.take(32), bits.take(1)
    assert flag == 1
    return Coarse(first, last, bits.take(32), bits.take(32), tuple(bits.take(_WORD_BITS) for _ in range(5)))


def _fine(bits: _Bits) -> Fine:
    assert bits.take(1) == 1
    pts, confidence = bits.take(32), bits.take(8)
    words = tuple(bits.take(8) for _ in range(5))
    return Fine(pts, confidence, words, bytes(bits.take(8) for _ in range(_FRAME_BYTES)))


def frame_distances(one: Signature, other: Signature) -> list[int]:
    """How far apart frames of the same number are: the sum over their ternary digits."""
    return [
        sum(_distance(a, b) for a, b in zip(mine.frame, theirs.frame, strict=True))
        for mine, theirs in zip(one.fine, other.fine, strict=True)
    ]


def coarse_distances(one: Signature, other: Signature) -> list[list[float]]:
    """For each pair of coarse signatures the distances of their five bags of words, of 100,000 when they share none."""
    return [
        [_jaccard(a, b) for a, b in zip(mine.words, theirs.words, strict=True)]
        for mine, theirs in zip(one.coarse, other.coarse, strict=True)
    ]


def _distance(one: int, other: int) -> int:
    return sum(abs(a - b) for a, b in zip(_digits(one), _digits(other), strict=True))


def _digits(value: int) -> list[int]:
    return [value // 3**n % 3 for n in range(_DIGITS)]


def _jaccard(one: int, other: int) -> float:
    union = (one | other).bit_count()
    return 100_000 * (1 - (one & other).bit_count() / union) if union else 0.0
