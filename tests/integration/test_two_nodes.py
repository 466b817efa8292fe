"""Two nodes on one PostgreSQL with one cluster secret are one recipient: quotes, tickets, prices and balances."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from fractions import Fraction

import pytest

from baton.kernel.clock import ManualClock
from baton.payments.errors import Fault
from baton.payments.prices import PriceTable
from baton.payments.recipient import InsufficientBalanceError
from baton.payments.ticket import MAX_WIN_PROB
from baton.storage.ticket_secrets import ClusterTicketSecrets
from tests.payments.gatewayside import Sender
from tests.payments.nodes import EV_WEI, Node, running
from tests.support import run

KEY = "session"
CLUSTER = ("0123456789abcdef0123456789abcdef",)
GATEWAY = Sender()
WHO = GATEWAY.address

Story = Callable[[Node, Node, ManualClock], Awaitable[None]]


@pytest.fixture
def told(postgres: str) -> Callable[[Story], None]:
    def tell(story: Story) -> None:
        async def whole() -> None:
            clock = ManualClock()
            async with AsyncExitStack() as stack:
                nodes = [
                    await stack.enter_async_context(
                        running(postgres, clock=clock, secrets=ClusterTicketSecrets(CLUSTER))
                    )
                    for _ in range(2)
                ]
                await story(nodes[0], nodes[1], clock)

        run(whole(), deadline_s=40)

    return tell


Told = Callable[[Story], None]


def test_a_quote_of_one_is_paid_at_the_other_and_spent_at_the_first(told: Told) -> None:
    async def story(one: Node, two: Node, _clock: ManualClock) -> None:
        offer = await one.recipient.offer(WHO, KEY)
        receipt = await two.recipient.receive(GATEWAY.pay(offer, 1, 2, 3), KEY)
        assert receipt.error is None
        value = Fraction(offer.terms.terms.face_value_wei * offer.terms.terms.win_prob, MAX_WIN_PROB)
        assert receipt.credited_wei == 3 * value
        hold = await one.recipient.admit(WHO, KEY, units=10_000_000)
        assert hold is not None
        await one.recipient.settle(hold, units=10_000_000)
        state = await two.store.account((await two.store.accounts())[0][0])
        assert state is not None
        assert state.balance_wei == 3 * value - 10_000_000 * 1212

    told(story)


def test_a_ticket_is_credited_at_one_of_them(told: Told) -> None:
    async def story(one: Node, two: Node, _clock: ManualClock) -> None:
        payment = GATEWAY.pay(await one.recipient.offer(WHO, KEY), 1, 2)
        receipts = await asyncio.gather(one.recipient.receive(payment, KEY), two.recipient.receive(payment, KEY))
        assert sum(receipt.tickets for receipt in receipts) == 2
        for receipt in receipts:
            if receipt.tickets < 2:
                assert receipt.error is not None
                assert receipt.error.fault is Fault.NONCE_SEEN
        ((_, state),) = await one.store.accounts()
        assert state.balance_wei == sum(receipt.credited_wei for receipt in receipts)

    told(story)


def test_the_price_that_one_pinned_binds_the_other(told: Told) -> None:
    async def story(one: Node, two: Node, clock: ManualClock) -> None:
        two.prices = PriceTable(default=Fraction(9999))
        await one.recipient.receive(GATEWAY.pay(await one.recipient.offer(WHO, KEY), 1, 2), KEY)
        offer = await two.recipient.offer(WHO, KEY)
        assert offer.price.price.exact == 1212
        assert (await two.recipient.receive(GATEWAY.pay(offer, 1), KEY)).error is None
        hold = await two.recipient.admit(WHO, KEY, units=1)
        assert hold is not None
        assert hold.price == 1212
        two.recipient.release(hold)
        # In use at the first node only: at the second it looks idle.
        for nonce in range(3, 6):
            clock.advance(300)
            await one.recipient.receive(GATEWAY.pay(await one.recipient.offer(WHO, KEY), nonce), KEY)
        assert (await two.recipient.offer(WHO, KEY)).price.price.exact == 1212
        assert await two.recipient.pinned_now(WHO, KEY) == 1212
        clock.advance(601)
        assert (await two.recipient.offer(WHO, KEY)).price.price.exact > 9999
        assert await two.recipient.pinned_now(WHO, "another") is None

    told(story)


def test_what_was_spent_at_one_buys_nothing_at_the_other(told: Told) -> None:
    async def story(one: Node, two: Node, _clock: ManualClock) -> None:
        offer = await one.recipient.offer(WHO, KEY)
        await one.recipient.receive(GATEWAY.pay(offer, 1, 2), KEY)
        assert await two.recipient.admit(WHO, KEY, units=1)  # the second node knows the balance now
        hold = await one.recipient.admit(WHO, KEY, units=2 * EV_WEI // 1212)
        assert hold is not None
        await one.recipient.settle(hold, units=2 * EV_WEI // 1212)
        with pytest.raises(InsufficientBalanceError):
            await two.recipient.admit(WHO, KEY, units=1)
        with pytest.raises(InsufficientBalanceError):
            await two.recipient.admit(WHO, "never paid", units=1)

    told(story)


def test_accounts_that_one_forgot_are_gone_at_the_other_too(told: Told) -> None:
    async def story(one: Node, two: Node, clock: ManualClock) -> None:
        await one.recipient.receive(GATEWAY.pay(await one.recipient.offer(WHO, KEY), 1, 2), KEY)
        hold = await two.recipient.admit(WHO, KEY, units=1)
        assert hold is not None
        two.recipient.release(hold)
        clock.advance(7200)
        await one.recipient.tidy(idle_s=3600)
        assert len(two.recipient.ledger) == 1
        with pytest.raises(InsufficientBalanceError):
            await two.recipient.admit(WHO, KEY, units=1)
        await two.recipient.tidy(idle_s=3600)
        assert len(one.recipient.ledger) == len(two.recipient.ledger) == 0

    told(story)


def test_both_work_at_once_and_every_wei_adds_up(told: Told) -> None:
    async def story(one: Node, two: Node, _clock: ManualClock) -> None:
        credited: list[Fraction] = []
        debited: list[Fraction] = []

        async def stream(node: Node, key: str) -> None:
            for turn in range(6):
                offer = await node.recipient.offer(WHO, key)
                receipt = await node.recipient.receive(GATEWAY.pay(offer, *range(1, 4)), key)
                assert receipt.error is None
                credited.append(receipt.credited_wei)
                hold = await node.recipient.admit(WHO, key, units=1000 + turn)
                assert hold is not None
                await node.recipient.settle(hold, units=1000 + turn)
                debited.append(hold.price * (1000 + turn))

        await asyncio.gather(*(stream(node, key) for node in (one, two) for key in ("a", "b", "c")))
        assert len(credited) == 36
        states = await one.store.accounts()
        assert sum(state.balance_wei for _, state in states) == sum(credited) - sum(debited)

    told(story)


def test_unpaid_winnings_count_at_both(told: Told) -> None:
    async def story(one: Node, two: Node, clock: ManualClock) -> None:
        for node in (one, two):
            node.economics = type(node.economics)(ev_wei=EV_WEI, redeem_gas=1, max_face_value_wei=EV_WEI + 1)
        assert await two.recipient.exposure.outstanding_wei(WHO) == 0
        receipt = await one.recipient.receive(GATEWAY.pay(await one.recipient.offer(WHO, KEY), *range(1, 101)), KEY)
        assert receipt.winners > 80
        assert await two.tickets.outstanding() == (receipt.winners, receipt.winners * (EV_WEI + 1))
        assert await two.store.outstanding_wei(WHO) == receipt.winners * (EV_WEI + 1)
        clock.advance(2)  # a node that shares its record believes its memory for a second
        assert await two.recipient.exposure.outstanding_wei(WHO) == receipt.winners * (EV_WEI + 1)

    told(story)
