"""Peers that mean no good or simply vanish: the node answers as the spec says, stays up and frees what it took."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.loads import SLOW
from tests.node import Node, eventually, running_node
from tests.peer.gateway import PeerGateway
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.raw import RawHttp2, tls_connection
from tests.peer.segments import URI_TYPE, SegmentPost, make_profile, preset

pytestmark = [pytest.mark.node, pytest.mark.media]

BOTH_PROTOCOLS = pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])
SMALL = (preset("P144p30fps16x9"),)
MOST_BODY_BYTES = 300_000_000


@contextmanager
def plain_socket(url: str) -> Iterator[socket.socket]:
    """A raw TCP connection."""
    parts = urlsplit(url)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=20) as plain:
        yield plain


def closed_by_peer(connection: socket.socket, *, within_s: float) -> bool:
    """Whether the other side ends the connection within the time."""
    end = time.monotonic() + within_s
    while True:
        left = end - time.monotonic()
        if left <= 0:
            return False
        connection.settimeout(left)
        try:
            if not connection.recv(65536):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True


def still_serves(gateway: PeerGateway, segment: bytes) -> None:
    """A correct segment comes back."""
    info = gateway.get_orchestrator()
    gateway.deliver(gateway.compose(segment, info=info, profiles=SMALL, duration_ms=1000))


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00" * 4096,
        b"\x16\x03\x01\xff\xff" + b"A" * 70_000,
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
    ],
    ids=["zeros", "tls record", "cleartext http", "ssh", "cleartext h2"],
)
def test_garbage_on_the_tls_port_ends_its_own_connection(gateway: PeerGateway, segment: bytes, junk: bytes) -> None:
    with plain_socket(gateway.url) as connection:
        connection.sendall(junk)
        assert closed_by_peer(connection, within_s=12)
    still_serves(gateway, segment)


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_garbage_inside_tls_ends_its_own_connection(gateway: PeerGateway, segment: bytes, protocol: str) -> None:
    with tls_connection(gateway.url, protocol) as connection:
        assert connection.selected_alpn_protocol() == protocol
        connection.sendall(b"\x00\xff" * 5000 + b"\r\n\r\n")
        assert closed_by_peer(connection, within_s=12)
    still_serves(gateway, segment)


def test_half_open_connections_do_not_keep_others_out(node: Node, gateway: PeerGateway, segment: bytes) -> None:
    parts = urlsplit(node.url)
    address = (str(parts.hostname), int(parts.port or 0))
    silent = [socket.create_connection(address, timeout=5) for _ in range(100)]
    try:
        still_serves(gateway, segment)
    finally:
        for connection in silent:
            connection.close()


@pytest.fixture(scope="module")
def strict_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with short patience, so that tests see it end."""
    flags = ("--header-timeout", "1s", "--body-idle-timeout", "2s", "--max-connections-per-address", "20")
    with running_node(tmp_path_factory.mktemp("strict") / "data", *flags) as node:
        yield node


@pytest.mark.parametrize("stage", ["tcp", "tls h2", "tls http/1.1", "half a header"])
def test_silent_connection_is_closed_after_the_header_timeout(strict_node: Node, stage: str) -> None:
    if stage == "tcp":
        with plain_socket(strict_node.url) as connection:
            assert closed_by_peer(connection, within_s=6)
        return
    protocol = "h2" if stage == "tls h2" else "http/1.1"
    with tls_connection(strict_node.url, protocol) as connection:
        if stage == "half a header":
            connection.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nLivepeer-Segment: ")
        assert closed_by_peer(connection, within_s=6)


def test_slow_header_is_not_kept_alive_by_single_bytes(strict_node: Node) -> None:
    with tls_connection(strict_node.url, "http/1.1") as connection:
        connection.sendall(b"POST /segment HTTP/1.1\r\nX: ")
        began = time.monotonic()
        try:
            while time.monotonic() - began < 8:
                connection.sendall(b"a")
                connection.settimeout(0.2)
                try:
                    if not connection.recv(4096):
                        break
                except TimeoutError:
                    continue
        except OSError:
            pass
        assert time.monotonic() - began < 6


