"""Sessions over the real port: order, the line of waiting segments, capacity, and the refresh of a token in mid-stream.

Answers to video.md 4.5 and 11.2 items 13, 19, 21 and 23.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.integration.loads import LONG_MS, SLOW
from tests.node import Node, eventually, running_node
from tests.peer.gateway import Answer, PeerGateway, RpcError
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import SegmentPost, preset
from tests.tokens import reissued

pytestmark = [pytest.mark.node, pytest.mark.media]

SMALL = (preset("P144p30fps16x9"),)
IN_LINE = 5
CAPPED = "Invalid orchestrator request: OrchestratorCapped"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Hands for requests that go on at the same time."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        yield pool


def post_alone(gateway: PeerGateway, post: SegmentPost, *, http2: bool = True) -> Answer:
    """The post on a connection of its own.

    Requests of several threads on one connection would get their answers late: in this client library whoever reads
    keeps the others from reading.
    """
    with PeerGateway(gateway.url, key=gateway.key) as hand:
        return hand.post(post, http2=http2)


def send(
    threads: ThreadPoolExecutor, gateway: PeerGateway, post: SegmentPost, *, http2: bool = True
) -> "Future[Answer]":
    """The post in the background."""
    return threads.submit(post_alone, gateway, post, http2=http2)


class Arrivals:
    """The order in which answers came."""

    def __init__(self) -> None:
        self.seqs: list[int] = []

    def __call__(self, answer: "Future[Answer]") -> None:
        self.seqs.append(answer.result().result.seq)


@pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])
def test_one_runs_four_wait_and_the_next_is_told_busy(
    node: Node,
    gateway: PeerGateway,
    heavy_segment: bytes,
    segment: bytes,
    threads: ThreadPoolExecutor,
    *,
    http2: bool,
) -> None:
    info, arrivals = gateway.get_orchestrator(), Arrivals()
    running = gateway.compose(heavy_segment, info=info, profiles=SLOW, seq=0, duration_ms=LONG_MS)
    *waiting, sixth = (
        gateway.compose(segment, info=info, profiles=SMALL, seq=seq, duration_ms=LONG_MS)
        for seq in range(1, IN_LINE + 1)
    )
    answers = [send(threads, gateway, running, http2=http2)]
    node.wait_busy(1)
    for count, post in enumerate(waiting, start=2):
        answers.append(send(threads, gateway, post, http2=http2))
        node.wait_busy(count)
    late = post_alone(gateway, sixth, http2=http2)
    assert not answers[0].done(), "the first segment was too fast: nothing waited"
    assert (late.status, late.error) == (200, "OrchestratorBusy")
    assert late.result.info.auth_token == info.auth_token

    for answer in answers:
        answer.add_done_callback(arrivals)
    results = [answer.result(timeout=50) for answer in answers]
    assert [(r.status, r.error, r.result.seq) for r in results] == [(200, "", seq) for seq in range(IN_LINE)]
    eventually(lambda: len(arrivals.seqs) == IN_LINE, what="every answer is noted")
    assert arrivals.seqs == list(range(IN_LINE)), "segments of a session are answered in the order they came"


def test_streams_do_not_wait_for_one_another_by_name(
    gateway: PeerGateway, segment: bytes, threads: ThreadPoolExecutor
) -> None:
    posts = []
    for n in range(4):
        info = gateway.get_orchestrator()
        posts.append(gateway.compose(segment, info=info, profiles=SMALL, seq=n, manifest_id=b"stream%d" % n))
    results = [answer.result(timeout=50) for answer in [send(threads, gateway, p) for p in posts]]
    assert [(r.status, r.error) for r in results] == [(200, "")] * 4


def test_segment_that_waits_is_told_when_its_session_ends(
    node: Node, gateway: PeerGateway, heavy_segment: bytes, segment: bytes, threads: ThreadPoolExecutor
) -> None:
    info = gateway.get_orchestrator()
    running = send(
        threads, gateway, gateway.compose(heavy_segment, info=info, profiles=SLOW, seq=0, duration_ms=LONG_MS)
    )
    node.wait_busy(1)
    waiting = send(threads, gateway, gateway.compose(segment, info=info, profiles=SMALL, seq=1, duration_ms=LONG_MS))
    node.wait_busy(2)
    gateway.end_session(info.auth_token)
    assert waiting.result(timeout=20).error == "Session ended"
    assert running.result(timeout=50).status == 200


def test_session_that_ended_opens_again_with_its_token(gateway: PeerGateway, segment: bytes) -> None:
    info = gateway.get_orchestrator()
    gateway.deliver(gateway.compose(segment, info=info, profiles=SMALL, seq=0, duration_ms=1000))
    gateway.end_session(info.auth_token)
    gateway.deliver(gateway.compose(segment, info=info, profiles=SMALL, seq=1, duration_ms=1000))


def test_same_segment_twice_is_answered_twice(gateway: PeerGateway, segment: bytes) -> None:
    post = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=SMALL, duration_ms=1000)
    first, second = gateway.deliver(post), gateway.deliver(post)
    assert first.pixels == second.pixels


# A token in its last tenth, on a full node.


@pytest.fixture
def full_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node for one session."""
    with running_node(tmp_path_factory.mktemp("full") / "data", "--max-sessions", "1") as node:
        yield node


