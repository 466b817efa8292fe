"""The recipient: what is credited, what is refused, and that no trick gets work for nothing (payments.md 5, 18)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import pytest

from baton.kernel.clock import ManualClock
from baton.kernel.errors import BatonError
from baton.kernel.ids import Address
from baton.payments.errors import Fault, QuoteError
from baton.payments.facevalue import Economics
from baton.payments.messages import Offer, ReceivedPayment
from baton.payments.ports import AccountKey
from baton.payments.prices import PriceTable
from baton.payments.quoting import Quoting
from baton.payments.recipient import InsufficientBalanceError, Recipient
from baton.payments.ticket import MAX_WIN_PROB, draw
from tests.payments.gatewayside import Sender
from tests.payments.memory import RICH, FixedGas, FixedRounds, FixedSecrets, FixedSenders, MemoryPaymentStore
from tests.support import run

ME = Address(bytes.fromhex("73aed7b5deb30222fa896f399d46cc99c7bee57f"))
EV = 8_000_000_000
KEY = "session"


@dataclass
class Desk:
    """A recipient over ports in memory."""

    prices: PriceTable = field(
        default_factory=lambda: PriceTable(default=Fraction(1200), models={(None, 27, "m"): Fraction(5)})
    )
    economics: Economics = field(default_factory=lambda: Economics(ev_wei=EV, redeem_gas=1_200_000))
    rounds: FixedRounds = field(default_factory=FixedRounds)
    senders: FixedSenders = field(default_factory=FixedSenders)
    gas: FixedGas = field(default_factory=FixedGas)
    secrets: FixedSecrets = field(default_factory=FixedSecrets)
    clock: ManualClock = field(default_factory=ManualClock)
    overhead_most: Fraction | None = Fraction(3, 2)

    def __post_init__(self) -> None:
        self.store = MemoryPaymentStore(now=self.clock.now)
        self.gateway = Sender()
        self.recipient = self.restarted()

    def restarted(self) -> Recipient:
        quoting = Quoting(
            recipient=ME,
            prices=lambda: self.prices,
            economics=lambda: self.economics,
            rounds=self.rounds,
            gas=self.gas,
            secrets=self.secrets,
            overhead_most=self.overhead_most,
        )
        return Recipient(
            recipient=ME,
            quoting=quoting,
            rounds=self.rounds,
            senders=self.senders,
            secrets=self.secrets,
            store=self.store,
            pending_wei=lambda _sender: 0,
            clock=self.clock,
        )

    async def offer(self, key: str = KEY, **more: object) -> Offer:
        return await self.recipient.offer(self.gateway.address, key, **more)  # type: ignore[arg-type]  # passed on

    def balance(self, key: str = KEY) -> Fraction:
        state = self.recipient.ledger.state(AccountKey(self.gateway.address, key))
        return state.balance_wei if state else Fraction(0)

    async def admit(self, units: int, key: str = KEY) -> object:
        return await self.recipient.admit(self.gateway.address, key, units=units)


def with_desk(story: Callable[[Desk], Awaitable[None]], desk: Desk | None = None) -> None:
    async def told() -> None:
        await story(desk or Desk())

    run(told())


def test_tickets_are_credited_exactly_and_pin_their_price() -> None:
    async def story(desk: Desk) -> None:
        offer = await desk.offer()
        receipt = await desk.recipient.receive(desk.gateway.pay(offer, 1, 2), KEY)
        assert receipt.error is None
        assert receipt.tickets == 2
        value = Fraction(offer.terms.terms.face_value_wei * offer.terms.terms.win_prob, MAX_WIN_PROB)
        assert receipt.credited_wei == desk.balance() == 2 * value
        assert desk.recipient.pinned(desk.gateway.address, KEY) == offer.price.price.exact == Fraction(1212)

    with_desk(story)


def test_price_stays_when_gas_and_operator_move_and_is_free_again_after_ten_minutes() -> None:
    async def story(desk: Desk) -> None:
        await desk.recipient.receive(desk.gateway.pay(await desk.offer(), 1), KEY)
        desk.gas.price_wei *= 100
        desk.prices = PriceTable(default=Fraction(9999))
        assert (await desk.offer()).price.price.exact == 1212
        assert (await desk.offer("another")).price.price.exact > 9999
        desk.clock.advance(601)
        assert (await desk.offer()).price.price.exact > 9999

    with_desk(story)


@pytest.mark.parametrize("wei", [0, -1200, 1])
def test_a_price_of_the_senders_own_buys_nothing(wei: int) -> None:
    async def story(desk: Desk) -> None:
        receipt = await desk.recipient.receive(desk.gateway.without_tickets(wei), KEY)
        assert receipt.error is None
        with pytest.raises(InsufficientBalanceError):
            await desk.admit(1)
        forged = replace(desk.gateway.pay(await desk.offer(), 1), expected_price=(wei, 1))
        receipt = await desk.recipient.receive(forged, KEY)
        assert receipt.error is not None
        assert receipt.error.text == "invalid recipientRand for ticket recipientRandHash"
        assert desk.balance() == 0
        with pytest.raises(InsufficientBalanceError):
            await desk.admit(1)

    with_desk(story)


def test_terms_without_tickets_pin_nothing() -> None:
    async def story(desk: Desk) -> None:
        payment = replace(desk.gateway.pay(await desk.offer(), 1), tickets=(), expected_price=(0, 1))
        assert (await desk.recipient.receive(payment, KEY)).error is None
        assert desk.recipient.pinned(desk.gateway.address, KEY) is None
        with pytest.raises(InsufficientBalanceError):
            await desk.admit(1)

    with_desk(story)


def test_a_free_node_asks_for_nothing() -> None:
    async def story(desk: Desk) -> None:
        desk.prices = PriceTable(default=Fraction(0))
        offer = await desk.offer()
        assert (offer.price.price.wei_per_unit, offer.terms.terms.face_value_wei, offer.terms.terms.win_prob) == (
            0,
            0,
            0,
        )
        assert await desk.admit(10**12) is None

    with_desk(story)


def test_holds_keep_the_same_credit_from_being_used_twice() -> None:
    async def story(desk: Desk) -> None:
        offer = await desk.offer()
        await desk.recipient.receive(desk.gateway.pay(offer, *range(1, 4)), KEY)
        units = 10_000_000  # 12,120,000,000 wei of 24,000,000,000
        first = await desk.recipient.admit(desk.gateway.address, KEY, units=units)
        assert first is not None
        with pytest.raises(InsufficientBalanceError):
            await desk.admit(units)
        before = desk.balance()
        await desk.recipient.settle(first, units=9_000_000)
        assert before - desk.balance() == 9_000_000 * 1212
        again = await desk.recipient.admit(desk.gateway.address, KEY, units=units)
        assert again is not None
        desk.recipient.release(again)
        desk.recipient.release(again)
        assert desk.recipient.ledger.available_wei(AccountKey(desk.gateway.address, KEY)) == desk.balance()

    with_desk(story)


def test_less_than_one_ticket_left_is_too_little_for_any_work() -> None:
    async def story(desk: Desk) -> None:
        await desk.recipient.receive(desk.gateway.pay(await desk.offer(), 1), KEY)
        hold = await desk.recipient.admit(desk.gateway.address, KEY, units=1)
        assert hold is not None
        await desk.recipient.settle(hold, units=1)
        with pytest.raises(InsufficientBalanceError):
            await desk.admit(1)

    with_desk(story)


def test_a_bad_ticket_leaves_the_others_their_credit() -> None:
    async def story(desk: Desk) -> None:
        payment = desk.gateway.pay(await desk.offer(), 1, 2, 3)
        tickets = (payment.tickets[0], (2, bytes(65)), payment.tickets[2], payment.tickets[0])
        receipt = await desk.recipient.receive(replace(payment, tickets=tickets), KEY)
        assert receipt.tickets == 2
        assert [error.fault for error in receipt.errors] == [Fault.SIGNATURE, Fault.NONCE_SEEN]
        assert receipt.error is not None
        assert receipt.error.text.startswith("invalid ticket senderNonce: already seen sender=0x")

    with_desk(story)


def test_a_replay_is_refused_over_a_restart() -> None:
    async def story(desk: Desk) -> None:
        payment = desk.gateway.pay(await desk.offer(), 1)
        await desk.recipient.receive(payment, KEY)
        before = desk.balance()
        desk.recipient = desk.restarted()
        await desk.recipient.load()
        assert desk.balance() == before
        assert desk.recipient.pinned(desk.gateway.address, KEY) == 1212
        receipt = await desk.recipient.receive(payment, KEY)
        assert receipt.error is not None
        assert receipt.error.fault is Fault.NONCE_SEEN
        assert desk.balance() == before

    with_desk(story)


def test_another_instance_on_the_same_record_credits_a_ticket_once() -> None:
    async def story(desk: Desk) -> None:
        other = desk.restarted()
        await other.load()
        payment = desk.gateway.pay(await desk.offer(), 1)
        await desk.recipient.receive(payment, KEY)
        receipt = await other.receive(payment, KEY)
        assert receipt.tickets == receipt.credited_wei == 0
        assert receipt.error is not None
        assert receipt.error.fault is Fault.NONCE_SEEN

    with_desk(story)


def test_tickets_of_the_secret_before_still_count() -> None:
    async def story(desk: Desk) -> None:
        offer = await desk.offer()
        desk.secrets.older, desk.secrets.current = (desk.secrets.current,), bytes(32)
        assert (await desk.recipient.receive(desk.gateway.pay(offer, 1), KEY)).error is None
        desk.secrets.older = ()
        refused = (await desk.recipient.receive(desk.gateway.pay(offer, 2), KEY)).error
        assert refused is not None
        assert refused.fault is Fault.RECIPIENT_RAND

    with_desk(story)


@pytest.mark.parametrize(("late", "credited"), [(40, True), (41, True), (42, False)])
def test_terms_are_taken_two_blocks_longer_than_told(late: int, credited: bool) -> None:  # noqa: FBT001 -- a table
    async def story(desk: Desk) -> None:
        payment = desk.gateway.pay(await desk.offer(), 1)
        desk.rounds.last_seen_l1_block += late
        receipt = await desk.recipient.receive(payment, KEY)
        assert (receipt.error is None) is credited
        if receipt.error is not None:
            assert receipt.error.text == "TicketParams expired"

    with_desk(story)


def test_a_winner_is_kept_even_when_its_terms_are_over() -> None:
    async def story(desk: Desk) -> None:
        desk.economics = Economics(ev_wei=EV, redeem_gas=1, max_face_value_wei=EV + 1)
        offer = await desk.offer()
        desk.rounds.last_seen_l1_block += 100
        receipt = await desk.recipient.receive(desk.gateway.pay(offer, 1), KEY)
        assert (receipt.tickets, receipt.winners) == (0, 1)
        (winner,) = desk.store.winners.values()
        assert draw(winner.signature, winner.recipient_rand) < winner.ticket.win_prob

    with_desk(story)


def test_tickets_that_credit_nothing_leave_no_account_behind() -> None:
    async def story(desk: Desk) -> None:
        desk.economics = Economics(ev_wei=EV, redeem_gas=1, max_face_value_wei=EV + 1)
        payment = desk.gateway.pay(await desk.offer(), *range(1, 4))
        desk.rounds.last_seen_l1_block += 42
        for name in ("any", "name", "at all"):
            assert (await desk.recipient.receive(payment, name)).credited_wei == 0
        assert len(desk.store.winners) > 0
        assert len(desk.recipient.ledger) == 0

    with_desk(story)


def test_tickets_that_neither_count_nor_win_do_not_trouble_the_record() -> None:
    async def story(desk: Desk) -> None:
        payment = desk.gateway.pay(await desk.offer(), 1)
        desk.rounds.last_seen_l1_block += 42
        desk.store.fails = OSError("was asked")
        receipt = await desk.recipient.receive(payment, KEY)
        assert receipt.error is not None
        assert receipt.error.text == "TicketParams expired"

    with_desk(story)


def test_quotes_for_models_do_not_pay_for_video_nor_the_other_way_round() -> None:
    async def story(desk: Desk) -> None:
        wanted = ((27, "m"),)
        cheap = await desk.offer(wanted=wanted)
        assert cheap.price.price.exact < 6
        refused = (await desk.recipient.receive(desk.gateway.pay(cheap, 1), KEY)).error
        assert refused is not None
        assert refused.fault is Fault.RECIPIENT_RAND
        assert (await desk.recipient.receive(desk.gateway.pay(cheap, 1), "27_m", wanted=wanted)).error is None
        video = await desk.offer("other")
        refused = (await desk.recipient.receive(desk.gateway.pay(video, 1), "27_m", wanted=wanted)).error
        assert refused is not None
        desk.prices = replace(desk.prices, models={(None, 27, "m"): Fraction(1200)})
        assert (await desk.recipient.receive(desk.gateway.pay(video, 1), "27_m", wanted=wanted)).error is None

    with_desk(story)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda p: replace(p, sender=None), "Could not find Sender for payment: "),
        (
            lambda p: replace(p, expected_price=None),
            'invalid expected price sent with payment err="expected price is nil"',
        ),
        (
            lambda p: replace(p, expected_price=(1, 0)),
            'invalid expected price sent with payment err="pixels per unit is 0"',
        ),
        (
            lambda p: replace(p, terms=replace(p.terms, recipient=Address(bytes(20)))),
            "invalid ticket recipient",
        ),
        (
            lambda p: replace(p, terms=replace(p.terms, creation_round=-(2**63))),
            "invalid recipientRand for ticket recipientRandHash",
        ),
        (
            lambda p: replace(p, terms=replace(p.terms, face_value_wei=2**4000)),
            "invalid recipientRand for ticket recipientRandHash",
        ),
        (lambda p: replace(p, sender=Address(bytes(20))), "invalid ticket sender"),
        (
            lambda p: replace(p, sender=Address(bytes([1]) * 20)),
            "invalid recipientRand for ticket recipientRandHash",
        ),
        (lambda p: replace(p, tickets=((1, b""),)), "invalid ticket signature"),
    ],
)
def test_bad_payments_are_told_in_the_known_words(
    spoil: Callable[[ReceivedPayment], ReceivedPayment], text: str
) -> None:
    async def story(desk: Desk) -> None:
        payment = spoil(desk.gateway.pay(await desk.offer(), 1))
        receipt = await desk.recipient.receive(payment, KEY)
        assert receipt.error is not None
        assert receipt.error.text == text
        assert desk.balance() == 0
        assert not desk.store.winners

    with_desk(story)


def test_senders_that_leave_and_chains_that_are_silent() -> None:
    async def story(desk: Desk) -> None:
        payment = desk.gateway.pay(await desk.offer(), 1)
        who = desk.gateway.address
        desk.senders.known[who] = replace(RICH, withdraw_round=3501)
        refused = (await desk.recipient.receive(payment, KEY)).error
        assert refused is not None
        assert refused.text == (
            "deposit and reserve for sender 0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F is set to unlock soon"
        )
        desk.senders.known[who] = None
        refused = (await desk.recipient.receive(payment, KEY)).error
        assert refused is not None
        assert refused.text == (
            "could not get sender info for 0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F: no endpoint answers"
        )
        desk.senders.known.clear()
        desk.rounds.inactive.add(ME)
        refused = (await desk.recipient.receive(payment, KEY)).error
        assert refused is not None
        assert refused.text == (
            "orchestrator 0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F is inactive in round 3500, cannot process payments"
        )
        desk.rounds.inactive.clear()
        assert (await desk.recipient.receive(payment, KEY)).error is None

    with_desk(story)


def test_no_quote_without_a_view_of_the_chain_or_funds() -> None:
    async def story(desk: Desk) -> None:
        desk.rounds.is_fresh = False
        with pytest.raises(QuoteError, match="chain state is not available"):
            await desk.offer()
        desk.rounds.is_fresh = True
        desk.senders.known[desk.gateway.address] = replace(RICH, reserve_wei=0)
        with pytest.raises(QuoteError, match="insufficient sender reserve"):
            await desk.offer()

    with_desk(story)


def test_a_round_without_hash_is_dated_back() -> None:
    async def story(desk: Desk) -> None:
        desk.rounds.round_block_hash = bytes(32)
        terms = (await desk.offer()).terms.terms
        assert (terms.creation_round, terms.creation_round_block_hash) == (3499, bytes([8]) * 32)
        assert terms.expiration_block == 20_000_040

    with_desk(story)


@pytest.mark.parametrize("number", [0, 3500])
def test_without_any_hash_there_are_no_terms_that_the_chain_would_never_pay(number: int) -> None:
    async def story(desk: Desk) -> None:
        desk.rounds.last_initialized_round = number
        desk.rounds.round_block_hash = desk.rounds.previous_round_block_hash = bytes(32)
        with pytest.raises(QuoteError, match="chain state is not available"):
            await desk.offer()

    with_desk(story)


def test_unpaid_winnings_shrink_the_next_ticket() -> None:
    async def story(desk: Desk) -> None:
        desk.economics = Economics(ev_wei=EV, redeem_gas=1, max_face_value_wei=EV + 1)
        before = await desk.offer()
        assert (await desk.recipient.receive(desk.gateway.pay(before, *range(1, 601)), KEY)).winners > 500
        desk.senders.known[desk.gateway.address] = replace(RICH, reserve_wei=300 * EV, deposit_wei=300 * EV)
        with pytest.raises(QuoteError, match="insufficient sender reserve"):
            await desk.offer()

    with_desk(story)


def test_what_cannot_be_put_on_record_is_not_credited_and_may_come_again() -> None:
    async def story(desk: Desk) -> None:
        payment = desk.gateway.pay(await desk.offer(), 1)
        desk.store.fails = OSError("disk full")
        with pytest.raises(OSError, match="disk full"):
            await desk.recipient.receive(payment, KEY)
        assert desk.balance() == 0
        assert (await desk.recipient.receive(payment, KEY)).tickets == 1

    with_desk(story)


def test_a_caller_that_leaves_does_not_leave_money_in_the_air() -> None:
    async def story(desk: Desk) -> None:
        payment = desk.gateway.pay(await desk.offer(), 1)
        gate = asyncio.Event()
        accept = desk.store.accept

        async def slow(*args: object, **more: object) -> object:
            await gate.wait()
            return await accept(*args, **more)  # type: ignore[arg-type]  # passed on as it is

        desk.store.accept = slow  # type: ignore[method-assign, assignment]  # a slow disk
        task = asyncio.ensure_future(desk.recipient.receive(payment, KEY))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        await desk.recipient.close()
        assert desk.balance() > 0

    with_desk(story)


@pytest.mark.parametrize("late", [1, 41, 42, 140, 1000])
def test_no_ticket_is_credited_twice_whenever_nonces_are_forgotten(late: int) -> None:
    async def story(desk: Desk) -> None:
        payment = desk.gateway.pay(await desk.offer(), 1)
        await desk.recipient.receive(payment, KEY)
        before = desk.balance()
        desk.rounds.last_seen_l1_block += late
        await desk.recipient.tidy(idle_s=3600)
        for node in (desk.recipient, desk.restarted()):
            receipt = await node.receive(payment, KEY)
            assert receipt.error is not None
            assert receipt.credited_wei == 0
        # Nor by one that sees less of L1 than whoever forgot.
        desk.rounds.last_seen_l1_block -= min(late, 60)
        assert (await desk.restarted().receive(payment, KEY)).credited_wei == 0
        assert desk.balance() == before

    with_desk(story)


def test_idle_accounts_and_expired_quotes_are_forgotten() -> None:
    async def story(desk: Desk) -> None:
        payment = desk.gateway.pay(await desk.offer(), 1)
        await desk.recipient.receive(payment, KEY)
        desk.clock.advance(3601)
        desk.rounds.last_seen_l1_block += 1000
        await desk.recipient.tidy(idle_s=3600)
        assert len(desk.recipient.ledger) == 0
        assert await desk.store.nonces() == ()
        again = await desk.recipient.receive(payment, KEY)
        assert again.error is not None
        assert again.error.fault is Fault.EXPIRED, "memory has forgotten the nonce too, else it were already seen"

    with_desk(story)


async def three_that_owe(desk: Desk) -> None:
    """Three segments are done and none of their debits is on record."""
    await desk.recipient.receive(desk.gateway.pay(await desk.offer(), *range(1, 10)), KEY)
    holds = [await desk.recipient.admit(desk.gateway.address, KEY, units=1000) for _ in range(3)]
    for hold in holds:
        assert hold is not None
        desk.store.fails = BatonError("disk full")
        with pytest.raises(BatonError, match="disk full"):
            await desk.recipient.settle(hold, units=1000)


def test_what_could_not_be_debited_is_debited_before_the_node_ends() -> None:
    async def story(desk: Desk) -> None:
        await three_that_owe(desk)
        before = desk.balance()
        await desk.recipient.close()
        assert desk.balance() == before - 3 * 1000 * 1212
        assert desk.recipient.ledger.holds(AccountKey(desk.gateway.address, KEY)) == 0

    with_desk(story)


def test_a_tidying_that_is_cancelled_or_fails_forgets_no_debit() -> None:
    async def story(desk: Desk) -> None:
        await three_that_owe(desk)
        before = desk.balance()
        desk.store.fails = BatonError("still full")
        with pytest.raises(BatonError, match="still full"):
            await desk.recipient.tidy(idle_s=3600)
        tidying = asyncio.ensure_future(desk.recipient.tidy(idle_s=3600))
        await asyncio.sleep(0)
        tidying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await tidying
        await desk.recipient.close()
        assert desk.balance() == before - 3 * 1000 * 1212

    with_desk(story)
