"""What a gateway reads after the 200: early headers, the result message, and every error text we can provoke.

Texts are compared whole: a gateway decides by them whether to keep the orchestrator (video.md 4.2, 4.5 and 7.11).
"""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.clips import audio_packet_hashes, decoded_frames, decoded_px, key_frames, make_file
from tests.node import Node
from tests.peer.gateway import PeerGateway
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import make_profile, preset

pytestmark = [pytest.mark.node, pytest.mark.media]

BOTH_PROTOCOLS = pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])
SMALL = preset("P144p30fps16x9")
KEEPING = frozenset({"TranscoderInvalidVideo", "Invalid argument", "No keyframes in input"})


@BOTH_PROTOCOLS
def test_headers_come_before_the_work_is_done(gateway: PeerGateway, heavy_segment: bytes, *, http2: bool) -> None:
    profiles = [make_profile("high", 1280, 720, 4_000_000, 60), preset("P360p30fps16x9")]
    post = gateway.compose(heavy_segment, info=gateway.get_orchestrator(), profiles=profiles, duration_ms=30_000)
    answer = gateway.post(post, http2=http2)
    assert (answer.status, answer.error) == (200, "")
    assert answer.headers_s < 2.0
    assert answer.total_s - answer.headers_s > 0.3, "the result came with the headers: nothing was shown"
    assert answer.headers_s < answer.total_s / 2


@BOTH_PROTOCOLS
def test_result_carries_renditions_and_the_received_token(gateway: PeerGateway, segment: bytes, *, http2: bool) -> None:
    info = gateway.get_orchestrator()
    profiles = [SMALL, make_profile("tall", 320, 240, 300_000, 15, format=1)]
    post = gateway.compose(segment, info=info, profiles=profiles, seq=77, duration_ms=1000)
    answer = gateway.post(post, http2=http2)
    assert answer.status == 200
    assert "content-type" not in answer.headers
    assert "content-length" not in answer.headers

    result = answer.result
    assert result.seq == 77
    assert result.WhichOneof("result") == "data"
    assert len(result.data.segments) == 2
    assert result.data.sig == b""
    assert result.info.auth_token == info.auth_token
    assert result.info.transcoder == info.transcoder
    assert result.info.capabilities == info.capabilities
    assert not result.info.HasField("ticket_params")

    first, second = result.data.segments
    assert first.url.startswith(f"{gateway.url}/stream/{info.auth_token.session_id}/P144p30fps16x9/77.ts")
    assert second.url.endswith("/tall/77.mp4")
    for segment_data, rate in ((first, 30), (second, 15)):
        rendition = gateway.download(segment_data.url)
        assert len(decoded_frames(rendition)) == rate
        assert decoded_px(rendition) == segment_data.pixels
        assert audio_packet_hashes(rendition) == audio_packet_hashes(segment)


@BOTH_PROTOCOLS
def test_error_comes_in_the_body_with_the_received_token(gateway: PeerGateway, *, http2: bool) -> None:
    info = gateway.get_orchestrator()
    answer = gateway.post(gateway.compose(b"\x00garbage" * 1000, info=info, profiles=[SMALL], seq=-5), http2=http2)
    assert answer.status == 200
    assert "content-type" not in answer.headers
    assert answer.result.WhichOneof("result") == "error"
    assert answer.error == "TranscoderInvalidVideo"
    assert answer.result.seq == -5
    assert not answer.result.data.segments
    assert answer.result.info.auth_token == info.auth_token


@pytest.mark.parametrize(
    "make",
    [
        lambda _: b"",
        lambda _: b"\x47",
        lambda _: bytes(188 * 100),
        lambda _: b"<html>404 page not found</html>" * 50,
        lambda s: s[:188],
        lambda s: b"\xff" * len(s),
    ],
    ids=["no bytes", "one byte", "zeros", "html", "one packet", "ones"],
)
def test_body_that_is_no_video_is_invalid_video(
    gateway: PeerGateway, segment: bytes, make: Callable[[bytes], bytes]
) -> None:
    answer = gateway.post(gateway.compose(make(segment), info=gateway.get_orchestrator(), profiles=[SMALL]))
    assert (answer.status, answer.error) == (200, "TranscoderInvalidVideo")


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
def test_truncated_segment_is_transcoded_as_far_as_it_goes_or_refused_by_name(
    gateway: PeerGateway, segment: bytes, kept: float
) -> None:
    body = segment[: int(len(segment) * kept)]
    answer = gateway.post(gateway.compose(body, info=gateway.get_orchestrator(), profiles=[SMALL]))
    assert answer.status == 200
    if answer.error:
        assert answer.error in KEEPING | {"Invalid data found when processing input"}
    else:
        (rendition,) = answer.result.data.segments
        assert decoded_px(gateway.download(rendition.url)) == rendition.pixels


def test_audio_alone_is_invalid_video(gateway: PeerGateway, tmp_path: Path) -> None:
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-c:a", "aac", "-f", "mpegts"]
    body = make_file(tmp_path, "sound.ts", *sound)
    answer = gateway.post(gateway.compose(body, info=gateway.get_orchestrator(), profiles=[SMALL]))
    assert (answer.status, answer.error) == (200, "TranscoderInvalidVideo")


