"""Every place where money is on record behaves alike: the one in memory that tests use, and the database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest

from baton.kernel.clock import ManualClock
from baton.kernel.ids import Address
from baton.payments.ports import AccountKey, AccountState, Debit, PaymentStore, TicketEntry
from baton.payments.ticket import MAX_WIN_PROB, Ticket, WinningTicket
from baton.storage.accounts import AccountStore
from baton.storage.database import Database
from tests.payments.memory import MemoryPaymentStore
from tests.support import run

ANN, BOB = Address(bytes([1]) * 20), Address(bytes([2]) * 20)
ACCOUNT = AccountKey(ANN, "session")
QUOTE = bytes([7]) * 32
VALUE = Fraction(12_000_000_000_000_000 * 7, MAX_WIN_PROB)
PRICE = Fraction(1212, 7)


@dataclass(frozen=True, slots=True)
class Bench:
    """A store and its clock."""

    store: PaymentStore
    clock: ManualClock


Told = Callable[[Callable[[Bench], Awaitable[None]]], None]


@asynccontextmanager
async def on_record(url: str | None, clock: ManualClock) -> AsyncIterator[PaymentStore]:
    if url is None:
        yield MemoryPaymentStore(now=clock.now)
        return
    database = Database.open(url)
    try:
        yield AccountStore(database, now=clock.now)
    finally:
        await database.close()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Told:
    url = f"sqlite:///{tmp_path / 'money.sqlite3'}" if request.param == "sqlite" else None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres")

    def tell(story: Callable[[Bench], Awaitable[None]]) -> None:
        async def whole() -> None:
            clock = ManualClock()
            async with on_record(url, clock) as store:
                await story(Bench(store, clock))

        run(whole())

    return tell


def entry(nonce: int, *, credit: Fraction = VALUE, winner: WinningTicket | None = None) -> TicketEntry:
    return TicketEntry(QUOTE, nonce, 20_000_040, credit, winner)


def winner(nonce: int, *, sender: Address = ANN, face_value_wei: int = 10**16) -> WinningTicket:
    ticket = Ticket(BOB, sender, face_value_wei, 5, nonce, QUOTE, 3500, bytes([3]) * 32)
    return WinningTicket(ticket, bytes([nonce]) * 65, 2**255 + nonce, 20_000_040)


def test_credit_is_exact_and_pins_the_first_price(told: Told) -> None:
    async def story(bench: Bench) -> None:
        applied = await bench.store.accept(ACCOUNT, price=PRICE, tickets=(entry(1), entry(2)))
        expected = AccountState(2 * VALUE, PRICE, VALUE, bench.clock.now())
        assert applied.state == expected
        assert not applied.seen
        again = await bench.store.accept(ACCOUNT, price=Fraction(9), tickets=(entry(3),))
        assert again.state == replace(expected, balance_wei=3 * VALUE)
        assert await bench.store.account(ACCOUNT) == again.state
        assert await bench.store.accounts() == ((ACCOUNT, again.state),)

    told(story)


def test_an_idle_pin_gives_way_and_credit_stays(told: Told) -> None:
    async def story(bench: Bench) -> None:
        await bench.store.accept(ACCOUNT, price=PRICE, tickets=(entry(1),))
        bench.clock.advance(601)
        applied = await bench.store.accept(ACCOUNT, price=Fraction(9), tickets=(entry(2),))
        assert (applied.state.price, applied.state.balance_wei) == (Fraction(9), 2 * VALUE)

    told(story)


def test_a_nonce_is_credited_once(told: Told) -> None:
    async def story(bench: Bench) -> None:
        await bench.store.accept(ACCOUNT, price=PRICE, tickets=(entry(1),))
        applied = await bench.store.accept(
            AccountKey(ANN, "other"), price=PRICE, tickets=(entry(1), entry(2), entry(2))
        )
        assert applied.seen == {(QUOTE, 1), (QUOTE, 2)}
        assert applied.state.balance_wei == VALUE
        assert sorted(await bench.store.nonces()) == [(QUOTE, 1, 20_000_040), (QUOTE, 2, 20_000_040)]

    told(story)


def test_nothing_credited_makes_no_account(told: Told) -> None:
    async def story(bench: Bench) -> None:
        applied = await bench.store.accept(
            ACCOUNT, price=PRICE, tickets=(entry(1, credit=Fraction(0), winner=winner(1)),)
        )
        assert applied.state.balance_wei == 0
        assert applied.state.price is None
        assert await bench.store.account(ACCOUNT) is None
        assert await bench.store.outstanding_wei(ANN) == 10**16

    told(story)


def test_winners_are_kept_once_and_owed_by_their_sender(told: Told) -> None:
    async def story(bench: Bench) -> None:
        first, second = winner(1), winner(2, sender=BOB, face_value_wei=2**200)
        await bench.store.accept(ACCOUNT, price=PRICE, tickets=(entry(1, winner=first), entry(2, winner=second)))
        await bench.store.accept(ACCOUNT, price=PRICE, tickets=(entry(1, winner=first),))
        assert await bench.store.outstanding_wei(ANN) == 10**16
        assert await bench.store.outstanding_wei(BOB) == 2**200
        assert await bench.store.outstanding_wei(Address(bytes(20))) == 0

    told(story)


def test_debits_go_below_zero_and_are_exact(told: Told) -> None:
    async def story(bench: Bench) -> None:
        await bench.store.accept(ACCOUNT, price=PRICE, tickets=(entry(1),))
        applied = await bench.store.debit(Debit(ACCOUNT, PRICE * 10**9))
        assert applied.state.balance_wei == VALUE - PRICE * 10**9 < 0
        assert applied.state.price == PRICE

    told(story)


def test_work_of_an_account_that_was_forgotten_is_debited_all_the_same(told: Told) -> None:
    async def story(bench: Bench) -> None:
        applied = await bench.store.debit(Debit(ACCOUNT, Fraction(7, 3)))
        assert applied.state == AccountState(Fraction(-7, 3), None, Fraction(0), bench.clock.now())
        assert await bench.store.account(ACCOUNT) == applied.state

    told(story)


def test_an_account_of_very_many_prices_is_still_debited(told: Told) -> None:
    async def story(bench: Bench) -> None:
        exact, state = Fraction(0), None
        for step in range(400):
            # Denominators near 2**63 with little in common, as prices that follow gas have them.
            exact += (amount := Fraction(10**18, 2**63 - 1 - 2 * step))
            state = (await bench.store.debit(Debit(ACCOUNT, amount))).state
        assert state is not None
        assert exact.denominator > 2**15_000
        assert 0 <= state.balance_wei + exact < Fraction(1, 2**1000)
        assert await bench.store.account(ACCOUNT) == state

    told(story)


def test_names_of_any_kind_are_names(told: Told) -> None:
    async def story(bench: Bench) -> None:
        names = ["", "a\x00b", "\udcff", "ü" * 300, "27_model/x"]
        for nonce, name in enumerate(names):
            await bench.store.accept(AccountKey(ANN, name), price=PRICE, tickets=(entry(nonce),))
        assert sorted(key.key for key, _ in await bench.store.accounts()) == sorted(names)

    told(story)


def test_what_is_idle_or_expired_goes(told: Told) -> None:
    async def story(bench: Bench) -> None:
        await bench.store.accept(ACCOUNT, price=PRICE, tickets=(entry(1),))
        bench.clock.advance(50)
        await bench.store.accept(AccountKey(BOB, "x"), price=PRICE, tickets=(replace(entry(2), expiration_block=90),))
        bench.clock.advance(51)
        assert await bench.store.forget(idle_s=100, l1_block=91) == (ACCOUNT,)
        assert [key for key, _ in await bench.store.accounts()] == [AccountKey(BOB, "x")]
        assert await bench.store.nonces() == ((QUOTE, 1, 20_000_040),)

    told(story)
