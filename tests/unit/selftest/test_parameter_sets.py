"""A segment that begins at a recovery point gets its parameter sets; everything else is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.selftest.parameter_sets import with_parameter_sets

SPS, PPS = b"\x67sps!", b"\x68pp"
AVCC = b"\x01\x64\x00\x1f\xff\xe1" + b"\x00\x05" + SPS + b"\x01" + b"\x00\x03" + PPS


def units(*bodies: bytes, length_bytes: int = 4) -> bytes:
    return b"".join(len(body).to_bytes(length_bytes, "big") + body for body in bodies)


RECOVERY, IDR, SLICE, AUD = b"\x06sei", b"\x65idr", b"\x41slice", b"\x09\xf0"


def test_picture_that_is_no_idr_gets_them_in_front() -> None:
    assert with_parameter_sets(units(RECOVERY, SLICE), AVCC) == units(SPS, PPS, RECOVERY, SLICE)


def test_delimiter_stays_first() -> None:
    assert with_parameter_sets(units(AUD, SLICE), AVCC) == units(AUD, SPS, PPS, SLICE)


def test_length_of_lengths_is_the_files() -> None:
    avcc = AVCC[:4] + b"\xfd" + AVCC[5:]
    data = units(SLICE, length_bytes=2)
    assert with_parameter_sets(data, avcc) == units(SPS, PPS, SLICE, length_bytes=2)


@pytest.mark.parametrize(
    ("data", "extradata"),
    [
        (units(IDR), AVCC),
        (units(SPS, PPS, SLICE), AVCC),
        (units(SLICE), b""),
        (units(SLICE), b"\x00\x00\x00\x01\x67sps"),
        (b"\x00\x00\x00\x01\x41slice", b"\x00\x00\x01\x67"),
        (b"", AVCC),
        (b"\xff\xff\xff\xff\x41", AVCC),
    ],
    ids=["idr", "has them", "no extradata", "annex b", "annex b data", "empty", "overlong"],
)
def test_the_rest_is_left_alone(data: bytes, extradata: bytes) -> None:
    assert with_parameter_sets(data, extradata) == data


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_bytes_are_lost_and_nothing_raises(data: bytes, tail: bytes) -> None:
    whole = with_parameter_sets(data, b"\x01" + tail)
    assert len(whole) >= len(data)
    added = len(whole) - len(data)
    assert any(whole[:at] + whole[at + added :] == data for at in range(len(data) + 1))
