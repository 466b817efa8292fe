"""gRPC as grpcio and bare frames see it: answers, errors in the network's words, deadlines, limits."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest
from structlog.testing import capture_logs

from baton.kernel.errors import CapacityError, RefusedError, Text
from baton.wire.grpc import GrpcContext, GrpcRouter, RpcError, ServerStream, StatusCode
from baton.wire.grpc_frames import MAX_MESSAGE_BYTES, frame, inflate, status_trailers, timeout_seconds, unframe_header
from tests.support import eventually, run
from tests.wire.port import HOST, RawHttp2, ServedPort, served

_SERVICE = "/net.Test/"


class Service:
    """Methods for each behaviour that tests need."""

    def __init__(self) -> None:
        self.seen: list[GrpcContext] = []
        self.cancelled = 0
        self.streams = 0

    def router(self, **options: float) -> GrpcRouter:
        """The application."""
        return GrpcRouter(
            {
                _SERVICE + "Echo": self.echo,
                _SERVICE + "Deny": self.deny,
                _SERVICE + "Refuse": self.refuse,
                _SERVICE + "Full": self.full,
                _SERVICE + "Fail": self.fail,
                _SERVICE + "Late": self.late,
                _SERVICE + "Hold": self.hold,
                _SERVICE + "Count": ServerStream(self.count),
                _SERVICE + "Held": ServerStream(self.held),
            },
            **options,
        )

    async def echo(self, request: bytes, context: GrpcContext) -> bytes:
        self.seen.append(context)
        return request

    async def deny(self, request: bytes, context: GrpcContext) -> bytes:
        del request, context
        raise RpcError(StatusCode.PERMISSION_DENIED, "nö: 100%\n")

    async def refuse(self, request: bytes, context: GrpcContext) -> bytes:
        del request, context
        raise RefusedError(403, Text.REQUEST_SIG, detail="never leaves the node")

    async def full(self, request: bytes, context: GrpcContext) -> bytes:
        del request, context
        raise CapacityError(Text.CAPPED, detail="never leaves the node")

    async def fail(self, request: bytes, context: GrpcContext) -> bytes:
        del request, context
        message = "a secret of ours"
        raise LookupError(message)

    async def late(self, request: bytes, context: GrpcContext) -> bytes:
        del request, context
        message = "something inside timed out"
        raise TimeoutError(message)

    async def hold(self, request: bytes, context: GrpcContext) -> bytes:
        del request
        self.seen.append(context)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return b""

    async def count(self, request: bytes, context: GrpcContext) -> AsyncIterator[bytes]:
        del context
        for number in range(int(request)):
            yield b"%d" % number
        if request == b"3":
            raise RpcError(StatusCode.UNKNOWN, "that is enough")

    async def held(self, request: bytes, context: GrpcContext) -> AsyncIterator[bytes]:
        del context
        self.streams += 1
        try:
            yield request
            await asyncio.Event().wait()
        finally:
            self.streams -= 1


Call = Callable[[grpc.aio.Channel], Awaitable[None]]


async def with_channel(port: ServedPort, call: Call) -> None:
    """Run ``call`` with a grpcio channel to the port."""
    async with grpc.aio.insecure_channel(f"{HOST}:{port.port}") as channel:
        await call(channel)


def unary(channel: grpc.aio.Channel, method: str) -> grpc.aio.UnaryUnaryMultiCallable:
    """A method of raw bytes."""
    return channel.unary_unary(_SERVICE + method)


def check(call: Call, service: Service | None = None, **options: float) -> None:
    """Serve and run ``call``."""

    async def main() -> None:
        async with served((service or Service()).router(**options)) as port:
            await with_channel(port, call)

    run(main())


async def failure(attempt: Awaitable[object]) -> tuple[int, str]:
    """Code and text that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await attempt
    code: int = caught.value.code().value[0]
    return code, caught.value.details()


@pytest.mark.parametrize("size", [0, 1, 1500, MAX_MESSAGE_BYTES - 5])
def test_unary(size: int) -> None:
    async def call(channel: grpc.aio.Channel) -> None:
        message = bytes(size)
        assert await unary(channel, "Echo")(message) == message

    async def main() -> None:
        async with served(Service().router()) as port:
            options = (("grpc.max_receive_message_length", -1),)
            async with grpc.aio.insecure_channel(f"{HOST}:{port.port}", options=options) as channel:
                await call(channel)

    run(main())


