"""The operator's webhook over the real port: who may ask, and what happens when it says nothing (video.md 3.4)."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from tests.node import Node, running_node
from tests.peer.gateway import PeerGateway, RpcError

pytestmark = pytest.mark.node


class _Operator(BaseHTTPRequestHandler):
    """Answers as the test told it to and keeps what it was asked."""

    answer: ClassVar[tuple[int, bytes]] = (200, b"{}")
    hold: ClassVar[threading.Event] = threading.Event()
    asked: ClassVar[list[tuple[str, str, Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.path, str(self.headers["Content-Type"]), json.loads(body)))
        status, text = self.answer
        if status == 0:
            self.hold.wait(timeout=20)
            status, text = 200, b"{}"
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the node may have heard enough
            self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Quiet."""


@contextmanager
def operator() -> Iterator[str]:
    """The webhook's URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Operator)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/auth"
    finally:
        _Operator.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def guarded_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that asks its operator first."""
    with operator() as url:
        flags = ("--auth-webhook-url", url, "--auth-webhook-timeout", "1s")
        with running_node(tmp_path_factory.mktemp("guarded") / "data", *flags) as node:
            yield node


@pytest.fixture
def hook() -> Iterator[type[_Operator]]:
    """The webhook, back to saying yes afterwards."""
    _Operator.answer = (200, b"{}")
    _Operator.hold.clear()
    _Operator.asked.clear()
    yield _Operator
    _Operator.answer = (200, b"{}")


def test_sender_is_named_and_served(guarded_node: Node, hook: type[_Operator]) -> None:
    with PeerGateway(guarded_node.url) as gateway:
        assert gateway.get_orchestrator().auth_token.token
    assert hook.asked == [("/auth", "application/json", {"id": gateway.key.checksum_hex})]


@pytest.mark.parametrize(
    "answer",
    [(200, b'{"priceInfo":{"pricePerUnit":7,"pixelsPerUnit":3}}'), (200, b'{"priceInfo":{}}'), (200, b'{"more":[1]}')],
    ids=["price", "empty price", "unknown keys"],
)
def test_answers_that_mean_yes(guarded_node: Node, hook: type[_Operator], answer: tuple[int, bytes]) -> None:
    hook.answer = answer
    with PeerGateway(guarded_node.url) as gateway:
        info = gateway.get_orchestrator()
        assert info.auth_token.token
        assert not info.HasField("price_info"), "an off-chain node states no price"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((403, b"not on my list"), "authentication failed: not on my list"),
        ((500, b"broken"), "authentication failed: broken"),
        ((200, b""), None),
        ((200, b"<html>"), None),
        ((200, b"[]"), None),
        ((200, b'{"priceInfo":{"pricePerUnit":"seven"}}'), None),
    ],
    ids=["forbidden", "error", "no body", "html", "list", "price of another type"],
)
def test_answers_that_mean_no(
    guarded_node: Node, hook: type[_Operator], answer: tuple[int, bytes], text: str | None
) -> None:
    hook.answer = answer
    with PeerGateway(guarded_node.url) as gateway, pytest.raises(RpcError) as refused:
        gateway.get_orchestrator()
    assert refused.value.code == 2
    assert refused.value.text.startswith("authentication failed: ")
    assert text in {None, refused.value.text}


def test_silent_webhook_refuses_in_time_and_holds_nobody_up(guarded_node: Node, hook: type[_Operator]) -> None:
    hook.answer = (0, b"")
    began = time.monotonic()
    with PeerGateway(guarded_node.url) as gateway, pytest.raises(RpcError) as refused:
        gateway.get_orchestrator()
    assert time.monotonic() - began < 12, "the webhook keeps silent for twenty seconds"
    assert refused.value.text.startswith("authentication failed: ")
    hook.hold.set()


def test_endless_answer_of_the_webhook_is_cut(guarded_node: Node, hook: type[_Operator]) -> None:
    hook.answer = (403, b"x" * 3_000_000)
    with PeerGateway(guarded_node.url) as gateway, pytest.raises(RpcError) as refused:
        gateway.get_orchestrator()
    assert refused.value.text.startswith("authentication failed: ")
    assert len(refused.value.text) < 100_000
