"""A devnet as a child process: ``baton devnet`` on a free port, known by its JSON document, never left behind."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from baton.kernel.errors import ExitCode
from baton.kernel.ids import Address, address_from_hex
from baton.selftest.inspector import child_environment
from baton.selftest.nodeprocess import free_ports, leave_nothing

__all__ = ["ChainFailedError", "RunningChain", "running_chain"]

_READY_TIMEOUT_S = 330.0
"""Longer than npm may take to fetch anvil."""
_STOP_TIMEOUT_S = 10.0
_ATTEMPTS = 3
_MAX_DOCUMENT_BYTES = 1 << 20
_TAIL_CHARS = 2000
_GAS_PRICE_WEI = 10_000_000
_L1_BLOCK_TIME_S = 12.0


class ChainFailedError(Exception):
    """There is no chain to be had on this machine, or it ended; the text says why."""


@dataclass(frozen=True, slots=True)
class RunningChain:
    """What a node and a gateway need of a devnet. The keys are the devnet's public test keys."""

    rpc_url: str
    chain_id: int
    controller: Address
    ticket_broker: Address
    orchestrator_key: bytes = field(repr=False)
    """Registered and active."""
    gateway_key: bytes = field(repr=False)
    """With a deposit and a reserve."""


@contextlib.asynccontextmanager
async def running_chain(folder: Path, *, cache: Path | None) -> AsyncIterator[RunningChain]:
    """A devnet with its log in ``folder``; gone when the context is left.

    Gas costs what it usually does on Arbitrum, and L1 blocks take as long as the real ones.

    Args:
        folder: where the log goes.
        cache: where anvil is kept, or put when it is not there; None is the command's own choice.

    Raises:
        ChainFailedError: it cannot be started.
    """
    for attempt in range(_ATTEMPTS):
        process = await _start(folder, cache)
        try:
            chain = await _document(process, folder)
            if chain is None and process.returncode == ExitCode.PORT_IN_USE and attempt + 1 < _ATTEMPTS:
                continue
            if chain is None:
                message = _told(folder) or f"the devnet ended with exit code {process.returncode}"
                raise ChainFailedError(message)
            yield chain
            return
        finally:
            await leave_nothing(process, patience_s=_STOP_TIMEOUT_S)


def _kept_in(cache: Path | None) -> tuple[str, ...]:
    """Where the command, which works in another folder, keeps anvil."""
    return ("--cache-dir", str(cache.resolve())) if cache is not None else ()


async def _start(folder: Path, cache: Path | None) -> asyncio.subprocess.Process:
    (port,) = free_ports(1)
    with _log_path(folder).open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "baton", "devnet", "--json", "--port", str(port), *_kept_in(cache)),
            *("--gas-price", str(_GAS_PRICE_WEI), "--l1-block-time", str(_L1_BLOCK_TIME_S), "--accounts", "0"),
            *("--gateways", "1"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            cwd=folder,
            env={name: value for name, value in child_environment().items() if not name.startswith("BATON_")},
            limit=_MAX_DOCUMENT_BYTES,
            start_new_session=True,  # a Ctrl-C at the terminal is ours to handle
        )


async def _document(process: asyncio.subprocess.Process, folder: Path) -> RunningChain | None:
    """What it prints when it is ready; None when it ended instead. Raises ``ChainFailedError``."""
    assert process.stdout is not None  # noqa: S101 -- a pipe was asked for above
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            line = await process.stdout.readline()
            if not line:
                await process.wait()
                return None
    except TimeoutError as error:
        message = f"the devnet was not ready within {_READY_TIMEOUT_S:g} s\n{_told(folder)}"
        raise ChainFailedError(message) from error
    try:
        return _parse(line)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        message = "the devnet printed something else than its document"
        raise ChainFailedError(message) from error


def _parse(line: bytes) -> RunningChain:
    document = json.loads(line)
    accounts, addresses = document["accounts"], document["addresses"]
    return RunningChain(
        rpc_url=str(document["rpc_url"]),
        chain_id=int(document["chain_id"]),
        controller=address_from_hex(addresses["controller"]),
        ticket_broker=address_from_hex(addresses["ticket_broker"]),
        orchestrator_key=_key(accounts["orchestrators"][0]["private_key"]),
        gateway_key=_key(accounts["gateways"][0]["private_key"]),
    )


def _key(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _log_path(folder: Path) -> Path:
    return folder / "chain.log"


def _told(folder: Path) -> str:
    """The end of what it said."""
    said = _log_path(folder).read_bytes()[-_TAIL_CHARS:].decode("utf-8", "replace").strip()
    return said.removeprefix("error: ")
