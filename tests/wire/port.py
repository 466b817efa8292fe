"""A service port inside a test's event loop, the applications that tests put behind it, and a raw HTTP/2 client."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

from baton.kernel.clock import SystemClock
from baton.kernel.metrics import SilentMetrics
from baton.wire.limits import ListenerLimits
from baton.wire.listener import Listener
from baton.wire.replies import Receive, Scope, Send
from baton.wire.router import App

HOST = "127.0.0.1"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class CountingMetrics(SilentMetrics):
    """Remembers counters and gauges by name and labels."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}

    def set(self, name: str, value: float, **labels: str) -> None:
        super().set(name, value, **labels)
        self.values[name, *labels.values()] = value

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        super().add(name, amount, **labels)
        key = (name, *labels.values())
        self.values[key] = self.values.get(key, 0.0) + amount

    def refusals(self, reason: str) -> float:
        """How often the port refused for ``reason``."""
        return self.values.get(("port_refusals_total", reason), 0.0)


@dataclass
class ServedPort:
    """A port that serves."""

    listener: Listener
    metrics: CountingMetrics
    tls: bool

    @property
    def port(self) -> int:
        return self.listener.port

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        return int(self.metrics.values.get(("port_connections",), 0))


@contextlib.asynccontextmanager
async def served(
    app: App, *, tls: ssl.SSLContext | None = None, limits: ListenerLimits | None = None, host: str = HOST
) -> AsyncIterator[ServedPort]:
    """A port with ``app`` behind it until the block ends."""
    metrics = CountingMetrics()
    listener = Listener(
        app=app,
        host=host,
        port=0,
        tls=tls,
        limits=limits or ListenerLimits(),
        metrics=metrics,
        clock=SystemClock(),
    )
    await listener.start()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(listener.run())
        try:
            yield ServedPort(listener, metrics, tls is not None)
        finally:
            running.cancel()


def trusting() -> ssl.SSLContext:
    """A client context that verifies nothing, as the network's clients do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass
class Told:
    """What an application saw: for tests to wait for."""

    disconnects: list[str] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    started: int = 0
    ended: int = 0


async def read_body(receive: Receive) -> bytes | None:
    """The whole body; None when the client left before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message["body"]
        if not message["more_body"]:
            return bytes(body)


