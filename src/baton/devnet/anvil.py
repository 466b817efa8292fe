"""One anvil process: started on a free port of loopback, awaited, watched, and never left behind."""

import asyncio
import contextlib
import os
import re
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from baton.devnet.options import DevnetOptions
from baton.devnet.tools import DevnetError

__all__ = ["Anvil", "running_anvil"]

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0
_TAIL_LINES = 20
_MAX_LINE_BYTES = 1 << 16
_LISTENING = re.compile(rb"Listening on 127\.0\.0\.1:(\d+)")
_STATES_ON_DISK = 100
"""States of old blocks that are kept, beside some 500 in memory. Without a limit anvil writes every state to the
operator's home, a quarter of a megabyte each, and leaves it there."""
_HANDED_DOWN = ("PATH", "HOME", "TMPDIR", "LANG")


class Anvil:
    """A running chain. ``watch`` must run as long as it is used: it reads what the process prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Made by ``running_anvil``."""
        self._process = process
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)
        self.url = ""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def log_tail(self) -> str:
        """The last lines it printed."""
        return b"".join(self._tail).decode("utf-8", "replace").strip()

    async def until_listening(self) -> None:
        """Wait until it has its port. Raises ``DevnetError`` when it ends instead or takes longer than 30 s."""
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                while not self.url:
                    if found := _LISTENING.search(await self._line()):
                        self.url = f"http://127.0.0.1:{int(found[1])}"
        except TimeoutError as error:
            message = f"anvil was not ready within {_START_TIMEOUT_S:g} s\n{self.log_tail}"
            raise DevnetError(message) from error

    async def watch(self) -> None:
        """Read on until it ends, which nobody wants: raises ``DevnetError`` then."""
        while True:
            await self._line()

    async def _line(self) -> bytes:
        output = self._process.stdout
        line = b""
        if output is not None:
            with contextlib.suppress(ValueError):  # a line longer than the buffer; its rest comes as the next
                line = await output.readline()
        if not line:
            message = f"anvil ended with exit code {await self._process.wait()}\n{self.log_tail}"
            raise DevnetError(message)
        self._tail.append(line)
        return line

    async def end(self) -> None:
        """Stop it, and make sure of it."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await self._process.communicate()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@contextlib.asynccontextmanager
async def running_anvil(program: Path, options: DevnetOptions) -> AsyncIterator[Anvil]:
    """A chain without accounts, on which anybody may send as anybody; gone when the context is left.

    Raises:
        DevnetError: it does not start.
    """
    arguments = ["--host", "127.0.0.1", "--port", "0", "--chain-id", str(options.chain_id), "--accounts", "0"]
    arguments += ["--auto-impersonate", "--disable-min-priority-fee", "--color", "never"]
    arguments += ["--block-base-fee-per-gas", str(options.gas_price_wei)]
    if options.block_time_s is not None:
        arguments += ["--block-time", str(options.block_time_s)]
    with tempfile.TemporaryDirectory(prefix="baton-devnet-", ignore_cleanup_errors=True) as states:
        arguments += ["--max-persisted-states", str(_STATES_ON_DISK), "--cache-path", states]
        anvil = Anvil(await _start(program, arguments))
        try:
            await anvil.until_listening()
            yield anvil
        finally:
            await anvil.end()


async def _start(program: Path, arguments: list[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(Path(__file__).with_name("anvil_child.py"))),
        *(str(os.getpid()), str(program), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=_MAX_LINE_BYTES,
        env={name: os.environ[name] for name in _HANDED_DOWN if name in os.environ},
        start_new_session=True,  # a Ctrl-C at the terminal is ours to handle
    )
