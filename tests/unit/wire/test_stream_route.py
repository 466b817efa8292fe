"""Renditions as gateways fetch them: headers by method, and what is not found."""

import pytest

from baton.jobs.ports import ServedObject
from baton.kernel.ids import SessionId
from baton.wire.replies import Message, Scope
from baton.wire.stream_http import StreamRoute
from tests.support import run


class Shelf:
    """One object."""

    async def read(self, *, session_id: SessionId, name: str) -> ServedObject | None:
        return ServedObject(data=b"media", content_type="video/mp2t") if (session_id, name) == ("s", "p/1.ts") else None


def fetch(path: str, *, method: str = "GET", media: Shelf | None = None) -> tuple[int, dict[bytes, list[bytes]], bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "http_version": "1.1", "method": method, "path": path, "headers": []}
    run(StreamRoute(media=media)(scope, receive, send))
    headers: dict[bytes, list[bytes]] = {}
    for name, value in sent[0]["headers"]:
        headers.setdefault(name, []).append(value)
    return sent[0]["status"], headers, b"".join(m["body"] for m in sent[1:])


@pytest.mark.parametrize(("method", "body"), [("GET", b"media"), ("POST", b"media"), ("HEAD", b"")])
def test_every_method_gets_the_headers_of_the_object(method: str, body: bytes) -> None:
    status, headers, got = fetch("/stream/s/p/1.ts", method=method, media=Shelf())
    assert (status, got) == (200, body)
    assert headers[b"content-length"] == [b"5"]
    assert headers[b"content-type"] == [b"video/mp2t"]


@pytest.mark.parametrize("path", ["/stream/", "/stream/s", "/stream/s/", "/stream/s/p/2.ts", "/stream/s/p/1.ts.m3u8"])
def test_what_is_not_there_is_not_found(path: str) -> None:
    assert fetch(path, media=Shelf())[::2] == (404, b"ErrNotFound\n")


def test_a_node_that_keeps_nothing_itself_finds_nothing() -> None:
    assert fetch("/stream/s/p/1.ts")[0] == 404
