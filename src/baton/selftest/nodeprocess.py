"""A node of our own as a child process: started on free ports, awaited, stopped, never left behind."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from baton.kernel.errors import ExitCode
from baton.selftest.inspector import child_environment

__all__ = ["NodeFailedError", "NodeProcess", "free_ports", "leave_nothing", "running_node"]

_READY_TIMEOUT_S = 60.0
_POLL_S = 0.1
_STOP_TIMEOUT_S = 40.0
_KILL_AFTER_S = 3.0
_METRICS_TIMEOUT_S = 5.0
_METRICS_PREFIX = "livepeer_"
_ATTEMPTS = 3
_TAIL_CHARS = 2000
_TAIL_LINES = 20


class NodeFailedError(Exception):
    """The node did not start, did not stay, or did not stop as it should; the text holds the end of its log."""


class NodeProcess:
    """One running node."""

    def __init__(self, process: asyncio.subprocess.Process, *, uri: str, management_uri: str, log_path: Path) -> None:
        """Made by ``running_node``."""
        self._process = process
        self._log_path = log_path
        self.uri = uri
        self.management_uri = management_uri

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, None while it runs."""
        return self._process.returncode

    def log_tail(self) -> str:
        """The last lines of its log."""
        with self._log_path.open("rb") as log:
            log.seek(max(0, self._log_path.stat().st_size - _TAIL_CHARS))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-_TAIL_LINES:])

    async def until_ready(self) -> None:
        """Wait until ``/readyz`` answers 200. Raises ``NodeFailedError``."""
        timeout = aiohttp.ClientTimeout(total=2.0)
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S), aiohttp.ClientSession(timeout=timeout) as client:
                while True:
                    self._must_live()
                    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                        async with client.get(f"{self.management_uri}/readyz") as response:
                            if response.status == 200:  # noqa: PLR2004 -- OK
                                return
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            message = f"the node was not ready within {_READY_TIMEOUT_S:g} s\n{self.log_tail()}"
            raise NodeFailedError(message) from error

    async def counted(self) -> dict[str, float]:
        """Its metrics by name without the prefix, all labels of one together; it runs with ``--monitor``.

        Raises:
            NodeFailedError: it does not tell them.
        """
        timeout = aiohttp.ClientTimeout(total=_METRICS_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as client,
                client.get(f"{self.management_uri}/metrics") as response,
            ):
                return _sums(await response.text())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            message = f"the node does not tell its metrics: {error}"
            raise NodeFailedError(message) from error

    def _must_live(self) -> None:
        if self._process.returncode is not None:
            message = f"the node ended with exit code {self._process.returncode}\n{self.log_tail()}"
            raise NodeFailedError(message)

    async def ended(self) -> int:
        """Wait until it is gone; its exit code."""
        return await self._process.wait()

    async def stop(self) -> int:
        """Ask it to drain and end (SIGTERM); its exit code. Raises ``NodeFailedError`` when it stays."""
        self._must_live()
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                return await self.ended()
        except TimeoutError as error:
            message = f"the node still ran {_STOP_TIMEOUT_S:g} s after SIGTERM\n{self.log_tail()}"
            raise NodeFailedError(message) from error

    async def leave_nothing(self) -> None:
        """End it in any case, with everything it started."""
        await leave_nothing(self._process, patience_s=_KILL_AFTER_S)


def _sums(exposition: str) -> dict[str, float]:
    """Raises ``ValueError`` for a line that is no sample."""
    sums: dict[str, float] = {}
    for line in exposition.splitlines():
        if line.startswith(_METRICS_PREFIX):
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0].removeprefix(_METRICS_PREFIX)
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


async def leave_nothing(process: asyncio.subprocess.Process, *, patience_s: float) -> None:
    """End a child that leads a session of its own, with everything in it; it has ``patience_s`` to end by itself."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def free_ports(count: int) -> list[int]:
    """Ports nobody held a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


async def _start(folder: Path, network: str, options: tuple[str, ...]) -> NodeProcess:
    service, management = free_ports(2)
    uri, log_path = f"https://127.0.0.1:{service}", folder / "node.log"
    environment = {name: value for name, value in child_environment().items() if not name.startswith("BATON_")}
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "baton", "run", "--network", network, "--data-dir", str(folder / "data")),
            *("--service-addr", uri, "--http-addr", f"127.0.0.1:{service}", "--cli-addr", f"127.0.0.1:{management}"),
            *options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,  # a Ctrl-C at the terminal is ours to handle, and the group is ours to end
        )
    return NodeProcess(process, uri=uri, management_uri=f"http://127.0.0.1:{management}", log_path=log_path)


@contextlib.asynccontextmanager
async def running_node(folder: Path, *options: str, network: str = "offchain") -> AsyncIterator[NodeProcess]:
    """A ready node with its data, log and working directory in ``folder``; gone when the context is left.

    Raises:
        NodeFailedError: it does not become ready.
    """
    for attempt in range(_ATTEMPTS):
        node = await _start(folder, network, options)
        try:
            try:
                await node.until_ready()
            except NodeFailedError:
                if node.returncode == ExitCode.PORT_IN_USE and attempt + 1 < _ATTEMPTS:
                    continue
                raise
            yield node
            return
        finally:
            await node.leave_nothing()
