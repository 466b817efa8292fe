"""The service port: one TCP port that carries gRPC, HTTP/2, HTTP/1.1 and WebSocket, with TLS or in the clear.

A ``uvicorn`` server runs inside the node's event loop (the stdlib's: with uvloop one fast upload starves the rest).
It keeps HTTP/1.1, WebSocket, the date header and the order of a stop; accepting, TLS, HTTP/2 and every limit are
ours. Tasks of all connections live in one task group, so nothing outlives ``run``.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Generator, Sequence
from typing import Final

import structlog
import uvicorn

from baton.kernel.clock import Clock
from baton.kernel.errors import ExitCode, StartError
from baton.kernel.metrics import Metrics
from baton.wire.boundary import ErrorBoundary
from baton.wire.door import Door, ServiceProtocol
from baton.wire.http1 import Http1Protocol
from baton.wire.http2 import Http2Protocol
from baton.wire.limits import LINGER_S, ListenerLimits
from baton.wire.open_files import room_for_connections
from baton.wire.port_state import PortState
from baton.wire.router import App

__all__ = ["Listener"]

log = structlog.get_logger("baton.wire")

_BACKLOG: Final = 2048
_SWEEP_S: Final = 0.5
_BIND_ATTEMPTS: Final = 10
_NO_IPV6: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class Listener:
    """One listening address. ``start`` binds, ``run`` serves until it is cancelled or ``stop`` is called."""

    def __init__(
        self,
        *,
        app: App,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        limits: ListenerLimits,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """``host`` empty means all interfaces, ``port`` 0 any free one, ``tls`` None cleartext with h2c."""
        self._host = host
        self._wanted_port = port
        self._real_port = 0
        self._tls = tls
        self._state = PortState(limits=limits, metrics=metrics, clock=clock)
        self._sockets: tuple[socket.socket, ...] = ()
        self._server = _EmbeddedServer(app=app, state=self._state, tls=tls)
        self._running = False
        self._finished = asyncio.Event()

    @property
    def port(self) -> int:
        """The real port number; 0 before ``start``."""
        return self._real_port

    async def try_address(self) -> None:
        """See that the address can be bound, before the node does anything that takes long; it is let go again.

        Raises:
            StartError: it cannot.
        """
        if self._wanted_port:
            for sock in await self._bound(listen=False):
                sock.close()

    async def start(self) -> None:
        """Bind every address of ``host``; clients may connect from now on and are served by ``run``.

        Raises:
            StartError: an address cannot be bound.
        """
        self._sockets = await self._bound(listen=True)
        wanted = self._state.limits.max_connections
        self._state.max_connections = room_for_connections(wanted)
        if self._state.max_connections < wanted:
            log.warning("fewer connections than configured", connections=self._state.max_connections, wanted=wanted)
        self._real_port = int(self._sockets[0].getsockname()[1])
        log.info("listening", host=self._host or "*", port=self.port, tls=self._tls is not None)

    async def _bound(self, *, listen: bool) -> tuple[socket.socket, ...]:
        try:
            return await _bind(self._host, self._wanted_port, listen=listen)
        except OSError as error:
            where = f"{self._host or 'all interfaces'}, port {self._wanted_port}"
            reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
            message = f"--http-addr: cannot listen on {where}: {reason}"
            raise StartError(message, exit_code=ExitCode.PORT_IN_USE) from error

    async def run(self) -> None:
        """Serve until cancelled or stopped. Connections that are left at the end are cut."""
        if self._state.leaving:
            return
        self._running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                self._state.adopt(tasks)
                try:
                    await self._server.serve(list(self._sockets))
                finally:
                    self._state.leaving = True
                    self._state.adopt(None)
                    await self._server.release()
        finally:
            for each in self._sockets:
                each.close()
            self._finished.set()

    async def stop(self, grace_s: float) -> bool:
        """Take nothing new, tell the clients, wait up to ``grace_s`` for requests at work, then cut what is left.

        Returns whether everything had ended by itself.
        """
        self._state.leaving = True
        if not self._running:
            for each in self._sockets:
                each.close()
            return True
        self._server.ask_to_stop(grace_s)
        await self._finished.wait()
        return not self._server.cut_short


class _EmbeddedServer(uvicorn.Server):
    """``uvicorn.Server`` that leaves signals to the node and takes its connections from our door."""

    def __init__(self, *, app: App, state: PortState, tls: ssl.SSLContext | None) -> None:
        config = uvicorn.Config(
            ErrorBoundary(app),
            http=Http1Protocol,
            ws="websockets-sansio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            # What uvicorn says about strangers' mistakes is counted by us, and failures of ours are logged by us.
            log_level=logging.CRITICAL,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=round(state.limits.idle_timeout_s),
        )
        super().__init__(config)
        self._port = state
        self._tls = tls
        self._swept_at = state.clock.monotonic()
        limits = state.limits
        shortest = min(limits.header_timeout_s, limits.body_idle_timeout_s, limits.idle_timeout_s)
        self._sweep_s = min(_SWEEP_S, shortest / 4)
        self.cut_short = False

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to the node."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections through our door."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(self._open_door, sock=each, backlog=_BACKLOG) for each in sockets or ()
        ]
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: keep uvicorn's date header fresh, and look at deadlines."""
        ending = await super().on_tick(counter)
        now = self._port.clock.monotonic()
        if now - self._swept_at >= self._sweep_s:
            self._swept_at = now
            self._port.sweep()
        return ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does, with deadlines kept, and remember whether anything had to be cut."""
        self._port.dismiss()
        sweeping = self._port.spawn(self._keep_sweeping())
        try:
            await super().shutdown(sockets)
        finally:
            if sweeping is not None:
                sweeping.cancel()
        self.cut_short = bool(self.server_state.tasks)

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_s)
            self._port.sweep()

    def ask_to_stop(self, grace_s: float) -> None:
        """Begin to stop at the next tick."""
        self.config.timeout_graceful_shutdown = grace_s  # type: ignore[assignment]  # seconds for asyncio.wait_for
        self.should_exit = True

    async def release(self) -> None:
        """Accept no more, cut every connection, and see that the applications have ended."""
        for server in getattr(self, "servers", ()):
            server.close()
        self._port.abort_all()
        working = tuple(self.server_state.tasks)
        for task in working:
            task.cancel()
        if working:
            await asyncio.wait(working, timeout=LINGER_S)

    def _open_door(self) -> Door:
        return Door(port=self._port, tls=self._tls, serve=self._protocol_for)

    def _protocol_for(self, door: Door, http2: bool) -> ServiceProtocol:  # noqa: FBT001 -- the door's question
        if http2:
            return Http2Protocol(app=self.config.loaded_app, door=door, shared=self.server_state)
        return Http1Protocol(config=self.config, server_state=self.server_state, door=door)


async def _bind(host: str, port: int, *, listen: bool) -> tuple[socket.socket, ...]:
    """Sockets on every address of ``host``; with port 0 all on one free port."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    addresses = tuple(dict.fromkeys((family, address) for family, _, _, _, address in found))
    for _ in range(_BIND_ATTEMPTS if port == 0 else 1):
        try:
            return _bind_all(addresses, optional_ipv6=not host, listen=listen)
        except OSError as error:
            last = error
    raise last


def _bind_all(
    addresses: Sequence[tuple[int, tuple[object, ...]]], *, optional_ipv6: bool, listen: bool
) -> tuple[socket.socket, ...]:
    bound: list[socket.socket] = []
    # IPv4 first: the port that it gets is the one that IPv6 must get too.
    ordered = sorted(addresses, key=lambda each: each[0] == socket.AF_INET6)
    try:
        for family, address in ordered:
            port = bound[0].getsockname()[1] if bound else address[1]
            try:
                bound.append(_bind_one(family, (address[0], port, *address[2:]), listen=listen))
            except OSError as error:
                if not (optional_ipv6 and bound and error.errno in _NO_IPV6):
                    raise
    except OSError:
        for each in bound:
            each.close()
        raise
    return tuple(bound)


def _bind_one(family: int, address: tuple[object, ...], *, listen: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        if listen:
            sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