def test_context_tells_the_caller_and_its_deadline() -> None:
    service = Service()

    async def call(channel: grpc.aio.Channel) -> None:
        now = asyncio.get_running_loop().time()
        await unary(channel, "Echo")(b"", metadata=(("who", "me"),), timeout=5)
        await unary(channel, "Echo")(b"")
        timed, untimed = service.seen
        assert timed.metadata["who"] == "me"
        assert timed.method == _SERVICE + "Echo"
        assert timed.peer_host == HOST
        assert timed.peer.startswith(HOST + ":")
        assert timed.deadline is not None
        assert untimed.deadline is not None
        assert now < timed.deadline <= now + 6
        assert now + 19 < untimed.deadline < now + 22

    check(call, service)


@pytest.mark.parametrize(
    ("method", "code", "text"),
    [
        ("Deny", 7, "nö: 100%\n"),
        ("Refuse", 2, Text.REQUEST_SIG),
        ("Full", 2, Text.CAPPED),
        ("Fail", 2, Text.INTERNAL),
        ("Late", 2, Text.INTERNAL),
        ("Nothing", 12, "unknown method Nothing for service net.Test"),
    ],
)
def test_errors_in_the_words_of_the_network(method: str, code: int, text: str) -> None:
    async def call(channel: grpc.aio.Channel) -> None:
        assert await failure(unary(channel, method)(b"x")) == (code, text)
        # And the same connection goes on.
        assert await unary(channel, "Echo")(b"x") == b"x"

    with capture_logs() as logs:
        check(call)
    unexpected = [line for line in logs if line["log_level"] == "error"]
    assert len(unexpected) == (method in {"Fail", "Late"})


def test_unknown_service_and_malformed_method() -> None:
    async def call(channel: grpc.aio.Channel) -> None:
        assert await failure(channel.unary_unary("/net.Other/Echo")(b"")) == (12, "unknown service net.Other")
        assert await failure(channel.unary_unary("/nothing")(b"")) == (12, 'malformed method name: "/nothing"')

    check(call)


def test_deadlines_of_the_client_and_of_ours() -> None:
    service = Service()

    async def call(channel: grpc.aio.Channel) -> None:
        assert await failure(unary(channel, "Hold")(b"")) == (4, "context deadline exceeded")
        await eventually(lambda: service.cancelled == 1, what="the handler being cancelled")
        code, _ = await failure(unary(channel, "Hold")(b"", timeout=0.05))
        assert code == 4
        await eventually(lambda: service.cancelled == 2, what="the handler being cancelled")

    check(call, service, default_deadline_s=0.3)


def test_client_that_cancels_takes_its_handler_along() -> None:
    service = Service()

    async def call(channel: grpc.aio.Channel) -> None:
        holding = unary(channel, "Hold")(b"")
        await eventually(lambda: service.seen, what="the call")
        holding.cancel()
        await eventually(lambda: service.cancelled == 1, what="the handler being cancelled")

    check(call, service)


def test_server_stream() -> None:
    async def call(channel: grpc.aio.Channel) -> None:
        count = channel.unary_stream(_SERVICE + "Count")
        assert [message async for message in count(b"500")] == [b"%d" % number for number in range(500)]
        assert [message async for message in count(b"0")] == []
        begun = []

        async def read() -> None:
            async for message in count(b"3"):
                begun.append(message)

        assert await failure(read()) == (2, "that is enough")
        assert begun == [b"0", b"1", b"2"]

    check(call)


def test_held_stream_has_no_deadline_and_ends_with_its_client() -> None:
    service = Service()

    async def call(channel: grpc.aio.Channel) -> None:
        stream = channel.unary_stream(_SERVICE + "Held")(b"registered")
        assert await stream.read() == b"registered"
        await asyncio.sleep(0.4)
        assert service.streams == 1
        stream.cancel()
        await eventually(lambda: service.streams == 0, what="the stream being over")

    check(call, service, default_deadline_s=0.1)


def test_gzip_is_understood() -> None:
    async def call(channel: grpc.aio.Channel) -> None:
        for size in (10, 1_000_000):
            message = b"payload" * size
            if len(message) <= MAX_MESSAGE_BYTES - 5:
                assert await unary(channel, "Echo")(message, compression=grpc.Compression.Gzip) == message

    check(call)


def test_deflate_is_not_implemented() -> None:
    async def call(channel: grpc.aio.Channel) -> None:
        text = 'grpc: Decompressor is not installed for grpc-encoding "deflate"'
        echo = unary(channel, "Echo")
        assert await failure(echo(b"x" * 1000, compression=grpc.Compression.Deflate)) == (12, text)

    check(call)


def test_message_beyond_the_limit_is_refused() -> None:
    async def call(channel: grpc.aio.Channel) -> None:
        size = MAX_MESSAGE_BYTES + 1
        text = f"grpc: received message larger than max ({size} vs. {MAX_MESSAGE_BYTES})"
        assert await failure(unary(channel, "Echo")(bytes(size))) == (8, text)
        bomb = unary(channel, "Echo")(bytes(200_000_000), compression=grpc.Compression.Gzip)
        code, text = await failure(bomb)
        assert code == 8
        assert "after decompression larger than max" in text

    check(call)


