"""A small HTTP/2 client: one request at a time over one connection, as a gateway posts segments and calls gRPC.

It stands on the sans-IO library ``h2``, a different one from the service port's, so that client and node are never
wrong together. Certificates are not verified, as no peer of the network does (video.md 1.1). Everything a peer sends
is bounded: headers, body, time; nothing it does can make a caller wait or grow beyond the limits of the request.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

__all__ = [
    "Http2Connection",
    "NotHttp2Error",
    "PeerError",
    "PeerTooSlowError",
    "Response",
    "connect_http2",
    "open_stream",
    "reason_of",
    "unverified_tls",
]

CONNECT_TIMEOUT_S = 3.0
_WINDOW_BYTES = 1 << 20
_READ_BYTES = 1 << 16
_HEADER_LIST_BYTES = 1 << 16
_CLOSE_TIMEOUT_S = 1.0
_MAX_INFORMATIONAL = 16


class PeerError(Exception):
    """The peer did not do its part: unreachable, too slow, too much, or not HTTP/2. The text says which."""


class PeerTooSlowError(PeerError):
    """The peer took longer than a gateway waits."""


class NotHttp2Error(PeerError):
    """The peer is there but did not choose HTTP/2."""


def reason_of(error: BaseException) -> str:
    """An exception's own words, or its name when it has none."""
    return str(error) or type(error).__name__


def _why_not(error: OSError | ValueError) -> str:
    """Why there is no connection, in the system's words without its numbers."""
    if isinstance(error, socket.gaierror) and error.strerror:
        return error.strerror
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno:
        return os.strerror(error.errno)
    return reason_of(error)


def unverified_tls(alpn: Iterable[str]) -> ssl.SSLContext:
    """A client context that takes any certificate and offers ``alpn``."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context


@dataclass(frozen=True, slots=True)
class Response:
    """What came back; ``header_s`` and ``total_s`` count from the start of the request, upload included."""

    status: int
    headers: dict[str, str]
    body: bytes
    header_s: float
    total_s: float
    trailers: dict[str, str] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def open_stream(
    host: str, port: int, *, tls: ssl.SSLContext | None, timeout_s: float = CONNECT_TIMEOUT_S
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection, TLS when a context is given, closed in any case. Raises ``PeerError``."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=host if tls else None, limit=_READ_BYTES
            )
    except TimeoutError as error:
        message = f"no connection to {host}:{port} within {timeout_s:g} s"
        raise PeerError(message) from error
    except (OSError, ValueError) as error:
        message = f"no connection to {host}:{port}: {_why_not(error)}"
        raise PeerError(message) from error
    try:
        yield reader, writer
    finally:
        writer.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            writer.transport.abort()


class Http2Connection:
    """One HTTP/2 connection. Requests run strictly one after another; a failed one ends the connection's use."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, authority: str) -> None:
        """``authority`` is the host and port of the request line; TLS or not is read from the transport."""
        self._reader = reader
        self._writer = writer
        self._authority = authority
        self._scheme = "https" if writer.get_extra_info("ssl_object") is not None else "http"
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config=config)
        self._h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: _HEADER_LIST_BYTES,
            },
        )
        self._h2.decoder.max_header_list_size = _HEADER_LIST_BYTES
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW_BYTES)
        self._usable = True

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._usable and not self._reader.at_eof()

    async def request(
        self,
        *,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        header_timeout_s: float,
        total_timeout_s: float,
        max_body_bytes: int,
    ) -> Response:
        """Send one request and read its answer.

        Raises:
            PeerError: no header within ``header_timeout_s``, no end within ``total_timeout_s``, a body longer than
                ``max_body_bytes``, a reset or a protocol violation.
        """
        self._usable = False
        loop = asyncio.get_running_loop()
        exchange = _Exchange(started=loop.time(), max_body_bytes=max_body_bytes)
        try:
            async with asyncio.timeout_at(exchange.started + min(header_timeout_s, total_timeout_s)) as deadline:
                await self._send_head(exchange, method=method, path=path, headers=headers, empty=not body)
                unsent = memoryview(body)
                while not exchange.ended:
                    unsent = await self._send_body(exchange, unsent)
                    await self._receive(exchange)
                    if exchange.status and not exchange.header_s:
                        exchange.header_s = loop.time() - exchange.started
                        deadline.reschedule(exchange.started + total_timeout_s)
        except TimeoutError as error:
            message = (
                f"body timeout: no end of the answer within {total_timeout_s:g} s"
                if exchange.status
                else f"header timeout: no answer within {header_timeout_s:g} s"
            )
            raise PeerTooSlowError(message) from error
        except (h2.exceptions.H2Error, OSError, UnicodeDecodeError, ValueError) as error:
            message = f"broken HTTP/2: {reason_of(error)}"
            raise PeerError(message) from error
        self._usable = not exchange.closing
        return exchange.response(total_s=loop.time() - exchange.started)

    async def _send_head(
        self, exchange: "_Exchange", *, method: str, path: str, headers: Iterable[tuple[str, str]], empty: bool
    ) -> None:
        exchange.stream_id = self._h2.get_next_available_stream_id()
        pseudo = [
            (":method", method),
            (":scheme", self._scheme),
            (":authority", self._authority),
            (":path", path),
        ]
        self._h2.send_headers(exchange.stream_id, [*pseudo, *headers], end_stream=empty)
        await self._flush()

    async def _send_body(self, exchange: "_Exchange", unsent: memoryview) -> memoryview:
        """Send as much as the windows allow; a peer that has answered already gets no more."""
        while len(unsent) and not exchange.ended and not exchange.stop_sending:
            window = self._h2.local_flow_control_window(exchange.stream_id)
            size = min(len(unsent), window, self._h2.max_outbound_frame_size)
            if size <= 0:
                break
            self._h2.send_data(exchange.stream_id, bytes(unsent[:size]), end_stream=size == len(unsent))
            unsent = unsent[size:]
            await self._flush()
        return unsent

    async def _receive(self, exchange: "_Exchange") -> None:
        data = await self._reader.read(_READ_BYTES)
        if not data:
            message = "connection closed before the end of the answer"
            raise PeerError(message)
        for event in self._h2.receive_data(data):
            exchange.take(event)
            if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length and not exchange.closing:
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        await self._flush()

    async def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._writer.write(data)
            await self._writer.drain()


