"""The flood guard and the header decoder by themselves."""

import random

import pytest
from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame, PingFrame, SettingsFrame

from baton.wire.hpack_decoder import MAX_FIELDS, CompressionError, HeaderDecoder, HeaderListTooLargeError
from baton.wire.http2_guard import BUDGETS, PREFACE, FloodError, FrameMeter, OversizeFrameError
from baton.wire.huffman import unpack

PING = PingFrame(0, opaque_data=b"12345678").serialize()
SETTINGS = SettingsFrame(0).serialize()


def meter() -> FrameMeter:
    """A meter that has seen an honest beginning at second 0."""
    fresh = FrameMeter(max_block_bytes=1000, max_frame_bytes=2000, now=0.0)
    fresh.feed(PREFACE + SETTINGS, 0.0)
    return fresh


def test_burst_then_rate() -> None:
    subject = meter()
    budget = BUDGETS["ping"]
    subject.feed(PING * int(budget.burst), 1.0)
    subject.feed(PING * int(budget.per_s), 2.0)
    subject.feed(PING * int(budget.burst), 1000.0)
    with pytest.raises(FloodError, match="ping"):
        subject.feed(PING, 1000.0)


def test_an_honest_day_of_pings() -> None:
    subject = meter()
    for second in range(86_400):
        subject.feed(PING, float(second))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 10, 26])
def test_pieces_of_any_size_are_counted_alike(size: int) -> None:
    frames = PREFACE + SETTINGS + PING * (int(BUDGETS["ping"].burst) + 1)
    subject = FrameMeter(max_block_bytes=1000, max_frame_bytes=2000, now=0.0)
    pieces = [frames[start : start + size] for start in range(0, len(frames), size)]

    def feed() -> None:
        for piece in pieces:
            subject.feed(piece, 0.0)

    with pytest.raises(FloodError, match="ping"):
        feed()


@pytest.mark.parametrize(
    ("frames", "owing"),
    [
        ([HeadersFrame(1, data=b"x", flags=["END_HEADERS"])], False),
        ([HeadersFrame(1, data=b"x")], True),
        ([HeadersFrame(1, data=b"x"), ContinuationFrame(1, data=b"y")], True),
        ([HeadersFrame(1, data=b"x"), ContinuationFrame(1, data=b"y", flags=["END_HEADERS"])], False),
        ([HeadersFrame(1, data=b"", flags=["END_HEADERS"])], False),
    ],
)
def test_open_header_blocks_are_known(frames: list[Frame], owing: bool) -> None:  # noqa: FBT001
    subject = meter()
    for frame in frames:
        subject.feed(frame.serialize(), 5.0)
    assert subject.waiting_since == (5.0 if owing else None)


def test_header_frame_owes_until_its_last_byte() -> None:
    subject = meter()
    frame = HeadersFrame(1, data=b"xyz", flags=["END_HEADERS"]).serialize()
    subject.feed(frame[:-1], 5.0)
    assert subject.waiting_since == 5.0
    subject.feed(frame[-1:], 6.0)
    assert subject.waiting_since is None


def test_beginning_owes_until_settings_are_in() -> None:
    subject = FrameMeter(max_block_bytes=1000, max_frame_bytes=2000, now=3.0)
    for piece in (PREFACE[:10], PREFACE[10:]):
        subject.feed(piece, 4.0)
        assert subject.waiting_since == 3.0
    subject.feed(SETTINGS, 4.0)
    assert subject.waiting_since is None


def test_unfinished_data_frame_names_its_stream() -> None:
    subject = meter()
    frame = DataFrame(7, data=bytes(100)).serialize()
    subject.feed(frame[:50], 0.0)
    assert subject.data_stream == 7
    subject.feed(frame[50:], 0.0)
    assert subject.data_stream == 0


def test_block_and_frame_sizes_are_bounded_before_their_payload() -> None:
    subject = meter()
    subject.feed(HeadersFrame(1, data=bytes(900)).serialize(), 0.0)
    with pytest.raises(FloodError, match="header_block"):
        subject.feed(ContinuationFrame(1, data=bytes(101)).serialize()[:9], 0.0)
    with pytest.raises(OversizeFrameError):
        meter().feed(DataFrame(1, data=bytes(2001)).serialize()[:9], 0.0)


def test_downloads_pay_for_their_window_updates() -> None:
    subject = FrameMeter(max_block_bytes=1000, max_frame_bytes=2000, now=0.0)
    subject.feed(PREFACE + SETTINGS, 0.0)
    update = b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01"
    for _ in range(20_000):
        subject.sent(1024)
        subject.feed(update * 2, 0.0)


HEADERS = [
    (b":method", b"POST"),
    (b":path", b"/segment"),
    (b"livepeer-payment", b"cGF5bWVudA==" * 50),
    (b"x-empty", b""),
    (b"\xc3\xa4", bytes(range(256))),
]


