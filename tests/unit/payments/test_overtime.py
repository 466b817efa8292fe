"""Work beyond what was declared is remembered until it is paid, and honest gateways never notice."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.kernel.ids import Address
from baton.payments.overtime import OVERTIME_GRACE_S, Overtime
from baton.payments.ports import AccountKey

WHO, OTHER = Address(bytes([1]) * 20), Address(bytes([2]) * 20)
JOB = Fraction(100)
LATER = OVERTIME_GRACE_S + 1


def account(name: str, sender: Address = WHO) -> AccountKey:
    return AccountKey(sender, name)


def leave(book: Overtime, name: str, wei: int, *, now: float = 0.0) -> None:
    """One paid job in a session that then owes so much."""
    book.worked(account(name), declared_wei=JOB, overtime_wei=Fraction(wei), balance_wei=Fraction(-wei), now=now)


def forbids(book: Overtime, name: str = "new", *, now: float = LATER, sender: Address = WHO) -> bool:
    return book.forbids(account(name, sender), cost_wei=JOB, now=now)


def test_debt_that_was_left_behind_closes_the_other_sessions_of_its_sender_alone() -> None:
    book = Overtime()
    leave(book, "left", 600)
    assert forbids(book)
    assert not forbids(book, "left"), "the session itself may pay and go on"
    assert not forbids(book, sender=OTHER)
    assert book.left_behind_wei(account("new"), now=LATER) == 600


def test_debt_is_given_a_moment_to_be_paid() -> None:
    book = Overtime()
    leave(book, "left", 600)
    assert not forbids(book, now=OVERTIME_GRACE_S)
    assert forbids(book, now=OVERTIME_GRACE_S + 0.1)


@pytest.mark.parametrize(("lacks", "closed"), [(600, True), (511, True), (510, False), (0, False), (-50, False)])
def test_paying_in_the_session_opens_the_others(lacks: int, *, closed: bool) -> None:
    book = Overtime()
    leave(book, "left", 600)
    assert forbids(book)
    book.paid(account("left"), balance_wei=Fraction(-lacks))
    assert forbids(book) is closed


def test_five_jobs_and_a_tenth_of_all_work_may_stay_unpaid() -> None:
    book = Overtime()
    for _ in range(100):
        book.worked(account("long"), declared_wei=JOB, overtime_wei=Fraction(0), balance_wei=JOB, now=0.0)
    leave(book, "left", 5 * 100 + 1010)
    assert not forbids(book)
    leave(book, "also", 11, now=1.0)
    assert forbids(book, now=LATER + 1), "a tenth of a hundred and two jobs is 1020"


def test_only_what_the_session_lacks_is_owed() -> None:
    book = Overtime()
    book.worked(account("rich"), declared_wei=JOB, overtime_wei=Fraction(9000), balance_wei=Fraction(1), now=0.0)
    book.worked(account("some"), declared_wei=JOB, overtime_wei=Fraction(9000), balance_wei=Fraction(-30), now=0.0)
    assert book.left_behind_wei(account("new"), now=LATER) == 30


def test_debt_of_another_shape_is_nobodys_fault() -> None:
    book = Overtime()
    for name in map(str, range(1000)):
        book.worked(account(name), declared_wei=JOB, overtime_wei=Fraction(0), balance_wei=-3 * JOB, now=0.0)
    assert not forbids(book)


def test_session_that_is_forgotten_takes_its_debt_along() -> None:
    book = Overtime()
    leave(book, "left", 600)
    assert forbids(book)
    book.forget(account("left"))
    assert not forbids(book)
    book.forget(account("left"))
    book.forget(account("left", OTHER))


NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("work"), NAMES, st.integers(0, 500), st.integers(-500, 200)),
        st.tuples(st.just("pay"), NAMES, st.integers(-500, 200), st.just(0)),
        st.tuples(st.just("forget"), NAMES, st.just(0), st.just(0)),
        st.tuples(st.just("wait"), NAMES, st.integers(0, 40), st.just(0)),
    )
)


@given(STEPS)
def test_what_is_left_behind_is_the_sum_of_old_debts(steps: list[tuple[str, str, int, int]]) -> None:
    book, now = Overtime(), 0.0
    owed: dict[str, tuple[float, Fraction]] = {}
    for what, name, first, second in steps:
        before = owed.get(name, (now, Fraction(0)))
        if what == "work":
            book.worked(
                account(name),
                declared_wei=JOB,
                overtime_wei=Fraction(first),
                balance_wei=Fraction(second),
                now=now,
            )
            if first > 0 > second:
                owed[name] = (now, min(before[1] + first, Fraction(-second)))
        elif what == "pay":
            book.paid(account(name), balance_wei=Fraction(first))
            owed[name] = (before[0], min(before[1], max(Fraction(0), Fraction(-first))))
        elif what == "forget":
            book.forget(account(name))
            owed.pop(name, None)
        else:
            now += first
        for asking in ("a", "b", "c", "d"):
            expected = sum(
                (wei for other, (at, wei) in owed.items() if other != asking and now - at > OVERTIME_GRACE_S),
                Fraction(0),
            )
            assert book.left_behind_wei(account(asking), now=now) == expected
