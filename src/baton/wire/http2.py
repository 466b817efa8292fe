"""One HTTP/2 connection of the service port: bytes in, streams to the application, bytes out.

The state machine is ``jh2`` (see ``http2_engine``), the guard before it ``http2_guard``, each request a
``Http2Stream`` with a task in the port's task group. Every wait has an end: the sweep of the port asks for overdue
header blocks, bodies, answers and idle connections.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import structlog
from jh2.events import (
    DataReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from jh2.exceptions import H2Error

from baton.wire.http2_engine import ErrorCodes, header_list_bytes, open_engine
from baton.wire.http2_guard import FloodError, FrameMeter, OversizeFrameError
from baton.wire.http2_late import LateBodies
from baton.wire.http2_scope import MalformedRequestError, request_scope
from baton.wire.http2_stream import Headers, Http2Stream
from baton.wire.limits import CONNECTION_BUFFER_BYTES, LINGER_S, MAX_FRAME_BYTES
from baton.wire.port_state import Doorway, Shared
from baton.wire.replies import Receive, Scope, Send
from baton.wire.scratch import ScratchProtocol

__all__ = ["Http2Protocol"]

log = structlog.get_logger("baton.wire")

_FLUSH_BYTES: Final = 64 * 1024
_WRITE_HIGH_BYTES: Final = 256 * 1024
_CONTROL_BACKLOG_BYTES: Final = 1 << 20
_LIVE_HEADER_BYTES: Final = 16 << 20
_CROWDED_BYTES: Final = 256 * 1024
_BAD_REQUEST: Final = 400
_TOO_LARGE: Final = 431


class Http2Protocol(ScratchProtocol):
    """An HTTP/2 connection of a client."""

    def __init__(self, *, app: Callable[[Scope, Receive, Send], Any], door: Doorway, shared: Shared) -> None:
        """``app`` serves every stream."""
        super().__init__(door.port.scratch)
        self.engine = open_engine(door.port.limits)
        self.write_paused = False
        self._app = app
        self._door = door
        self._port = door.port
        self._shared = shared
        self._limits = door.port.limits
        self._transport: asyncio.Transport
        self._meter = FrameMeter(
            max_block_bytes=2 * self._limits.max_header_bytes, max_frame_bytes=MAX_FRAME_BYTES, now=self.now()
        )
        self._streams: dict[int, Http2Stream] = {}
        self._late = LateBodies()
        self._buffered = 0
        self._live_header_bytes = 0
        self._pending = 0
        self._flush_due = False
        self._read_paused = False
        self._busy_at = self.now()
        self._closing = False
        self._cut_at: float | None = None
        self._leaving = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            RequestReceived: self._on_request,
            DataReceived: self._on_data,
            StreamEnded: self._on_end,
            StreamReset: self._on_reset,
            WindowUpdated: self._on_window,
            RemoteSettingsChanged: self._on_settings,
        }

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say our SETTINGS."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- narrows the type that asyncio declares
        self._transport = transport
        self._shared.connections.add(self)
        transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Everything of the connection is over; applications learn it from ``receive``."""
        del exc
        self._closing = True
        self._shared.connections.discard(self)
        for stream in tuple(self._streams.values()):
            stream.left()
        self._port.buffered_bytes -= self._buffered
        self._buffered = 0
        self._door.closed()

    def data_received(self, data: bytes | memoryview) -> None:
        """Count, parse, dispatch."""
        if self._closing:
            return
        now = self.now()
        try:
            self._meter.feed(data, now)
            happened = self.engine.receive_data(data)
        except FloodError as flood:
            self._end(ErrorCodes.ENHANCE_YOUR_CALM, reason=f"flood_{flood.reason}")
            return
        except OversizeFrameError:
            self._end(ErrorCodes.FRAME_SIZE_ERROR, reason="protocol")
            return
        except H2Error:
            # The library has framed its GOAWAY already.
            self._end(None, reason="protocol")
            return
        except Exception:
            log.exception("http2 library failed", peer=self._door.client)
            self._end(ErrorCodes.INTERNAL_ERROR, reason="library")
            return
        for event in happened:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event)
        if self._meter.data_stream and (stream := self._streams.get(self._meter.data_stream)):
            # A large frame on a slow line: its bytes count before they are a piece.
            stream.heard_at = now
        self.flush()
        self._throttle()

    def eof_received(self) -> bool:
        """A client that closes its side is gone."""
        return False

    def pause_writing(self) -> None:
        """The transport is full."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """The transport has room."""
        self.write_paused = False
        self._wake_senders()
        self._throttle()

    # What the server calls.

    def shutdown(self) -> None:
        """Say goodbye, finish what runs, take nothing new."""
        if not self._closing and not self._leaving:
            self._leaving = True
            self.flush()
            self._transport.write(self.engine.farewell())
            self._close_when_done()

    def sweep(self, now: float) -> None:
        """End what is overdue at ``now`` monotonic seconds."""
        if self._closing:
            if self._cut_at is not None and now > self._cut_at:
                self._door.abort()
            elif self._cut_at is None and not self._transport.get_write_buffer_size():
                # All is said; a client that does not close its side does not keep its place.
                self._cut_at = now + LINGER_S
            return
        since = self._meter.waiting_since
        if since is not None and now - since > self._limits.header_timeout_s:
            self._end(ErrorCodes.ENHANCE_YOUR_CALM, reason="header_timeout")
            return
        for stream in tuple(self._streams.values()):
            reason = stream.overdue(now)
            if reason is not None and not (reason == "body_idle" and self._read_paused):
                self._port.refused(reason)
                stream.give_up(ErrorCodes.CANCEL)
        for late in self._late.overdue(now):
            self._reset(late, ErrorCodes.NO_ERROR)
        if not self._streams and now - self._busy_at > self._limits.idle_timeout_s:
            self._end(ErrorCodes.NO_ERROR, reason="idle")
        self.flush()
        self._throttle()

    # What streams call.

    def now(self) -> float:
        """Monotonic seconds."""
        return self._port.clock.monotonic()

    def default_headers(self) -> Headers:
        """Headers of every answer: the date."""
        return self._shared.default_headers

    def framed(self, data_bytes: int) -> None:
        """Send soon; at once when a good piece has come together."""
        self._meter.sent(data_bytes)
        self._pending += data_bytes
        if self._pending >= _FLUSH_BYTES:
            self.flush()
        elif not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Hand everything framed to the transport."""
        self._pending = 0
        self._flush_due = False
        data = self.engine.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def answered_early(self, stream_id: int) -> None:
        """The answer of a stream is out while its request is still coming in."""
        late = self._late.answered(stream_id, self.now())
        if late is not None:
            self._reset(late, ErrorCodes.NO_ERROR)

    def taken(self, stream_id: int, credit: int) -> None:
        """Give ``credit`` back to the peer's windows."""
        held = min(credit, self._buffered)
        self._buffered -= held
        self._port.buffered_bytes -= held
        if self._closing:
            return
        try:
            self.engine.acknowledge_received_data(credit, stream_id)
        except H2Error:
            return
        self.framed(0)
        self._throttle()

    # Events.

    def _on_request(self, event: Any) -> None:  # noqa: ANN401 -- jh2 ships no types
        stream_id: int = event.stream_id
        ended = event.stream_ended is not None
        size = header_list_bytes(event.headers)
        refusal = self._refusal(size)
        if refusal is not None:
            self._port.refused(refusal)
            self._reset(stream_id, ErrorCodes.REFUSED_STREAM)
            return
        if size > self._limits.max_header_bytes:
            self._port.refused("header_too_large")
            self._answer_alone(stream_id, _TOO_LARGE, ended=ended)
            return
        try:
            scope = request_scope(
                event.headers,
                client=self._door.client,
                server=self._door.server,
                secure=self._door.secure,
            )
        except MalformedRequestError:
            self._answer_alone(stream_id, _BAD_REQUEST, ended=ended)
            return
        stream = Http2Stream(
            link=self,
            stream_id=stream_id,
            scope=scope,
            ended=ended,
            body_idle_s=self._limits.body_idle_timeout_s,
        )
        stream.header_bytes = size
        self._open(stream)

    def _refusal(self, header_bytes: int) -> str | None:
        """Why a new stream is not taken now; the client may try again elsewhere or later."""
        if self._leaving:
            return "leaving"
        if len(self._streams) >= self._limits.max_streams_per_connection:
            return "streams"
        if self._live_header_bytes + header_bytes > _LIVE_HEADER_BYTES:
            return "header_bytes"
        if self._port.requests >= self._limits.max_requests:
            return "requests"
        return None

    def _open(self, stream: Http2Stream) -> None:
        task = self._port.spawn(self._serve(stream))
        if task is None:
            stream.give_up(ErrorCodes.REFUSED_STREAM)
            return
        self._streams[stream.stream_id] = stream
        self._live_header_bytes += stream.header_bytes
        self._port.requests += 1
        self._shared.tasks.add(task)
        task.add_done_callback(self._shared.tasks.discard)
        task.add_done_callback(lambda _: self._retire(stream))

    async def _serve(self, stream: Http2Stream) -> None:
        try:
            await self._app(stream.scope, stream.receive, stream.send)
        except Exception:
            log.exception("request failed unexpectedly", path=stream.scope["path"])

    def _retire(self, stream: Http2Stream) -> None:
        """The application of ``stream`` has ended, in whatever way."""
        stream.finish()
        del self._streams[stream.stream_id]
        self._live_header_bytes -= stream.header_bytes
        self._port.requests -= 1
        self._busy_at = self.now()
        self._close_when_done()

    def _on_data(self, event: Any) -> None:  # noqa: ANN401 -- jh2 ships no types
        credit: int = event.flow_controlled_length
        self._buffered += credit
        self._port.buffered_bytes += credit
        if self._late.arrived(event.stream_id, credit):
            self._reset(event.stream_id, ErrorCodes.NO_ERROR)
        stream = self._streams.get(event.stream_id)
        if stream is None:
            self.taken(event.stream_id, credit)
            return
        stream.heard_at = self.now()
        stream.body_arrived(event.data, credit)

    def _on_end(self, event: Any) -> None:  # noqa: ANN401 -- jh2 ships no types
        self._late.ended(event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.body_ended()

    def _on_reset(self, event: Any) -> None:  # noqa: ANN401 -- jh2 ships no types
        self._late.ended(event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.left()

    def _on_window(self, event: Any) -> None:  # noqa: ANN401 -- jh2 ships no types
        if not event.stream_id:
            self._wake_senders()
        elif stream := self._streams.get(event.stream_id):
            stream.wake_sender()

    def _on_settings(self, event: Any) -> None:  # noqa: ANN401 -- jh2 ships no types
        del event
        self.engine.keep_table_small()
        self._wake_senders()

    # Craft.

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        with contextlib.suppress(H2Error, KeyError):
            self.engine.reset_stream(stream_id, code)
        self.framed(0)

    def _answer_alone(self, stream_id: int, status: int, *, ended: bool) -> None:
        """Answer without the application."""
        headers = [(b":status", str(status).encode("ascii")), (b"content-length", b"0")]
        with contextlib.suppress(H2Error, KeyError):
            self.engine.send_headers(stream_id, headers, end_stream=True)
            if not ended:
                self.answered_early(stream_id)

    def _wake_senders(self) -> None:
        for stream in tuple(self._streams.values()):
            stream.wake_sender()

    def _throttle(self) -> None:
        """Stop reading while the peer makes us hold too much, bodies or control frames; go on when it is gone."""
        if self._closing:
            return
        bodies = _CROWDED_BYTES if self._port.crowded else CONNECTION_BUFFER_BYTES
        backlog = self._transport.get_write_buffer_size() > _CONTROL_BACKLOG_BYTES
        if not self._read_paused and (self._buffered > bodies or backlog):
            self._read_paused = True
            self._transport.pause_reading()
        elif self._read_paused and self._buffered <= bodies // 2 and not backlog:
            self._read_paused = False
            now = self.now()
            for stream in self._streams.values():
                stream.heard_at = now
            self._transport.resume_reading()

    def _close_when_done(self) -> None:
        if self._leaving and not self._streams and not self._closing:
            # Answers may still be on their way to a slow reader; the door cuts it only when nothing moves.
            self._closing = True
            self.flush()
            self._transport.close()

    def _end(self, code: ErrorCodes | None, *, reason: str) -> None:
        """Close the connection with a GOAWAY of ``code`` (None: framed already); its streams are lost."""
        self._port.refused(reason)
        if code is not None:
            self.engine.clear_outbound_data_buffer()
            self.engine.close_connection(code)
        self.flush()
        self._closing = True
        self._cut_at = self.now() + LINGER_S
        for stream in tuple(self._streams.values()):
            stream.left()
        self._transport.close()