async def answer(send: Send, status: int, body: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """A whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


class Playground:
    """An application with a path for each behaviour that tests need."""

    def __init__(self) -> None:
        self.told = Told()
        self.release = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.told.started += 1
        try:
            if scope["type"] == "websocket":
                await self._websocket(receive, send)
            else:
                await getattr(self, "at_" + scope["path"].strip("/"))(scope, receive, send)
        finally:
            self.told.ended += 1

    async def at_hello(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        await answer(send, 200, b"hello " + scope["http_version"].encode())

    async def at_count(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the body and answers with its size."""
        body = await read_body(receive)
        if body is None:
            self.told.disconnects.append(scope["path"])
            return
        await answer(send, 200, str(len(body)).encode())

    async def at_header(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with the size of x-big."""
        del receive
        await answer(send, 200, str(sum(len(v) for n, v in scope["headers"] if n == b"x-big")).encode())

    async def at_reject(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses without reading."""
        del scope, receive
        await answer(send, 403, b"no")

    async def at_early(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The 200 as soon as the body is in, the rest when the test allows it."""
        del scope
        body = await read_body(receive)
        assert body is not None
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await self.release.wait()
        await send({"type": "http.response.body", "body": b"late"})

    async def at_ignore(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads nothing until the test allows it, then everything."""
        await self.release.wait()
        await self.at_count(scope, receive, send)

    async def at_hold(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Says nothing until the client leaves or the test allows an answer."""
        async with asyncio.TaskGroup() as group:
            gone = group.create_task(self._gone(scope, receive))
            allowed = group.create_task(self.release.wait())
            await asyncio.wait((gone, allowed), return_when=asyncio.FIRST_COMPLETED)
            left = gone.done()
            gone.cancel()
            allowed.cancel()
        if not left:
            await answer(send, 200, b"held")

    async def at_wide(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with 50 MB in pieces."""
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        piece = bytes(256 * 1024)
        for _ in range(200):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def at_echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Echoes each chunk as it comes."""
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (message := await receive())["type"] == "http.request":
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})
            if not more:
                return

    async def at_fail(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive, send
        message = "a handler's own mistake"
        raise LookupError(message)

    async def at_break(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begins an answer and fails."""
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        message = "a handler's own mistake"
        raise LookupError(message)

    async def at_patient(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the body pause for ever."""
        scope["extensions"]["baton.body_idle"]["set_s"](None)
        await self.at_count(scope, receive, send)

    async def _gone(self, scope: Scope, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.told.disconnects.append(scope["path"])

    async def _websocket(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("bytes") is not None:
                await send({"type": "websocket.send", "bytes": message["bytes"]})
            else:
                await send({"type": "websocket.send", "text": message["text"]})


class _Listening(H2Connection):
    """A client that goes on listening after a GOAWAY, as the standard has it; ``h2`` itself does not."""

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        state = self.state_machine.state
        found = super()._receive_goaway_frame(frame)
        self.state_machine.state = state
        return found


class RawHttp2:
    """An HTTP/2 client that keeps no rule by itself: frames in and out, with ``h2`` at hand for the honest parts."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.h2 = _Listening(H2Configuration(client_side=True, header_encoding=None, validate_outbound_headers=False))
        # Huffman coding a large header takes h2 a minute.
        self.h2.encoder.encode = partial(self.h2.encoder.encode, huffman=False)  # type: ignore[method-assign]
        self.events: list[Event] = []
        self.closed = False
        self.generous = True
        """Whether what was read is credited to the server at once."""

    @classmethod
    async def connect(cls, port: ServedPort, *, settings: dict[SettingCodes, int] | None = None) -> "RawHttp2":
        """Connect and exchange settings."""
        context = None
        if port.tls:
            context = trusting()
            context.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection(HOST, port.port, ssl=context)
        client = cls(reader, writer)
        client.h2.local_settings = Settings(client=True, initial_values=settings or {})
        client.h2.initiate_connection()
        await client.flush()
        return client

    async def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()

    def request(
        self, path: str, *, method: str = "GET", end: bool = True, extra: tuple[tuple[str, str], ...] = ()
    ) -> int:
        """Frame a request header; the stream's id."""
        stream = self.h2.get_next_available_stream_id()
        headers = [(":method", method), (":scheme", "http"), (":authority", "node"), (":path", path), *extra]
        self.h2.send_headers(stream, headers, end_stream=end)
        return stream

    async def send(self, *frames: Frame | bytes) -> None:
        """Frames as they are."""
        self.writer.write(b"".join(f if isinstance(f, bytes) else f.serialize() for f in frames))
        await self.writer.drain()

    async def pump(self, until: Callable[["RawHttp2"], Any]) -> Any:
        """Read until ``until`` is true of this client; fails when the server closes first."""
        while not (found := until(self)):
            if self.closed:
                message = f"closed by the server after {self.events}"
                raise AssertionError(message)
            await self._read()
        return found

    async def ended(self, stream: int) -> None:
        """Read until the answer on ``stream`` is whole."""
        await self.pump(lambda c: c.of("StreamEnded", stream))

    async def reset(self, stream: int) -> int:
        """Read until the server resets ``stream``; the error code."""
        [event] = await self.pump(lambda c: c.of("StreamReset", stream))
        return int(event.error_code)

    async def news(self) -> None:
        """Read until anything more is known."""
        seen = len(self.events)
        await self.pump(lambda c: len(c.events) > seen)

    async def until_closed(self) -> None:
        """Read until the server hangs up."""
        while not self.closed:
            await self._read()

    async def _read(self) -> None:
        try:
            data = await self.reader.read(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            self.writer.close()
            return
        for event in self.h2.receive_data(data):
            self.events.append(event)
            if self.generous and isinstance(event, DataReceived):
                with contextlib.suppress(Exception):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.writer.write(self.h2.data_to_send())

    def of(self, kind: str, stream: int | None = None) -> list[Any]:
        """Events of a kind, of one stream or all."""
        return [
            e
            for e in self.events
            if type(e).__name__ == kind and (stream is None or e.stream_id == stream)  # type: ignore[attr-defined]
        ]

    def status(self, stream: int) -> int | None:
        """The status of an answer that has begun."""
        for event in self.of("ResponseReceived", stream):
            return int(dict(event.headers)[b":status"])
        return None

    def body(self, stream: int) -> bytes:
        """What has come of an answer."""
        return b"".join(e.data for e in self.of("DataReceived", stream))

    def goaway(self) -> int | None:
        """The error code that the server said goodbye with."""
        for event in self.of("ConnectionTerminated"):
            return int(event.error_code)
        return None

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()
