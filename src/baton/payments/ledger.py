"""Balances and holds: what every gateway has paid in advance, and how much of it is spoken for (payments.md 6).

Amounts are exact. They change only by what the record returned, so memory never says more than the disk. A hold is what
a gateway pays ahead for work, kept from its admission until it is settled; what is held cannot pay for anything else.

Work may cost more than its estimate: renditions keep the shape of their source. A gateway learns of that from the
answer and pays it with its next segment, but what it sent before cannot know. For that long such a debt is tolerated,
within bounds (video.md 11.4 item 35).
"""

import heapq
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction

from baton.payments.ports import AccountKey, AccountState

__all__ = ["TOLERATED_S", "Hold", "Ledger", "LedgerCopy", "LedgerLine"]

TOLERATED_S = 10.0
"""For this long after the work a debt may be news to its gateway: a segment's usual time and some room."""

_TOLERATED_SEGMENTS = 5
"""As many as a gateway has under way at once."""

_TOLERATED_ESTIMATES = 3
"""An upright source asked for in wide renditions makes 3.2 times the pixels that were asked for."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A promise that work will be paid from an account; ``price`` is what settles it, in wei per unit."""

    number: int
    account: AccountKey
    amount_wei: Fraction
    """Held: the cost or one ticket's worth, whichever is more."""
    cost_wei: Fraction
    """Estimated, for the work as it was declared."""
    price: Fraction


@dataclass(slots=True)
class _Account:
    state: AccountState
    least_ev_wei: Fraction
    """Of all tickets accepted so far, 0 before the first: those under terms from before a restart may be worth less."""
    held_wei: Fraction = Fraction(0)
    holds: dict[int, Hold] = field(default_factory=dict)
    overruns: deque[tuple[float, Fraction]] = field(default_factory=lambda: deque(maxlen=_TOLERATED_SEGMENTS))
    """Monotonic seconds and amount of what the last segments cost beyond their holds."""

    def tolerated_wei(self, now: float) -> Fraction:
        return sum((wei for at, wei in self.overruns if now - at <= TOLERATED_S), Fraction(0))


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One account, to look at."""

    key: AccountKey
    state: AccountState
    held_wei: Fraction


class LedgerCopy:
    """The accounts of one moment, to look through in a thread: there may be many."""

    def __init__(self, accounts: list[tuple[AccountKey, _Account]]) -> None:
        """Made by ``Ledger.copy``."""
        self._accounts = accounts

    def __len__(self) -> int:
        """How many there are."""
        return len(self._accounts)

    def newest(self, limit: int) -> tuple[LedgerLine, ...]:
        """Those that were used last, the last first."""
        newest = heapq.nlargest(limit, self._accounts, key=lambda each: each[1].state.touched_s)
        return tuple(LedgerLine(key, account.state, account.held_wei) for key, account in newest)

    def totals_wei(self) -> tuple[int, int]:
        """What gateways have paid ahead, and what they owe; holds are not taken off."""
        balances = [int(account.state.balance_wei) for _, account in self._accounts]
        return sum(each for each in balances if each > 0), -sum(each for each in balances if each < 0)


class Ledger:
    """All accounts in memory. Belongs to the event loop."""

    def __init__(self) -> None:
        """Empty; ``learn`` fills it from the record."""
        self._accounts: dict[AccountKey, _Account] = {}
        self._least_told_wei: Fraction | None = None
        self._last_hold = 0

    def __len__(self) -> int:
        """Accounts known."""
        return len(self._accounts)

    def copy(self) -> LedgerCopy:
        """The accounts as they are now, for whoever wants to look at them."""
        return LedgerCopy(list(self._accounts.items()))

    def told(self, *, ticket_ev_wei: Fraction) -> None:
        """Terms with tickets of this expected value were told: who holds them by now pays no more ahead."""
        if self._least_told_wei is None or ticket_ev_wei < self._least_told_wei:
            self._least_told_wei = ticket_ev_wei

    def learn(self, key: AccountKey, state: AccountState) -> None:
        """What the record says about an account now."""
        account = self._accounts.get(key)
        if account is None:
            self._accounts[key] = _Account(state, state.ticket_ev_wei)
        else:
            account.state = state
            account.least_ev_wei = min(account.least_ev_wei or state.ticket_ev_wei, state.ticket_ev_wei)

    def state(self, key: AccountKey) -> AccountState | None:
        """The account as last learned, or None."""
        account = self._accounts.get(key)
        return account.state if account is not None else None

    def price(self, key: AccountKey) -> Fraction | None:
        """The price pinned for the account, in wei per unit; None when nobody paid yet."""
        account = self._accounts.get(key)
        return account.state.price if account is not None else None

    def available_wei(self, key: AccountKey) -> Fraction:
        """Balance less holds."""
        account = self._accounts.get(key)
        return account.state.balance_wei - account.held_wei if account is not None else Fraction(0)

    def hold(self, key: AccountKey, *, units: int, price: Fraction, now: float) -> Hold | None:
        """Hold what ``units`` of work cost or one ticket's worth, the more; None when the account does not cover it.

        That is what gateways pay ahead for every segment under way, and reserve (payments.md 16 step 5), so an honest
        one always passes; and work whose estimate is nothing still cannot run twice on one ticket. One ticket's worth
        is the smallest that the gateway may know of: of any terms told since the start, or of tickets accepted in this
        session under terms from before. ``now`` is monotonic seconds.
        """
        cost_wei = price * units
        account = self._accounts.get(key)
        if account is None:
            return None
        ticket_wei = account.least_ev_wei
        if self._least_told_wei is not None:
            ticket_wei = min(ticket_wei, self._least_told_wei)
        needed_wei = max(cost_wei, ticket_wei)
        if account.state.balance_wei - account.held_wei + account.tolerated_wei(now) < needed_wei:
            return None
        self._last_hold += 1
        hold = Hold(self._last_hold, key, needed_wei, cost_wei, price)
        account.holds[hold.number] = hold
        account.held_wei += needed_wei
        return hold

    def settled(self, hold: Hold, *, amount_wei: Fraction, now: float) -> None:
        """The work was done and debited: its hold ends, and what it cost beyond that is tolerated for a while."""
        account = self._accounts.get(hold.account)
        if account is None or not self.end(hold):
            return
        beyond_wei = min(amount_wei - hold.amount_wei, hold.cost_wei * _TOLERATED_ESTIMATES)
        if beyond_wei > 0:
            account.overruns.append((now, beyond_wei))

    def end(self, hold: Hold) -> bool:
        """The work was given up; False when the hold had ended before."""
        account = self._accounts.get(hold.account)
        if account is None or account.holds.pop(hold.number, None) is None:
            return False
        account.held_wei -= hold.amount_wei
        return True

    def forget(self, key: AccountKey) -> None:
        """The record has dropped the account. One with holds stays until they end."""
        account = self._accounts.get(key)
        if account is not None and not account.holds:
            del self._accounts[key]

    def forget_idle(self, *, before_s: float) -> None:
        """Drop accounts untouched since a moment in Unix time, those with holds excepted: the record knows them."""
        for key in [key for key, account in self._accounts.items() if account.state.touched_s < before_s]:
            self.forget(key)

    def holds(self, key: AccountKey) -> int:
        """Holds of an account that have not ended."""
        account = self._accounts.get(key)
        return len(account.holds) if account is not None else 0