@pytest.mark.parametrize("huffman", [True, False])
def test_decodes_what_the_library_encodes(huffman: bool) -> None:  # noqa: FBT001
    encoder, decoder = Encoder(), HeaderDecoder(max_list_bytes=100_000)
    for turn in range(50):
        encoder.header_table_size = 4096 if turn % 7 else 80 * turn
        headers = [*HEADERS, (b"turn", b"%d" % (turn % 5)), (b"big", bytes(turn * 20))]
        decoded = decoder.decode(encoder.encode(headers, huffman=huffman))
        assert [(name, value) for name, value, _ in decoded] == headers


def test_never_indexed_fields_are_told() -> None:
    decoder = HeaderDecoder(max_list_bytes=1000)
    assert list(decoder.decode(b"\x10\x01a\x01b\x00\x01a\x01b\x82")) == [
        (b"a", b"b", True),
        (b"a", b"b", False),
        (b":method", b"GET", False),
    ]


def test_agrees_with_the_library_on_mutated_blocks() -> None:
    """Accepts the same blocks with the same result as ``hpack``, and fails with our error where that fails."""
    chance = random.Random(7)  # noqa: S311 -- the same mutations in every run
    accepted = refused = 0
    for _ in range(1500):
        block = bytearray(Encoder().encode(HEADERS, huffman=chance.random() < 0.5))
        for _ in range(chance.randint(1, 3)):
            block[chance.randrange(len(block))] = chance.randrange(256)
        try:
            wanted = [tuple(field) for field in Decoder().decode(bytes(block), raw=True)]
        except HPACKError:
            wanted = None
        try:
            found = [(name, value) for name, value, _ in HeaderDecoder(max_list_bytes=65536).decode(bytes(block))]
        except CompressionError:
            found = None
        assert found == wanted
        accepted += found is not None
        refused += found is None
    assert accepted > 30
    assert refused > 30


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",
        b"\xff\xff\xff\xff\xff\xff\xff",
        b"\x00",
        b"\x00\x05a",
        b"\x00\x01a",
        b"\x00\x01a\x7f",
        b"\x00\x01a\x81\x00",
        b"\x82\x20",
        b"\x3f\xe2\x1f",
        b"\xbe",
    ],
)
def test_malformed_blocks_are_compression_errors(block: bytes) -> None:
    with pytest.raises(CompressionError):
        HeaderDecoder(max_list_bytes=1000).decode(block)


def test_lists_are_bounded_by_bytes_and_fields() -> None:
    assert len(list(HeaderDecoder(max_list_bytes=1 << 20).decode(b"\x82" * MAX_FIELDS))) == MAX_FIELDS
    with pytest.raises(HeaderListTooLargeError):
        HeaderDecoder(max_list_bytes=1 << 20).decode(b"\x82" * (MAX_FIELDS + 1))
    with pytest.raises(HeaderListTooLargeError):
        HeaderDecoder(max_list_bytes=100).decode(b"\x82" * 3)
    with pytest.raises(HeaderListTooLargeError):
        HeaderDecoder(max_list_bytes=100).decode(b"\x00\x01a\x7f\x80\x01" + bytes(255))


LENGTHS = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def mutated_string(chance: random.Random) -> bytes:
    """A long Huffman string, mostly damaged somewhere."""
    alphabet = bytes(range(256)) if chance.random() < 0.5 else b"abcdefghijklmnopqrstuvwxyz0123456789+/="
    packed = bytearray(LENGTHS.encode(bytes(chance.choices(alphabet, k=900))))
    if chance.random() < 0.7:
        packed[chance.randrange(len(packed))] = chance.randrange(256)
    if chance.random() < 0.3:
        packed[-1] = chance.randrange(256)
    if chance.random() < 0.2:
        packed += b"\xff" * chance.randint(1, 4)
    if chance.random() < 0.2:
        del packed[-1:]
    return bytes(packed)


def test_long_strings_unpack_as_the_library_does(capfd: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(5)  # noqa: S311 -- the same mutations in every run
    accepted = refused = 0
    for _ in range(2500):
        packed = mutated_string(chance)
        try:
            wanted = decode_huffman(packed)
        except HPACKError:
            wanted = None
        try:
            found = unpack(packed)
        except HPACKError:
            found = None
        assert found == wanted
        accepted += found is not None
        refused += found is None
    assert accepted > 100
    assert refused > 100
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 2000, 40_000])
def test_strings_of_all_lengths(size: int) -> None:
    # Eight times anything ends on a whole byte, so that the packed form may be repeated.
    text = b"QmFzZTY0" * 8
    assert unpack(LENGTHS.encode(text) * size) == text * size
