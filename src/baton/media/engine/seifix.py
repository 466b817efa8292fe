"""Supplemental information that follows its picture, moved before it: MPEG-TS with H.264 only (video.md 7.4).

Some encoders write SEI units after the slices of their access unit. Parsers take such a unit for the start of the next
picture: timestamps slip, frames are lost or doubled. Here each of them is moved in front of the first slice of its
access unit, without changing one byte's value or the length of anything.

Pure. Almost every segment is cleared by one quick look at its unit types; only suspects are taken apart.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from mmap import mmap

__all__ = ["with_sei_first"]

_PACKET_BYTES = 188
_SYNC = 0x47
_PAT_PID = 0
_H264_STREAM_TYPE = 0x1B
_UNIT = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_SLICES = range(1, 6)
_SEI = 6
_DELIMITER = 9
_TYPE_MASK = 0x1F
_FORBIDDEN_BIT = 0x80
_MAX_PROGRAMS = 64

_Span = tuple[int, int]
"""Begin and end of a stretch of bytes."""


def with_sei_first(data: bytes | mmap) -> bytes | None:
    """The transport stream with all SEI units before their pictures, or None when they are there already."""
    if not _is_suspect(data):
        return None
    spans = _payload_spans(data)
    stream = b"".join(data[begin:end] for begin, end in spans)
    sorted_stream = bytearray(stream)
    for begin, end in _access_units(stream):
        _sort_unit(sorted_stream, stream, begin, end)
    if sorted_stream == stream:
        return None
    result, taken = bytearray(data[:]), 0
    for begin, end in spans:
        result[begin:end] = sorted_stream[taken : taken + end - begin]
        taken += end - begin
    return bytes(result)


def _is_suspect(data: bytes | mmap) -> bool:
    """Whether a SEI unit seems to follow a slice: start codes are looked for in the raw file, packet edges ignored."""
    after_slice = False
    for match in _UNIT.finditer(data):
        header = match[1][0]
        kind = header & _TYPE_MASK
        if header & _FORBIDDEN_BIT or kind == _DELIMITER:
            after_slice = False
        elif kind in _SLICES:
            after_slice = True
        elif kind == _SEI and after_slice:
            return True
    return False


def _payload_spans(data: bytes | mmap) -> list[_Span]:
    """Where the bytes of the H.264 stream lie in the file, in order, without packet and PES headers."""
    map_pids: set[int] = set()
    video_pids: set[int] = set()
    spans: list[_Span] = []
    skip = 0
    for begin in range(0, len(data) - _PACKET_BYTES + 1, _PACKET_BYTES):
        if data[begin] != _SYNC:
            return []
        starts = bool(data[begin + 1] & 0x40)
        pid = (data[begin + 1] & 0x1F) << 8 | data[begin + 2]
        end = begin + _PACKET_BYTES
        first = _payload_begin(data, begin)
        if first >= end:
            continue
        if starts and pid == _PAT_PID and len(map_pids) < _MAX_PROGRAMS:
            map_pids |= _program_maps(data[first:end])
        elif starts and pid in map_pids:
            video_pids |= _h264_pids(data[first:end])
        elif pid in video_pids:
            skip = _pes_header_bytes(data[first:end]) if starts else skip
            taken = min(skip, end - first)
            skip -= taken
            if first + taken < end:
                spans.append((first + taken, end))
    # One stream is sorted; with several in a file the first announced is what a player would take.
    return spans if len(video_pids) == 1 else []


def _payload_begin(data: bytes | mmap, packet: int) -> int:
    control = data[packet + 3] >> 4 & 3
    if not control & 1:
        return packet + _PACKET_BYTES
    return packet + 4 + (1 + data[packet + 4] if control & 2 else 0)


def _section(payload: bytes) -> bytes:
    """The table section that begins in this payload, without its checksum; empty when it does not end here too."""
    begin = 1 + payload[0]
    head = payload[begin : begin + 3]
    if len(head) < 3:  # noqa: PLR2004 -- table id and length
        return b""
    end = begin + 3 + ((head[1] & 0x0F) << 8 | head[2]) - 4
    return payload[begin:end] if end <= len(payload) else b""


def _program_maps(payload: bytes) -> set[int]:
    section = _section(payload)
    entries = range(8, len(section) - 3, 4)
    return {
        (section[at + 2] & 0x1F) << 8 | section[at + 3] for at in entries if section[at] or section[at + 1]
    }  # program 0 is the network's own


def _h264_pids(payload: bytes) -> set[int]:
    section = _section(payload)
    if len(section) < 12:  # noqa: PLR2004 -- the fixed part of a program map
        return set()
    pids: set[int] = set()
    at = 12 + ((section[10] & 0x0F) << 8 | section[11])
    while at + 5 <= len(section):
        if section[at] == _H264_STREAM_TYPE:
            pids.add((section[at + 1] & 0x1F) << 8 | section[at + 2])
        at += 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
    return pids


def _pes_header_bytes(payload: bytes) -> int:
    return 9 + payload[8] if payload[:3] == b"\x00\x00\x01" and len(payload) > 8 else 0  # noqa: PLR2004 -- fixed part


def _access_units(stream: bytes) -> Iterator[_Span]:
    """Stretches from one access unit delimiter to the next; what lies before the first is left alone."""
    begins = [
        _code_begin(stream, match.start())
        for match in _UNIT.finditer(stream)
        if match[1][0] & _TYPE_MASK == _DELIMITER and not match[1][0] & _FORBIDDEN_BIT
    ]
    yield from pairwise([*begins, len(stream)])


def _code_begin(stream: bytes, at: int) -> int:
    """Where a start code really begins: the long form has one more zero in front."""
    return at - 1 if at > 0 and stream[at - 1] == 0 else at


def _sort_unit(target: bytearray, stream: bytes, begin: int, end: int) -> None:
    """Write one access unit with its late SEI units moved before its first slice."""
    matches = list(_UNIT.finditer(stream, begin, end))
    begins = [max(begin, _code_begin(stream, match.start())) for match in matches]
    kinds = [match[1][0] & _TYPE_MASK for match in matches]
    first = next((index for index, kind in enumerate(kinds) if kind in _SLICES), len(kinds))
    late = [index for index in range(first, len(kinds)) if kinds[index] == _SEI]
    if not late:
        return
    ends = [*begins[1:], end]
    rest = [index for index in range(first, len(kinds)) if kinds[index] != _SEI]
    target[begins[first] : end] = b"".join(stream[begins[index] : ends[index]] for index in (*late, *rest))
