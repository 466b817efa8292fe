"""The door of the service port: lets a connection in, secures it, and finds out which protocol it speaks.

Admission comes before the TLS handshake, because a handshake is the first thing that costs us. Over TLS the client
chooses by ALPN; a client that chose nothing, and every client of a plain port, is told apart by the HTTP/2 preface.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol

from baton.wire.http2_guard import PREFACE
from baton.wire.limits import LINGER_S
from baton.wire.port_state import PortState

__all__ = ["Door", "ServiceProtocol"]

_KEEPALIVE_IDLE_S: Final = 15
_KEEPALIVE_INTERVAL_S: Final = 15
_KEEPALIVE_PROBES: Final = 9


class ServiceProtocol(Protocol):
    """A protocol behind the door."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """The connection is yours."""
        ...

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        ...

    def sweep(self, now: float) -> None:
        """End what is overdue."""
        ...


class Door(asyncio.Protocol):
    """One connection until its protocol is known, and its place in the port for as long as it lives."""

    def __init__(
        self,
        *,
        port: PortState,
        tls: ssl.SSLContext | None,
        serve: Callable[["Door", bool], ServiceProtocol],
    ) -> None:
        """``serve`` makes the protocol of a connection; its second argument says whether that is HTTP/2."""
        self.port = port
        self.address = ""
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int] | None = None
        self.secure = tls is not None
        self._tls = tls
        self._serve = serve
        self._raw: asyncio.Transport | None = None
        self._transport: asyncio.Transport | None = None
        self._early = b""
        self._protocol: ServiceProtocol | None = None
        self._opened_at = port.clock.monotonic()
        self._stalled_at: float | None = None
        self._stalled_bytes = 0
        self._lost = False

    # asyncio.Protocol, until the protocol behind the door takes over.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client stands at the door."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- narrows the type that asyncio declares
        self._raw = transport
        self.client = _address(transport.get_extra_info("peername"))
        self.server = _address(transport.get_extra_info("sockname"))
        self.address = self.client[0] if self.client else ""
        if not self.port.admit(self):
            transport.abort()
            return
        _tune(transport.get_extra_info("socket"))
        if self._tls is None:
            self._transport = transport
            return
        transport.pause_reading()
        if self.port.spawn(self._secure(transport, self._tls)) is None:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes before the protocol is known; over TLS they may come before the handshake is reported."""
        self._early += data
        if self._transport is not None:
            self._recognise(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left before it said anything."""
        del exc
        self.closed()

    async def _secure(self, raw: asyncio.Transport, tls: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                raw,
                self,
                tls,
                server_side=True,
                ssl_handshake_timeout=self.port.limits.header_timeout_s,
                ssl_shutdown_timeout=max(LINGER_S, self.port.limits.body_idle_timeout_s),
            )
        except OSError:
            # Garbage, a client that speaks no version of ours, or one that left: its own affair.
            self.port.refused("tls")
            raw.abort()
            self.closed()
            return
        except asyncio.CancelledError:
            raw.abort()
            self.closed()
            raise
        if secured is None or self._lost:
            self.abort()
            return
        self._transport = secured
        self._recognise(secured)

    def _recognise(self, transport: asyncio.Transport) -> None:
        tls = transport.get_extra_info("ssl_object")
        chosen = tls.selected_alpn_protocol() if tls is not None else None
        if chosen == "h2":
            self._hand_over(transport, http2=True)
        elif chosen is not None:
            self._hand_over(transport, http2=False)
        elif not self._early:
            return
        elif self._early.startswith(PREFACE):
            self._hand_over(transport, http2=True)
        elif not PREFACE.startswith(self._early):
            self._hand_over(transport, http2=False)

    def _hand_over(self, transport: asyncio.Transport, *, http2: bool) -> None:
        protocol = self._serve(self, http2)
        self._protocol = protocol
        early, self._early = self._early, b""
        transport.set_protocol(protocol)  # type: ignore[arg-type]  # an asyncio.Protocol with one method more
        protocol.connection_made(transport)
        if early:
            protocol.data_received(early)

    # What the port and the protocol behind the door call.

    def closed(self) -> None:
        """The connection is lost; its place is free."""
        if not self._lost:
            self._lost = True
            self.port.release(self)

    def abort(self) -> None:
        """Cut the connection now."""
        for transport in (self._transport, self._raw):
            if transport is not None:
                transport.abort()

    def dismiss(self) -> None:
        """Cut the connection if it has not come to speak any protocol yet."""
        if self._protocol is None:
            self.abort()

    def sweep(self, now: float) -> None:
        """End what is overdue at ``now`` monotonic seconds."""
        if self._stalled(now):
            self.port.refused("write_stall")
            self.abort()
        elif self._protocol is not None:
            self._protocol.sweep(now)
        elif self._transport is not None and now - self._opened_at > self.port.limits.header_timeout_s:
            # While TLS is being agreed on, the handshake's own deadline rules.
            self.port.refused("header_timeout")
            self.abort()

    def _stalled(self, now: float) -> bool:
        """Whether the kernel has taken none of our bytes for too long: the peer does not read, or is not there."""
        waiting = self._raw.get_write_buffer_size() if self._raw is not None else 0
        if not waiting or waiting < self._stalled_bytes or self._stalled_at is None:
            self._stalled_at = now if waiting else None
        self._stalled_bytes = waiting
        return self._stalled_at is not None and now - self._stalled_at > self.port.limits.body_idle_timeout_s


def _address(name: object) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


def _tune(sock: socket.socket) -> None:
    """Send small pieces at once, and find dead peers of silent streams.

    The network's nodes ask a silent peer after 15 s, then every 15 s, nine times. The event loop sets TCP_NODELAY only
    on sockets that were made with the protocol's number; without it the second piece of an answer waits for the
    client's delayed acknowledgement of the first: 40 ms.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
