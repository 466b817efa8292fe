"""A running devnet in one's hands: clocks, rounds, prices, money, reorganisations and faults, by name.

The handle holds no connection and belongs to no event loop or process: it is made by ``running_devnet``, or from the
document that ``baton devnet --json`` prints. Every method returns when the chain shows what it did.
"""

from collections.abc import Mapping
from typing import Any, Self

import aiohttp

from baton.devnet import people
from baton.devnet.accounts import Account, Accounts
from baton.devnet.deploy import Addresses, BrokerRule, contract_id, contracts_at
from baton.devnet.document import parse, render
from baton.devnet.faults import Faults
from baton.devnet.jsonrpc import Rpc, RpcError
from baton.devnet.options import DevnetOptions
from baton.devnet.tools import DevnetError
from baton.devnet.transactions import Chain, Contract, Receipt

__all__ = ["Devnet"]

_ALREADY = "round already initialized"
_HTTP_OK = 200


class Devnet:
    """One devnet. Amounts are wei; addresses in results are lower-case hex."""

    def __init__(
        self, *, rpc_url: str, control_url: str, addresses: Addresses, accounts: Accounts, options: DevnetOptions
    ) -> None:
        """Use ``running_devnet`` or ``attach``."""
        self.rpc_url = rpc_url
        """What nodes are given: behaves like Arbitrum, and misbehaves on demand."""
        self.control_url = control_url
        """Anvil itself, for whoever scripts the chain."""
        self.addresses = addresses
        self.accounts = accounts
        self.options = options
        self.contracts: Mapping[str, Contract] = contracts_at(addresses)
        """By their names in ``addresses``."""
        self.chain = Chain(Rpc(control_url), by_the_clock=options.block_time_s is not None)

    # Where it is

    def document(self) -> dict[str, Any]:
        """Everything about it as JSON, keys of the accounts included."""
        return render(
            rpc_url=self.rpc_url,
            control_url=self.control_url,
            addresses=self.addresses,
            accounts=self.accounts,
            options=self.options,
        )

    @classmethod
    def attach(cls, document: Mapping[str, Any]) -> Self:
        """The handle of a devnet that runs elsewhere. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        return cls(**parse(document))

    # Contracts

    async def call(self, contract: str, function: str, *arguments: object, block: str = "latest") -> Any:  # noqa: ANN401 -- what the function returns
        """What a contract answers; ``contract`` is a name of ``addresses``. Raises ``RpcError`` with the revert."""
        return await self.chain.call(self.contracts[contract], function, *arguments, block=block)

    async def transact(
        self, sender: Account, contract: str, function: str, *arguments: object, value_wei: int = 0
    ) -> Receipt:
        """Send a call in ``sender``'s name, mined on return. Raises ``RpcError`` with the revert's text."""
        return await self.chain.transact(sender, self.contracts[contract], function, *arguments, value_wei=value_wei)

    # Blocks and clocks

    async def mine(self, blocks: int = 1) -> int:
        """Make blocks; the number of the newest."""
        await self.chain.rpc.ask("anvil_mine", hex(blocks), "0x0")
        return await self.block_number()

    async def block_number(self) -> int:
        """The chain's own height."""
        return int(await self.chain.rpc.ask("eth_blockNumber"), 16)

    async def l1_block(self) -> int:
        """What the L1 clock shows."""
        return int(await self.call("l1_clock", "number"))

    async def advance_l1(self, blocks: int = 1) -> int:
        """Let L1 blocks pass, all at once and within one new block; the new L1 number."""
        await self.transact(self.accounts.deployer, "l1_clock", "advance", blocks)
        return await self.l1_block()

    async def set_l1_block(self, number: int) -> None:
        """Set the L1 clock, also backwards."""
        await self.transact(self.accounts.deployer, "l1_clock", "set", number)

    # Rounds

    async def current_round(self) -> int:
        """The round by L1 time, initialized or not."""
        return int(await self.call("rounds_manager", "currentRound"))

    async def is_round_initialized(self) -> bool:
        """Whether somebody initialized the current round."""
        return bool(await self.call("rounds_manager", "currentRoundInitialized"))

    async def initialize_round(self) -> int:
        """Initialize the current round unless somebody did; its number."""
        try:
            await self.transact(self.accounts.keeper, "rounds_manager", "initializeRound")
        except RpcError as error:
            if error.reason != _ALREADY:
                raise
        return await self.current_round()

    async def next_round(self, rounds: int = 1, *, initialize: bool = True) -> int:
        """Let L1 go on to the start of a later round; its number. Rounds between are skipped for ever."""
        length = int(await self.call("rounds_manager", "roundLength"))
        start = int(await self.call("rounds_manager", "currentRoundStartBlock"))
        await self.set_l1_block(start + rounds * length)
        return await self.initialize_round() if initialize else await self.current_round()

    async def lock_round(self) -> None:
        """Let L1 go on to where the current round is locked."""
        length = int(await self.call("rounds_manager", "roundLength"))
        start = int(await self.call("rounds_manager", "currentRoundStartBlock"))
        amount = int(await self.call("rounds_manager", "roundLockAmount"))
        await self.set_l1_block(start + length - length * amount // 1_000_000)

    # Prices and rules

    async def set_price(self, answer: int, *, age_s: int = 0) -> None:
        """Write an answer of the price feed (8 decimals) as if it were ``age_s`` old."""
        newest = await self.chain.rpc.ask("eth_getBlockByNumber", "latest", False)
        updated_at = int(newest["timestamp"], 16) - age_s
        await self.transact(self.accounts.deployer, "price_feed", "update", answer, updated_at)

    async def set_gas_price(self, gas_price_wei: int) -> None:
        """Set what ``eth_gasPrice`` answers, and the base fee of the next block."""
        await self._put({**await self._get(), "gas_price_wei": gas_price_wei})
        await self.chain.rpc.ask("anvil_setNextBlockBaseFeePerGas", hex(gas_price_wei))

    async def use_broker_rule(self, rule: BrokerRule) -> None:
        """Upgrade the broker to the code with that rule; state and address stay."""
        target = {
            BrokerRule.ANY_FUNDS: self.addresses.any_funds_target,
            BrokerRule.FULL_COVER: self.addresses.full_cover_target,
        }[rule]
        identity = contract_id("TicketBrokerTarget")
        await self.transact(self.accounts.deployer, "controller", "setContractInfo", identity, target, bytes(20))

    async def pause(self) -> None:
        """Pause the whole protocol."""
        await self.transact(self.accounts.deployer, "controller", "pause")

    async def unpause(self) -> None:
        """End the pause."""
        await self.transact(self.accounts.deployer, "controller", "unpause")

    # People

    async def set_balance(self, account: Account, amount_wei: int) -> None:
        """Set the ETH of an account."""
        await people.give_ether(self.chain, account, amount_wei)

    async def fund_gateway(self, account: Account, *, deposit_wei: int = 0, reserve_wei: int = 0) -> None:
        """Add to a sender's deposit and reserve."""
        await people.fund_gateway(
            self.chain, self.contracts, account=account, deposit_wei=deposit_wei, reserve_wei=reserve_wei
        )

    async def register_orchestrator(self, account: Account, *, stake_wei: int) -> None:
        """Make an account an orchestrator; with enough stake it is active from the next round on."""
        await people.register_orchestrator(
            self.chain,
            self.contracts,
            owner=self.accounts.deployer,
            account=account,
            stake_wei=stake_wei,
            options=self.options,
        )

    # History

    async def snapshot(self) -> str:
        """Remember the state of the chain; a name for ``revert``, good once."""
        return str(await self.chain.rpc.ask("evm_snapshot"))

    async def revert(self, snapshot: str) -> None:
        """Go back to a snapshot; later ones are forgotten. Raises ``DevnetError`` for one that is not known."""
        if not await self.chain.rpc.ask("evm_revert", snapshot):
            message = f"there is no snapshot {snapshot}"
            raise DevnetError(message)

    async def reorganise(self, depth: int, *, blocks: int | None = None) -> int:
        """Replace the last ``depth`` blocks by ``blocks`` empty ones (as many unless told); the new height.

        What happened in the replaced blocks never happened, transactions and L1 clock included.
        """
        await self.chain.rpc.ask("anvil_rollback", depth)
        # Headers hold a random word, so the new blocks are never the old ones again.
        return await self.mine(depth if blocks is None else blocks)

    # The endpoint

    async def misbehave(self, faults: Faults) -> None:
        """Let the endpoint of ``rpc_url`` be as bad as that; ``Faults()`` makes it honest again."""
        await self._put(faults.document())

    async def _get(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as client, client.get(f"{self.rpc_url}/faults") as response:
            document: dict[str, Any] = await response.json()
            return document

    async def _put(self, document: Mapping[str, Any]) -> None:
        url = f"{self.rpc_url}/faults"
        async with aiohttp.ClientSession() as client, client.put(url, json=document) as response:
            if response.status != _HTTP_OK:
                message = f"the shim refuses the faults: {await response.text()}"
                raise DevnetError(message)
