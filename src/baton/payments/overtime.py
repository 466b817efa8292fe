"""Work beyond what a gateway declared, and not paid: kept for its sender across sessions (payments.md 18 item 20).

An estimate, and with it a hold, comes from the duration that a segment claims to have. One that lasts longer is billed
in full, but whoever leaves its session leaves the debt behind. So what segments cost beyond the frames that were
declared is kept against the sender: debts that are not paid within a moment close its other sessions until they are.

That renditions have another shape than was asked for is never held against anybody: no gateway can know it before. Nor
has one that declares what its segments last anything to fear: its frames are those it paid ahead, but for single ones.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from fractions import Fraction

from baton.kernel.ids import Address
from baton.payments.ports import AccountKey

__all__ = ["OVERTIME_GRACE_S", "Overtime"]

OVERTIME_GRACE_S = 30.0
"""A gateway pays such a debt with the next segment of the session; it has this long to send one."""

_FREE_JOBS = 5
"""So many times the cost of the job at hand may stay unpaid: segments that were the last of their sessions."""

_FREE_SHARE = Fraction(1, 10)
"""And so much of all that the sender's work has cost as declared."""

_SENDERS_MOST = 10_000
_NOTHING = Fraction(0)


@dataclass(slots=True)
class _Sender:
    worked_wei: Fraction = _NOTHING
    """What all its work so far cost as declared."""
    young: OrderedDict[str, tuple[float, Fraction]] = field(default_factory=OrderedDict)
    """Monotonic seconds and debt of sessions that may be about to pay, the oldest first."""
    old: dict[str, Fraction] = field(default_factory=dict)
    old_wei: Fraction = _NOTHING

    def owed(self, key: str) -> Fraction:
        return self.young[key][1] if key in self.young else self.old.get(key, _NOTHING)

    def drop(self, key: str) -> None:
        if self.young.pop(key, None) is None:
            self.old_wei -= self.old.pop(key, _NOTHING)

    def lessen(self, key: str, wei: Fraction) -> None:
        """Less is owed than before; since when stays as it was."""
        if wei <= 0:
            self.drop(key)
        elif key in self.young:
            self.young[key] = (self.young[key][0], wei)
        else:
            self.old_wei += wei - self.old[key]
            self.old[key] = wei

    def age(self, now: float) -> None:
        while self.young:
            key, (at, wei) = next(iter(self.young.items()))
            if now - at <= OVERTIME_GRACE_S:
                return
            del self.young[key]
            self.old[key] = wei
            self.old_wei += wei


class Overtime:
    """Debts for undeclared work, by sender and session, in this process. Belongs to the event loop."""

    def __init__(self) -> None:
        """Nobody owes anything."""
        self._senders: OrderedDict[Address, _Sender] = OrderedDict()

    def worked(
        self, account: AccountKey, *, declared_wei: Fraction, overtime_wei: Fraction, balance_wei: Fraction, now: float
    ) -> None:
        """Work was debited; the balance is what was left then. ``now`` is monotonic seconds."""
        sender = self._senders.setdefault(account.sender, _Sender())
        self._senders.move_to_end(account.sender)
        sender.worked_wei += declared_wei
        if overtime_wei > 0 and balance_wei < 0:
            owed = min(sender.owed(account.key) + overtime_wei, -balance_wei)
            sender.drop(account.key)
            sender.young[account.key] = (now, owed)
        while len(self._senders) > _SENDERS_MOST:
            self._senders.popitem(last=False)

    def paid(self, account: AccountKey, *, balance_wei: Fraction) -> None:
        """A session has this balance after a payment: no more than what it lacks is still owed."""
        sender = self._senders.get(account.sender)
        if sender is not None and -balance_wei < sender.owed(account.key):
            sender.lessen(account.key, -balance_wei)

    def forget(self, account: AccountKey) -> None:
        """The session is on record no longer."""
        sender = self._senders.get(account.sender)
        if sender is not None:
            sender.drop(account.key)

    def left_behind_wei(self, account: AccountKey, *, now: float) -> Fraction:
        """What other sessions of the account's sender have owed for longer than a moment."""
        sender = self._senders.get(account.sender)
        if sender is None:
            return _NOTHING
        sender.age(now)
        return sender.old_wei - sender.old.get(account.key, _NOTHING)

    def forbids(self, account: AccountKey, *, cost_wei: Fraction, now: float) -> bool:
        """Whether others of the sender's sessions must be paid before this one gets more work."""
        left_wei = self.left_behind_wei(account, now=now)
        if left_wei <= 0:
            return False
        return left_wei > _FREE_JOBS * cost_wei + _FREE_SHARE * self._senders[account.sender].worked_wei
