"""The two headers of a segment: base64 as the network's decoder judges it, and no more work than a header is worth."""

import base64

import pytest

from baton.jobs.messages import SegmentMetadata
from baton.kernel.capabilities import Capabilities
from baton.kernel.errors import RefusedError, Text
from baton.kernel.ids import ManifestId
from baton.kernel.profiles import VideoProfile
from baton.wire.headers import (
    corrupt_at,
    decode_base64,
    encode_segment_header,
    payment_from_header,
    segment_from_header,
)


def metadata(*, profiles: int = 1, manifest: str = "stream") -> SegmentMetadata:
    return SegmentMetadata(
        manifest_id=ManifestId(manifest),
        seq=1,
        content_hash=bytes(32),
        profiles=tuple(VideoProfile(name=f"p{i}", width=256, height=144, bitrate_bps=400_000) for i in range(profiles)),
        signature=b"",
        duration_ms=2000,
        capabilities=Capabilities(),
        auth_token=None,
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", None),
        ("\n", None),
        ("AAA=\n", None),
        ("AAAA\n", None),
        ("AA\r\nAA", None),
        ("AA=\n=", None),
        ("AA==", None),
        ("!!!!", 0),
        ("====", 0),
        ("=", 0),
        ("x===", 1),
        ("=AAA", 0),
        ("A=AA", 1),
        ("AA=A", 2),
        ("AA==A", 4),
        ("AAA=AAAA", 4),
        ("AAAAA", 4),
        ("AAAAAA", 4),
        ("AAAAA\n", 5),
        ("A=", 1),
        ("A==", 1),
        ("AA=", 3),
        ("AAAA=", 4),
        ("AAAA==", 4),
        ("AAAAAA=", 7),
        ("YWJjZA=====", 8),
        ("A!\n", 1),
        ("A=\n", 1),
    ],
)
def test_base64_goes_wrong_where_the_networks_decoder_says_so(text: str, place: int | None) -> None:
    raw = text.encode("ascii")
    assert corrupt_at(raw) == place
    if place is None:
        assert decode_base64(raw) == base64.b64decode(raw)
    else:
        with pytest.raises(ValueError, match=f"^illegal base64 data at input byte {place}$"):
            decode_base64(raw)


def test_padding_too_much_is_a_fault_of_the_payment() -> None:
    with pytest.raises(RefusedError) as refused:
        payment_from_header(b"AAAA=")
    assert (refused.value.status, refused.value.text) == (402, f"{Text.BASE64}illegal base64 data at input byte 4")


def test_a_segment_header_larger_than_any_honest_one_is_not_decoded() -> None:
    assert segment_from_header(encode_segment_header(metadata(manifest="m" * 20_000)).encode()).seq == 1
    with pytest.raises(RefusedError) as refused:
        segment_from_header(encode_segment_header(metadata(manifest="m" * 60_000)).encode())
    assert (refused.value.status, refused.value.text) == (403, Text.SEGMENT_ENCODING)


def test_more_profiles_than_anybody_could_want_are_refused_before_they_cost_anything() -> None:
    assert len(segment_from_header(encode_segment_header(metadata(profiles=100)).encode()).profiles) == 100
    with pytest.raises(RefusedError) as refused:
        segment_from_header(encode_segment_header(metadata(profiles=101)).encode())
    assert (refused.value.status, refused.value.text) == (403, Text.TOO_MANY_OUTPUTS)
