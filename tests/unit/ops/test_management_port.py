"""The management port over a real socket: health, readiness, status, drain, and who is let in."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from baton.config.model import BindAddress
from baton.kernel.errors import ExitCode, StartError
from baton.node.drain import DrainState
from baton.ops import guard
from baton.ops.metrics import PrometheusMetrics
from tests.support import eventually, run
from tests.unit.ops.rig import Rig


def test_health_readiness_and_its_reasons(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            assert (await client.get("/healthz")).status_code == 200
            early = await client.get("/readyz")
            assert early.status_code == 503
            assert early.json() == {
                "ready": False,
                "state": "starting",
                "reasons": [
                    {"fact": "node", "reason": "the node is starting"},
                    {"fact": "engine", "reason": "no engine has answered yet"},
                ],
            }
            rig.engine.hold()
            rig.drain.move(DrainState.SERVING)
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["ready"]) == (200, True)

    run(story())


def test_status(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        rig.clock.advance(12.5)
        async with rig.running() as client:
            response = await client.get("/baton/status")
            answer = response.json()
            assert response.headers["content-type"] == "application/json"
            assert answer["state"] == "starting"
            assert answer["uptime_s"] == 12.5
            assert answer["capabilities"] == ["H.264", "MPEGTS"]
            assert answer["session_count"] == 300
            assert len(answer["sessions"]) == 200
            assert answer["sessions"][0] == {
                "session_id": "01234567",
                "manifest_id": r"evil\x1b[2J\udcff",
                "age_s": 1.2,
                "busy": True,
                "waiting": 0,
            }
            assert answer["engine_tests"] == [
                {
                    "device": "cpu",
                    "engine": "PyAV 1",
                    "encoders": ["libx264"],
                    "measured": ["libx265: 0.40 times real time"],
                    "not_offered": [{"name": "HEVC encode", "reason": "too slow"}],
                }
            ]
            assert answer["engines"] == [{"name": "engine 0", "state": "idle", "pid": 7, "jobs": 3}]
            assert answer["store"] == {"kind": "memory", "used_bytes": 10, "limit_bytes": 100, "objects": 1}
            assert answer["refusals"] == {"capped": 2}
            assert answer["settings"] == [
                {"name": "eth-password", "value": "***", "source": "command line", "where": "--eth-password"}
            ]

    run(story())


def test_drain_and_back(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            early = await client.post("/baton/drain", headers=rig.token)
            assert (early.status_code, early.json()) == (409, {"error": "the node is still starting"})
            rig.drain.move(DrainState.SERVING)
            for _ in range(2):
                answer = await client.post("/baton/drain", headers=rig.token)
                assert (answer.status_code, answer.json()) == (200, {"state": "draining", "ends": False})
            assert rig.drain.state is DrainState.DRAINING
            back = await client.post("/baton/undrain", headers=rig.token)
            assert back.json() == {"state": "serving", "ends": False}
            assert rig.drain.takes_sessions
            rig.drain.move(DrainState.CLOSING)
            late = await client.post("/baton/undrain", headers=rig.token)
            assert late.status_code == 409
            assert late.json() == {"error": "a node that is closing cannot become serving"}

    run(story())


def test_drain_with_exit_asks_the_supervisor_once(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            rig.drain.move(DrainState.SERVING)
            answer = await client.post("/baton/drain?exit=true", headers=rig.token)
            assert answer.json() == {"state": "draining", "ends": True}
            assert rig.leaver is not None
            assert rig.leaver.asked == 1
            rig.drain.move(DrainState.CLOSING)
            assert (await client.post("/baton/drain?exit=true", headers=rig.token)).status_code == 409
            assert rig.leaver.asked == 1

    run(story())


def test_a_port_without_a_supervisor_cannot_end_the_node(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path, leaver=None)
        async with rig.running() as client:
            assert (await client.post("/baton/drain?exit=true", headers=rig.token)).status_code == 409

    run(story())


def test_changes_need_the_token(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            rig.drain.move(DrainState.SERVING)
            token = rig.token["Authorization"]
            for value in (None, "", "Bearer", "Bearer x", token[:-1], token + "x", token.replace("Bearer", "Basic")):
                headers = {} if value is None else {"Authorization": value}
                for path in ("/baton/drain", "/baton/undrain", "/healthz", "/nowhere"):
                    refused = await client.post(path, headers=headers)
                    assert refused.status_code == 401
                    assert refused.headers["www-authenticate"] == "Bearer"
            twice = await client.post("/baton/drain", headers=[("Authorization", token), ("Authorization", token)])
            assert twice.status_code == 401
            assert rig.drain.state is DrainState.SERVING

    run(story())


def test_a_change_is_never_a_get(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            rig.drain.move(DrainState.SERVING)
            assert (await client.get("/baton/drain", headers=rig.token)).status_code == 405
            assert rig.drain.state is DrainState.SERVING

    run(story())


def test_browsers_are_kept_out(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            rig.drain.move(DrainState.SERVING)
            for origin in ("https://evil.example", "null", "http://127.0.0.1"):
                for method, path in (("POST", "/baton/drain"), ("GET", "/baton/status")):
                    refused = await client.request(method, path, headers={**rig.token, "Origin": origin})
                    assert refused.status_code == 403
            assert rig.drain.state is DrainState.SERVING

    run(story())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:7935", 200),
        ("[::1]:1", 200),
        ("LOCALHOST", 200),
        ("evil.example", 403),
        ("evil.example:7935", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.", 403),
        ("0.0.0.0", 403),
        ("", 403),
        ("127.0.0.1:1:2", 403),
    ],
)
def test_a_foreign_name_for_loopback_gets_nowhere(tmp_path: Path, host: str, status: int) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            assert (await client.get("/baton/status", headers={"Host": host})).status_code == status

    run(story())


def test_bound_elsewhere_any_name_will_do(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path, bind=BindAddress("", 0, tls=False))
        async with rig.running() as client:
            assert (await client.get("/healthz", headers={"Host": "node.example"})).status_code == 200

    run(story())


async def post_too_much(client: httpx.AsyncClient, rig: Rig, content: bytes | AsyncIterator[bytes]) -> None:
    """Refused with 413, or cut: the answer and the end of the connection race with what is still being sent."""
    try:
        refused = await client.post("/baton/drain", headers=rig.token, content=content)
    except httpx.TransportError:
        return
    assert refused.status_code == 413


def test_bodies_are_bounded(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 1024

        async with rig.running() as client:
            rig.drain.move(DrainState.SERVING)
            await post_too_much(client, rig, b"x" * 20_000)
            await post_too_much(client, rig, endless())
            assert rig.drain.state is DrainState.SERVING
            small = await client.post("/baton/drain", headers=rig.token, content=b"x" * 10_000)
            assert small.status_code == 200

    run(story())


@pytest.mark.parametrize("length", ["16385", "-1", "9999999999999999999999", "0x10"])
def test_a_length_that_is_too_large_or_no_number_is_refused_before_the_body(tmp_path: Path, length: str) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running():
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.port.port)
            writer.write(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode())
            await writer.drain()
            assert (await reader.readline()).split()[1] in {b"413", b"400"}
            writer.close()
            await writer.wait_closed()

    run(story())


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_BODY_TIMEOUT_S", 0.05)

    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running():
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.port.port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab")
            await writer.drain()
            assert (await reader.readline()).split()[1] == b"413"
            writer.close()
            await writer.wait_closed()

    run(story())


def test_metrics_only_when_measured(tmp_path: Path) -> None:
    async def story() -> None:
        async with Rig(tmp_path).running() as client:
            assert (await client.get("/metrics")).status_code == 404
        metrics = PrometheusMetrics(node_id="host")
        metrics.set("readiness", 1)
        rig = Rig(tmp_path, metrics=metrics)
        async with rig.running() as client:
            response = await client.get("/metrics")
            assert rig.sampled == 1
            assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert 'livepeer_readiness{node_id="host",node_type="orch"} 1' in response.text

    run(story())


class Slow(PrometheusMetrics):
    """Takes as long to write its text as the test wants."""

    def __init__(self) -> None:
        super().__init__(node_id="host")
        self.go_on = threading.Event()
        self.at_once = 0
        self.most_at_once = 0

    def exposition(self) -> bytes:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.go_on.wait(timeout=5.0)
        self.at_once -= 1
        return super().exposition()


def test_long_metrics_hold_up_neither_the_node_nor_its_threads(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = Slow()
        rig = Rig(tmp_path, metrics=metrics)
        async with rig.running() as client, asyncio.TaskGroup() as group:
            scrapes = [group.create_task(client.get("/metrics")) for _ in range(4)]
            await eventually(lambda: metrics.at_once, what="the first reading")
            assert (await client.get("/healthz")).status_code == 200
            assert not any(scrape.done() for scrape in scrapes)
            metrics.go_on.set()
        assert [scrape.result().status_code for scrape in scrapes] == [200] * 4
        assert metrics.most_at_once == 1

    run(story())


def test_nothing_else_is_served(tmp_path: Path) -> None:
    async def story() -> None:
        async with Rig(tmp_path).running() as client:
            for path in ("/", "/docs", "/openapi.json", "/redoc", "/baton", "/debug", "/debug/pprof/"):
                answer = await client.get(path)
                assert (answer.status_code, answer.text) == (404, "404 page not found\n")

    run(story())


def test_garbage_on_the_port_does_not_end_it(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.port.port)
            writer.write(b"\x16\x03\x01\x00garbage\r\n\r\n")
            await writer.drain()
            await reader.read()
            writer.close()
            await writer.wait_closed()
            assert (await client.get("/healthz")).status_code == 200

    run(story())


def test_a_taken_port_is_a_start_error(tmp_path: Path) -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            rig = Rig(tmp_path, bind=BindAddress("127.0.0.1", taken.getsockname()[1], tls=False))
            start = rig.port.as_service().start
            assert start is not None
            with pytest.raises(StartError, match="it is in use") as caught:
                await start()
            assert caught.value.exit_code is ExitCode.PORT_IN_USE

    run(story())


def test_an_address_that_is_not_ours_is_a_start_error(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path, bind=BindAddress("203.0.113.1", 0, tls=False))
        start = rig.port.as_service().start
        assert start is not None
        with pytest.raises(StartError, match=r"on 203\.0\.113\.1, port 0: Cannot assign requested address$"):
            await start()

    run(story())


def test_a_missing_data_directory_is_a_start_error(tmp_path: Path) -> None:
    async def story() -> None:
        start = Rig(tmp_path / "missing").port.as_service().start
        assert start is not None
        with pytest.raises(StartError) as caught:
            await start()
        assert caught.value.exit_code is ExitCode.DATA_DIR

    run(story())


def test_the_answer_survives_json(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    board = rig.port._routes._board
    assert json.loads(json.dumps(board.as_json()))["session_count"] == 300
