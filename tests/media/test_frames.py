"""The framing between node and engine child: any cut of the bytes, and every broken rule."""

import itertools
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.media.frames import MAX_HEADER_BYTES, Frame, FrameError, FrameLimits, FrameReader, frame_prefix

_LIMITS = FrameLimits(payloads=3, payload_bytes=1000, total_bytes=1500)


def _bytes(*frames: Frame) -> bytes:
    return b"".join(frame_prefix(f.header, f.payloads) + f.header + b"".join(f.payloads) for f in frames)


def _feed(pieces: Iterable[bytes]) -> list[Frame]:
    reader = FrameReader(limits=_LIMITS)
    return [frame for piece in pieces for frame in reader.feed(piece)]


_frames = st.builds(
    Frame,
    header=st.binary(max_size=50),
    payloads=st.lists(st.binary(max_size=400), max_size=3).map(tuple),
)


@given(frames=st.lists(_frames, max_size=4), cuts=st.lists(st.integers(0, 5000), max_size=12))
def test_frames_arrive_whole_however_the_bytes_are_cut(frames: list[Frame], cuts: list[int]) -> None:
    data = _bytes(*frames)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert _feed(data[start:end] for start, end in itertools.pairwise(edges)) == frames


def test_one_byte_at_a_time_and_everything_at_once() -> None:
    frames = [Frame(b"{}", (b"", b"abc", b"")), Frame(b"", ()), Frame(b"x", (b"",))]
    data = _bytes(*frames)
    assert _feed(bytes([byte]) for byte in data) == frames
    assert _feed([data]) == frames


def test_a_reader_knows_whether_it_stands_between_frames() -> None:
    reader = FrameReader(limits=_LIMITS)
    data = _bytes(Frame(b"{}", (b"abc",)))
    seen = [reader.in_frame]
    for piece in (data[:-1], data[-1:]):
        list(reader.feed(piece))
        seen.append(reader.in_frame)
    assert seen == [False, True, False]


def test_a_frame_counts_although_garbage_follows_it() -> None:
    arriving = FrameReader(limits=_LIMITS).feed(_bytes(Frame(b"{}", (b"abc",))) + b"garbage" * 10)
    assert next(arriving) == Frame(b"{}", (b"abc",))
    with pytest.raises(FrameError):
        next(arriving)


@given(st.binary(min_size=12, max_size=200).filter(lambda data: not data.startswith(b"BTF1")))
def test_bytes_that_are_no_frame_are_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        _feed([data])


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!4sII", b"BTF1", MAX_HEADER_BYTES + 1, 0),
        struct.pack("!4sII", b"BTF1", 0xFFFFFFFF, 0),
        struct.pack("!4sII", b"BTF1", 2, 4),
        struct.pack("!4sII", b"BTF1", 2, 0xFFFFFFFF),
        struct.pack("!4sIIQ", b"BTF1", 2, 1, 1001),
        struct.pack("!4sIIQQ", b"BTF1", 2, 2, 1000, 501),
        struct.pack("!4sIIQ", b"BTF1", 2, 1, 2**64 - 1),
    ],
    ids=["header", "vast header", "payloads", "vast payloads", "payload", "sum", "vast payload"],
)
def test_a_frame_over_a_limit_is_refused_before_its_bytes_are_waited_for(data: bytes) -> None:
    with pytest.raises(FrameError):
        _feed([data])


def test_frames_at_the_limits_pass() -> None:
    frame = Frame(b"h" * MAX_HEADER_BYTES, (bytes(1000), bytes(500)))
    assert _feed([_bytes(frame)]) == [frame]


def test_a_header_nobody_would_read_is_not_written() -> None:
    with pytest.raises(FrameError):
        frame_prefix(b"h" * (MAX_HEADER_BYTES + 1), ())
