"""What each sender has lost to us and not paid yet, held against what the chain would pay (payments.md 18 item 24).

Terms stop as soon as a sender's outstanding winnings reach its deposit and our share of its reserve. Tickets under
terms that were told before are taken for a while longer, since their sender cannot know; so many as an honest one could
lose in the lifetime of terms, and no more.

The sums are in memory, so that no payment waits for a read: each winner is added as it is accepted, and the record,
which knows what was redeemed and what other nodes won, is asked again now and then.
"""

from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction

from baton.kernel.clock import Clock
from baton.kernel.ids import Address
from baton.payments.errors import PaymentError
from baton.payments.facevalue import reserve_share_wei
from baton.payments.ports import ChainUnavailableError, PaymentStore, RoundView, SenderView

__all__ = ["EXCESS_WINNERS", "Exposure"]

EXCESS_WINNERS = 16
"""Winners beyond what the chain would pay that are still taken under terms told before. A gateway that spends four face
values while terms last, far more than one whose face value is a hundred redemptions, wins more than this once in a
million times."""

_FRESH_S = 15.0
_SHARED_FRESH_S = 1.0
_KEPT_MOST = 4096


@dataclass(slots=True)
class _Sum:
    wei: int
    read_at: float
    """Monotonic seconds; negative infinity asks for a new reading."""
    changes: int = 0


class Exposure:
    """Outstanding winnings by sender. Belongs to the event loop."""

    def __init__(
        self, *, store: PaymentStore, senders: SenderView, rounds: RoundView, clock: Clock, shared: bool
    ) -> None:
        """``shared``: other nodes write the same record, so it is asked more often."""
        self._store = store
        self._senders = senders
        self._rounds = rounds
        self._clock = clock
        self._fresh_s = _SHARED_FRESH_S if shared else _FRESH_S
        self._sums: OrderedDict[Address, _Sum] = OrderedDict()

    async def outstanding_wei(self, sender: Address) -> int:
        """Face values won from a sender and neither redeemed nor given up, at most some seconds old.

        Raises:
            BatonError: the record cannot be asked.
        """
        known = self._sums.get(sender)
        if known is not None and self._clock.monotonic() - known.read_at <= self._fresh_s:
            self._sums.move_to_end(sender)
            return known.wei
        changes = known.changes if known is not None else 0
        asked_at = self._clock.monotonic()
        wei = await self._store.outstanding_wei(sender)
        now_known = self._sums.get(sender)
        if now_known is not None and now_known.changes != changes:
            # Something was won while the record was read: the larger sum holds, and the record is asked again.
            now_known.wei = max(now_known.wei, wei)
            return now_known.wei
        self._sums[sender] = _Sum(wei, asked_at, changes)
        self._sums.move_to_end(sender)
        while len(self._sums) > _KEPT_MOST:
            self._sums.popitem(last=False)
        return wei

    async def check(self, sender: Address, *, face_value_wei: int, expected_wei: Fraction) -> None:
        """Refuse tickets of a sender that owes, or with them would owe, far more than the chain would pay.

        ``expected_wei`` is what all of them are worth on average.

        Raises:
            PaymentError: fatal, with the text that such a sender reads when it asks for terms.
            BatonError: the record cannot be asked.
        """
        try:
            funds = await self._senders.funds(sender)
        except ChainUnavailableError as error:
            raise PaymentError.sender_info(sender, str(error)) from error
        payable_wei = funds.deposit_wei + reserve_share_wei(funds, pool_size=self._rounds.pool_size)
        outstanding_wei = await self.outstanding_wei(sender)
        if outstanding_wei + expected_wei > payable_wei + EXCESS_WINNERS * face_value_wei:
            raise PaymentError.exposed(sender, outstanding_wei=outstanding_wei, payable_wei=payable_wei)

    def won(self, sender: Address, face_value_wei: int) -> None:
        """A winner is on record now."""
        known = self._sums.setdefault(sender, _Sum(0, float("-inf")))
        known.wei += face_value_wei
        known.changes += 1

    def changed(self, sender: Address) -> None:
        """Winners were redeemed or given up: the record is asked before the sum is used again."""
        known = self._sums.get(sender)
        if known is not None:
            known.read_at = float("-inf")
            known.changes += 1
