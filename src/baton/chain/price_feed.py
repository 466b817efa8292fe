"""A Chainlink price feed, read through the chain's endpoint: its pair, decimals and newest answer (chain.md 3.11)."""

from baton.chain.abi import Function
from baton.chain.rpc import JsonRpc
from baton.kernel.ids import Address
from baton.payments.ports import FeedReading

__all__ = ["ChainPriceFeed"]

_DESCRIPTION = Function("description", (), ("string",))
_DECIMALS = Function("decimals", (), ("uint8",))
_LATEST = Function("latestRoundData", (), ("uint80", "int256", "uint256", "uint256", "uint80"))


class ChainPriceFeed:
    """Satisfies ``PriceFeed``."""

    def __init__(self, *, rpc: JsonRpc, address: Address) -> None:
        """Nothing is asked yet."""
        self._rpc = rpc
        self._address = address

    async def read(self) -> FeedReading:
        """Its newest answer, all of one batch.

        Raises:
            ChainUnavailableError: the endpoint does not answer, or there is no such contract at the address.
        """
        functions = (_DESCRIPTION, _DECIMALS, _LATEST)
        answers = await self._rpc.batch([function.call(self._address) for function in functions])
        (description,), (decimals,), latest = (
            function.read(answer) for function, answer in zip(functions, answers, strict=True)
        )
        _round, answer, _started_at, updated_at, _answered_in = latest
        return FeedReading(description=description, decimals=decimals, answer=answer, updated_at_s=updated_at)
