"""HTTP/1.1 on the service port: what uvicorn serves, within our limits, over a bare socket."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from baton.wire.limits import ListenerLimits
from tests.support import eventually, run
from tests.wire.port import HOST, Playground, ServedPort, served


class Raw:
    """A bare connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))
        await self.writer.drain()

    async def head(self) -> str:
        """The next status line, its header skipped."""
        return (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].decode()

    async def whole(self) -> tuple[str, bytes]:
        """The next answer with a length or in chunks."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = head.split(b"\r\n", 1)[0].decode()
        if b"content-length:" in head:
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            return status, await self.reader.readexactly(length)
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return status, body

    async def rest(self) -> bytes:
        """Everything until the server hangs up."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


@asynccontextmanager
async def raw(port: ServedPort) -> AsyncIterator[Raw]:
    """A connection of a test."""
    reader, writer = await asyncio.open_connection(HOST, port.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


def get(path: str, *fields: bytes) -> bytes:
    return b"GET " + path.encode() + b" HTTP/1.1\r\nhost: node\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n"


def post(path: str, *fields: bytes) -> bytes:
    return b"POST" + get(path, *fields)[3:]


def test_keep_alive_serves_many_requests() -> None:
    async def main() -> None:
        async with served(Playground()) as port, raw(port) as client:
            for _ in range(3):
                await client.send(get("/hello"))
                assert await client.whole() == ("HTTP/1.1 200 OK", b"hello 1.1")
            await client.send(get("/hello", b"connection: close"))
            assert (await client.rest()).endswith(b"hello 1.1\r\n0\r\n\r\n")

    run(main())


def test_early_200_is_flushed_before_the_body() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port, raw(port) as client:
            await client.send(post("/early", b"content-length: 4"), b"body")
            assert await client.head() == "HTTP/1.1 200 OK"
            app.release.set()
            assert b"late" in await client.reader.readuntil(b"0\r\n\r\n")

    run(main())


def test_chunked_and_expected_bodies() -> None:
    async def main() -> None:
        async with served(Playground()) as port, raw(port) as client:
            await client.send(post("/count", b"transfer-encoding: chunked"), b"5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n")
            assert await client.whole() == ("HTTP/1.1 200 OK", b"8")
            await client.send(post("/count", b"content-length: 3", b"expect: 100-continue"))
            assert await client.head() == "HTTP/1.1 100 Continue"
            await client.send(b"abc")
            assert await client.whole() == ("HTTP/1.1 200 OK", b"3")

    run(main())


def test_duplex_echo() -> None:
    async def main() -> None:
        async with served(Playground()) as port, raw(port) as client:
            await client.send(post("/echo", b"transfer-encoding: chunked"))
            assert await client.head() == "HTTP/1.1 200 OK"
            for piece in (b"one", b"two"):
                await client.send(b"3\r\n" + piece + b"\r\n")
                assert await client.reader.readexactly(8) == b"3\r\n" + piece + b"\r\n"
            await client.send(b"0\r\n\r\n")
            assert await client.reader.readexactly(5) == b"0\r\n\r\n"

    run(main())


@pytest.mark.parametrize("body", [b"", b"x" * 300_000])
def test_offer_of_h2c_is_answered_in_http1(body: bytes) -> None:
    async def main() -> None:
        offer = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAMAAABkAAQAoAAAAAIAAAAA")
        async with served(Playground()) as port, raw(port) as client:
            for _ in range(2):
                await client.send(post("/count", *offer, b"content-length: %d" % len(body)), body)
                assert await client.whole() == ("HTTP/1.1 200 OK", str(len(body)).encode())
            await client.send(post("/count", *offer, b"transfer-encoding: chunked"), b"5\r\nabcde\r\n0\r\n\r\n")
            await client.send(get("/hello", *offer))
            assert await client.whole() == ("HTTP/1.1 200 OK", b"5")
            assert await client.whole() == ("HTTP/1.1 200 OK", b"hello 1.1")

    run(main())


@pytest.mark.parametrize("size", [250 * 1024, 1_000_000])
def test_large_headers_are_served(size: int) -> None:
    async def main() -> None:
        async with served(Playground()) as port, raw(port) as client:
            await client.send(get("/header", b"x-big: " + b"a" * size))
            assert await client.whole() == ("HTTP/1.1 200 OK", str(size).encode())

    run(main())


@pytest.mark.parametrize(
    "header",
    [
        get("/header", b"x-big: " + b"a" * ((1 << 20) + 10)),
        get("/header", b"x-big: " + b"a" * (4 << 20)),
        get("/header", *[b"x-big: " + b"a" * 1000] * 1100),
        get("/header", *[b"a: b"] * 1100),
        get("/" + "a" * ((1 << 20) + 10)),
    ],
    ids=["one field", "one field far beyond", "many fields", "many small fields", "target"],
)
def test_header_beyond_the_limit_is_431(header: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            async with raw(port) as client:

                async def push() -> None:
                    try:
                        await client.send(header)
                    except ConnectionError:
                        return

                async with asyncio.TaskGroup() as group:
                    group.create_task(push())
                    answer = await client.rest()
                assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
                assert b"connection: close" in answer
            assert port.metrics.refusals("header_too_large") == 1
            async with raw(port) as client:
                await client.send(get("/hello"))
                assert await client.whole() == ("HTTP/1.1 200 OK", b"hello 1.1")

    run(main())
    assert capfd.readouterr().err == ""


def test_slow_header_is_cut_in_time() -> None:
    async def main() -> None:
        async with served(Playground(), limits=ListenerLimits(header_timeout_s=0.4)) as port, raw(port) as client:
            began_s = time.monotonic()

            async def drip() -> None:
                try:
                    for octet in get("/hello", b"x: " + b"y" * 200):
                        await client.send(bytes([octet]))
                        await asyncio.sleep(0.05)
                except ConnectionError:
                    return

            dripping = asyncio.create_task(drip())
            assert await client.rest() == b""
            assert 0.3 < time.monotonic() - began_s < 8, "the whole header would take more than ten seconds"
            assert port.metrics.refusals("header_timeout") == 1
            await dripping

    run(main())


@pytest.mark.parametrize("beginning", [b"", b"G", b"PRI * HTTP/2.0\r\n\r\n", b"\r\n"])
def test_connection_that_says_nothing_useful_is_cut_in_time(beginning: bytes) -> None:
    async def main() -> None:
        async with served(Playground(), limits=ListenerLimits(header_timeout_s=0.3)) as port, raw(port) as client:
            await client.send(beginning)
            assert await client.rest() == b""
            await eventually(lambda: port.connections == 0, what="the place being free")
            assert port.metrics.refusals("header_timeout") == 1

    run(main())


def test_later_header_has_its_own_deadline_and_idle_its_own() -> None:
    async def main() -> None:
        limits = ListenerLimits(header_timeout_s=0.3, idle_timeout_s=3.0)
        async with served(Playground(), limits=limits) as port:
            async with raw(port) as client, raw(port) as idler:
                for each in (client, idler):
                    await each.send(get("/hello"))
                    await each.whole()
                # Longer than a header may take, shorter than a connection may idle.
                await asyncio.sleep(0.5)
                began_s = time.monotonic()
                await client.send(b"GET /hel")
                assert await client.rest() == b""
                assert 0.2 < time.monotonic() - began_s < 2
                assert await idler.rest() == b""
            assert port.metrics.refusals("header_timeout") == 1

    run(main())


def test_body_that_pauses_too_long_is_cut_and_told() -> None:
    async def main() -> None:
        app = Playground()
        limits = ListenerLimits(body_idle_timeout_s=0.4)
        async with served(app, limits=limits) as port, raw(port) as client, raw(port) as patient:
            await client.send(post("/count", b"content-length: 10"), b"begun")
            await patient.send(post("/patient", b"content-length: 10"), b"begun")
            assert await client.rest() == b""
            await eventually(lambda: app.told.disconnects == ["/count"], what="the disconnect")
            assert port.metrics.refusals("body_idle") == 1
            await patient.send(b"ended")
            assert await patient.whole() == ("HTTP/1.1 200 OK", b"10")

    run(main())


def test_application_that_does_not_read_stops_the_client_and_is_no_pause() -> None:
    async def main() -> None:
        app = Playground()
        limits = ListenerLimits(body_idle_timeout_s=0.3)
        async with served(app, limits=limits) as port, raw(port) as client:
            size = 20_000_000
            sending = asyncio.create_task(client.send(post("/ignore", b"content-length: %d" % size), bytes(size)))
            await eventually(lambda: app.told.started, what="the request")
            await asyncio.sleep(1)
            assert not sending.done()
            app.release.set()
            await sending
            assert await client.whole() == ("HTTP/1.1 200 OK", str(size).encode())

    run(main())


def test_client_that_vanishes_in_mid_upload_is_told() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port, raw(port) as client:
            await client.send(post("/count", b"content-length: 10"), b"begun")
            await eventually(lambda: app.told.started, what="the request")
            client.writer.transport.abort()
            await eventually(lambda: app.told.disconnects == ["/count"] and app.told.ended, what="the disconnect")
            await eventually(lambda: port.connections == 0, what="the place being free")

    run(main())


def test_client_that_does_not_read_its_answer_is_cut() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app, limits=ListenerLimits(body_idle_timeout_s=0.5)) as port, raw(port) as client:
            await client.send(get("/wide"))
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await eventually(lambda: port.connections == 0 and app.told.ended, what="the cut", deadline_s=8)
            assert port.metrics.refusals("write_stall") == 1

    run(main())


def test_half_open_client_is_gone() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port, raw(port) as client:
            await client.send(get("/hold"))
            await eventually(lambda: app.told.started, what="the request")
            client.writer.write_eof()
            await eventually(lambda: app.told.disconnects == ["/hold"], what="the disconnect")

    run(main())


def test_early_reject_is_readable_and_the_body_is_taken_for_a_moment() -> None:
    async def main() -> None:
        async with served(Playground()) as port, raw(port) as client:
            await client.send(post("/reject", b"content-length: 3000000"), bytes(1_000_000))
            assert await client.whole() == ("HTTP/1.1 403 Forbidden", b"no")
            await client.send(bytes(2_000_000), get("/hello"))
            assert await client.whole() == ("HTTP/1.1 200 OK", b"hello 1.1")

    run(main())


def test_rejected_body_that_never_ends_is_cut() -> None:
    async def main() -> None:
        async with served(Playground()) as port, raw(port) as client:
            await client.send(post("/reject", b"content-length: 3000000000"), bytes(1000))
            assert await client.whole() == ("HTTP/1.1 403 Forbidden", b"no")

            async def push() -> None:
                while True:
                    await client.send(bytes(1 << 20))

            with pytest.raises(ConnectionError):
                await push()
            assert port.metrics.refusals("unread_body") == 1

    run(main())


def test_pipelined_requests_are_answered_in_order_and_not_without_end() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            async with raw(port) as client:
                await client.send(get("/hello") * 3)
                for _ in range(3):
                    assert await client.whole() == ("HTTP/1.1 200 OK", b"hello 1.1")
            async with raw(port) as client:
                await client.send(get("/hold") * 5000)
                assert b" 400 Bad Request" in await client.rest()

    run(main())


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /\xe4 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\nx",
        b"CONNECT nowhere:1 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
        b"POST /count HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
    ],
)
def test_garbage_is_refused_quietly(garbage: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with served(Playground(), limits=ListenerLimits(header_timeout_s=0.5)) as port:
            async with raw(port) as client:
                await client.send(garbage)
                answer = await client.rest()
                assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
            await eventually(lambda: port.connections == 0, what="the place being free", deadline_s=8)

    run(main())
    output = capfd.readouterr()
    assert output.err == ""
    assert "Traceback" not in output.out


def test_failing_handlers_cost_their_connection_at_most() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            async with raw(port) as client:
                await client.send(get("/fail"))
                assert await client.whole() == ("HTTP/1.1 500 Internal Server Error", b"Internal Server Error\n")
                await client.send(get("/hello"))
                assert await client.whole() == ("HTTP/1.1 200 OK", b"hello 1.1")
            async with raw(port) as client:
                await client.send(get("/break"))
                assert await client.head() == "HTTP/1.1 200 OK"
                assert await client.rest() == b"4\r\nhalf\r\n"

    with capture_logs() as logs:
        run(main())
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["request failed unexpectedly"] * 2


def test_stop_finishes_what_runs_and_closes_the_rest() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port, raw(port) as working, raw(port) as idle, raw(port) as silent:
            await idle.send(get("/hello"))
            await idle.whole()
            await working.send(get("/hold"))
            await eventually(lambda: app.told.started == 2, what="the request")
            stopping = asyncio.create_task(port.listener.stop(5))
            assert await idle.rest() == b""
            assert await silent.rest() == b""
            with pytest.raises(ConnectionError):
                await asyncio.open_connection(HOST, port.port)
            app.release.set()
            status, body = await working.whole()
            assert (status, body) == ("HTTP/1.1 200 OK", b"held")
            assert await working.rest() == b""
            assert await stopping is True

    run(main())


def test_stop_cuts_what_outlives_the_grace() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port, raw(port) as working:
            await working.send(get("/hold"))
            await eventually(lambda: app.told.started, what="the request")
            assert await port.listener.stop(0.2) is False
            await working.rest()
            assert app.told.ended == 1

    run(main())
