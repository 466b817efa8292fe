"""Winners on record, alike on SQLite and PostgreSQL: what waits, in which order, and that what is final stays final."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from baton.kernel.clock import ManualClock
from baton.kernel.ids import Address
from baton.payments.ports import AccountKey, TicketEntry
from baton.payments.ticket import Ticket, WinningTicket
from baton.storage.accounts import AccountStore
from baton.storage.database import Database
from baton.storage.schema import TicketState
from baton.storage.winners import TicketStore
from tests.support import run

ANN, BOB = Address(bytes([1]) * 20), Address(bytes([2]) * 20)
QUOTE = bytes([7]) * 32


@dataclass(frozen=True, slots=True)
class Bench:
    """The store, the one whose payments fill it, and their clock."""

    store: TicketStore
    accounts: AccountStore
    clock: ManualClock


Story = Callable[[Bench], Awaitable[None]]


@pytest.fixture(params=["sqlite", "postgresql"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    place = tmp_path / "money" if request.param == "sqlite" else request.getfixturevalue("postgres")

    @asynccontextmanager
    async def bench() -> AsyncIterator[Bench]:
        clock = ManualClock()
        database = Database.open(place)
        try:
            yield Bench(TicketStore(database, now=clock.now), AccountStore(database, now=clock.now), clock)
        finally:
            await database.close()

    def tell(story: Story) -> None:
        async def whole() -> None:
            async with bench() as made:
                await story(made)

        run(whole())

    return tell


def winner(nonce: int, *, round_number: int = 3500, face_value_wei: int = 10**16) -> WinningTicket:
    ticket = Ticket(BOB, ANN, face_value_wei, 5, nonce, QUOTE, round_number, bytes([3]) * 32)
    return WinningTicket(ticket, bytes([nonce]) * 65, 2**255 + nonce, 20_000_040)


def test_a_winner_comes_back_as_it_was_paid(told: Callable[[Story], None]) -> None:
    async def story(bench: Bench) -> None:
        won = winner(1, face_value_wei=2**255)
        entry = TicketEntry(QUOTE, 1, 20_000_040, Fraction(1, 3), won)
        await bench.accounts.accept(AccountKey(ANN, "s\udcff"), price=Fraction(1), tickets=(entry,))
        (kept,) = await bench.store.waiting()
        assert kept.winner == won
        assert kept.winner.ticket.hash == won.ticket.hash
        assert (kept.account_key, kept.state, kept.reason) == ("s\udcff", TicketState.PENDING, "")
        assert (kept.won_at_s, kept.tx_hash, kept.paid_wei) == (bench.clock.now(), None, None)

    told(story)


def test_what_waits_is_ordered_by_round_and_then_by_value(told: Callable[[Story], None]) -> None:
    async def story(bench: Bench) -> None:
        rows = ((1, 3501, 10**20), (2, 3500, 9), (3, 3500, 2**255), (4, 3499, 1), (5, 3500, 10), (6, 3500, 10**17))
        for nonce, round_number, value in rows:
            await bench.store.add(
                (winner(nonce, round_number=round_number, face_value_wei=value),), won_at_s=float(nonce)
            )
        waiting = await bench.store.waiting()
        assert [kept.winner.ticket.sender_nonce for kept in waiting] == [4, 3, 6, 5, 2, 1]
        assert [kept.winner.ticket.sender_nonce for kept in await bench.store.newest(limit=2)] == [6, 5]
        assert await bench.store.outstanding() == (6, 10**20 + 9 + 2**255 + 1 + 10 + 10**17)

    told(story)


def test_a_winner_is_added_once_and_keeps_what_became_of_it(told: Callable[[Story], None]) -> None:
    async def story(bench: Bench) -> None:
        one, two = winner(1), winner(2)
        assert await bench.store.add((one,), won_at_s=1.0) == 1
        assert await bench.store.move(one.ticket.hash, TicketState.REDEEMING, tx_hash=bytes(32))
        assert await bench.store.add((one, two, two), account_key="later", won_at_s=2.0) == 1
        assert await bench.store.add((), won_at_s=2.0) == 0
        kept = {k.winner.ticket.sender_nonce: k for k in await bench.store.waiting()}
        assert (kept[1].state, kept[1].tx_hash, kept[1].won_at_s) == (TicketState.REDEEMING, bytes(32), 1.0)
        assert kept[2].account_key == "later"

    told(story)


@pytest.mark.parametrize("final", TicketState.FINAL)
def test_final_states_are_never_left(told: Callable[[Story], None], final: str) -> None:
    async def story(bench: Bench) -> None:
        name = winner(1).ticket.hash
        await bench.store.add((winner(1), winner(2, face_value_wei=7)), won_at_s=1.0)
        bench.clock.advance(5)
        assert await bench.store.move(name, TicketState.REDEEMING)
        assert await bench.store.move(name, TicketState.PENDING, reason="gas is dear")
        assert await bench.store.move(name, final, reason="because", tx_hash=bytes([5]) * 32, paid_wei=2**200)
        for state in (*TicketState.OPEN, *TicketState.FINAL):
            assert not await bench.store.move(name, state, reason="again", paid_wei=1)
        assert not await bench.store.move(bytes(32), TicketState.REDEEMED)
        assert [kept.winner.ticket.sender_nonce for kept in await bench.store.waiting()] == [2]
        (kept,) = [k for k in await bench.store.newest(limit=9) if k.winner.ticket.hash == name]
        assert (kept.state, kept.reason, kept.tx_hash, kept.paid_wei) == (final, "because", bytes([5]) * 32, 2**200)
        assert kept.changed_at_s == bench.clock.now()
        assert await bench.store.counts() == {final: (1, 10**16), TicketState.PENDING: (1, 7)}
        assert await bench.accounts.outstanding_wei(ANN) == 7

    told(story)


def test_a_state_that_does_not_exist_is_a_mistake(told: Callable[[Story], None]) -> None:
    async def story(bench: Bench) -> None:
        await bench.store.add((winner(1),), won_at_s=1.0)
        with pytest.raises(ValueError, match="cannot be paid"):
            await bench.store.move(winner(1).ticket.hash, "paid")

    told(story)


def test_a_payment_may_bring_a_thousand_winners(told: Callable[[Story], None]) -> None:
    async def story(bench: Bench) -> None:
        won = [
            WinningTicket(Ticket(BOB, ANN, 10, 5, nonce, QUOTE, 3500, bytes(32)), bytes(65), nonce, 1)
            for nonce in range(2500)
        ]
        entries = tuple(TicketEntry(QUOTE, w.ticket.sender_nonce, 1, Fraction(1, 7), w) for w in won)
        applied = await bench.accounts.accept(AccountKey(ANN, "k"), price=Fraction(1), tickets=entries)
        assert applied.state.balance_wei == Fraction(2500, 7)
        assert await bench.store.outstanding() == (2500, 25_000)
        again = await bench.accounts.accept(AccountKey(ANN, "k"), price=Fraction(1), tickets=entries)
        assert (again.state.balance_wei, len(again.seen)) == (Fraction(2500, 7), 2500)

    told(story)
