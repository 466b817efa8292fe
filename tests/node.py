"""A real node as a child process: started by its command line, watched by its log, ended by a signal.

A node that logs an error the test did not announce fails the test, and so does one that does not end with exit code 0.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

__all__ = ["LogLine", "Node", "eventually", "free_port", "running_node"]

ROOT = Path(__file__).resolve().parents[1]
_ERROR_LEVELS = frozenset({"error", "critical", "exception", "fatal"})
_BAD_DEATHS = frozenset({"crashed", "memory", "garbage"})
"""Ways an engine child ends that no ordinary test may cause."""
_READY_DEADLINE_S = 45.0
_POLL_S = 0.02

T = TypeVar("T")


def free_port() -> int:
    """A loopback port nobody holds right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(fact: Callable[[], T | None], *, deadline_s: float = 10.0, what: str) -> T:
    """The first true value of ``fact``; fails after ``deadline_s`` naming ``what`` never came."""
    end = time.monotonic() + deadline_s
    while True:
        value = fact()
        if value:
            return value
        if time.monotonic() > end:
            message = f"not within {deadline_s} s: {what}"
            raise AssertionError(message)
        time.sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the node's log; ``fields`` is empty when it was not JSON."""

    text: str
    fields: dict[str, Any]

    @property
    def event(self) -> str:
        """Static event text."""
        return str(self.fields.get("event", ""))

    @property
    def is_error(self) -> bool:
        """An error, a dead engine child, or something that is no log line at all, such as a traceback."""
        return (
            not self.fields
            or str(self.fields.get("level", "")).lower() in _ERROR_LEVELS
            or (self.event == "engine child replaced" and self.fields.get("cause") in _BAD_DEATHS)
        )


class Node:
    """One ``baton run`` on loopback ports of its own."""

    def __init__(self, data_dir: Path, *flags: str, tls: bool = True, takes_work: bool = True) -> None:
        """``flags`` are further options of ``baton run``; the data directory may be used by several lives in turn.

        A node that does not take work has no service address; ``url`` is still where its port is.
        """
        self.data_dir = data_dir
        self.port = free_port()
        self.management_port = free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.management_url = f"http://127.0.0.1:{self.management_port}"
        self.log_path = data_dir.with_name(data_dir.name + ".log")
        self._tls = tls
        self._flags = flags
        self._takes_work = takes_work
        self._process: subprocess.Popen[bytes] | None = None
        self._announced: list[str] = []

    @property
    def command(self) -> list[str]:
        """The command line."""
        listen = f"127.0.0.1:{self.port}"
        return [
            *[sys.executable, "-m", "baton", "run"],
            *["--data-dir", str(self.data_dir), "--service-addr", self.url if self._takes_work else "none"],
            *["--http-addr", listen if self._tls else f"http://{listen}"],
            # What is offered must not depend on how busy the machine is that runs the tests.
            *["--cli-addr", f"127.0.0.1:{self.management_port}", "--hevc-encoding", "true", *self._flags],
        ]

    @property
    def pid(self) -> int:
        """Process id of the running node."""
        assert self._process is not None, "node is not running"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until the node says that it serves."""
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}", "PYTHONUNBUFFERED": "1"}
        for name in [n for n in environment if n.startswith("BATON_")]:
            del environment[name]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually(self._ready, deadline_s=_READY_DEADLINE_S, what=f"/readyz 200 of {' '.join(self.command)}")

    def _ready(self) -> bool:
        if not self.alive:
            message = f"node ended with {self.wait_ended()} before it was ready:\n{self.log_tail()}"
            raise AssertionError(message)
        try:
            return self.manage("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the node process."""
        os.kill(self.pid, number)

    def wait_ended(self, *, deadline_s: float = 45.0) -> int:
        """Exit code once the process has ended."""
        assert self._process is not None, "node was never started"
        return self._process.wait(timeout=deadline_s)

    def stop(self) -> None:
        """SIGTERM, and demand exit code 0."""
        if self._process is None:
            return
        if self.alive:
            self.signal()
        try:
            code = self.wait_ended()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert code == 0, f"node ended with {code}:\n{self.log_tail()}"

    def kill(self) -> None:
        """SIGKILL; for when nothing else may be assumed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)

    # The operator's port.

    def manage(
        self, path: str, *, method: str = "GET", operator: bool = False, form: dict[str, str] | None = None
    ) -> httpx.Response:
        """A request to the management port; ``operator`` shows the token of the data directory."""
        headers = {}
        if operator:
            headers["Authorization"] = f"Bearer {(self.data_dir / 'management.token').read_text().strip()}"
        return httpx.request(
            method, self.management_url + path, headers=headers, data=form, timeout=5.0, trust_env=False
        )

    def status(self) -> dict[str, Any]:
        """The node's own account of itself."""
        answer = self.manage("/baton/status")
        assert answer.status_code == httpx.codes.OK, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def busy(self) -> int:
        """Segments that run or wait anywhere, as the node states it."""
        return sum(int(s["busy"]) + int(s["waiting"]) for s in self.status()["sessions"])

    def wait_busy(self, count: int, *, deadline_s: float = 15.0) -> None:
        """Wait until exactly ``count`` segments run or wait."""
        eventually(lambda: self.busy() == count, deadline_s=deadline_s, what=f"{count} segments at work")

    def engines(self) -> tuple[dict[str, Any], ...]:
        """The engine children as the node states them: pid, state and more."""
        return tuple(self.status()["engines"])

    def engine_pids(self) -> tuple[int, ...]:
        """Process ids of the engine children."""
        return tuple(int(child["pid"]) for child in self.engines() if child["pid"])

    # The log.

    def announce(self, event: str) -> None:
        """Say that log lines whose text contains ``event`` are expected in this test."""
        self._announced.append(event)

    def log(self, *, since: int = 0) -> tuple[LogLine, ...]:
        """Log lines from byte ``since`` on."""
        if not self.log_path.exists():
            return ()
        with self.log_path.open("rb") as log:
            log.seek(since)
            lines = log.read().decode(errors="replace").splitlines()
        return tuple(_parsed(line) for line in lines if line.strip())

    def log_size(self) -> int:
        """Bytes logged so far, for ``since``."""
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def log_tail(self, lines: int = 40) -> str:
        """The last lines, for messages."""
        return "\n".join(line.text for line in self.log()[-lines:])

    def check_log(self, *, since: int = 0) -> None:
        """Fail when the node logged an error that was not announced."""
        bad = [
            line.text
            for line in self.log(since=since)
            if line.is_error and not any(event in line.text for event in self._announced)
        ]
        self._announced.clear()
        assert not bad, "the node logged errors:\n" + "\n".join(bad[:60])


def _parsed(text: str) -> LogLine:
    try:
        fields = json.loads(text)
    except ValueError:
        fields = {}
    return LogLine(text=text, fields=fields if isinstance(fields, dict) else {})


@contextmanager
def running_node(data_dir: Path, *flags: str, tls: bool = True, takes_work: bool = True) -> Iterator[Node]:
    """A node that serves; ended and judged on leaving."""
    node = Node(data_dir, *flags, tls=tls, takes_work=takes_work)
    try:
        node.start()
        yield node
        node.stop()
        node.check_log()
    finally:
        node.kill()
