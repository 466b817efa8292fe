"""A node's life: ready, draining, restarted in mid-stream, and an engine child that dies in the middle of its work."""

import contextlib
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.clips import decoded_px
from tests.integration.loads import LONG_MS, SLOW
from tests.node import LogLine, Node, eventually, free_port, running_node
from tests.peer.gateway import PeerGateway, RpcError
from tests.peer.segments import make_profile, preset

pytestmark = [pytest.mark.node, pytest.mark.media]

SMALL = (preset("P144p30fps16x9"),)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_stream_goes_on_with_its_token_and_certificate_after_a_restart(
    tmp_path: Path, segments: tuple[bytes, ...], how: signal.Signals
) -> None:
    node = Node(tmp_path / "data")
    try:
        node.start()
        with PeerGateway(node.url) as gateway:
            info = gateway.get_orchestrator()
            gateway.deliver(gateway.compose(segments[0], info=info, profiles=SMALL, seq=0, duration_ms=1000))
            certificate = next(node.data_dir.rglob("cert.pem")).read_bytes()
            if how is signal.SIGTERM:
                node.stop()
            else:
                node.kill()
        node.start()
        assert next(node.data_dir.rglob("cert.pem")).read_bytes() == certificate
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


def test_second_node_on_the_same_data_directory_is_refused(node: Node, tmp_path: Path) -> None:
    second = Node(node.data_dir)
    second.log_path = tmp_path / "second.log"
    try:
        with pytest.raises(AssertionError, match="ended with 4"):
            second.start()
    finally:
        second.kill()


def test_port_in_use_has_its_own_exit_code(node: Node, tmp_path: Path) -> None:
    second = Node(tmp_path / "other")
    second.port = node.port
    try:
        with pytest.raises(AssertionError, match="ended with 3"):
            second.start()
    finally:
        second.kill()


def test_dead_engine_child_costs_no_other_stream(
    tmp_path: Path, heavy_segment: bytes, segments: tuple[bytes, ...]
) -> None:
    with (
        running_node(tmp_path / "data", "--engine-children", "2") as node,
        PeerGateway(node.url) as victim,
        PeerGateway(node.url) as other,
        ThreadPoolExecutor(max_workers=2) as threads,
    ):
        node.announce("engine")
        info = victim.get_orchestrator()
        post = victim.compose(heavy_segment, info=info, profiles=SLOW, manifest_id=b"victim", duration_ms=LONG_MS)
        running = threads.submit(victim.post, post)
        (pid,) = eventually(lambda: _busy_engines(node), what="an engine child at work")
        stream = threads.submit(
            lambda: [d.answer.error for d in other.stream(segments, profiles=SMALL, manifest_id=b"other")]
        )
        os.kill(pid, signal.SIGKILL)
        assert stream.result(timeout=50) == ["", "", ""]
        answer = running.result(timeout=50)
        assert (answer.status, answer.error) == (200, ""), "one death may have any cause: the segment is tried again"
        for rendition in answer.result.data.segments:
            assert decoded_px(victim.download(rendition.url)) == rendition.pixels
        assert pid not in node.engine_pids()
        victim.end_all()


def test_segment_that_costs_every_child_is_given_up_by_name(
    tmp_path: Path, heavy_segment: bytes, segment: bytes
) -> None:
    with (
        running_node(tmp_path / "data") as node,
        PeerGateway(node.url) as gateway,
        ThreadPoolExecutor(max_workers=1) as threads,
    ):
        node.announce("engine")
        info = gateway.get_orchestrator()
        post = gateway.compose(heavy_segment, info=info, profiles=SLOW, manifest_id=b"victim", duration_ms=LONG_MS)
        running = threads.submit(gateway.post, post)
        while not running.done():
            for pid in _busy_engines(node):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        answer = running.result(timeout=50)
        assert (answer.status, answer.error) == (200, "Unrecoverable state, restart process")

        again = gateway.post(post)
        assert again.error == "Unrecoverable state, restart process", "it is known as poison now"
        assert again.total_s - again.headers_s < 1, "no child was spent on it"
        gateway.deliver(gateway.compose(segment, info=info, profiles=SMALL, seq=1, manifest_id=b"victim"))
        assert node.alive
        gateway.end_all()


def _busy_engines(node: Node) -> list[int]:
    return [int(child["pid"]) for child in node.engines() if child["state"] == "busy"]