@pytest.mark.parametrize(
    ("profiles", "error"),
    [
        ([make_profile(f"p{i}", 256, 144, 100_000, 1) for i in range(11)], "Too many outputs"),
        ([make_profile("gop", 256, 144, 400_000, 30, gop=-2)], "TranscoderInvalidGOP"),
        ([make_profile("gop", 256, 144, 400_000, 30, gop=-(2**31))], "TranscoderInvalidGOP"),
        ([SMALL, make_profile("gop", 256, 144, 400_000, 30, gop=-3)], "TranscoderInvalidGOP"),
        ([make_profile("fast", 256, 144, 400_000, 1000)], "Encoded frames runaway"),
        ([make_profile("vp8", 256, 144, 400_000, 30, encoder=2)], "Encoder not found"),
        ([SMALL, make_profile("vp9", 256, 144, 400_000, 30, encoder=3)], "Encoder not found"),
        ([make_profile("negative", 256, 144, -1, 30)], "Invalid argument"),
        ([make_profile(f"p{i}", 2**31 - 1, 2**31 - 1, 0, 30) for i in range(10)], "TranscoderInvalidResolution"),
    ],
    ids=["11 outputs", "gop -2", "gop minimum", "second profile", "runaway", "vp8", "vp9", "bitrate", "size"],
)
def test_profiles_that_cannot_work_are_refused_by_name(
    gateway: PeerGateway, segment: bytes, profiles: list[pb.VideoProfile], error: str
) -> None:
    answer = gateway.post(gateway.compose(segment, info=gateway.get_orchestrator(), profiles=profiles))
    assert (answer.status, answer.error) == (200, error)
    assert not answer.result.data.segments


ABSURD = [
    make_profile("negative", -1, -1, -1, 30),
    make_profile("least", -(2**31), -(2**31), -(2**31), 2**32 - 1, fpsDen=2**32 - 1),
    make_profile("most", 2**31 - 1, 2**31 - 1, 2**31 - 1, 2**32 - 1, gop=2**31 - 1),
    make_profile("zero", 0, 0, 0, 0),
    make_profile("slow", 256, 144, 400_000, 1, fpsDen=2**32 - 1),
    make_profile("den", 256, 144, 400_000, 0, fpsDen=1001),
    make_profile("quality", 256, 144, 400_000, 30, quality=2**32 - 1),
    make_profile("bitrate", 256, 144, 2**31 - 1, 30),
    make_profile("one bit", 256, 144, 1, 30),
]


@pytest.mark.parametrize("profile", ABSURD, ids=[p.name for p in ABSURD])
def test_absurd_numbers_are_answered_and_harm_nobody(
    gateway: PeerGateway, segment: bytes, profile: pb.VideoProfile
) -> None:
    began = time.monotonic()
    answer = gateway.post(gateway.compose(segment, info=gateway.get_orchestrator(), profiles=[profile]))
    assert answer.status == 200
    assert time.monotonic() - began < 25
    if not answer.error:
        (rendition,) = answer.result.data.segments
        assert decoded_px(gateway.download(rendition.url)) == rendition.pixels
    healthy = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=[SMALL])
    assert gateway.deliver(healthy).renditions


@pytest.mark.parametrize(
    ("clip_from", "clip_to", "error"),
    [
        (2000, 1000, "TranscoderInvalidClipConfig"),
        (2**63 - 1, 0, "TranscoderInvalidClipConfig"),
        (2**63, 1, "Invalid argument"),
        (2**64 - 1, 2**64 - 1, "Invalid argument"),
        (1, 2**64 - 1, "Invalid argument"),
    ],
    ids=["backwards", "far", "beyond 63 bits", "maximum", "open"],
)
def test_clip_that_makes_no_sense_is_named(
    gateway: PeerGateway, segment: bytes, clip_from: int, clip_to: int, error: str
) -> None:
    post = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=[SMALL])
    post.data.segment_parameters.CopyFrom(pb.SegParameters(**{"from": clip_from}, to=clip_to))
    answer = gateway.post(post)
    assert (answer.status, answer.error) == (200, error)


def test_clip_keeps_what_it_names(gateway: PeerGateway, segment: bytes) -> None:
    post = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=[make_profile("clip", 256, 144, 0)])
    post.data.segment_parameters.CopyFrom(pb.SegParameters(**{"from": 500}, to=0))
    (rendition,) = gateway.deliver(post).renditions
    assert len(decoded_frames(rendition)) == 15


def test_no_profiles_give_no_renditions(gateway: PeerGateway, segment: bytes) -> None:
    answer = gateway.post(gateway.compose(segment, info=gateway.get_orchestrator(), profiles=[]))
    assert (answer.status, answer.error) == (200, "")
    assert answer.result.WhichOneof("result") == "data"
    assert not answer.result.data.segments