async def raw_call(
    port: ServedPort, body: bytes, *extra: tuple[str, str], method: str = "POST", kind: str = "application/grpc"
) -> tuple[int, dict[bytes, bytes]]:
    """A call by hand: status and trailers."""
    client = await RawHttp2.connect(port)
    stream = client.request(_SERVICE + "Echo", method=method, end=False, extra=(("content-type", kind), *extra))
    client.h2.send_data(stream, body, end_stream=True)
    await client.flush()
    await client.ended(stream)
    status = client.status(stream)
    assert status is not None
    trailers: dict[bytes, bytes] = {}
    for event in client.of("TrailersReceived", stream):
        trailers.update(event.headers)
    await client.close()
    return status, trailers


@pytest.mark.parametrize(
    ("body", "extra", "code", "text"),
    [
        (frame(b"x"), (), b"0", None),
        (frame(b""), (("grpc-timeout", "1S"),), b"0", None),
        (b"", (), b"13", b"unexpected EOF"),
        (b"\x00\x00", (), b"13", b"unexpected EOF"),
        (frame(b"abc")[:-1], (), b"13", b"unexpected EOF"),
        (b"\x02\x00\x00\x00\x00", (), b"13", b"grpc: received unexpected payload format 2"),
        (b"\x01" + frame(b"x")[1:], (), b"13", b"grpc: compressed flag set with identity or empty encoding"),
        (
            b"\x01" + frame(b"x")[1:],
            (("grpc-encoding", "gzip"),),
            b"13",
            b"grpc: failed to decompress the received message",
        ),
        (frame(b""), (("grpc-timeout", "soon"),), b"13", b"malformed grpc-timeout"),
    ],
)
def test_frames_by_hand(body: bytes, extra: tuple[tuple[str, str], ...], code: bytes, text: bytes | None) -> None:
    async def main() -> None:
        async with served(Service().router()) as port:
            status, trailers = await raw_call(port, body, *extra)
            assert status == 200
            assert trailers[b"grpc-status"] == code
            assert trailers.get(b"grpc-message") == text

    run(main())


@pytest.mark.parametrize(
    ("method", "kind", "status"),
    [
        ("PUT", "application/grpc", 405),
        ("POST", "application/grpcish", 415),
        ("POST", "application/grpc+proto", 200),
        ("POST", "application/grpc;charset=utf-8", 200),
    ],
)
def test_what_is_no_call(method: str, kind: str, status: int) -> None:
    async def main() -> None:
        async with served(Service().router()) as port:
            assert (await raw_call(port, frame(b""), method=method, kind=kind))[0] == status

    run(main())


def test_http1_cannot_carry_a_call() -> None:
    async def main() -> None:
        async with served(Service().router()) as port:
            reader, writer = await asyncio.open_connection(HOST, port.port)
            writer.write(b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\nconnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 505 ")
            writer.close()

    run(main())


def test_status_texts_are_encoded_and_bounded() -> None:
    assert status_trailers(StatusCode.OK) == [(b"grpc-status", b"0")]
    assert status_trailers(StatusCode.UNKNOWN, "a%b\tä") == [
        (b"grpc-status", b"2"),
        (b"grpc-message", b"a%25b%09%C3%A4"),
    ]
    [_, (_, long)] = status_trailers(StatusCode.UNKNOWN, "ä" * 100_000)
    assert len(long) == 3 * 4096


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("1S", 1), ("100m", 0.1), ("2M", 120), ("1H", 3600), ("99999999n", 0.099999999), ("5u", 5e-6)],
)
def test_timeouts(value: str, seconds: float) -> None:
    assert timeout_seconds(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "S", "1", "-1S", "1.5S", "999999999S", "1s", "\u0661S"])
def test_malformed_timeouts(value: str) -> None:
    with pytest.raises(RpcError) as caught:
        timeout_seconds(value)
    assert caught.value.code is StatusCode.INTERNAL


def test_frames_are_read_as_they_are_written() -> None:
    assert unframe_header(frame(b"abc")) == (False, 3)
    assert unframe_header(b"\x01\x00\x00\x00") is None
    assert inflate(gzip.compress(b"abc")) == b"abc"
    with pytest.raises(RpcError):
        inflate(gzip.compress(bytes(MAX_MESSAGE_BYTES + 1)))
    with pytest.raises(RpcError):
        inflate(gzip.compress(b"abc" * 1000)[:-20])
