"""One HTTP/1.1 connection of the service port: uvicorn's protocol on httptools, with the limits of an open port.

Added to it: a bounded header (431), a deadline for headers against slow clients, a bounded pause inside bodies, few
pipelined requests, the rest of a refused body taken for a moment so that the client can read the answer, and clients
that offer ``Upgrade: h2c`` served in plain HTTP/1.1, which they accept. WebSocket stays uvicorn's.
"""

from collections.abc import Coroutine
from typing import Any, Final

import httptools
import structlog
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from baton.wire.http2_scope import BODY_IDLE_EXTENSION
from baton.wire.limits import LINGER_S
from baton.wire.port_state import Doorway

__all__ = ["Http1Protocol"]

log = structlog.get_logger("baton.wire")

_MAX_FIELDS: Final = 1024
_MAX_PIPELINED: Final = 16
_MAX_DRAIN_BYTES: Final = 32 << 20
_FIELD_OVERHEAD_BYTES: Final = 4
_READ_BYTES: Final = 256 * 1024
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_REASONS: Final = {400: "Bad Request", 431: "Request Header Fields Too Large"}


class _HeaderTooLargeError(Exception):
    """Raised inside the parser's callbacks to stop it."""


class _TooManyPipelinedError(Exception):
    """Raised inside the parser's callbacks to stop it."""


class _WebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which takes the transport over and so must free the connection's place."""

    door: Doorway

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        super().connection_lost(exc)
        self.door.closed()

    def sweep(self, now: float) -> None:
        """Its own pings find dead peers."""
        del now