def test_connections_of_one_address_are_bounded(tmp_path_factory: pytest.TempPathFactory) -> None:
    flags = ("--header-timeout", "50s", "--max-connections-per-address", "20", "--no-startup-availability-check")
    with running_node(tmp_path_factory.mktemp("few") / "data", *flags) as node:
        parts = urlsplit(node.url)
        address = (str(parts.hostname), int(parts.port or 0))
        many = [socket.create_connection(address, timeout=5) for _ in range(40)]
        try:
            eventually(lambda: sum(_ended(c) for c in many) == 20, what="twenty of forty connections are refused")
        finally:
            for connection in many:
                connection.close()
        eventually(lambda: _healthy(node), what="the node takes connections again")


def _ended(connection: socket.socket) -> bool:
    """Whether the other side has ended the connection by now; takes nothing from it."""
    connection.setblocking(False)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _healthy(node: Node) -> bool:
    try:
        return bool(httpx.get(node.url + "/healthz", verify=False, timeout=5, trust_env=False).status_code == 200)
    except httpx.TransportError:
        return False


@BOTH_PROTOCOLS
def test_body_that_pauses_for_ever_is_cut(strict_node: Node, segment: bytes, *, http2: bool) -> None:
    with PeerGateway(strict_node.url) as gateway:
        post = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=SMALL)
        if http2:
            with RawHttp2(gateway.url) as stream:
                stream.request("/segment", post.headers.items(), body=segment[:10_000], more=True)
                assert stream.wait_ended(10), "the stream was still open"
                assert stream.status in {None, 400, 408, 500}
        else:
            with tls_connection(gateway.url, "http/1.1") as connection:
                headers = "".join(f"{name}: {value}\r\n" for name, value in post.headers.items())
                head = f"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: {len(segment)}\r\n{headers}\r\n"
                connection.sendall(head.encode() + segment[:10_000])
                assert closed_by_peer(connection, within_s=10), "the connection was still open"
        still_serves(gateway, segment)
        gateway.end_all()
    eventually(lambda: not _spooled(strict_node), what="the half-received segment is removed")
    assert strict_node.busy() == 0


@BOTH_PROTOCOLS
def test_header_of_2500_tickets_is_taken(gateway: PeerGateway, segment: bytes, *, http2: bool) -> None:
    post = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=SMALL, duration_ms=1000)
    for nonce in range(2500):
        post.payment.ticket_sender_params.add(sender_nonce=nonce, sig=bytes(65))
    assert len(post.headers["Livepeer-Payment"]) > 239_000
    if not http2:
        answer = gateway.post(post, http2=False)
        assert (answer.status, answer.error) == (200, "")
        return
    with RawHttp2(gateway.url) as stream:
        stream.request("/segment", post.headers.items(), body=post.body)
        assert stream.wait_ended(20)
        assert stream.status == 200
        assert pb.TranscodeResult.FromString(stream.body).error == ""


@BOTH_PROTOCOLS
def test_header_beyond_a_mebibyte_is_refused(gateway: PeerGateway, segment: bytes, *, http2: bool) -> None:
    headers = {"Livepeer-Payment": "A" * 2_000_000}
    if http2:
        with RawHttp2(gateway.url) as stream:
            stream.request("/segment", headers.items(), body=b"x")
            assert stream.wait_ended(10)
            assert stream.status in {None, 431}
    else:
        try:
            answer = gateway.request("POST", gateway.url + "/segment", headers=headers, body=b"x", http2=False)
            assert answer.status == 431
        except httpx.HTTPError:
            pass  # the connection was ended while the header was still on its way
    still_serves(gateway, segment)


