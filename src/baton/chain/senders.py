"""Deposits and reserves of senders, read when somebody pays and kept for a moment (chain.md 9.7, payments.md 9).

A gateway considers orchestrators that answer within half a second, so a kept answer serves while a fresh one is on its
way. Anybody can make up addresses, so how many unknown ones are asked about is bounded, and only so many are kept.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import structlog

from baton.chain.abi import Function
from baton.chain.contracts import Contracts
from baton.chain.rpc import JsonRpc
from baton.kernel.clock import Clock
from baton.kernel.ids import Address
from baton.payments.facevalue import SenderFunds
from baton.payments.ports import ChainUnavailableError

__all__ = ["SenderFundsCache"]

log = structlog.get_logger("baton.chain")

_SENDER_INFO = Function("getSenderInfo", ("address",), ("uint256",) * 4)
_CLAIMED = Function("claimedReserve", ("address", "address"))
_FRESH_S = 10.0
_USABLE_S = 120.0
_KEPT_MOST = 4096
_ASKED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class _Kept:
    funds: SenderFunds
    read_at: float


class SenderFundsCache:
    """Satisfies ``SenderView`` for one recipient. Belongs to the event loop."""

    def __init__(self, *, rpc: JsonRpc, contracts: Contracts, recipient: Address, clock: Clock) -> None:
        """Nothing is asked yet."""
        self._rpc = rpc
        self._contracts = contracts
        self._recipient = recipient
        self._clock = clock
        self._kept: OrderedDict[Address, _Kept] = OrderedDict()
        self._asking: dict[Address, asyncio.Task[SenderFunds]] = {}

    async def funds(self, sender: Address) -> SenderFunds:
        """What stands behind a sender, at most two minutes old.

        Raises:
            ChainUnavailableError: not known, and the chain cannot be asked, or too many are asked about.
        """
        kept = self._kept.get(sender)
        now = self._clock.monotonic()
        if kept is not None and now - kept.read_at <= _FRESH_S:
            self._kept.move_to_end(sender)
            return kept.funds
        task = self._asking.get(sender)
        if task is None:
            if len(self._asking) >= _ASKED_AT_ONCE:
                if kept is not None and now - kept.read_at <= _USABLE_S:
                    return kept.funds
                message = "too many senders are being asked about"
                raise ChainUnavailableError(message)
            task = asyncio.get_running_loop().create_task(self._read(sender))
            self._asking[sender] = task
            task.add_done_callback(lambda done, who=sender: self._asked(who, done))  # type: ignore[misc]  # a default argument
        if kept is not None and now - kept.read_at <= _USABLE_S:
            return kept.funds
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Stop asking."""
        for task in tuple(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _asked(self, sender: Address, task: "asyncio.Task[SenderFunds]") -> None:
        self._asking.pop(sender, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("sender cannot be asked about", sender="0x" + sender.hex(), reason=str(error))

    async def _read(self, sender: Address) -> SenderFunds:
        broker = self._contracts.ticket_broker
        info, claimed = await self._rpc.batch(
            [_SENDER_INFO.call(broker, sender), _CLAIMED.call(broker, sender, self._recipient)]
        )
        deposit, withdraw_round, remaining, claimed_in_round = _SENDER_INFO.read(info)
        (by_us,) = _CLAIMED.read(claimed)
        funds = SenderFunds(
            deposit_wei=deposit,
            withdraw_round=withdraw_round,
            reserve_wei=remaining,
            claimed_wei=claimed_in_round,
            claimed_by_us_wei=by_us,
        )
        self._kept[sender] = _Kept(funds, self._clock.monotonic())
        self._kept.move_to_end(sender)
        while len(self._kept) > _KEPT_MOST:
            self._kept.popitem(last=False)
        return funds
