"""Segments that a gateway left in a store and names by URL, over the real port (video.md 4.2 steps 16 and 17)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.clips import decoded_px
from tests.node import Node, running_node
from tests.peer.gateway import Answer, PeerGateway
from tests.peer.segments import URI_TYPE, SegmentPost, preset

pytestmark = [pytest.mark.node, pytest.mark.media]

PROFILES = (preset("P144p30fps16x9"),)


@contextmanager
def store_with(body: bytes) -> Iterator[str]:
    """A gateway's object store on loopback: ``/segment.ts`` is there, ``/moved.ts`` leads to it, nothing else is."""

    class _Store(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/moved.ts":
                self.send_response(302)
                self.send_header("Location", "/segment.ts")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            found = self.path == "/segment.ts"
            content = body if found else b"nothing here"
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Store)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def near_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose operator lets segments come from his own network."""
    with running_node(tmp_path_factory.mktemp("near") / "data", "--fetch-private-networks") as node:
        yield node


def post_url(gateway: PeerGateway, segment: bytes, url: str, *, http2: bool = True) -> Answer:
    """A post for ``segment`` whose body is ``url``."""
    post = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=PROFILES, duration_ms=1000)
    return gateway.post(named(post, url), http2=http2)


def named(post: SegmentPost, url: str) -> SegmentPost:
    """The post with the address of its segment instead of the segment."""
    return replace(post, body=url.encode(), content_type=URI_TYPE)


@pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])
@pytest.mark.parametrize("name", ["segment.ts", "moved.ts"])
def test_segment_in_a_store_is_fetched_and_transcoded(
    near_node: Node, segment: bytes, name: str, *, http2: bool
) -> None:
    with store_with(segment) as url, PeerGateway(near_node.url) as gateway:
        answer = post_url(gateway, segment, f"{url}/{name}", http2=http2)
        assert (answer.status, answer.error) == (200, "")
        (rendition,) = answer.result.data.segments
        assert decoded_px(gateway.download(rendition.url)) == rendition.pixels
        gateway.end_all()


def test_segment_that_is_not_in_the_store_is_a_bad_request(near_node: Node, segment: bytes) -> None:
    with store_with(segment) as url, PeerGateway(near_node.url) as gateway:
        answer = post_url(gateway, segment, f"{url}/other.ts")
        assert (answer.status, answer.text) == (400, "BadRequest\n")


def test_other_bytes_in_the_store_than_announced_are_forbidden(near_node: Node, segment: bytes) -> None:
    with store_with(segment + b"x") as url, PeerGateway(near_node.url) as gateway:
        answer = post_url(gateway, segment, f"{url}/segment.ts")
        assert (answer.status, answer.text) == (403, "Forbidden\n")