def test_sigterm_finishes_what_runs_and_takes_nothing_new(tmp_path: Path, heavy_segment: bytes, segment: bytes) -> None:
    node = Node(tmp_path / "data")
    try:
        node.start()
        with PeerGateway(node.url) as gateway, ThreadPoolExecutor(max_workers=2) as threads:
            info, unused = gateway.get_orchestrator(), gateway.get_orchestrator()
            post = gateway.compose(heavy_segment, info=info, profiles=SLOW, manifest_id=b"running", duration_ms=LONG_MS)
            running = threads.submit(gateway.post, post)
            node.wait_busy(1)
            node.signal(signal.SIGTERM)
            eventually(lambda: _readiness(node) == 503, what="/readyz says that the node drains")

            with pytest.raises(RpcError) as refused:
                gateway.get_orchestrator()
            assert refused.value.text == "Invalid orchestrator request: OrchestratorCapped"
            newcomer = gateway.compose(segment, info=unused, profiles=SMALL, manifest_id=b"new")
            late = gateway.post(newcomer, http2=False)
            assert (late.status, late.text) == (403, "OrchestratorCapped\n")

            answer = running.result(timeout=50)
            assert answer.error == ""
            assert len(answer.result.data.segments) == len(SLOW)
            time.sleep(0.8)  # a gateway that is far away; the node has nothing left to do but to be asked
            for rendition in answer.result.data.segments:
                assert decoded_px(gateway.download(rendition.url)) == rendition.pixels
        assert node.wait_ended(deadline_s=10) == 0
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
            post = gateway.compose(
                heavy_segment, info=gateway.get_orchestrator(), profiles=profiles, duration_ms=LONG_MS
            )
            running = threads.submit(gateway.post, post)
            node.wait_busy(1)
            node.signal(signal.SIGTERM)
            eventually(lambda: _readiness(node) == 503, what="/readyz says that the node drains")
            engines = node.engine_pids()
            began = time.monotonic()
            node.signal(signal.SIGTERM)
            code = node.wait_ended(deadline_s=20)
            assert time.monotonic() - began < 14, "half of the time that draining has, after which nothing new is taken"
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


def test_leftovers_of_a_killed_node_are_removed_at_the_next_start(tmp_path: Path, heavy_segment: bytes) -> None:
    node = Node(tmp_path / "data")
    try:
        node.start()
        with PeerGateway(node.url) as gateway, ThreadPoolExecutor(max_workers=1) as threads:
            post = gateway.compose(heavy_segment, info=gateway.get_orchestrator(), profiles=SLOW, duration_ms=LONG_MS)
            running = threads.submit(gateway.post, post)
            node.wait_busy(1)
            assert list(node.data_dir.rglob("segment-*")), "the segment in hand is on disk"
            node.kill()
            with pytest.raises(httpx.HTTPError):
                running.result(timeout=20)
        assert list(node.data_dir.rglob("segment-*")), "a killed node removes nothing"
        node.start()
        assert not list(node.data_dir.rglob("segment-*"))
        node.stop()
    finally:
        node.kill()


def test_unreachable_service_address_is_a_warning(tmp_path: Path, segment: bytes) -> None:
    node = Node(tmp_path / "data")
    reachable, node.url = node.url, f"https://127.0.0.1:{free_port()}"
    try:
        node.start()
        warning = eventually(
            lambda: [x for x in node.log() if x.fields.get("level") == "warning" and node.url in x.text],
            deadline_s=20,
            what="a warning that names the address",
        )
        assert warning
        with PeerGateway(reachable) as gateway:
            info = gateway.get_orchestrator()
            assert info.transcoder == node.url
            post = gateway.compose(segment, info=info, profiles=SMALL, duration_ms=1000)
            assert gateway.post(post).error == ""
        node.stop()
        node.check_log()
    finally:
        node.kill()


def test_hangup_reloads_and_the_service_manager_hears_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "600000000")
        settings = tmp_path / "data" / "baton.toml"
        settings.parent.mkdir()
        settings.write_text('log-level = "info"\n', encoding="utf-8")

        def hear(word: str) -> None:
            while word not in manager.recv(4096).decode("ascii").splitlines():
                pass

        with running_node(tmp_path / "data") as node:
            hear("WATCHDOG=1")
            hear("READY=1")
            settings.write_text('log-level = "debug"\nmax-sessions = 3\n', encoding="utf-8")
            node.signal(signal.SIGHUP)
            hear("RELOADING=1")
            hear("READY=1")
            assert _line(node, "settings changed that need a restart").fields["settings"] == ["max-sessions"]
            assert _line(node, "settings reloaded").fields["log_level"] == "debug"
            settings.write_text('log-level = "loud"\n', encoding="utf-8")
            node.announce("settings not reloaded")
            node.signal(signal.SIGHUP)
            assert "log-level" in str(_line(node, "settings not reloaded").fields["problems"])
            assert node.manage("/readyz").status_code == httpx.codes.OK
            node.stop()
            hear("STOPPING=1")


def test_engine_children_of_a_node_are_in_their_cells(node: Node) -> None:
    """What the kernel says about every child: a filter, no new rights, none to begin with."""
    children = node.engine_pids()
    assert len(children) >= 2
    for pid in children:
        facts = dict(
            row.split(":\t", 1) for row in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        )
        assert (facts["Seccomp"], facts["NoNewPrivs"]) == ("2", "1")
        assert int(facts["CapEff"], 16) & ~6 == 0
        assert str(node.data_dir / "work") in _words(pid)


def _line(node: Node, event: str) -> LogLine:
    return eventually(
        lambda: next((line for line in node.log() if line.event == event), None), what=f"log line {event!r}"
    )


def _words(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