def _with_token(post: SegmentPost, token: pb.AuthToken) -> SegmentPost:
    data = pb.SegData()
    data.CopyFrom(post.data)
    data.auth_token.CopyFrom(token)
    return replace(post, data=data)


def test_stream_on_a_full_node_survives_the_refresh_of_its_token(
    full_node: Node, segment: bytes, heavy_segment: bytes, threads: ThreadPoolExecutor
) -> None:
    with PeerGateway(full_node.url) as gateway:
        info = gateway.get_orchestrator()
        ageing = reissued(full_node, info.auth_token, lifetime_s=100)
        first = gateway.compose(segment, info=info, profiles=SMALL, seq=0, manifest_id=b"stream")
        gateway.deliver(_with_token(first, ageing))

        refreshed = gateway.get_orchestrator()
        assert refreshed.auth_token.session_id != info.auth_token.session_id
        with pytest.raises(RpcError) as refused:
            gateway.get_orchestrator()
        assert refused.value.text == CAPPED, "one ageing session earns one answer"

        last = gateway.compose(
            heavy_segment, info=info, profiles=SLOW, seq=1, manifest_id=b"stream", duration_ms=LONG_MS
        )
        running = send(threads, gateway, _with_token(last, ageing))
        full_node.wait_busy(1)
        stranger = gateway.compose(segment, info=refreshed, profiles=SMALL, seq=2, manifest_id=b"another stream")
        assert gateway.post(stranger).text == "OrchestratorCapped\n"
        goes_on = gateway.compose(segment, info=refreshed, profiles=SMALL, seq=2, manifest_id=b"stream")
        assert gateway.post(goes_on).error == ""
        assert running.result(timeout=50).error == "", "the old session finishes what it has"
        eventually(lambda: len(full_node.status()["sessions"]) == 1, what="the old session closes when it is idle")
        gateway.deliver(gateway.compose(segment, info=refreshed, profiles=SMALL, seq=3, manifest_id=b"stream"))
        gateway.end_session(refreshed.auth_token)


def test_young_token_earns_no_refresh_on_a_full_node(full_node: Node, segment: bytes) -> None:
    with PeerGateway(full_node.url) as gateway:
        info = gateway.get_orchestrator()
        gateway.deliver(gateway.compose(segment, info=info, profiles=SMALL))
        with pytest.raises(RpcError) as refused:
            gateway.get_orchestrator()
        assert refused.value.text == CAPPED
        gateway.end_all()
