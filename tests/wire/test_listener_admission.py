"""Who gets into the port: addresses, limits, TLS handshakes, WebSockets, and what a stop leaves behind."""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import time
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from baton.kernel.clock import SystemClock
from baton.kernel.errors import ExitCode, StartError
from baton.kernel.metrics import SilentMetrics
from baton.wire.door import Door
from baton.wire.limits import ListenerLimits
from baton.wire.listener import Listener
from baton.wire.open_files import connections_within, room_for_connections
from baton.wire.port_state import PortState
from baton.wire.tls import CertificateSource
from tests.support import eventually, run
from tests.wire.port import HOST, PREFACE, CountingMetrics, Playground, RawHttp2, ServedPort, served, trusting

REQUEST = b"GET /hello HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n"


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """The context of a node's port."""
    return CertificateSource.self_signed(tmp_path, host="node", clock=SystemClock()).context


def listener(*, host: str = HOST, port: int = 0) -> Listener:
    """A listener nobody has started."""
    return Listener(
        app=Playground(),
        host=host,
        port=port,
        tls=None,
        limits=ListenerLimits(),
        metrics=SilentMetrics(),
        clock=SystemClock(),
    )


async def hello(host: str, port: int, *, context: ssl.SSLContext | None = None) -> bytes:
    """One request on a connection of its own; what came back."""
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.write(REQUEST)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def test_empty_host_is_every_interface_on_one_port() -> None:
    async def main() -> None:
        async with served(Playground(), host="") as port:
            assert b" 200 OK" in await hello("127.0.0.1", port.port)
            if has_ipv6():
                assert b" 200 OK" in await hello("::1", port.port)

    run(main())


@pytest.mark.skipif(not has_ipv6(), reason="needs an IPv6 loopback")
def test_ipv6_alone() -> None:
    async def main() -> None:
        async with served(Playground(), host="::1") as port:
            assert b" 200 OK" in await hello("::1", port.port)
            with pytest.raises(ConnectionError):
                await hello("127.0.0.1", port.port)

    run(main())


@pytest.mark.parametrize("host", [HOST, ""])
def test_port_in_use_has_its_exit_code(host: str) -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind((HOST, 0))
            taken.listen()
            number = taken.getsockname()[1]
            subject = listener(host=host, port=number)
            for way in (subject.try_address, subject.start):
                with pytest.raises(StartError, match=f"^--http-addr: .*, port {number}: it is in use$") as caught:
                    await way()
                assert caught.value.exit_code is ExitCode.PORT_IN_USE

    run(main())


@pytest.mark.parametrize("host", [HOST, ""])
def test_trying_an_address_leaves_it_free(host: str) -> None:
    async def main() -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            number = free.getsockname()[1]
        subject = listener(host=host, port=number)
        await subject.try_address()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, number)
        await subject.start()
        assert subject.port == number
        await subject.stop(0)

    run(main())


def test_host_that_is_not_ours_has_the_same_exit_code() -> None:
    async def main() -> None:
        with pytest.raises(StartError, match=r"Cannot assign requested address$") as caught:
            await listener(host="192.0.2.1").start()
        assert caught.value.exit_code is ExitCode.PORT_IN_USE

    run(main())


def test_clients_may_connect_as_soon_as_the_port_is_bound() -> None:
    async def main() -> None:
        subject = listener()
        await subject.start()
        asking = asyncio.create_task(hello(HOST, subject.port))
        await asyncio.sleep(0)
        running = asyncio.create_task(subject.run())
        assert b" 200 OK" in await asking
        assert await subject.stop(1) is True
        await running

    run(main())


def test_stop_before_run_frees_the_port() -> None:
    async def main() -> None:
        subject = listener()
        await subject.start()
        assert await subject.stop(1) is True
        await subject.run()
        again = listener(port=subject.port)
        await again.start()
        await again.stop(0)

    run(main())


def test_cancelled_run_frees_everything() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port:
            client = await RawHttp2.connect(port)
            client.request("/hold")
            await client.flush()
            await eventually(lambda: app.told.started, what="the request")
        assert app.told.ended == 1
        await client.until_closed()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(HOST, port.port)

    run(main())


def test_signals_stay_with_the_node() -> None:
    async def main() -> None:
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        async with served(Playground()) as port:
            assert b" 200 OK" in await hello(HOST, port.port)
            assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before

    run(main())


