"""The HTTP router of the service port: stored renditions, health, unknown and unclean paths (video.md 1.4 and 6.2)."""

import http.client
import ssl
from urllib.parse import urlsplit

import httpx
import pytest

from tests.node import Node
from tests.peer.gateway import Delivered, PeerGateway
from tests.peer.segments import make_profile, preset

pytestmark = [pytest.mark.node, pytest.mark.media]

BOTH_PROTOCOLS = pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])


def raw_request(url: str, path: str, method: str = "GET") -> http.client.HTTPResponse:
    """An HTTP/1.1 request whose path is sent exactly as it is; the body is read."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(str(parts.hostname), parts.port, timeout=10, context=context)
    try:
        connection.putrequest(method, path, skip_host=False)
        connection.endheaders()
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]  # kept for the caller, the connection is closed
        return response
    finally:
        connection.close()


@pytest.fixture
def delivered(gateway: PeerGateway, segment: bytes) -> Delivered:
    """A segment with one rendition of each container."""
    profiles = [preset("P144p30fps16x9"), make_profile("mp4", 256, 144, 0, format=1)]
    return gateway.deliver(
        gateway.compose(segment, info=gateway.get_orchestrator(), profiles=profiles, duration_ms=1000)
    )


@BOTH_PROTOCOLS
def test_rendition_is_served_with_its_headers(gateway: PeerGateway, delivered: Delivered, *, http2: bool) -> None:
    for data, content, content_type in zip(
        delivered.answer.result.data.segments, delivered.renditions, ("video/mp2t", "video/mp4"), strict=True
    ):
        answer = gateway.request("GET", data.url, http2=http2)
        assert answer.status == 200
        assert answer.body == content
        assert answer.headers["content-type"].lower() == content_type
        assert answer.headers["content-length"] == str(len(content))
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-expose-headers"] == "Content-Length"
        assert answer.headers["cache-control"] == "max-age=5"
        if http2:
            assert "connection" not in answer.headers


def test_range_is_ignored(gateway: PeerGateway, delivered: Delivered) -> None:
    url = delivered.answer.result.data.segments[0].url
    answer = gateway.request("GET", url, headers={"Range": "bytes=0-9"}, http2=False)
    assert (answer.status, answer.body) == (200, delivered.renditions[0])


def test_renditions_outlive_their_session(gateway: PeerGateway, delivered: Delivered) -> None:
    gateway.end_all()
    assert gateway.download(delivered.answer.result.data.segments[0].url) == delivered.renditions[0]


@BOTH_PROTOCOLS
@pytest.mark.parametrize(
    "tail",
    [
        "",
        "nobody",
        "nobody/",
        "nobody/P144p30fps16x9/0.ts",
        "{session}",
        "{session}/",
        "{session}/P144p30fps16x9",
        "{session}/P144p30fps16x9/99.ts",
        "{session}/index.m3u8",
        "{session}/%2e%2e/%2e%2e/etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "{session}/P144p30fps16x9%2f0.ts%00",
    ],
)
def test_object_nobody_stored_is_not_found(
    gateway: PeerGateway, delivered: Delivered, tail: str, *, http2: bool
) -> None:
    session = delivered.answer.result.info.auth_token.session_id
    answer = gateway.request("GET", gateway.url + "/stream/" + tail.format(session=session), http2=http2)
    if answer.status == 301:  # a dot segment was cleaned first
        assert b"root:" not in answer.body
        return
    assert (answer.status, answer.text) == (404, "ErrNotFound\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


@BOTH_PROTOCOLS
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_health_is_an_empty_200(gateway: PeerGateway, method: str, *, http2: bool) -> None:
    answer = gateway.request(method, gateway.url + "/healthz", http2=http2)
    assert (answer.status, answer.body) == (200, b"")


@BOTH_PROTOCOLS
@pytest.mark.parametrize("path", ["/", "/nothing", "/segment/", "/recordings/x", "/vod/x", "/status", "/metrics"])
def test_unknown_path_is_not_found(gateway: PeerGateway, path: str, *, http2: bool) -> None:
    answer = gateway.request("GET", gateway.url + path, http2=http2)
    assert (answer.status, answer.text) == (404, "404 page not found\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("//healthz", "/healthz"),
        ("/stream//a/b.ts", "/stream/a/b.ts"),
        ("/./healthz", "/healthz"),
        ("/x/../healthz", "/healthz"),
        ("/stream/../../etc/passwd", "/etc/passwd"),
        ("//healthz?a=b", "/healthz?a=b"),
    ],
)
def test_unclean_path_is_sent_to_its_clean_form(node: Node, path: str, clean: str) -> None:
    response = raw_request(node.url, path)
    assert response.status == 301
    assert response.headers["Location"] == clean


def test_target_that_is_no_path_is_refused_quietly(node: Node) -> None:
    for target in ("*", "http://elsewhere.example/healthz", "nothing", "/" + "a" * 5000):
        response = raw_request(node.url, target, "GET")
        assert response.status in {200, 301, 400, 404}, target


def test_grpc_content_type_over_http1_is_no_grpc(gateway: PeerGateway) -> None:
    answer = gateway.request(
        "POST",
        gateway.url + "/net.Orchestrator/Ping",
        headers={"Content-Type": "application/grpc"},
        body=b"\0\0\0\0\0",
        http2=False,
    )
    assert (answer.status, answer.text) == (404, "404 page not found\n")


def test_grpc_path_without_its_content_type_is_no_grpc(gateway: PeerGateway) -> None:
    answer = gateway.request("POST", gateway.url + "/net.Orchestrator/Ping", body=b"\0\0\0\0\0")
    assert (answer.status, answer.text) == (404, "404 page not found\n")


def test_certificate_is_self_signed_for_the_service_host(node: Node) -> None:
    with httpx.Client(trust_env=False) as client, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        client.get(node.url + "/healthz")
    key = next(node.data_dir.rglob("key.pem"))
    assert key.stat().st_mode & 0o777 == 0o600
