"""The front desk: where a request goes by content type and path, and what nobody serves."""

import asyncio

import pytest

from baton.wire.replies import Message, Receive, Scope, Send, send_plain
from baton.wire.router import Router, clean_path, healthz


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("/segment", "/segment"),
        ("//segment", "/segment"),
        ("/a/../segment", "/segment"),
        ("/../../etc/passwd", "/etc/passwd"),
        ("/stream/./s/1.ts", "/stream/s/1.ts"),
        ("/stream//", "/stream/"),
        ("/", "/"),
        ("", "/"),
        ("/a/..", "/"),
    ],
)
def test_paths_have_one_clean_form(path: str, clean: str) -> None:
    assert clean_path(path) == clean


def ask(path: str, *, method: str = "GET", version: str = "1.1", content_type: str = "", query: bytes = b"") -> Message:
    sent: list[Message] = []

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        await send_plain(send, 200, scope["path"].encode())

    async def grpc(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send_plain(send, 200, b"grpc")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    router = Router(grpc=grpc, exact={"/healthz": healthz, "/segment": named}, prefixes={"/stream/": named})
    headers = [(b"content-type", content_type.encode())] if content_type else []
    scope: Scope = {
        "type": "http",
        "http_version": version,
        "method": method,
        "path": path,
        "query_string": query,
        "headers": headers,
    }
    asyncio.run(router(scope, receive, send))
    answer = dict(sent[0])
    answer["body"] = b"".join(m["body"] for m in sent[1:])
    answer["headers"] = dict(sent[0]["headers"])
    return answer


def test_grpc_needs_http2_and_its_content_type() -> None:
    assert ask("/net.Orchestrator/Ping", version="2", content_type="application/grpc")["body"] == b"grpc"
    assert ask("/net.Orchestrator/Ping", version="2", content_type="application/grpc+proto")["body"] == b"grpc"
    assert ask("/net.Orchestrator/Ping", version="1.1", content_type="application/grpc")["status"] == 404
    assert ask("/net.Orchestrator/Ping", version="2", content_type="text/plain")["status"] == 404


def test_unknown_paths_get_the_text_peers_know() -> None:
    answer = ask("/vod/secret")
    assert (answer["status"], answer["body"]) == (404, b"404 page not found\n")
    assert answer["headers"][b"content-type"] == b"text/plain; charset=utf-8"
    assert answer["headers"][b"x-content-type-options"] == b"nosniff"


def test_a_path_that_is_not_clean_is_sent_to_its_clean_form() -> None:
    answer = ask("/stream/../segment", query=b"a=%0d%0ab")
    assert answer["status"] == 301
    assert answer["headers"][b"location"] == b"/segment?a=%0d%0ab"
    assert answer["body"] == b'<a href="/segment?a=%0d%0ab">Moved Permanently</a>.\n\n'
    hostile = ask('//evil"<script>\r\n', method="POST")
    assert hostile["headers"][b"location"] == b"/evil%22%3Cscript%3E%0D%0A"
    assert hostile["body"] == b""


def test_prefixes_and_health() -> None:
    assert ask("/stream/s/p/1.ts")["body"] == b"/stream/s/p/1.ts"
    health = ask("/healthz", method="PUT")
    assert (health["status"], health["body"]) == (200, b"")
    assert ask("/segments")["status"] == 404