@dataclass(slots=True)
class _Exchange:
    """One request on its way and what its peer has said so far."""

    started: float
    max_body_bytes: int
    stream_id: int = 0
    status: int = 0
    header_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    stop_sending: bool = False
    closing: bool = False
    informational: int = 0

    def take(self, event: h2.events.Event) -> None:
        """Note one event. Raises ``PeerError`` when the peer broke off or sends too much."""
        match event:
            case h2.events.ConnectionTerminated():
                self._terminated(event)
            case h2.events.ResponseReceived(stream_id=self.stream_id):
                self.headers = _header_dict(event.headers)
                self.status = int(self.headers.get(":status", "0"))
            case h2.events.InformationalResponseReceived(stream_id=self.stream_id):
                self.informational += 1
                if self.informational > _MAX_INFORMATIONAL:
                    message = "endless informational answers"
                    raise PeerError(message)
            case h2.events.TrailersReceived(stream_id=self.stream_id):
                self.trailers = _header_dict(event.headers)
            case h2.events.DataReceived(stream_id=self.stream_id):
                self._data(event.data or b"")
            case h2.events.StreamEnded(stream_id=self.stream_id):
                self.ended = True
            case h2.events.StreamReset(stream_id=self.stream_id):
                self._reset(event)
            case _:
                pass  # settings, pings, windows, unknown frames: the library answers them

    def _terminated(self, event: h2.events.ConnectionTerminated) -> None:
        self.closing = True
        if not self.ended and (event.last_stream_id or 0) < self.stream_id:
            message = f"connection ended by peer (error code {event.error_code})"
            raise PeerError(message)

    def _data(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > self.max_body_bytes:
            message = f"answer longer than {self.max_body_bytes} bytes"
            raise PeerError(message)

    def _reset(self, event: h2.events.StreamReset) -> None:
        """A reset without error after the whole answer only means that the rest of the body is not wanted."""
        self.stop_sending = True
        if not self.ended:
            message = f"stream reset by peer (error code {event.error_code})"
            raise PeerError(message)

    def response(self, *, total_s: float) -> Response:
        """The finished answer."""
        return Response(
            status=self.status,
            headers=self.headers,
            body=bytes(self.body),
            header_s=self.header_s,
            total_s=total_s,
            trailers=self.trailers,
        )


def _header_dict(headers: Iterable[tuple[object, object]] | None) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers or ()}


@contextlib.asynccontextmanager
async def connect_http2(host: str, port: int, *, tls: bool) -> AsyncIterator[Http2Connection]:
    """An HTTP/2 connection: over TLS the peer must choose ``h2`` by ALPN, in cleartext it must know it beforehand.

    Raises:
        NotHttp2Error: a handshake, but another protocol chosen.
        PeerError: no connection or no handshake.
    """
    context = unverified_tls(["h2"]) if tls else None
    async with open_stream(host, port, tls=context) as (reader, writer):
        ssl_object = writer.get_extra_info("ssl_object")
        if ssl_object is not None and ssl_object.selected_alpn_protocol() != "h2":
            message = "the peer does not choose h2 by ALPN"
            raise NotHttp2Error(message)
        named = f"[{host}]" if ":" in host else host
        yield Http2Connection(reader, writer, authority=f"{named}:{port}")