@BOTH_PROTOCOLS
def test_client_that_vanishes_in_mid_body_leaves_nothing(
    node: Node, gateway: PeerGateway, segment: bytes, *, http2: bool
) -> None:
    post = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=SMALL, duration_ms=1000)

    def vanishing() -> Iterator[bytes]:
        yield segment[: len(segment) // 2]
        message = "the client is gone"
        raise ConnectionError(message)

    with PeerGateway(node.url) as other, pytest.raises(ConnectionError):
        other.request("POST", node.url + "/segment", headers=post.headers, body=vanishing(), http2=http2)
    node.wait_busy(0)
    eventually(lambda: not _spooled(node), what="the half-received segment is removed")
    still_serves(gateway, segment)


def _spooled(node: Node) -> list[str]:
    """Files of received segments that are still on the node's disk."""
    return [os.fspath(path) for path in node.data_dir.rglob("segment-*")]


@BOTH_PROTOCOLS
def test_client_that_vanishes_in_mid_transcode_cancels_its_work(
    node: Node, gateway: PeerGateway, heavy_segment: bytes, segment: bytes, *, http2: bool
) -> None:
    since = node.log_size()
    profiles = [*SLOW, make_profile("slowest", 1920, 1080, 0, 60), make_profile("slowest of all", 1920, 1080, 0, 120)]
    post = gateway.compose(heavy_segment, info=gateway.get_orchestrator(), profiles=profiles, duration_ms=60_000)
    with (
        httpx.Client(http1=not http2, http2=http2, verify=False, timeout=30, trust_env=False) as client,
        client.stream("POST", node.url + "/segment", headers=post.headers, content=post.body) as response,
    ):
        assert response.status_code == 200
        node.wait_busy(1)
        eventually(lambda: "busy" in [c["state"] for c in node.engines()], what="an engine child at work")
    node.wait_busy(0, deadline_s=5)
    assert "busy" not in [child["state"] for child in node.engines()], "the work went on for nobody"
    (closing,) = [line.fields for line in node.log(since=since) if line.event == "segment closed"]
    assert closing["outcome"] == "abandoned"
    eventually(lambda: not _spooled(node), what="the segment is removed")
    still_serves(gateway, segment)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/readyz",
        "http://localhost:{port}/readyz",
        "http://[::1]:{port}/readyz",
        "http://0.0.0.0:{port}/readyz",
        "http://2130706433:{port}/readyz",
        "http://0x7f.1:{port}/readyz",
        "http://[::ffff:127.0.0.1]:{port}/readyz",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/x",
        "http://10.0.0.1/x",
        "http://192.168.0.1/x",
        "http://100.64.0.1/x",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1:{port}/_GET",
        "unix:///var/run/docker.sock",
        "/etc/passwd",
        "http://",
        "http://user:pw@127.0.0.1:{port}/readyz",
        "not a url",
        "",
        "http://127.0.0.1:{port}/" + "a" * 100_000,
    ],
)
def test_segment_by_url_never_reaches_into_the_operators_network(node: Node, gateway: PeerGateway, url: str) -> None:
    body = url.format(port=node.management_port).encode()
    post = gateway.compose(body, info=gateway.get_orchestrator(), profiles=SMALL)
    began = time.monotonic()
    answer = gateway.post(SegmentPost(data=post.data, body=body, content_type=URI_TYPE))
    assert (answer.status, answer.text) == (400, "BadRequest\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert time.monotonic() - began < 9


def test_uri_type_must_be_exact(gateway: PeerGateway) -> None:
    body = b"http://127.0.0.1:1/x"
    post = gateway.compose(body, info=gateway.get_orchestrator(), profiles=SMALL)
    answer = gateway.post(SegmentPost(data=post.data, body=body, content_type=URI_TYPE + "; charset=utf-8"))
    assert (answer.status, answer.error) == (200, "TranscoderInvalidVideo"), "it is a body like any other"


def _zeros(total: int) -> Iterator[bytes]:
    chunk = bytes(1 << 20)
    sent = 0
    while sent < total:
        yield chunk[: min(len(chunk), total - sent)]
        sent += len(chunk)


@pytest.mark.slow
@pytest.mark.timeout(180)
@BOTH_PROTOCOLS
def test_body_beyond_the_limit_is_refused_with_bounded_memory(
    node: Node, gateway: PeerGateway, segment: bytes, *, http2: bool
) -> None:
    post = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=SMALL)
    before, since = _resident_bytes(node.pid), node.log_size()
    peak = _Peak(node.pid)
    with peak, PeerGateway(node.url, timeout_s=120) as other:
        try:
            answer = other.request(
                "POST",
                node.url + "/segment",
                headers=post.headers,
                body=_zeros(MOST_BODY_BYTES + (4 << 20)),
                http2=http2,
            )
            assert (answer.status, answer.text) == (500, "Internal Server Error\n")
        except httpx.HTTPError:
            pass  # refused while the body was still on its way; the log says how
    refusals = [line for line in node.log(since=since) if line.fields.get("status") == 500]
    assert refusals
    assert peak.bytes - before < 200_000_000, f"grew by {peak.bytes - before} bytes"
    eventually(lambda: not _spooled(node), what="the body is removed")
    still_serves(gateway, segment)


def _resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:  # noqa: PTH123 -- not a file of ours
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Peak:
    """The largest resident size of a process while the context lasts."""

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.bytes = max(self.bytes, _resident_bytes(self._pid))