def test_two_ports_in_one_loop() -> None:
    async def main() -> None:
        async with served(Playground()) as one, served(Playground()) as two:
            assert one.port != two.port
            assert b" 200 OK" in await hello(HOST, one.port)
            assert b" 200 OK" in await hello(HOST, two.port)

    run(main())


async def crowd(port: ServedPort, size: int) -> list[asyncio.StreamWriter]:
    """Connections that say nothing."""
    writers = []
    for _ in range(size):
        _, writer = await asyncio.open_connection(HOST, port.port)
        writers.append(writer)
    return writers


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ListenerLimits(max_connections=3), "connections"),
        (ListenerLimits(max_connections_per_address=3), "connections_per_address"),
    ],
)
def test_connections_beyond_a_limit_are_closed_and_room_comes_back(limits: ListenerLimits, reason: str) -> None:
    async def main() -> None:
        async with served(Playground(), limits=limits) as port:
            writers = await crowd(port, 3)
            await eventually(lambda: port.connections == 3, what="the crowd")
            assert await hello(HOST, port.port) == b""
            assert port.metrics.refusals(reason) == 1
            for writer in writers:
                writer.close()
            await eventually(lambda: port.connections == 0, what="the room")
            assert b" 200 OK" in await hello(HOST, port.port)

    run(main())


class Somebody:
    """A guest with an address."""

    def __init__(self, address: str) -> None:
        self.address = address

    def sweep(self, now: float) -> None:
        pass

    def abort(self) -> None:
        pass

    def dismiss(self) -> None:
        pass


def test_open_files_bound_the_connections() -> None:
    assert connections_within(100_000, 2048) == 2048
    assert connections_within(1024, 2048) == 512
    assert connections_within(256, 2048) == 16
    assert room_for_connections(10) == 10


def test_ipv6_counts_by_network() -> None:
    metrics = CountingMetrics()
    port = PortState(limits=ListenerLimits(max_connections_per_address=2), metrics=metrics, clock=SystemClock())
    guests = [Somebody(f"2001:db8:0:1::{n}") for n in range(1, 4)]
    assert [port.admit(guest) for guest in guests] == [True, True, False]
    assert port.admit(Somebody("2001:db8:0:2::1"))
    assert port.admit(Somebody("fe80::1%eth0"))
    port.release(guests[0])
    port.release(guests[0])
    assert port.admit(guests[2])


