"""The HTTP/2 client against peers that break every rule: each ends in a reason, in time and in little memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import pytest

from baton.selftest.gateway import Gateway
from baton.selftest.http2 import Http2Connection, PeerError, Response, connect_http2
from baton.selftest.parties import Endpoint

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Script = Callable[[h2.connection.H2Connection, int], None]


@contextlib.asynccontextmanager
async def served(peer: Peer) -> AsyncIterator[int]:
    """A port whose every connection is ``peer``'s. What a peer makes of a client that leaves is its own affair."""
    tasks: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()

    async def attended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, h2.exceptions.H2Error):
            await peer(reader, writer)
        writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No coroutine: one that is cancelled before its first step would leave its connection open.
        writers.add(writer)
        tasks.add(asyncio.create_task(attended(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()
        await asyncio.sleep(0)
        assert not [end for end in ends if end and not isinstance(end, asyncio.CancelledError)]


def scripted(script: Script, *, then_hold: bool = True) -> Peer:
    """A peer that answers the first complete request with ``script``."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(1 << 16):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if isinstance(event, h2.events.StreamEnded):
                    script(connection, event.stream_id)
                    if not then_hold:
                        writer.write(connection.data_to_send())
                        await writer.drain()
                        return
            writer.write(connection.data_to_send())
            await writer.drain()

    return peer


async def post(
    connection: Http2Connection, *, body: bytes = b"x", header_s: float = 15.0, total_s: float = 20.0
) -> Response:
    return await connection.request(
        method="POST",
        path="/segment",
        headers=(("content-length", str(len(body))),),
        body=body,
        header_timeout_s=header_s,
        total_timeout_s=total_s,
        max_body_bytes=100_000,
    )


def ask(peer: Peer, *, body: bytes = b"x", header_s: float = 15.0, total_s: float = 20.0) -> Response:
    async def work() -> Response:
        async with served(peer) as port, connect_http2("127.0.0.1", port, tls=False) as connection:
            return await post(connection, body=body, header_s=header_s, total_s=total_s)

    return asyncio.run(work())


def answer(connection: h2.connection.H2Connection, stream_id: int) -> None:
    connection.send_headers(stream_id, [(":status", "200"), ("x-a", "b")])
    connection.send_data(stream_id, b"done")
    connection.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)


def test_answer_with_headers_body_and_trailers() -> None:
    response = ask(scripted(answer), body=bytes(300_000))
    assert (response.status, response.body, response.trailers) == (200, b"done", {"grpc-status": "0"})
    assert response.headers["x-a"] == "b"
    assert 0 < response.header_s <= response.total_s


def test_connection_carries_several_requests() -> None:
    async def work() -> list[bytes]:
        async with served(scripted(answer)) as port, connect_http2("127.0.0.1", port, tls=False) as connection:
            bodies = []
            for _ in range(3):
                assert connection.usable
                bodies.append((await post(connection, body=bytes(100_000))).body)
            return bodies

    assert asyncio.run(work()) == [b"done"] * 3


def _headers_only(connection: h2.connection.H2Connection, stream_id: int) -> None:
    connection.send_headers(stream_id, [(":status", "200")])


def _too_long(connection: h2.connection.H2Connection, stream_id: int) -> None:
    connection.send_headers(stream_id, [(":status", "200")])
    for _ in range(7):
        connection.send_data(stream_id, bytes(16_000))


def _informational(connection: h2.connection.H2Connection, stream_id: int) -> None:
    for _ in range(100):
        connection.send_headers(stream_id, [(":status", "103")])


def _goaway(connection: h2.connection.H2Connection, stream_id: int) -> None:
    connection.close_connection(error_code=11, last_stream_id=stream_id - 1)


def _reset(connection: h2.connection.H2Connection, stream_id: int) -> None:
    connection.reset_stream(stream_id, error_code=h2.errors.ErrorCodes.REFUSED_STREAM)


def _silent(connection: h2.connection.H2Connection, stream_id: int) -> None:
    pass


def _large_headers(connection: h2.connection.H2Connection, stream_id: int) -> None:
    connection.send_headers(stream_id, [(":status", "200"), *((f"x-{i}", "v" * 1000) for i in range(200))])


def _no_number(connection: h2.connection.H2Connection, stream_id: int) -> None:
    connection.config.validate_outbound_headers = False
    connection.send_headers(stream_id, [(":status", "fine")])


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (_too_long, "answer longer than 100000 bytes"),
        (_informational, "endless informational answers"),
        (_goaway, "connection ended by peer (error code 11)"),
        (_reset, "stream reset by peer"),
        (_large_headers, "broken HTTP/2"),
        (_no_number, "broken HTTP/2"),
    ],
)
def test_peer_that_breaks_off_ends_in_a_reason(script: Script, words: str) -> None:
    with pytest.raises(PeerError) as caught:
        ask(scripted(script))
    assert words in str(caught.value)


def test_peer_that_says_nothing_is_given_up() -> None:
    with pytest.raises(PeerError, match=r"header timeout: no answer within 0\.3 s"):
        ask(scripted(_silent), header_s=0.3)


def test_peer_that_does_not_come_to_an_end_is_given_up() -> None:
    with pytest.raises(PeerError, match=r"body timeout: no end of the answer within 2\.5 s"):
        ask(scripted(_headers_only), total_s=2.5)


def test_peer_that_hangs_up_ends_in_a_reason() -> None:
    with pytest.raises(PeerError, match=r"connection closed before the end|Connection reset"):
        ask(scripted(_headers_only, then_hold=False))


def test_early_refusal_is_read_although_the_body_is_unsent() -> None:
    """A peer with closed windows answers before it has the body: a 403 must not be lost to a timeout."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(1 << 16):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    connection.send_headers(event.stream_id, [(":status", "403")])
                    connection.send_data(event.stream_id, b"OrchestratorCapped\n", end_stream=True)
                    connection.reset_stream(event.stream_id, error_code=h2.errors.ErrorCodes.NO_ERROR)
            writer.write(connection.data_to_send())
            await writer.drain()

    response = ask(peer, body=bytes(1_000_000))
    assert (response.status, response.body) == (403, b"OrchestratorCapped\n")


def saying(words: bytes) -> Peer:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(words)
        await writer.drain()
        await asyncio.Event().wait()

    return peer


async def _flood_of_pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    connection.receive_data(await reader.read(1 << 16))
    while True:
        for _ in range(100):
            connection.ping(b"12345678")
        writer.write(connection.data_to_send())
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("peer", "header_s", "words"),
    [
        (saying(bytes(range(256)) * 64), 15.0, "broken HTTP/2"),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), 0.5, "header timeout"),  # reads as the start of a huge frame
        (_flood_of_pings, 0.5, "header timeout"),
    ],
    ids=["noise", "HTTP/1.1", "pings"],
)
def test_peer_that_speaks_nonsense_ends_in_a_reason(peer: Peer, header_s: float, words: str) -> None:
    with pytest.raises(PeerError) as caught:
        ask(peer, header_s=header_s)
    assert words in str(caught.value)


