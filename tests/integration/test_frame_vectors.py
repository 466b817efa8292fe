"""Frame counts, timestamps and key frames against the network's vectors, over the real port (video.md 10.8).

The source of the vectors: 60 frames a second stamped in whole milliseconds, 8 s from 1.433 s on, cut every 2 s.
"""

from pathlib import Path

import pytest

from tests.clips import key_frames, make_file, make_segments_at, packet_times
from tests.peer.gateway import PeerGateway
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import make_profile

pytestmark = [pytest.mark.node, pytest.mark.media]

STARTS = (128970, 308970, 488970, 668970)
SIZE = (256, 144, 400_000)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    """The four segments of the vectors."""
    segments = make_segments_at(tmp_path_factory.mktemp("vectors"), start_ms=1433, seconds=8, cut_s=2, rate=60)
    assert tuple(packet_times(s)[0] for s in segments) == STARTS
    assert [len(packet_times(s)) for s in segments] == [120] * 4
    return segments


def rendition_of(gateway: PeerGateway, body: bytes, profile: pb.VideoProfile) -> bytes:
    """One rendition of a segment of a stream."""
    post = gateway.compose(body, info=gateway.get_orchestrator(), profiles=[profile])
    (rendition,) = gateway.deliver(post).renditions
    return rendition


@pytest.mark.parametrize(
    ("fps", "frames", "step"), [(30, 60, 3000), (60, 120, 1500), (120, 240, 750)], ids=["30", "60", "120"]
)
def test_fixed_rate_lies_on_the_absolute_grid(
    gateway: PeerGateway, source: tuple[bytes, ...], fps: int, frames: int, step: int
) -> None:
    for index, body in enumerate(source):
        times = packet_times(rendition_of(gateway, body, make_profile("fixed", *SIZE, fps)))
        first = 129000 + 180000 * index
        assert times == list(range(first, first + frames * step, step))


def test_passthrough_keeps_the_times_of_the_source(gateway: PeerGateway, source: tuple[bytes, ...]) -> None:
    for body in source:
        times = packet_times(rendition_of(gateway, body, make_profile("same", *SIZE)))
        assert times == packet_times(body)
    assert packet_times(source[0])[:3] == [128970, 130500, 131940]
    assert packet_times(source[0])[-1] == 307440


@pytest.mark.parametrize(
    ("fps", "fps_den", "allowed"),
    [(123, 0, {246}), (24000, 1001, {48, 49}), (30000, 1001, {60, 61}), (60000, 1001, {119, 120})],
)
def test_odd_rates_give_their_number_of_frames(
    gateway: PeerGateway, source: tuple[bytes, ...], fps: int, fps_den: int, allowed: set[int]
) -> None:
    rendition = rendition_of(gateway, source[0], make_profile("odd", *SIZE, fps, fpsDen=fps_den))
    assert len(packet_times(rendition)) in allowed


@pytest.mark.parametrize("fps", [0, 30])
def test_gop_of_300_ms_gives_seven_key_frames_in_two_seconds(
    gateway: PeerGateway, source: tuple[bytes, ...], fps: int
) -> None:
    for body in source[:2]:
        rendition = rendition_of(gateway, body, make_profile("gop", *SIZE, fps, gop=300))
        assert len(key_frames(rendition)) == 7


@pytest.mark.parametrize(
    ("fps", "gop", "frames", "keys"), [(0, 2000, 10, 5), (0, -1, 10, 10), (10, -1, 100, 100)], ids=["2 s", "1", "10"]
)
def test_slow_source_gets_its_key_frames(
    gateway: PeerGateway, tmp_path: Path, fps: int, gop: int, frames: int, keys: int
) -> None:
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=1:duration=10", "-c:v", "libx264", "-bf", "0"]
    body = make_file(tmp_path, "slow.ts", *picture, "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-f", "mpegts")
    post = gateway.compose(
        body,
        info=gateway.get_orchestrator(),
        profiles=[make_profile("keys", *SIZE, fps, gop=gop)],
        duration_ms=10_000,
    )
    (rendition,) = gateway.deliver(post).renditions
    assert len(packet_times(rendition)) == frames
    assert len(key_frames(rendition)) == keys
