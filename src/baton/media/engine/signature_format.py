"""The MPEG-7 video signature as a file: how long it must be, and what it says about time (video.md 7.10).

Pure. Bits, big-endian, packed: a header of 274 bits, 1344 bits about each 45 frames begun, one bit, 689 bits about each
frame, zeros up to the byte.
"""

from collections.abc import Sequence

__all__ = ["is_complete", "signature_bytes", "with_times"]

_HEADER_BITS = 274
_COARSE_BITS, _COARSE_EVERY_FRAMES, _COARSE_SPANS_FRAMES = 1344, 45, 90
_FINE_BITS = 689
_FRAMES_AT, _UNIT_AT, _END_AT = 129, 161, 210
_COARSE_FIRST_AT, _COARSE_LAST_AT = 65, 97
_FINE_TIME_AT = 1
_TIME_BITS, _UNIT_BITS = 32, 16


def signature_bytes(frames: int) -> int:
    """Length of a signature over so many frames: 8122 for 90 of them."""
    return -(-(_fine_at(0, frames=frames) + _FINE_BITS * frames) // 8)


def is_complete(signature: bytes, *, frames: int) -> bool:
    """Whether ``signature`` speaks of exactly ``frames`` frames, and whole."""
    if len(signature) != signature_bytes(frames):
        return False
    number = int.from_bytes(signature, "big")
    return number >> (8 * len(signature) - _FRAMES_AT - _TIME_BITS) & ((1 << _TIME_BITS) - 1) == frames


def with_times(signature: bytes, *, times: Sequence[int], unit: int) -> bytes:
    """The same signature over frames that are shown at ``times``, with ``unit`` as its ``MediaTimeUnit``.

    The format keeps the lower 32 bits of a time, and the lower 16 of the unit.
    """
    data = bytearray(signature)
    frames = len(times)
    _write(data, _UNIT_AT, _UNIT_BITS, unit)
    _write(data, _END_AT, _TIME_BITS, times[-1])
    for number, first in enumerate(range(0, frames, _COARSE_EVERY_FRAMES)):
        at = _HEADER_BITS + number * _COARSE_BITS
        last = min(first + _COARSE_SPANS_FRAMES, frames) - 1
        _write(data, at + _COARSE_FIRST_AT, _TIME_BITS, times[first])
        _write(data, at + _COARSE_LAST_AT, _TIME_BITS, times[last])
    for number, time in enumerate(times):
        _write(data, _fine_at(number, frames=frames) + _FINE_TIME_AT, _TIME_BITS, time)
    return bytes(data)


def _fine_at(number: int, *, frames: int) -> int:
    """Where the bits about a frame begin."""
    coarse = -(-frames // _COARSE_EVERY_FRAMES)
    return _HEADER_BITS + _COARSE_BITS * coarse + 1 + _FINE_BITS * number


def _write(data: bytearray, at_bit: int, bits: int, value: int) -> None:
    """Put the lower bits of ``value`` where they belong, in the bytes around them."""
    first, end = at_bit // 8, -(-(at_bit + bits) // 8)
    shift = 8 * end - at_bit - bits
    mask = (1 << bits) - 1
    around = int.from_bytes(data[first:end], "big")
    data[first:end] = (around & ~(mask << shift) | (value & mask) << shift).to_bytes(end - first, "big")
