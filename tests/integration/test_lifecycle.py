"""A node's life: ready, draining, restarted in mid-stream, and an engine child that dies in the middle of its work."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.clips import decoded_px
from tests.node import Node, eventually, running_node
from tests.peer.gateway import PeerGateway, RpcError
from tests.peer.segments import make_profile, preset

pytestmark = [pytest.mark.node, pytest.mark.media]

SMALL = (preset("P144p30fps16x9"),)
SLOW = (make_profile("slow", 1280, 720, 6_000_000, 60), make_profile("slower", 1280, 720, 3_000_000, 60))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_stream_goes_on_with_its_token_after_a_restart(
    tmp_path: Path, segments: tuple[bytes, ...], how: signal.Signals
) -> None:
    node = Node(tmp_path / "data")
    try:
        node.start()
        with PeerGateway(node.url) as gateway:
            info = gateway.get_orchestrator()
            gateway.deliver(gateway.compose(segments[0], info=info, profiles=SMALL, seq=0, duration_ms=1000))
            if how is signal.SIGTERM:
                node.stop()
            else:
                node.kill()
        node.start()
        with PeerGateway(node.url) as gateway:
            delivered = gateway.deliver(
                gateway.compose(segments[1], info=info, profiles=SMALL, seq=1, duration_ms=1000)
            )
            assert decoded_px(delivered.renditions[0]) == delivered.pixels[0]
            gateway.end_session(info.auth_token)
        node.stop()
        node.check_log()
    finally:
        node.kill()


def test_certificate_survives_a_restart(tmp_path: Path) -> None:
    certificates = []
    for _ in range(2):
        with running_node(tmp_path / "data") as node:
            certificates.append(next(node.data_dir.rglob("cert.pem")).read_bytes())
    assert certificates[0] == certificates[1]


def test_second_node_on_the_same_data_directory_is_refused(tmp_path: Path) -> None:
    with running_node(tmp_path / "data"):
        second = Node(tmp_path / "data")
        second.log_path = tmp_path / "second.log"
        try:
            with pytest.raises(AssertionError, match="ended with 4"):
                second.start()
        finally:
            second.kill()


def test_port_in_use_has_its_own_exit_code(tmp_path: Path) -> None:
    with running_node(tmp_path / "data") as first:
        second = Node(tmp_path / "other")
        second.port = first.port
        try:
            with pytest.raises(AssertionError, match="ended with 3"):
                second.start()
        finally:
            second.kill()


def test_dead_engine_child_costs_its_own_segment_only(
    tmp_path: Path, heavy_segment: bytes, segments: tuple[bytes, ...]
) -> None:
    with (
        running_node(tmp_path / "data", "--engine-children", "2") as node,
        PeerGateway(node.url) as victim,
        PeerGateway(node.url) as other,
        ThreadPoolExecutor(max_workers=2) as threads,
    ):
        node.announce("engine child")
        info = victim.get_orchestrator()
        post = victim.compose(heavy_segment, info=info, profiles=SLOW, manifest_id=b"victim")
        running = threads.submit(victim.post, post)
        node.wait_busy(1)
        busy = eventually(lambda: _busy_engines(node), what="an engine child at work")
        stream = threads.submit(
            lambda: [d.answer.error for d in other.stream(segments, profiles=SMALL, manifest_id=b"other")]
        )
        for pid in busy[:1]:
            os.kill(pid, signal.SIGKILL)
        answer = running.result(timeout=50)
        assert answer.status == 200
        assert answer.error, "a segment whose engine died cannot have come out"
        assert stream.result(timeout=50) == ["", "", ""]
        assert victim.post(post).error == "", "the stream goes on with a fresh child"
        assert node.alive
        victim.end_all()


def _busy_engines(node: Node) -> list[int]:
    return [int(c["pid"]) for c in node.status()["engine"]["children"] if c.get("busy")]


def test_sigterm_finishes_what_runs_and_takes_nothing_new(tmp_path: Path, heavy_segment: bytes, segment: bytes) -> None:
    node = Node(tmp_path / "data")
    try:
        node.start()
        with PeerGateway(node.url) as gateway, ThreadPoolExecutor(max_workers=2) as threads:
            info, unused = gateway.get_orchestrator(), gateway.get_orchestrator()
            post = gateway.compose(heavy_segment, info=info, profiles=SLOW, manifest_id=b"running")
            running = threads.submit(gateway.post, post)
            node.wait_busy(1)
            node.signal(signal.SIGTERM)
            eventually(lambda: _readiness(node) == 503, what="/readyz says that the node drains")

            with pytest.raises(RpcError) as refused:
                gateway.get_orchestrator()
            assert refused.value.text == "Invalid orchestrator request: OrchestratorCapped"
            newcomer = gateway.compose(segment, info=unused, profiles=SMALL, manifest_id=b"new")
            late = gateway.post(newcomer)
            assert (late.status, late.text) == (403, "OrchestratorCapped\n")

            answer = running.result(timeout=50)
            assert answer.error == ""
            assert len(answer.result.data.segments) == len(SLOW)
        assert node.wait_ended() == 0
        node.check_log()
    finally:
        node.kill()


def _readiness(node: Node) -> int:
    try:
        return node.manage("/readyz").status_code
    except httpx.TransportError:
        return 0


def test_second_signal_stops_now(tmp_path: Path, heavy_segment: bytes) -> None:
    node = Node(tmp_path / "data")
    try:
        node.start()
        with PeerGateway(node.url) as gateway, ThreadPoolExecutor(max_workers=1) as threads:
            profiles = [*SLOW, make_profile("slowest", 1920, 1080, 0, 60)]
            post = gateway.compose(heavy_segment, info=gateway.get_orchestrator(), profiles=profiles)
            running = threads.submit(gateway.post, post)
            node.wait_busy(1)
            node.signal(signal.SIGTERM)
            eventually(lambda: _readiness(node) == 503, what="/readyz says that the node drains")
            engines = node.engine_pids()
            began = time.monotonic()
            node.signal(signal.SIGTERM)
            code = node.wait_ended(deadline_s=10)
            assert time.monotonic() - began < 8
            assert code == 7
            with pytest.raises((httpx.HTTPError, AssertionError)):
                _require_success(running.result(timeout=20).body)
        assert not [pid for pid in engines if Path(f"/proc/{pid}").exists()], "engine children outlived the node"
    finally:
        node.kill()


def _require_success(body: bytes) -> None:
    assert body, "no result came"


def test_engine_children_die_with_a_killed_node(tmp_path: Path) -> None:
    node = Node(tmp_path / "data")
    try:
        node.start()
        engines = node.engine_pids()
        assert engines
        node.kill()
        eventually(
            lambda: not [pid for pid in engines if Path(f"/proc/{pid}").exists()],
            deadline_s=15,
            what="engine children end when the node is gone",
        )
    finally:
        node.kill()