def test_tls_port_that_never_answers_the_handshake_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def work() -> None:
        from baton.selftest.http2 import open_stream, unverified_tls

        async with served(silent) as port:
            tls = unverified_tls(["h2"])
            with pytest.raises(PeerError, match=r"no connection to 127\.0\.0\.1:\d+ within 0\.3 s"):
                async with open_stream("127.0.0.1", port, tls=tls, timeout_s=0.3):
                    pass

    asyncio.run(work())


async def _http1(writer: asyncio.StreamWriter, head: bytes, body: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body)
    await writer.drain()
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("head", "body", "words"),
    [
        (b"content-length: 1000000000000\r\n", b"x", "not fetched within"),
        (b"x-long: " + b"y" * 100_000 + b"\r\n", b"", "rendition not fetched"),
        (b"content-encoding: gzip\r\ncontent-length: 3\r\n", b"abc", ""),
        (b"location: file:///etc/passwd\r\ncontent-length: 0\r\n", b"", ""),
    ],
    ids=["dripping", "endless header", "compressed", "location without redirect"],
)
def test_downloads_are_bounded_in_time_and_size(
    head: bytes, body: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baton.selftest.gateway.DOWNLOAD_TIMEOUT_S", 0.5 if words == "not fetched within" else 15.0)

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await _http1(writer, head, body)

    async def work() -> bytes:
        async with served(peer) as port, Gateway(endpoint=Endpoint("http", "127.0.0.1", port)) as gateway:
            return await gateway.download(f"http://127.0.0.1:{port}/stream/x")

    if words:
        with pytest.raises(PeerError, match=words):
            asyncio.run(work())
    else:
        assert len(asyncio.run(work())) == len(body)


@pytest.mark.parametrize(
    "url", ["", "file:///etc/passwd", "ftp://x/y", "http://[::1", "http://", "http://x y/", "https://\x00/"]
)
def test_urls_that_are_none_are_refused(url: str) -> None:
    async def work() -> None:
        async with Gateway(endpoint=Endpoint("https", "127.0.0.1", 1)) as gateway:
            await gateway.download(url)

    with pytest.raises(PeerError):
        asyncio.run(work())
