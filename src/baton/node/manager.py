"""Word to the service manager that started the node: ready, reloading, stopping, still alive (systemd's sd_notify).

Datagrams to the socket that ``NOTIFY_SOCKET`` names, without a library. Nothing here fails the node: a manager that is
not there, or does not listen, is none. Belongs to the event loop: a word waits for a full queue for moments at most, a
sign of life not at all, since the next one follows.
"""

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

import structlog

from baton.node.drain import Drain, DrainState

__all__ = ["ServiceManager"]

log = structlog.get_logger("baton.node")

_MICRO = 1_000_000
_WAIT_S = 0.2
_LONGEST_WATCHDOG_US = 3600 * _MICRO
_UP = frozenset({DrainState.SERVING, DrainState.DRAINING})
_ENDING = frozenset({DrainState.CLOSING, DrainState.STOPPED})


class ServiceManager:
    """The manager of this process, or nobody. ``attend`` the drain, and ``run`` as a service."""

    def __init__(self, environ: Mapping[str, str], *, pid: int | None = None) -> None:
        """Reads ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``; ``pid`` is this process."""
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._beat_s = _beat_s(environ, pid=os.getpid() if pid is None else pid) if self._address else 0.0
        self._up = False

    def attend(self, drain: Drain) -> None:
        """Tell every change of the node's state from now on."""
        drain.watch(self._changed)

    def reloading(self) -> None:
        """Settings are read again; ``reloaded`` ends that. A node that starts or ends keeps it to itself."""
        if self._up:
            self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def reloaded(self) -> None:
        """The node serves as before; said of no other, or the manager would take it for ready too early."""
        if self._up:
            self._tell("READY=1")

    async def run(self) -> None:
        """Service body: a sign of life twice per watchdog interval, for ever; the manager kills a node that hangs."""
        if not self._beat_s:
            await asyncio.Event().wait()
        while True:
            self._tell("WATCHDOG=1", wait_s=0.0)
            await asyncio.sleep(self._beat_s)

    def _changed(self, state: DrainState) -> None:
        self._up = state in _UP
        words = [f"STATUS={state.value}"]
        if state is DrainState.SERVING:
            words.append("READY=1")
        elif state in _ENDING:
            words.append("STOPPING=1")
        self._tell(*words)

    def _tell(self, *words: str, wait_s: float = _WAIT_S) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.settimeout(wait_s)
            line.sendto("\n".join(words).encode("ascii"), self._address)


def _address(text: str) -> str:
    """The socket's address; ``@`` stands for the zero byte of an abstract one. Empty for none that can be used."""
    if text.startswith("@"):
        return "\0" + text[1:]
    if text and not text.startswith("/"):
        log.warning("service manager cannot be told", socket=text, reason="not a local socket")
        return ""
    return text


def _beat_s(environ: Mapping[str, str], *, pid: int) -> float:
    """Seconds between two signs of life; 0 when nobody waits for any from this process."""
    word, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (word.isascii() and word.isdigit()) or (whose and whose != str(pid)):
        return 0.0
    return min(int(word), _LONGEST_WATCHDOG_US) / _MICRO / 2