def test_input_longer_than_300_s_is_invalid_duration(gateway: PeerGateway, tmp_path: Path) -> None:
    picture = ["-f", "lavfi", "-i", "color=size=160x90:rate=1:duration=301", "-c:v", "libx264"]
    body = make_file(tmp_path, "long.mp4", *picture, "-preset", "ultrafast", "-g", "300")
    answer = gateway.post(gateway.compose(body, info=gateway.get_orchestrator(), profiles=[SMALL]))
    assert (answer.status, answer.error) == (200, "TranscoderInvalidDuration")


def test_few_frames_far_apart_run_away(gateway: PeerGateway, tmp_path: Path) -> None:
    picture = ["-f", "lavfi", "-i", "color=size=160x90:rate=1/10:duration=50", "-c:v", "libx264", "-f", "mpegts"]
    body = make_file(tmp_path, "apart.ts", *picture)
    post = gateway.compose(body, info=gateway.get_orchestrator(), profiles=[make_profile("five", 256, 144, 0, 5)])
    answer = gateway.post(post)
    assert (answer.status, answer.error) == (200, "Encoded frames runaway")


def test_mp4_body_is_transcoded_like_any_other(gateway: PeerGateway, tmp_path: Path) -> None:
    picture = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=30:duration=1",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
    ]
    body = make_file(tmp_path, "clip.mp4", *picture, "-preset", "ultrafast")
    delivered = gateway.deliver(gateway.compose(body, info=gateway.get_orchestrator(), profiles=[SMALL]))
    assert decoded_px(delivered.renditions[0]) == delivered.pixels[0] == 256 * 144 * 30


@pytest.mark.parametrize(
    "name",
    [
        "../../../../tmp/evil",
        "..",
        "/etc/passwd",
        "a/../../b",
        "a\\b",
        "nul\0nul",
        "new\nline",
        "",
        "é" * 200,
        "%2e%2e",
    ],
)
def test_profile_name_never_leaves_its_session(node: Node, gateway: PeerGateway, segment: bytes, name: str) -> None:
    info = gateway.get_orchestrator()
    profiles = [make_profile(name, 256, 144, 0, 1), make_profile(name, 320, 180, 0, 2)]
    answer = gateway.post(gateway.compose(segment, info=info, profiles=profiles, manifest_id=b"names"))
    assert (answer.status, answer.error) == (200, "")
    urls = [s.url for s in answer.result.data.segments]
    assert len(set(urls)) == 2
    for url, data in zip(urls, answer.result.data.segments, strict=True):
        path = httpx.URL(url).path
        assert path.startswith(f"/stream/{info.auth_token.session_id}/")
        assert ".." not in path.split("/")
        assert decoded_px(gateway.download(url)) == data.pixels
    assert not Path("/tmp/evil").exists()  # noqa: S108 -- what a hostile name tried to write
    assert node.alive


@pytest.mark.parametrize(
    "manifest_id", [b"../../../../tmp/evil", b"/etc/passwd", b"\xff\xfe\x00", b"", b"m" * 20_000, "\u202ename".encode()]
)
def test_manifest_id_is_only_a_name(node: Node, gateway: PeerGateway, segment: bytes, manifest_id: bytes) -> None:
    post = gateway.compose(
        segment, info=gateway.get_orchestrator(), profiles=[SMALL], manifest_id=manifest_id, seq=2**62
    )
    delivered = gateway.deliver(post)
    assert delivered.answer.result.seq == 2**62
    assert not list(Path("/tmp").glob("evil*"))  # noqa: S108 -- what a hostile name tried to write
    assert node.alive


def test_gop_of_a_fractional_rate_counts_frames(gateway: PeerGateway, segments: tuple[bytes, ...]) -> None:
    profile = make_profile("gop", 256, 144, 400_000, 30000, fpsDen=1001, gop=200)
    post = gateway.compose(segments[1], info=gateway.get_orchestrator(), profiles=[profile], duration_ms=1000)
    (rendition,) = gateway.deliver(post).renditions
    assert key_frames(rendition) == [0, 6, 12, 18, 24]


def test_intra_only_makes_every_frame_a_key_frame(gateway: PeerGateway, segment: bytes) -> None:
    profile = make_profile("intra", 256, 144, 400_000, 10, gop=-1)
    post = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=[profile], duration_ms=1000)
    (rendition,) = gateway.deliver(post).renditions
    assert key_frames(rendition) == list(range(10))


def test_segment_without_profiles_is_an_empty_success_and_no_work(
    gateway: PeerGateway, node: Node, heavy_segment: bytes
) -> None:
    """Neither a film nor noise is decoded for nobody; the hash of the body still counts."""
    done = sum(child["jobs"] for child in node.engines())
    for data in (heavy_segment, b"no video at all"):
        post = gateway.compose(data, info=gateway.get_orchestrator(), profiles=[], duration_ms=30_000)
        answer = gateway.post(post)
        assert (answer.status, answer.error) == (200, "")
        assert list(answer.result.data.segments) == []
    assert sum(child["jobs"] for child in node.engines()) == done
