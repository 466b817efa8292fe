"""Perceptual hashes over the real port: asked for, stored beside the renditions, fetched and read."""

import httpx
import pytest

from tests.clips import decoded_frames
from tests.media.signature_file import TH_XH, frame_distances, parse
from tests.peer.gateway import PeerGateway
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import HTTP_PUSH_BITS, SegmentPost, make_profile, preset

pytestmark = [pytest.mark.node, pytest.mark.media]

BIT = 1 << 14
SMALL = preset("P144p30fps16x9")
TALL = make_profile("tall", 320, 240, 300_000, 15, format=1)


def asking(gateway: PeerGateway, segment: bytes, *, wanted: bool = True, seq: int = 3) -> SegmentPost:
    """A post of a gateway that verifies: it demands the capability and wants hashes."""
    info = gateway.get_orchestrator(bits=(HTTP_PUSH_BITS | BIT,))
    post = gateway.compose(
        segment, info=info, profiles=[SMALL, TALL], seq=seq, duration_ms=1000, bits=(HTTP_PUSH_BITS | BIT,)
    )
    post.data.calc_perceptual_hash = wanted
    return post


def segments_of(gateway: PeerGateway, post: SegmentPost) -> list[pb.TranscodedSegmentData]:
    answer = gateway.post(post)
    assert (answer.status, answer.error) == (httpx.codes.OK, "")
    return list(answer.result.data.segments)


def test_the_node_offers_what_its_engine_proved(gateway: PeerGateway) -> None:
    offer = gateway.get_orchestrator().capabilities
    assert offer.bitstring[0] & BIT
    assert offer.capacities[14] == 1


@pytest.mark.parametrize("flag", ["set", "clear"])
def test_hashes_come_with_the_renditions_when_they_are_asked_for(
    gateway: PeerGateway, segment: bytes, flag: str
) -> None:
    found = segments_of(gateway, asking(gateway, segment, wanted=flag == "set"))
    assert len(found) == 2
    if flag == "clear":
        assert [each.perceptual_hash_url for each in found] == ["", ""]
        return
    for each, profile, name in zip(found, (SMALL, TALL), ("3.ts", "3.mp4"), strict=True):
        assert each.perceptual_hash_url == f"{each.url}.phash"
        assert each.url.endswith(f"/{profile.name}/{name}")
        signature = parse(gateway.download(each.perceptual_hash_url))
        assert signature.right_px == profile.width - 1
        assert (signature.right_px + 1) * (signature.bottom_px + 1) * len(signature.fine) == each.pixels
        assert len(signature.fine) == len(decoded_frames(gateway.download(each.url))) == profile.fps


def test_a_hash_is_served_as_plain_bytes(gateway: PeerGateway, segment: bytes) -> None:
    (first, _) = segments_of(gateway, asking(gateway, segment))
    answer = gateway.request("GET", first.perceptual_hash_url, http2=False)
    assert answer.status == httpx.codes.OK
    assert answer.headers["content-type"] == "application/octet-stream"


def test_hashes_of_one_source_match_and_those_of_two_do_not(
    gateway: PeerGateway, segments: tuple[bytes, ...], heavy_segment: bytes
) -> None:
    """What a verifying gateway asks: did two orchestrators make the same pictures."""

    def hash_of(segment: bytes) -> bytes:
        return gateway.download(segments_of(gateway, asking(gateway, segment))[0].perceptual_hash_url)

    first, again, next_one = (parse(hash_of(segment)) for segment in (segments[0], segments[0], segments[1]))
    assert max(frame_distances(first, again)) < TH_XH
    assert max(frame_distances(first, next_one)) > TH_XH
    assert len(parse(hash_of(heavy_segment)).fine) == 60


def test_only_the_asked_hashes_are_stored(gateway: PeerGateway, segment: bytes) -> None:
    found = segments_of(gateway, asking(gateway, segment, wanted=False, seq=9))
    answer = gateway.request("GET", f"{found[0].url}.phash", http2=False)
    assert answer.status == httpx.codes.NOT_FOUND
