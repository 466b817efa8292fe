"""Starts a devnet and keeps it: anvil, the contracts, the people, the endpoint, and the clock that ticks by itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import structlog

from baton.devnet.accounts import Accounts
from baton.devnet.anvil import Anvil, running_anvil
from baton.devnet.deploy import contracts_at, deploy
from baton.devnet.handle import Devnet
from baton.devnet.jsonrpc import Rpc, RpcError
from baton.devnet.options import DevnetOptions
from baton.devnet.people import give_ether, settle
from baton.devnet.shim import running_shim
from baton.devnet.tools import DevnetError, anvil_program, default_cache
from baton.devnet.transactions import Chain

__all__ = ["running_devnet"]

log = structlog.get_logger("baton.devnet")

_SETTLE_TIMEOUT_S = 60.0


@contextlib.asynccontextmanager
async def running_devnet(options: DevnetOptions | None = None, *, cache: Path | None = None) -> AsyncIterator[Devnet]:
    """A devnet with active orchestrators in an initialized round; gone when the context is left.

    Args:
        options: what it is like.
        cache: where anvil is kept, or put when it is not there yet; ``default_cache()`` unless told.

    Raises:
        DevnetError: it cannot be started, or anvil ends while the context is held; the body is cancelled then.
    """
    options = options or DevnetOptions()
    program = await asyncio.to_thread(anvil_program, cache or default_cache())
    async with running_anvil(program, options) as anvil:
        try:
            async with asyncio.TaskGroup() as tasks:
                chores = [tasks.create_task(anvil.watch())]
                async with _served(anvil, options) as devnet:
                    if options.l1_block_time_s is not None:
                        chores.append(tasks.create_task(_beat(devnet, options.l1_block_time_s)))
                    try:
                        yield devnet
                    finally:
                        for chore in chores:
                            chore.cancel()
        except BaseExceptionGroup as group:
            # One thing went wrong, here or in the body; the group around it is our affair.
            raise _the_cause(group) from None


def _the_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The only failure of a group, or ours among several."""
    found = [*group.exceptions]
    return next((failure for failure in found if isinstance(failure, DevnetError)), found[0])


@contextlib.asynccontextmanager
async def _served(anvil: Anvil, options: DevnetOptions) -> AsyncIterator[Devnet]:
    accounts = Accounts.of(options)
    chain = Chain(Rpc(anvil.url), by_the_clock=options.block_time_s is not None)
    try:
        async with asyncio.timeout(_SETTLE_TIMEOUT_S):
            for each in accounts:
                await give_ether(chain, each, options.balance_wei)
            addresses = await deploy(chain, accounts.deployer, options)
            await settle(chain, contracts_at(addresses), accounts, options)
    except TimeoutError as error:
        message = f"the chain was not set up within {_SETTLE_TIMEOUT_S:g} s"
        raise DevnetError(message) from error
    except (RpcError, aiohttp.ClientError) as error:
        message = f"the chain could not be set up: {error}"
        raise DevnetError(message) from error
    async with running_shim(url=anvil.url, addresses=addresses, options=options) as rpc_url:
        yield Devnet(rpc_url=rpc_url, control_url=anvil.url, addresses=addresses, accounts=accounts, options=options)


async def _beat(devnet: Devnet, l1_block_time_s: float) -> None:
    """Let L1 go on by the wall clock, and initialize rounds if the options say so."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + l1_block_time_s, loop.time() - l1_block_time_s)
        await asyncio.sleep(due - loop.time())
        try:
            await devnet.transact(devnet.accounts.keeper, "l1_clock", "advance", 1)
            if devnet.options.initialize_rounds and not await devnet.is_round_initialized():
                log.info("round initialized", round=await devnet.initialize_round())
        except RpcError as error:
            log.warning("devnet clock missed a beat", reason=error.message)  # paused, or rewound under our hands
        except (aiohttp.ClientError, TimeoutError) as error:
            message = f"the chain does not answer: {str(error) or type(error).__name__}"
            raise DevnetError(message) from error
