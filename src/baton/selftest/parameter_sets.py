"""H.264 parameter sets for segments that begin at a picture which is no IDR: every segment must be decodable alone.

Files keep the sets apart (``avcC``); the MPEG-TS muxer repeats them before IDR pictures only, so a stream with open
GOPs would lose them when it is cut. Pure functions over bytes, as ISO/IEC 14496-15 lays them out.
"""

from collections.abc import Iterator

__all__ = ["with_parameter_sets"]

_AVCC_VERSION = 1
_AVCC_HEAD_BYTES = 6
_IDR, _SPS, _AUD = 5, 7, 9
_TYPE_MASK = 0x1F


def _sets(extradata: bytes) -> Iterator[bytes]:
    """SPS and PPS NAL units of an ``avcC`` record; ends at the first field that does not fit."""
    place = _AVCC_HEAD_BYTES - 1
    for mask in (_TYPE_MASK, 0xFF):
        if place >= len(extradata):
            return
        count = extradata[place] & mask
        place += 1
        for _ in range(count):
            size = int.from_bytes(extradata[place : place + 2], "big")
            unit = extradata[place + 2 : place + 2 + size]
            if size == 0 or len(unit) < size:
                return
            yield unit
            place += 2 + size


def _units(data: bytes, length_bytes: int) -> Iterator[tuple[int, int]]:
    """Type and end of each length-prefixed NAL unit."""
    place = 0
    while place + length_bytes < len(data):
        size = int.from_bytes(data[place : place + length_bytes], "big")
        end = place + length_bytes + size
        if size == 0 or end > len(data):
            return
        yield data[place + length_bytes] & _TYPE_MASK, end
        place = end


def with_parameter_sets(data: bytes, extradata: bytes) -> bytes:
    """The first picture of a segment, with its parameter sets in front (behind a leading delimiter) if it lacks them.

    ``data`` is one access unit as the file holds it. Data of other layouts, pictures that carry the sets and IDR
    pictures, before which the muxer puts them, come back as they are.
    """
    if len(extradata) < _AVCC_HEAD_BYTES or extradata[0] != _AVCC_VERSION:
        return data
    length_bytes = (extradata[4] & 3) + 1
    units = list(_units(data, length_bytes))
    if not units or any(kind in {_IDR, _SPS} for kind, _ in units):
        return data
    head = units[0][1] if units[0][0] == _AUD else 0
    sets = b"".join(len(unit).to_bytes(length_bytes, "big") + unit for unit in _sets(extradata))
    return data[:head] + sets + data[head:]
