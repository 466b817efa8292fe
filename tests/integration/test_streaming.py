"""Whole streams through a node, judged as a verifying gateway would: pixels, continuity, sound, signature."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from eth_account import Account

from tests import vectors
from tests.clips import audio_packet_hashes, decoded_frames, decoded_px
from tests.media.samples import SAMPLES, clip_segments
from tests.node import Node, running_node
from tests.peer.gateway import PeerGateway
from tests.peer.keys import PeerKey, recover
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import HTTP_PUSH_BITS, make_profile, preset

pytestmark = [pytest.mark.node, pytest.mark.media]

BOTH_PROTOCOLS = pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])
LADDER = (preset("P240p30fps16x9"), make_profile("P144 source rate", 256, 144, 400_000))


def stream_and_judge(
    gateway: PeerGateway,
    bodies: Sequence[bytes],
    *,
    profiles: Sequence[pb.VideoProfile] = LADDER,
    http2: bool = True,
    bits: Sequence[int] = (HTTP_PUSH_BITS,),
) -> list[tuple[bytes, ...]]:
    """Stream ``bodies``; every rendition must hold the reported pixels and the source's sound. Returns renditions."""
    delivered = []
    for body, segment in zip(bodies, gateway.stream(bodies, profiles=profiles, http2=http2, bits=bits), strict=True):
        for rendition, pixels in zip(segment.renditions, segment.pixels, strict=True):
            assert decoded_px(rendition) == pixels
            assert audio_packet_hashes(rendition) == audio_packet_hashes(body)
        delivered.append(segment.renditions)
    return delivered


@BOTH_PROTOCOLS
def test_stream_comes_back_whole_and_in_step(gateway: PeerGateway, segments: tuple[bytes, ...], *, http2: bool) -> None:
    delivered = stream_and_judge(gateway, segments, http2=http2)
    for index, profile in enumerate(LADDER):
        renditions = [d[index] for d in delivered]
        frames = [decoded_frames(r) for r in renditions]
        assert [len(f) for f in frames] == [30] * len(segments), profile.name
        steps = {b.pts - a.pts for a, b in pairwise(frame for part in frames for frame in part)}
        assert steps == {1}, f"{profile.name}: frames are not one interval apart across segments: {steps}"


@BOTH_PROTOCOLS
def test_clip_of_the_repository_comes_back(gateway: PeerGateway, *, http2: bool) -> None:
    bodies = [path.read_bytes() for path in clip_segments(2)]
    delivered = stream_and_judge(gateway, bodies, http2=http2)
    assert [len(decoded_frames(d[0])) for d in delivered] == [60, 60]


_HEVC, _H264_10 = 1 << 15, 1 << 25


@pytest.mark.parametrize(
    ("sample", "bits"),
    [
        ("hevc", HTTP_PUSH_BITS | _HEVC),
        ("hevc_10bit", HTTP_PUSH_BITS | _HEVC),
        ("h264_10bit", HTTP_PUSH_BITS | _H264_10),
        ("vfr", HTTP_PUSH_BITS),
        ("ntsc_29_97", HTTP_PUSH_BITS),
        ("portrait", HTTP_PUSH_BITS),
        ("mp4", HTTP_PUSH_BITS),
        ("interlaced", HTTP_PUSH_BITS),
    ],
)
def test_unusual_source_comes_back_frame_for_frame(gateway: PeerGateway, sample: str, bits: int) -> None:
    recipe = SAMPLES[sample]
    bodies = [path.read_bytes() for path in recipe.segments()[:2]]
    delivered = stream_and_judge(gateway, bodies, profiles=[make_profile("low", 256, 144, 400_000)], bits=(bits,))
    assert [len(decoded_frames(d[0])) for d in delivered] == list(recipe.segment_frames[:2])


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_4k_source_comes_back(gateway: PeerGateway) -> None:
    body = SAMPLES["uhd"].segments()[0].read_bytes()
    ((rendition,),) = stream_and_judge(gateway, [body], profiles=[make_profile("low", 256, 144, 400_000)])
    assert len(decoded_frames(rendition)) == 30


