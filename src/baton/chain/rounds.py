"""Rounds, L1 blocks, gas and our own standing as last polled: the payments domain's view of the chain (chain.md 9).

One poll reads everything at one block, so that no two facts are of different moments. A poll that fails changes
nothing; after a while without one the view is stale, and nothing may be promised by it. An endpoint that falls behind
what it said, or on Arbitrum stands still, counts as one that fails: its answers are of the past (payments.md 18.13).
"""

import asyncio
from dataclasses import dataclass

import structlog

from baton.chain.abi import Function
from baton.chain.contracts import Contracts
from baton.chain.gas import GasAverage
from baton.chain.rpc import Call, JsonRpc, quantity
from baton.kernel.clock import Clock
from baton.kernel.ids import Address
from baton.kernel.metrics import Metrics
from baton.payments.ports import ChainUnavailableError

__all__ = ["ARBITRUM_ONE", "ChainHead", "RoundWatch"]

log = structlog.get_logger("baton.chain")

ARBITRUM_ONE = 42161

_LAST_ROUND = Function("lastInitializedRound")
_BLOCK_HASH = Function("blockHashForRound", ("uint256",), ("bytes32",))
_POOL_SIZE = Function("getTranscoderPoolSize")
_TRANSCODER = Function("getTranscoder", ("address",), ("uint256",) * 10)
_ACTIVATION, _DEACTIVATION = 4, 5
_NO_HASH = bytes(32)
_WEI_PER_GWEI = 10**9
_MOST_NUMBER = 2**62
"""Blocks and rounds beyond are not of this world, and no record has room for them."""


@dataclass(frozen=True, slots=True)
class ChainHead:
    """What one poll found."""

    block: int
    l1_block: int
    last_initialized_round: int
    round_block_hash: bytes
    previous_round_block_hash: bytes
    pool_size: int
    activation_round: int
    deactivation_round: int


