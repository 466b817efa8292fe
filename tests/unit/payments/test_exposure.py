"""What senders owe against what the chain would pay: in memory, never behind what was accepted."""

import asyncio
from fractions import Fraction

import pytest

from baton.kernel.clock import ManualClock
from baton.kernel.ids import Address
from baton.payments.errors import Fault, PaymentError
from baton.payments.exposure import EXCESS_WINNERS, Exposure
from baton.payments.facevalue import SenderFunds
from baton.payments.ports import PaymentStore
from tests.payments.memory import FixedRounds, FixedSenders, MemoryPaymentStore
from tests.support import eventually, run

WHO = Address(bytes([1]) * 20)
FACE = 1000
DEPOSIT, SHARE = 4000, 3000
FUNDS = SenderFunds(deposit_wei=DEPOSIT, withdraw_round=0, reserve_wei=SHARE * 10, claimed_wei=0, claimed_by_us_wei=0)
MOST = DEPOSIT + SHARE + EXCESS_WINNERS * FACE


class Record(MemoryPaymentStore):
    """Says what the test says, when the test says it."""

    def __init__(self) -> None:
        super().__init__(now=lambda: 0.0)
        self.wei = 0
        self.asked = 0
        self.go = asyncio.Event()
        self.go.set()

    async def outstanding_wei(self, sender: Address) -> int:
        del sender
        self.asked += 1
        wei = self.wei
        await self.go.wait()
        return wei


class Books:
    def __init__(self, *, shared: bool = False) -> None:
        self.record, self.clock, self.senders = Record(), ManualClock(), FixedSenders({WHO: FUNDS})
        store: PaymentStore = self.record
        self.exposure = Exposure(
            store=store, senders=self.senders, rounds=FixedRounds(), clock=self.clock, shared=shared
        )

    async def fault(self, expected_wei: Fraction = Fraction(0)) -> Fault | None:
        try:
            await self.exposure.check(WHO, face_value_wei=FACE, expected_wei=expected_wei)
        except PaymentError as error:
            return error.fault
        return None

    async def being_asked(self) -> asyncio.Task[int]:
        """What is on record has grown old, and asking for it again is under way until ``record.go``."""
        self.record.wei = 100
        await self.exposure.outstanding_wei(WHO)
        self.clock.advance(20)
        self.record.go.clear()
        asking = asyncio.create_task(self.exposure.outstanding_wei(WHO))
        await eventually(lambda: self.record.asked == 2, what="the record is asked")
        return asking


@pytest.mark.parametrize(("wei", "fault"), [(0, None), (MOST, None), (MOST + 1, Fault.SENDER_EXPOSED)])
def test_sixteen_winners_beyond_what_the_chain_pays_are_taken(wei: int, fault: Fault | None) -> None:
    async def story() -> None:
        books = Books()
        books.record.wei = wei
        assert await books.fault() is fault

    run(story())


def test_hundreds_of_tickets_at_once_count_by_what_they_are_worth() -> None:
    async def story() -> None:
        books = Books()
        assert await books.fault(Fraction(MOST)) is None
        assert await books.fault(Fraction(MOST) + Fraction(1, 10**9)) is Fault.SENDER_EXPOSED

    run(story())


def test_refusal_is_told_in_the_words_that_terms_are_refused_with() -> None:
    async def story() -> None:
        books = Books()
        books.record.wei = MOST + 1
        with pytest.raises(PaymentError, match=r"^insufficient sender reserve$") as caught:
            await books.exposure.check(WHO, face_value_wei=FACE, expected_wei=Fraction(0))
        assert caught.value.is_fatal
        assert str(MOST + 1) in caught.value.detail

    run(story())


def test_winners_count_as_they_come_and_the_record_is_asked_now_and_then() -> None:
    async def story() -> None:
        books = Books()
        assert await books.exposure.outstanding_wei(WHO) == 0
        for _ in range(100):
            books.exposure.won(WHO, 7)
            await books.exposure.outstanding_wei(WHO)
        assert await books.exposure.outstanding_wei(WHO) == 700
        assert books.record.asked == 1
        books.record.wei = 300
        books.clock.advance(15.1)
        assert await books.exposure.outstanding_wei(WHO) == 300, "the others were redeemed"
        assert books.record.asked == 2

    run(story())


def test_redeemer_has_the_record_asked_at_once() -> None:
    async def story() -> None:
        books = Books()
        books.exposure.changed(WHO)
        books.record.wei = 500
        assert await books.exposure.outstanding_wei(WHO) == 500
        books.record.wei = 0
        books.exposure.changed(WHO)
        assert await books.exposure.outstanding_wei(WHO) == 0

    run(story())


def test_record_of_several_nodes_is_asked_every_second() -> None:
    async def story() -> None:
        books = Books(shared=True)
        await books.exposure.outstanding_wei(WHO)
        books.record.wei = 9
        books.clock.advance(1.1)
        assert await books.exposure.outstanding_wei(WHO) == 9

    run(story())


def test_what_is_won_while_the_record_is_read_is_not_lost() -> None:
    async def story() -> None:
        books = Books()
        asking = await books.being_asked()
        books.exposure.won(WHO, 50)
        books.record.go.set()
        assert await asking == 150
        books.record.wei = 150
        assert await books.exposure.outstanding_wei(WHO) == 150
        assert books.record.asked == 3, "a reading that something overtook does not last"

    run(story())


def test_what_is_redeemed_while_the_record_is_read_has_it_asked_again() -> None:
    async def story() -> None:
        books = Books()
        asking = await books.being_asked()
        books.exposure.changed(WHO)
        books.record.wei = 0
        books.record.go.set()
        await asking
        assert await books.exposure.outstanding_wei(WHO) == 0

    run(story())


def test_first_winner_of_a_sender_does_not_hide_what_is_on_record() -> None:
    async def story() -> None:
        books = Books()
        books.record.wei = 5000
        books.exposure.won(WHO, 50)
        assert await books.exposure.outstanding_wei(WHO) == 5000
        assert Fraction(books.record.asked) == 1

    run(story())