class Http1Protocol(HttpToolsProtocol):
    """An HTTP/1.1 connection of a client."""

    def __init__(self, *, config: Config, server_state: ServerState, door: Doorway) -> None:
        """``config`` carries the application."""
        super().__init__(config, server_state, {})
        self._door = door
        self._port = door.port
        self._limits = door.port.limits
        self.successor: _WebSocket | None = None
        """The WebSocket that took over, if any."""
        now = self._now()
        self._heard_at = now
        self._header_since: float | None = now
        self._header_bytes = 0
        self._header_read_bytes = 0
        self._in_body = False
        self._declining = False
        self._replaying = False
        self._body_idle_s: float | None = self._limits.body_idle_timeout_s
        self._draining_since: float | None = None
        self._drained_bytes = 0
        self._closing_since: float | None = None
        self._working: RequestResponseCycle | None = None
        """The request whose application runs; ``cycle`` is the last one that came."""

    # asyncio.Protocol

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        super().connection_lost(exc)
        self._door.closed()

    def data_received(self, data: bytes) -> None:
        """Parse, within limits."""
        if self._closing_since is not None:
            return
        self._unset_keepalive_if_required()
        self._heard_at = self._now()
        if self._header_since is None and not self._in_body:
            self._header_since = self._heard_at
        if self._draining_since is not None:
            self._drained_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            too_large = isinstance(error.__context__, _HeaderTooLargeError)
            self._refuse(431 if too_large else 400, "header_too_large" if too_large else "protocol")
            return
        if self.successor is not None or self._closing_since is not None:
            return
        if self._header_since is not None:
            # A field that has not ended yet is invisible to the callbacks.
            self._header_read_bytes += len(data)
            if self._header_read_bytes > self._limits.max_header_bytes + _READ_BYTES:
                self._refuse(431, "header_too_large")

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                self._decline_upgrade()
                data = data[upgrade.args[0] :]
            else:
                return

    def _decline_upgrade(self) -> None:
        """Go on in HTTP/1.1 after an offer of h2c or of anything else that we do not speak.

        The parser takes an offer for the end of HTTP and skips the request's body. A fresh one that never saw the
        offer is told the framing of the body and takes over from there.
        """
        self.parser = httptools.HttpRequestParser(self)
        head = b"".join(b"%b: %b\r\n" % (name, value) for name, value in self.headers if name in _FRAMING)
        self._replaying = True
        try:
            self.parser.feed_data(b"%b / HTTP/1.1\r\n%b\r\n" % (self.scope["method"].encode("ascii"), head))
        finally:
            self._replaying = False
            self._declining = False

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to the WebSocket protocol."""

        def successor(**kwargs: Any) -> _WebSocket:  # noqa: ANN401 -- uvicorn's own call, passed through
            self.successor = _WebSocket(**kwargs)
            self.successor.door = self._door
            return self.successor

        self._header_since = None
        self.ws_protocol_class = successor  # type: ignore[assignment]  # called like the class that it stands for
        try:
            super().handle_websocket_upgrade()
        except Exception:
            log.exception("websocket handshake failed", peer=self.client)
            self._door.abort()
            return
        if self.successor is not None and not self.successor.handshake_initiated:
            # Its own limits on headers are tighter than ours, and it keeps silent about them.
            self._port.refused("header_too_large")
            self.transport.write(_answer(431))
            self.transport.close()

    # Parser callbacks.

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._replaying:
            return
        super().on_message_begin()
        self._header_bytes = 0
        self._body_idle_s = self._limits.body_idle_timeout_s
        extensions: dict[str, dict[object, object]] = {BODY_IDLE_EXTENSION: {"set_s": self._set_body_idle_s}}
        self.scope["extensions"] = extensions

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        if self._replaying:
            return
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field."""
        if self._replaying:
            return
        self._count(len(name) + len(value) + _FIELD_OVERHEAD_BYTES)
        if len(self.headers) >= _MAX_FIELDS:
            raise _HeaderTooLargeError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The header is whole: a request for the application, or for the line before it."""
        if self._replaying:
            return
        self._header_since = None
        self._header_bytes = 0
        self._header_read_bytes = 0
        self._in_body = True
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise _TooManyPipelinedError
        self._declining = self.parser.should_upgrade() and not self._should_upgrade()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._declining and not self._replaying:
            return
        self._in_body = False
        self._draining_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is out; what is still to come of its request is taken for a moment and forgotten."""
        super().on_response_complete()
        self._heard_at = self._now()
        if self._in_body and not self.pipeline:
            self._unset_keepalive_if_required()
            self._draining_since = self._now()
            self._drained_bytes = 0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 -- uvicorn's signature
        """Applications run in the port's task group."""
        self._working = cycle
        work: Coroutine[Any, Any, None] = cycle.run_asgi(app)
        task = self._port.spawn(work)
        if task is None:
            self._door.abort()
            return
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def send_400_response(self, msg: str) -> None:
        """A refusal that uvicorn decides on."""
        del msg
        self._refuse(400, "protocol")

    # What the server calls.

    def sweep(self, now: float) -> None:
        """End what is overdue at ``now`` monotonic seconds."""
        if self.successor is not None:
            return
        if self._closing_since is not None:
            if now - self._closing_since > LINGER_S:
                self._door.abort()
            return
        if self.transport.is_closing():
            if not self.transport.get_write_buffer_size():
                # All is said; a client that does not close its side does not keep its place.
                self._closing_since = now
            return
        reason = self._overdue(now)
        if reason is not None:
            self._port.refused(reason)
            self._closing_since = now
            self.transport.close()

    def _overdue(self, now: float) -> str | None:
        if self._header_since is not None:
            return "header_timeout" if now - self._header_since > self._limits.header_timeout_s else None
        if self._draining_since is not None:
            overdue = now - self._draining_since > LINGER_S or self._drained_bytes > _MAX_DRAIN_BYTES
            return "unread_body" if overdue else None
        if self._in_body:
            if self.flow.read_paused or self._body_idle_s is None:
                # The application has not asked for more, or knows better: the client is not to blame.
                self._heard_at = now
                return None
            return "body_idle" if now - self._heard_at > self._body_idle_s else None
        idle = self.cycle is None or self.cycle.response_complete
        return "idle" if idle and now - self._heard_at > self._limits.idle_timeout_s else None

    # Craft.

    def _now(self) -> float:
        return self._port.clock.monotonic()

    def _set_body_idle_s(self, seconds: float | None) -> None:
        self._body_idle_s = seconds

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._limits.max_header_bytes:
            raise _HeaderTooLargeError

    def _refuse(self, status: int, reason: str) -> None:
        """Answer for the application and hang up, but let the client read the answer first.

        Closing at once while bytes of the client are on their way would reset the connection and lose the answer.
        """
        self._port.refused(reason)
        self._closing_since = self._now()
        working = self._working
        if working is None or working.response_complete or not working.response_started:
            self.transport.write(_answer(status))
        if working is not None and not working.response_complete:
            working.disconnected = True
            working.message_event.set()
        self.pipeline.clear()
        if self.transport.can_write_eof():
            self.transport.write_eof()


def _answer(status: int) -> bytes:
    """A last answer of the port itself."""
    text = f"{status} {_REASONS[status]}"
    return (
        f"HTTP/1.1 {text}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(text) + 1}\r\nconnection: close\r\n\r\n{text}\n"
    ).encode("ascii")
