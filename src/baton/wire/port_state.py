"""What all connections of one listener share: who is in, what they hold, whose tasks run, and what was refused.

Event loop only. Admission counts connections in total and per address (an IPv6 address counts as its /64 network,
which one customer holds whole).
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

from baton.kernel.clock import Clock
from baton.kernel.metrics import Metrics
from baton.kernel.peers import network_of
from baton.wire.limits import PORT_BUFFER_BYTES, ListenerLimits
from baton.wire.scratch import new_scratch

__all__ = ["Doorway", "Guest", "PortState", "Shared"]

log = structlog.get_logger("baton.wire")


class Guest(Protocol):
    """One connection as the port sees it."""

    address: str

    def sweep(self, now: float) -> None:
        """Look at every deadline of the connection; ``now`` is monotonic seconds."""
        ...

    def abort(self) -> None:
        """Cut the connection now."""
        ...

    def dismiss(self) -> None:
        """Cut the connection if it has not come to speak any protocol yet."""
        ...


class Doorway(Protocol):
    """The connection as the protocol that it carries sees it."""

    port: "PortState"
    client: tuple[str, int] | None
    server: tuple[str, int] | None
    secure: bool

    def closed(self) -> None:
        """The connection is lost; its place is free."""
        ...

    def abort(self) -> None:
        """Cut the connection now."""
        ...


class Shared(Protocol):
    """What the embedded server shares with every protocol."""

    connections: set[Any]
    tasks: set["asyncio.Task[None]"]
    default_headers: list[tuple[bytes, bytes]]


class PortState:
    """The shared state of one listener."""

    def __init__(self, *, limits: ListenerLimits, metrics: Metrics, clock: Clock) -> None:
        """An empty port."""
        self.limits = limits
        self.max_connections = limits.max_connections
        """May be less than the limit says where the machine gives us fewer open files."""
        self.clock = clock
        self.buffered_bytes = 0
        """Unread HTTP/2 body bytes of all connections."""
        self.requests = 0
        """HTTP/2 requests at work."""
        self.scratch = new_scratch()
        """Where HTTP/2 connections receive."""
        self.leaving = False
        """Whether the listener stops."""
        self._metrics = metrics
        self._guests: set[Guest] = set()
        self._by_address: Counter[str] = Counter()
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def crowded(self) -> bool:
        """Whether connections that hold unread bodies must stop being read."""
        return self.buffered_bytes > PORT_BUFFER_BYTES

    def adopt(self, tasks: asyncio.TaskGroup | None) -> None:
        """From now on every task of the port belongs to ``tasks``."""
        self._tasks = tasks

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None] | None":
        """Start ``work`` as a task of the port; None when the port is closed. ``work`` lets no exception out."""
        if self._tasks is None:
            work.close()
            return None
        return self._tasks.create_task(work)

    def admit(self, guest: Guest) -> bool:
        """Whether there is room for one more connection from ``guest.address``; counts it when there is."""
        if self.leaving or len(self._guests) >= self.max_connections:
            self.refused("connections")
            return False
        network = network_of(guest.address)
        if self._by_address[network] >= self.limits.max_connections_per_address:
            self.refused("connections_per_address")
            return False
        self._guests.add(guest)
        self._by_address[network] += 1
        self._metrics.set("port_connections", len(self._guests))
        return True

    def release(self, guest: Guest) -> None:
        """The connection is closed."""
        if guest not in self._guests:
            return
        self._guests.discard(guest)
        network = network_of(guest.address)
        self._by_address[network] -= 1
        if not self._by_address[network]:
            del self._by_address[network]
        self._metrics.set("port_connections", len(self._guests))

    def refused(self, reason: str) -> None:
        """Count a connection or stream that was cut; ``reason`` comes from a closed set."""
        self._metrics.add("port_refusals_total", reason=reason)

    def sweep(self) -> None:
        """Look at the deadlines of every connection. One that fails to look is cut, the others are not."""
        now = self.clock.monotonic()
        for guest in tuple(self._guests):
            try:
                guest.sweep(now)
            except Exception:
                log.exception("connection failed its deadline check", peer=guest.address)
                guest.abort()

    def dismiss(self) -> None:
        """Cut the connections that have not said anything yet."""
        for guest in tuple(self._guests):
            guest.dismiss()

    def abort_all(self) -> None:
        """Cut every connection."""
        for guest in tuple(self._guests):
            guest.abort()