@pytest.mark.parametrize(
    ("sample", "error"),
    [
        ("audio_only", "TranscoderInvalidVideo"),
        ("video_track_without_frames", "TranscoderInvalidVideo"),
        ("no_key_frame", "No keyframes in input"),
        ("longer_than_300_s", "TranscoderInvalidDuration"),
    ],
)
def test_source_that_cannot_be_served_is_named(gateway: PeerGateway, sample: str, error: str) -> None:
    body = SAMPLES[sample].segments()[0].read_bytes()
    answer = gateway.post(gateway.compose(body, info=gateway.get_orchestrator(), profiles=LADDER))
    assert (answer.status, answer.error) == (200, error)


def test_cleartext_node_serves_both_protocols(
    tmp_path_factory: pytest.TempPathFactory, segments: tuple[bytes, ...]
) -> None:
    with (
        running_node(tmp_path_factory.mktemp("clear") / "data", tls=False) as node,
        PeerGateway(node.url) as gateway,
    ):
        assert gateway.get_orchestrator().transcoder == node.url
        stream_and_judge(gateway, segments[:1], http2=True)
        stream_and_judge(gateway, segments[:1], http2=False)
        gateway.end_all()


def test_preset_of_the_operator_is_used(tmp_path_factory: pytest.TempPathFactory, segment: bytes) -> None:
    folder = tmp_path_factory.mktemp("preset") / "data"
    with running_node(folder, "--encoder-preset", "ultrafast") as node, PeerGateway(node.url) as gateway:
        profile = make_profile("mp4", 256, 144, 400_000, format=1)
        (delivered,) = gateway.stream([segment], profiles=[profile])
    assert b"subme=0" in delivered.renditions[0], "the encoder writes its options into the stream"


# A node with a key.


@pytest.fixture(scope="module")
def signing_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, PeerKey]]:
    """A node that signs its results with a key file."""
    folder: Path = tmp_path_factory.mktemp("signing")
    key = PeerKey.fresh()
    keystore = folder / "UTC--2026-01-01T00-00-00.000000000Z--key"
    keystore.write_text(json.dumps(Account.encrypt(key.secret, "open sesame", kdf="pbkdf2", iterations=1000)))
    password = folder / "password"
    password.write_text("open sesame\n")
    flags = ("--eth-keystore-path", str(keystore), "--eth-password", str(password))
    with running_node(folder / "data", *flags) as node:
        assert "open sesame" not in "".join(line.text for line in node.log())
        yield node, key


def test_results_are_signed_over_the_renditions_in_profile_order(
    signing_node: tuple[Node, PeerKey], segment: bytes
) -> None:
    node, key = signing_node
    with PeerGateway(node.url) as gateway:
        info = gateway.get_orchestrator()
        assert info.address == key.address
        delivered = gateway.deliver(gateway.compose(segment, info=info, profiles=LADDER, duration_ms=1000))
        gateway.verify_signature(delivered.answer, delivered.renditions, info.address)
        assert delivered.answer.result.info.address == key.address
        gateway.end_all()


def test_ping_is_signed_by_the_key(signing_node: tuple[Node, PeerKey]) -> None:
    node, key = signing_node
    with PeerGateway(node.url) as gateway:
        assert recover(vectors.PING_VALUE, gateway.ping(vectors.PING_VALUE)) == key.address


def test_renditions_name_their_maker(signing_node: tuple[Node, PeerKey], segment: bytes) -> None:
    node, key = signing_node
    with PeerGateway(node.url) as gateway:
        profiles = [make_profile("ts", 256, 144, 0, 1), make_profile("mp4", 256, 144, 0, 1, format=1)]
        delivered = gateway.deliver(
            gateway.compose(segment, info=gateway.get_orchestrator(), profiles=profiles, duration_ms=1000)
        )
        transport, mp4 = delivered.renditions
        assert b"Livepeer Transcoder " in transport
        assert key.checksum_hex.encode() in transport
        assert b"Processed by Livepeer Transcoder " in mp4
        assert f"({key.checksum_hex})".encode() in mp4
        gateway.end_all()