def test_requests_of_all_connections_are_bounded() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app, limits=ListenerLimits(max_requests=2)) as port:
            one, two = await RawHttp2.connect(port), await RawHttp2.connect(port)
            for client in (one, two):
                client.request("/hold")
                await client.flush()
            await eventually(lambda: app.told.started == 2, what="the requests")
            third = two.request("/hello")
            await two.flush()
            assert await two.reset(third) == 7
            app.release.set()
            await eventually(lambda: app.told.ended == 2, what="their end")
            again = two.request("/hello")
            await two.flush()
            await two.ended(again)
            for client in (one, two):
                await client.close()

    run(main())


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(500), b"\x00" * 100])
def test_garbage_instead_of_a_handshake_is_closed_quietly(
    garbage: bytes, tls: ssl.SSLContext, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with served(Playground(), tls=tls) as port:
            reader, writer = await asyncio.open_connection(HOST, port.port)
            writer.write(garbage)
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            await eventually(lambda: port.connections == 0, what="the place being free")
            assert port.metrics.refusals("tls") == 1
            assert b" 200 OK" in await hello(HOST, port.port, context=trusting())

    with caplog.at_level(logging.INFO):
        run(main())
    assert capfd.readouterr().err == ""
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_handshake_that_never_ends_is_cut_in_time(said: bytes, tls: ssl.SSLContext) -> None:
    async def main() -> None:
        async with served(Playground(), tls=tls, limits=ListenerLimits(header_timeout_s=0.3)) as port:
            reader, writer = await asyncio.open_connection(HOST, port.port)
            writer.write(said)
            assert await reader.read() == b""
            writer.close()
            await eventually(lambda: port.connections == 0, what="the place being free")

    run(main())


def test_client_that_leaves_in_the_handshake_frees_its_place(tls: ssl.SSLContext) -> None:
    async def main() -> None:
        async with served(Playground(), tls=tls) as port:
            for _ in range(20):
                _, writer = await asyncio.open_connection(HOST, port.port)
                writer.write(b"\x16\x03\x01\x02\x00\x01")
                writer.transport.abort()
            await eventually(lambda: port.metrics.refusals("tls") == 20, what="all of them seen")
            assert port.connections == 0

    run(main())


def test_silence_after_the_handshake_is_cut_in_time(tls: ssl.SSLContext) -> None:
    async def main() -> None:
        async with served(Playground(), tls=tls, limits=ListenerLimits(header_timeout_s=0.3)) as port:
            for offered in (["h2"], ["http/1.1"], ["other"]):
                context = trusting()
                context.set_alpn_protocols(offered)
                reader, writer = await asyncio.open_connection(HOST, port.port, ssl=context)
                await reader.read()
                writer.close()
            assert port.metrics.refusals("header_timeout") == 3
            await eventually(lambda: port.connections == 0, what="the places being free")

    run(main())


def test_http2_over_tls_without_alpn_is_recognised(tls: ssl.SSLContext) -> None:
    async def main() -> None:
        async with served(Playground(), tls=tls) as port:
            reader, writer = await asyncio.open_connection(HOST, port.port, ssl=trusting())
            client = RawHttp2(reader, writer)
            client.h2.initiate_connection()
            stream = client.request("/hello")
            await client.flush()
            await client.ended(stream)
            assert client.body(stream) == b"hello 2"
            await client.close()

    run(main())


def test_websocket_over_tls_and_in_the_clear(tls: ssl.SSLContext) -> None:
    async def main() -> None:
        for context in (tls, None):
            async with served(Playground(), tls=context) as port:
                url = port.url.replace("http", "ws", 1) + "/socket"
                async with connect(
                    url, ssl=trusting() if context else None, max_size=None, compression=None
                ) as socket_:
                    assert port.connections == 1
                    await socket_.send("text")
                    assert await socket_.recv() == "text"
                    message = bytes(300_000)
                    await socket_.send(message)
                    assert await socket_.recv() == message
                await eventually(lambda: port.connections == 0, what="the place being free")

    run(main())


def test_websocket_with_absurd_header_is_refused_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            for absurd in ("a" * 20_000, "a" * 900_000):
                with pytest.raises(InvalidStatus, match="431"):
                    await connect(f"ws://{HOST}:{port.port}/socket", additional_headers={"x-absurd": absurd})
            await eventually(lambda: port.connections == 0, what="the places being free", deadline_s=8)
            assert b" 200 OK" in await hello(HOST, port.port)

    run(main())
    output = capfd.readouterr()
    assert output.err == ""


def test_stop_does_not_wait_for_clients_that_do_not_close_their_side(tls: ssl.SSLContext) -> None:
    """A TLS client that ignores our goodbye is cut long before the grace of requests is over."""

    async def main() -> None:
        async with served(Playground(), tls=tls) as port:
            began_s = time.monotonic()
            for offered in ("h2", "http/1.1"):
                plain = socket.create_connection((HOST, port.port))
                context = trusting()
                context.set_alpn_protocols([offered])
                deaf = await asyncio.to_thread(context.wrap_socket, plain)
                beginning = PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
                await asyncio.to_thread(deaf.sendall, beginning if offered == "h2" else REQUEST.replace(b"close", b"x"))
                await asyncio.to_thread(deaf.recv, 1)
                deafs.append(deaf)
            assert await port.listener.stop(20) is True
            assert time.monotonic() - began_s < 12

    deafs: list[ssl.SSLSocket] = []
    run(main(), deadline_s=25)
    for deaf in deafs:
        deaf.close()


def test_stop_ends_websockets() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port, connect(f"ws://{HOST}:{port.port}/socket") as socket_:
            stopping = asyncio.create_task(port.listener.stop(5))
            with pytest.raises(ConnectionClosed) as caught:
                await socket_.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1012
            assert await stopping is True

    run(main())


def test_small_pieces_of_answers_are_sent_at_once() -> None:
    """With Nagle's algorithm every answer of two pieces would wait 40 ms for a delayed acknowledgement."""

    async def main() -> None:
        async with served(Playground()) as port:
            _, writer = await asyncio.open_connection(HOST, port.port)
            guests = port.listener._state._guests
            await eventually(lambda: len(guests) == 1, what="the connection is let in")
            (door,) = guests
            assert isinstance(door, Door)
            assert door._raw is not None
            assert door._raw.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()

    run(main())
