"""The gate of outgoing connections to hosts that strangers name: judged where the socket is made.

After every resolution, so that the address judged is the address connected to (video.md 11.1 item 7).
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from baton.wire.clients.addresses import refused_because

__all__ = ["AddressGate", "Lookup"]

Lookup = Callable[[str, int], Sequence[str]]
"""Addresses of a host for a port; blocking, raises ``OSError``. The system's resolver unless a test brings its own."""

_ANY_PORT = 9
_CONNECTIONS = 64
_LOOKUP_THREADS = 32


class AddressGate:
    """Makes connectors that reach public addresses only. Belongs to one event loop; ``close`` it there."""

    def __init__(self, *, allow_private: bool, lookup: Lookup | None = None) -> None:
        """``allow_private`` lets every address pass, for networks of one's own."""
        self._allow_private = allow_private
        self._resolver = _ThreadedResolver(lookup or _system_lookup)

    def connector(self, *, check_certificates: bool, connections: int = _CONNECTIONS) -> aiohttp.TCPConnector:
        """A connector of so many connections, whose every socket passes the gate; whoever has it closes it."""
        return aiohttp.TCPConnector(
            ssl=check_certificates,
            limit=connections,
            use_dns_cache=False,
            resolver=self._resolver,
            socket_factory=self._make_socket,
        )

    async def close(self) -> None:
        """End the threads. The gate is of no use afterwards."""
        await self._resolver.close()

    def _make_socket(self, target: "tuple[int, int, int, str, tuple[Any, ...]]") -> socket.socket:
        """The one gate: whatever led here, this address is what the socket will connect to."""
        family, kind, protocol, _, address = target
        if not self._allow_private:
            why = refused_because(str(address[0])) or _ours(family, str(address[0]))
            if why is not None:
                raise PermissionError(errno.EACCES, f"refused address: {why}")
        return socket.socket(family, kind, protocol)


class _ThreadedResolver(AbstractResolver):
    """Resolution in threads of its own: names that take for ever must not use up everybody's threads.

    Equal questions share one thread, so that a host whose name server says nothing holds one and not all of them.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, "baton-lookup")
        self._asked: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        found = await asyncio.shield(self._ask(host, port))
        if not found:
            raise OSError(errno.ENOENT, "no address")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found
        ]

    def _ask(self, host: str, port: int) -> "asyncio.Future[Sequence[str]]":
        """The answer on its way for this host, asked once however many wait; it outlives those who give up."""
        question = (host, port)
        answer = self._asked.get(question)
        if answer is None:
            answer = asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host, port)
            self._asked[question] = answer
            answer.add_done_callback(lambda done: self._forget(question, done))
        return answer

    def _forget(self, question: tuple[str, int], answer: "asyncio.Future[Sequence[str]]") -> None:
        self._asked.pop(question, None)
        if not answer.cancelled():
            answer.exception()  # whoever asked may have given up, and nobody else needs to hear of it

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _ours(family: int, address: str) -> str | None:
    """Whether ``address`` is one of this machine's own, however public: what listens there may trust what is local.

    The kernel answers: towards an own address it would use that very address. Nothing is sent.
    """
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, _ANY_PORT))
        except OSError:
            return None  # no way there; connecting will say so
        return "this machine" if probe.getsockname()[0] == address else None


def _system_lookup(host: str, port: int) -> tuple[str, ...]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
