"""Debts that are news to their gateway: tolerated for a while, within bounds, and never a line of credit."""

from fractions import Fraction

import pytest

from baton.kernel.ids import Address
from baton.payments.ledger import TOLERATED_S, Hold, Ledger
from baton.payments.ports import AccountKey, AccountState

KEY = AccountKey(Address(bytes([1]) * 20), "session")
EV = Fraction(100)


class Books:
    """A ledger with one account and the sums a record would keep."""

    def __init__(self, balance: int) -> None:
        self.ledger = Ledger()
        self.balance = Fraction(0)
        self.credit(balance)

    def credit(self, wei: int, *, ev: Fraction = EV) -> None:
        self.balance += wei
        self.ledger.learn(KEY, AccountState(self.balance, Fraction(1), ev, 0.0))

    def hold(self, units: int = 100, *, now: float = 0.0) -> Hold | None:
        return self.ledger.hold(KEY, units=units, price=Fraction(1), now=now)

    def work(self, hold: Hold, wei: int, *, now: float = 0.0) -> None:
        self.credit(-wei)
        self.ledger.settled(hold, amount_wei=Fraction(wei), now=now)

    def held(self) -> Hold:
        hold = self.hold()
        assert hold is not None
        return hold


def test_segment_sent_before_the_answer_that_told_of_a_debt_is_served() -> None:
    books = Books(100)
    books.work(books.held(), 316)
    assert books.balance == -216
    books.credit(100)
    assert books.hold() is not None


@pytest.mark.parametrize(("later_s", "served"), [(0.0, True), (TOLERATED_S, True), (TOLERATED_S + 0.1, False)])
def test_debt_is_tolerated_for_seconds_only(later_s: float, *, served: bool) -> None:
    books = Books(100)
    books.work(books.held(), 316)
    books.credit(100)
    assert (books.hold(now=later_s) is not None) is served


def test_work_beyond_all_measure_is_not_tolerated() -> None:
    books = Books(100)
    books.work(books.held(), 30_000)
    books.credit(100)
    assert books.hold() is None
    books.credit(30_000 - 100 - 300)
    assert books.hold() is not None, "three estimates are"


def test_nothing_is_tolerated_where_nothing_cost_more_than_its_estimate() -> None:
    books = Books(100)
    books.work(books.held(), 100)
    assert books.hold() is None
    books.credit(99)
    assert books.hold() is None
    books.credit(1)
    assert books.hold() is not None


def test_debts_of_five_segments_are_tolerated_and_no_more() -> None:
    books = Books(2000)
    for hold in [books.held() for _ in range(20)]:
        books.work(hold, 200)
    assert books.balance == -2000
    books.credit(1599)
    assert books.hold() is None
    books.credit(1)
    assert books.hold() is not None


def test_given_up_work_is_no_debt() -> None:
    books = Books(100)
    books.ledger.end(books.held())
    books.credit(-1)
    assert books.hold() is None


def test_ticket_that_counts_is_the_smallest_that_was_accepted() -> None:
    books = Books(150)
    books.credit(0, ev=Fraction(1000))
    assert books.hold(units=50) is not None
    assert Books(99).hold(units=50) is None


def test_ticket_that_counts_is_the_smallest_that_was_told() -> None:
    books = Books(60)
    assert books.hold(units=50) is None
    books.ledger.told(ticket_ev_wei=Fraction(1000))
    assert books.hold(units=50) is None
    books.ledger.told(ticket_ev_wei=Fraction(60))
    books.ledger.told(ticket_ev_wei=Fraction(1000))
    assert books.hold(units=50) is not None


def test_work_estimated_at_nothing_holds_a_ticket() -> None:
    books = Books(199)
    first = books.hold(units=0)
    assert first is not None
    assert (first.amount_wei, first.cost_wei) == (EV, Fraction(0))
    assert books.hold(units=0) is None
    books.work(first, 50)
    assert books.hold(units=0) is not None


def test_what_is_tolerated_is_measured_by_the_estimate_and_not_by_the_ticket() -> None:
    books = Books(100)
    hold = books.hold(units=10)
    assert hold is not None
    books.work(hold, 1000)
    books.credit(900 + 69)
    assert books.hold(units=10) is None
    books.credit(1)
    assert books.hold(units=10) is not None, "three estimates are"


def test_account_known_by_a_debt_alone_needs_a_ticket_once_it_has_paid() -> None:
    fresh = Ledger()
    fresh.learn(KEY, AccountState(Fraction(-1), None, Fraction(0), 0.0))
    fresh.learn(KEY, AccountState(Fraction(99), Fraction(1), EV, 0.0))
    assert fresh.hold(KEY, units=1, price=Fraction(1), now=0.0) is None
