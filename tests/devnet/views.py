"""The node's views of the chain over one devnet, on a clock that the test moves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from baton.chain.contracts import Contracts, find_contracts
from baton.chain.gas import GasAverage
from baton.chain.rounds import RoundWatch
from baton.chain.rpc import JsonRpc
from baton.chain.senders import SenderFundsCache
from baton.devnet import Devnet
from baton.kernel.clock import ManualClock
from baton.kernel.ids import Address
from baton.kernel.metrics import SilentMetrics

__all__ = ["Views", "views"]


@dataclass
class Views:
    """Everything a node reads, over one endpoint."""

    rpc: JsonRpc
    contracts: Contracts
    rounds: RoundWatch
    senders: SenderFundsCache
    gas: GasAverage
    clock: ManualClock


@asynccontextmanager
async def views(
    devnet: Devnet,
    *,
    chain_id: int = 54321,
    recipient: Address | None = None,
    endpoint: type[JsonRpc] = JsonRpc,
) -> AsyncIterator[Views]:
    clock = ManualClock()
    who = recipient or devnet.accounts.orchestrator.address
    async with endpoint(devnet.rpc_url, timeout_s=5.0) as rpc:
        contracts = await find_contracts(rpc, devnet.addresses.controller)
        gas = GasAverage()
        rounds = RoundWatch(
            rpc=rpc,
            contracts=contracts,
            recipient=who,
            chain_id=chain_id,
            gas=gas,
            interval_s=0.05,
            stale_after_s=60.0,
            clock=clock,
            metrics=SilentMetrics(),
        )
        senders = SenderFundsCache(rpc=rpc, contracts=contracts, recipient=who, clock=clock)
        try:
            yield Views(rpc, contracts, rounds, senders, gas, clock)
        finally:
            await senders.close()