class RoundWatch:
    """Satisfies ``RoundView`` for one recipient. Belongs to the event loop."""

    def __init__(
        self,
        *,
        rpc: JsonRpc,
        contracts: Contracts,
        recipient: Address,
        chain_id: int,
        gas: GasAverage,
        interval_s: float,
        stale_after_s: float,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """``interval_s`` between two polls; after ``stale_after_s`` without a good one the view counts no more."""
        self._rpc = rpc
        self._contracts = contracts
        self._recipient = recipient
        self.chain_id = chain_id
        self._gas = gas
        self._interval_s = interval_s
        self._stale_after_s = stale_after_s
        self._clock = clock
        self._metrics = metrics
        self._head: ChainHead | None = None
        self._seen_at = 0.0
        self._failing = False

    async def start(self) -> None:
        """The first poll.

        Raises:
            ChainUnavailableError: the chain cannot be read; a node without it has nothing to promise.
        """
        await self.poll()

    async def run(self) -> None:
        """Service body: poll until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.poll()
            except ChainUnavailableError as error:
                self._tell_trouble(error)
            self._metrics.set("chain_view_age_seconds", self.age_s)

    async def poll(self) -> None:
        """Read the chain once.

        Raises:
            ChainUnavailableError: it cannot be read; the view stays as it was.
        """
        block, l1_block, gas_price_wei = await self._read_head()
        if self.is_fresh and block < self.head.block:
            message = f"the endpoint is back at block {block}, after it told of {self.head.block}"
            raise ChainUnavailableError(message)
        at = hex(block)
        contracts = self._contracts
        guess = self._head.last_initialized_round if self._head is not None else 0
        answers = await self._rpc.batch(
            [
                _LAST_ROUND.call(contracts.rounds_manager, block=at),
                _POOL_SIZE.call(contracts.bonding_manager, block=at),
                _TRANSCODER.call(contracts.bonding_manager, self._recipient, block=at),
                *self._ask_hashes(guess, at),
            ]
        )
        (number,), (pool_size,) = _LAST_ROUND.read(answers[0]), _POOL_SIZE.read(answers[1])
        if number > _MOST_NUMBER:
            message = f"the chain is in round {number}"
            raise ChainUnavailableError(message)
        standing = _TRANSCODER.read(answers[2])
        hashes = answers[3:] if number == guess else await self._rpc.batch(self._ask_hashes(number, at))
        (round_block_hash,), (previous,) = (_BLOCK_HASH.read(answer) for answer in hashes)
        head = ChainHead(
            block=block,
            l1_block=l1_block,
            last_initialized_round=number,
            round_block_hash=round_block_hash,
            previous_round_block_hash=previous,
            pool_size=pool_size,
            activation_round=standing[_ACTIVATION],
            deactivation_round=standing[_DEACTIVATION],
        )
        self._gas.take(gas_price_wei)
        self._learn(head)

    async def _read_head(self) -> tuple[int, int, int]:
        """Number of the newest block, the L1 block it knows, and the gas price."""
        header, gas_price = await self._rpc.batch(
            [Call("eth_getBlockByNumber", ("latest", False)), Call("eth_gasPrice")]
        )
        for answer in (header, gas_price):
            if isinstance(answer, ChainUnavailableError):
                raise answer
        if not isinstance(header, dict):
            message = "the endpoint knows no newest block"
            raise ChainUnavailableError(message)
        block = quantity(header.get("number"), most=_MOST_NUMBER)
        told = header.get("l1BlockNumber")
        if told is None and self.chain_id == ARBITRUM_ONE:
            # Without it every quote would look expired and every round over.
            message = "the endpoint leaves out l1BlockNumber, which Arbitrum's headers have"
            raise ChainUnavailableError(message)
        return block, block if told is None else quantity(told, most=_MOST_NUMBER), quantity(gas_price)

    def _ask_hashes(self, number: int, at: str) -> list[Call]:
        """For the hashes of a round and of the one before. With every poll: a wrong one makes tickets worthless."""
        manager = self._contracts.rounds_manager
        return [_BLOCK_HASH.call(manager, each, block=at) for each in (number, max(number - 1, 0))]

    def _learn(self, head: ChainHead) -> None:
        before = self._head
        self._head = head
        if self.chain_id == ARBITRUM_ONE and before is not None and head.block == before.block:
            # Other chains, like those of tests, may make a block only when there is something to put into it.
            if not self.is_fresh:
                self._tell_trouble(ChainUnavailableError(f"the endpoint stands still at block {head.block}"))
        else:
            self._seen_at = self._clock.monotonic()
            if self._failing:
                self._failing = False
                log.info("chain can be read again", block=head.block)
        if before is None or before.last_initialized_round != head.last_initialized_round:
            log.info("round", number=head.last_initialized_round, l1_block=head.l1_block, active=self._stands(head))
        elif self._stands(before) != self._stands(head):
            log.warning("our standing changed", active=self._stands(head), round=head.last_initialized_round)
        self._metrics.set("chain_l1_block", head.l1_block)
        self._metrics.set("current_round", head.last_initialized_round)
        self._metrics.set("recipient_active", 1.0 if self._stands(head) else 0.0)
        self._metrics.set("suggested_gas_price", self._gas.price_wei / _WEI_PER_GWEI)

    def _tell_trouble(self, error: ChainUnavailableError) -> None:
        """Said once per bad time."""
        if not self._failing:
            self._failing = True
            log.warning("chain cannot be read", reason=str(error), stale_after_s=self._stale_after_s)

    @staticmethod
    def _stands(head: ChainHead) -> bool:
        return head.activation_round <= head.last_initialized_round < head.deactivation_round

    # The view.

    @property
    def age_s(self) -> float:
        """Seconds since the last good poll; on Arbitrum since the last one that found a new block."""
        return self._clock.monotonic() - self._seen_at

    @property
    def is_fresh(self) -> bool:
        """Whether the last good poll is recent enough to promise anything by it."""
        return self._head is not None and self.age_s <= self._stale_after_s

    @property
    def head(self) -> ChainHead:
        """What the last good poll found; ``start`` comes first."""
        if self._head is None:
            message = "the chain was never read"
            raise RuntimeError(message)
        return self._head

    @property
    def block(self) -> int:
        """Number of the newest block."""
        return self.head.block

    @property
    def stands(self) -> bool:
        """Whether the recipient is in the active set, as far as the view tells."""
        return self._head is not None and self._stands(self._head)

    @property
    def stale_after_s(self) -> float:
        """Seconds without a good poll after which the view counts no more."""
        return self._stale_after_s

    @property
    def last_initialized_round(self) -> int:
        """Number of the round."""
        return self.head.last_initialized_round

    @property
    def round_block_hash(self) -> bytes:
        """32 bytes that the chain stored for it."""
        return self.head.round_block_hash

    @property
    def previous_round_block_hash(self) -> bytes:
        """The same for the round before."""
        return self.head.previous_round_block_hash

    @property
    def last_seen_l1_block(self) -> int:
        """Number of the L1 block."""
        return self.head.l1_block

    @property
    def pool_size(self) -> int:
        """Orchestrators that share a reserve."""
        return self.head.pool_size

    async def is_active(self, orchestrator: Address) -> bool:
        """Whether the recipient is active. For others we judge nothing: tickets for them are refused as such."""
        return orchestrator != self._recipient or self._stands(self.head)
