"""Calls and transactions of a devnet's contracts, by their names.

Transactions are sent by the chain itself in anybody's name (anvil impersonates), so no key is needed and no nonce is
counted here. Each is in a block when the call returns.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from baton.devnet.abi import Artefact, artefact
from baton.devnet.accounts import Account
from baton.devnet.jsonrpc import Rpc, RpcError
from baton.devnet.tools import DevnetError
from baton.kernel.ids import Address, address_from_hex, to_checksum_hex

__all__ = ["Chain", "Contract", "Receipt"]

_REVERTED = 3
"""JSON-RPC error code of a revert."""
_MINED_S = 20.0
_POLL_S = 0.002
_FEES: Mapping[str, str] = MappingProxyType({"gas": hex(10**7), "maxPriorityFeePerGas": "0x0"})
"""Enough gas for everything. An estimate would not do: a batch of redemptions "succeeds" with so little gas that each
of them fails."""


@dataclass(frozen=True, slots=True)
class Contract:
    """A deployed contract, and how to speak with it."""

    name: str
    address: Address
    artefact: Artefact

    @property
    def address_hex(self) -> str:
        """The checksummed address."""
        return to_checksum_hex(self.address)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction that succeeded."""

    transaction_hash: str
    block_number: int
    gas_used: int
    contract_address: Address | None
    logs: tuple[Mapping[str, Any], ...]
    """As the chain tells them: ``address``, ``topics``, ``data`` and where they are."""


class Chain:
    """Speaks with the contracts over one endpoint, anvil itself rather than the shim."""

    __slots__ = ("_by_the_clock", "rpc")

    def __init__(self, rpc: Rpc, *, by_the_clock: bool) -> None:
        """``rpc`` must be anvil's own endpoint; ``by_the_clock`` when it makes blocks at intervals only."""
        self.rpc = rpc
        self._by_the_clock = by_the_clock

    async def call(self, contract: Contract, function: str, *arguments: object, block: str = "latest") -> Any:  # noqa: ANN401 -- what the function returns
        """What a function returns at ``block``: one value or a tuple; addresses as lower-case hex.

        Raises:
            RpcError: it reverts; ``reason`` is its text.
        """
        entry = contract.artefact.functions[function]
        question = {"to": contract.address_hex, "data": entry.encode(arguments)}
        return entry.decode(await self.rpc.ask("eth_call", question, block))

    async def transact(
        self, sender: Account, contract: Contract, function: str, *arguments: object, value_wei: int = 0
    ) -> Receipt:
        """Send a call as ``sender`` and see it mined.

        Raises:
            RpcError: it reverts; ``reason`` is its text, and nothing was sent.
        """
        data = contract.artefact.functions[function].encode(arguments)
        return await self.send(sender, to=contract.address_hex, data=data, value_wei=value_wei)

    async def create(self, sender: Account, name: str, *arguments: object) -> Contract:
        """Deploy the contract of that artefact."""
        made = artefact(name)
        receipt = await self.send(sender, to=None, data=made.creation(*arguments))
        if receipt.contract_address is None:
            message = f"{name} was not deployed"
            raise DevnetError(message)
        return Contract(name, receipt.contract_address, made)

    async def send(self, sender: Account, *, to: str | None, data: str = "0x", value_wei: int = 0) -> Receipt:
        """Send anything as anybody and see it mined. Raises ``RpcError`` when it would revert."""
        transaction = {"from": sender.address_hex, "data": data, "value": hex(value_wei), **_FEES}
        if to is not None:
            transaction["to"] = to
        await self.rpc.ask("eth_call", transaction, "latest")  # a revert tells its text here
        transaction_hash = await self.rpc.ask("eth_sendTransaction", transaction)
        if self._by_the_clock:
            await self.rpc.ask("evm_mine")  # its block comes now
        answer = await self._receipt(transaction_hash)
        if int(answer["status"], 16) == 0:
            message = f"transaction {transaction_hash} reverted after it had been tried with success"
            raise RpcError(_REVERTED, message)
        created = answer.get("contractAddress")
        return Receipt(
            transaction_hash=transaction_hash,
            block_number=int(answer["blockNumber"], 16),
            gas_used=int(answer["gasUsed"], 16),
            contract_address=address_from_hex(created) if created else None,
            logs=tuple(answer["logs"]),
        )

    async def _receipt(self, transaction_hash: str) -> Mapping[str, Any]:
        """Wait until the transaction is in a block: anvil answers the sender a moment before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MINED_S):
                while True:
                    answer: Mapping[str, Any] | None = await self.rpc.ask("eth_getTransactionReceipt", transaction_hash)
                    if answer is not None:
                        return answer
                    await asyncio.sleep(_POLL_S)
        message = f"transaction {transaction_hash} was not mined within {_MINED_S:g} s"
        raise DevnetError(message)
