"""Bodies in pieces: however the bytes come in, the frames say what the library's own buffer would have said."""

from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jh2.exceptions import ProtocolError
from jh2.frame_buffer import FrameBuffer
from jh2.hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame, PingFrame, WindowUpdateFrame

from baton.wire.http2_pieces import PieceBuffer
from tests.wire.port import PREFACE

MAX_FRAME_BYTES = 1 << 20
LEAST_PIECE_BYTES = 16 * 1024


def data(stream: int, size: int, *, end: bool = False, padding: int | None = None) -> Frame:
    frame = DataFrame(stream, bytes([size % 251]) * size)
    if end:
        frame.flags.add("END_STREAM")
    if padding is not None:
        frame.flags.add("PADDED")
        frame.pad_length = padding
    return frame


def headers(*, pieces: int) -> list[Frame]:
    frames: list[Frame] = [HeadersFrame(5, b"first")]
    frames += [ContinuationFrame(5, b"more") for _ in range(pieces)]
    frames[-1].flags.add("END_HEADERS")
    return frames


def wire(*frames: Frame) -> bytes:
    return b"".join(bytes(frame.serialize()) for frame in frames)


def read(buffer: FrameBuffer, chunks: list[bytes]) -> list[Any]:
    buffer.max_frame_size = MAX_FRAME_BYTES
    found: list[Any] = []
    for chunk in chunks:
        scratch = bytearray(chunk)
        buffer.add_data(memoryview(scratch))
        found += list(buffer)
        scratch[:] = bytes(len(scratch))  # what was received is gone once the caller is back
    return found


def said(frames: list[Any]) -> list[tuple[object, ...]]:
    """What frames say, with neighbouring DATA of a stream as one, as a receiver takes it."""
    rows: list[tuple[object, ...]] = []
    for key, group in groupby(frames, key=lambda f: (type(f).__name__, f.stream_id)):
        if key[0] != "DataFrame":
            rows += [(*key, bytes(f.serialize())) for f in group]
            continue
        together = list(group)
        body, credit = b"".join(f.data for f in together), sum(f.flow_controlled_length for f in together)
        ends = [number for number, f in enumerate(together) if "END_STREAM" in f.flags]
        ended_after = [sum(len(f.data) for f in together[: number + 1]) for number in ends]
        rows.append((*key, body, credit, ended_after))
    return rows


frames_strategy = st.lists(
    st.one_of(
        st.builds(
            lambda stream, size, end, padding: [data(stream, size, end=end, padding=padding)],
            st.sampled_from([1, 3]),
            st.one_of(st.integers(0, 40), st.integers(16_000, 70_000)),
            st.booleans(),
            st.one_of(st.none(), st.integers(0, 30)),
        ),
        st.builds(lambda pieces: headers(pieces=pieces), st.integers(0, 3)),
        st.just([PingFrame(0, b"12345678")]),
        st.just([WindowUpdateFrame(1, 77)]),
    ),
    max_size=8,
).map(lambda groups: [frame for group in groups for frame in group])


@given(frames=frames_strategy, cuts=st.lists(st.integers(0, 200_000), max_size=12))
def test_any_cut_says_what_the_library_says(frames: list[Frame], cuts: list[int]) -> None:
    stream = PREFACE + wire(*frames)
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    assert said(read(PieceBuffer(), chunks)) == said(read(FrameBuffer(server=True), [stream]))


def test_a_byte_at_a_time_says_the_same() -> None:
    stream = PREFACE + wire(
        *headers(pieces=1), data(5, 300, end=False), data(5, 0, end=True), PingFrame(0, b"abcdefgh")
    )
    chunks = [stream[n : n + 1] for n in range(len(stream))]
    assert said(read(PieceBuffer(), chunks)) == said(read(FrameBuffer(server=True), [stream]))


def test_a_large_frame_is_handed_on_before_it_is_whole() -> None:
    buffer = PieceBuffer()
    stream = wire(data(1, 500_000, end=True))
    first = read(buffer, [PREFACE, stream[:200_000]])
    assert [(len(f.data), "END_STREAM" in f.flags) for f in first] == [(200_000 - 9, False)]
    rest = read(buffer, [stream[200_000:]])
    assert [(len(f.data), "END_STREAM" in f.flags) for f in rest] == [(300_009, True)]


def test_a_frame_that_trickles_in_costs_few_pieces() -> None:
    stream = wire(data(1, 100_000))
    chunks = [stream[n : n + 100] for n in range(0, len(stream), 100)]
    pieces = read(PieceBuffer(), [PREFACE, *chunks])
    assert sum(len(f.data) for f in pieces) == 100_000
    assert len(pieces) <= 100_000 // LEAST_PIECE_BYTES + 1


@pytest.mark.parametrize(
    "frames", [(HeadersFrame(5, b"begun"), data(5, 10)), (HeadersFrame(5, b"begun"), data(7, 40_000))]
)
def test_a_body_inside_a_header_block_is_refused(frames: tuple[Frame, ...]) -> None:
    with pytest.raises(ProtocolError):
        read(PieceBuffer(), [PREFACE, wire(*frames)])


def test_a_body_of_no_stream_is_refused() -> None:
    nobody = bytearray(wire(data(1, 50_000)))
    nobody[5:9] = bytes(4)
    with pytest.raises(ProtocolError):
        read(PieceBuffer(), [PREFACE, bytes(nobody)])
