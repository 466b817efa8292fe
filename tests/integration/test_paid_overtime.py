"""Work beyond what was declared, and winnings beyond what the chain pays, over the real port: the tricks do not pay.

A gateway declares a millisecond and sends minutes, leaves its session with the debt, and comes again; or it goes on
with terms from better days. Honest ones, whose durations are true, or who cannot tell them, never notice.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from baton.jobs.declared import MOST_TIMES_DECLARED
from baton.kernel.ids import Address
from baton.payments.exposure import EXCESS_WINNERS
from baton.payments.facevalue import Economics
from baton.payments.overtime import OVERTIME_GRACE_S
from baton.storage.schema import TicketState
from tests.integration.paid import PaidPort, Till, paid_port
from tests.integration.paid_fixtures import PAID
from tests.payments.memory import RICH
from tests.peer.gateway import Answer, PeerGateway, RpcError
from tests.peer.paying import payment_for

pytestmark = [pytest.mark.node]
served, port, gateway = PAID

INSUFFICIENT = "Insufficient balance"
PRICE = 1212
FRAME = 256 * 144
SECOND = 30 * FRAME
"""Pixels of a second as it is declared."""


def served_well(answer: Answer) -> bool:
    return answer.status == 200 and not answer.error


def later(port: PaidPort) -> None:
    """Debts of this moment are no news any more."""
    port.chain.clock.ahead_s += OVERTIME_GRACE_S + 1


def test_minutes_declared_as_a_millisecond_are_not_delivered_and_cost_what_was_declared(
    port: PaidPort, gateway: PeerGateway
) -> None:
    till = Till.opened(port, gateway)
    port.engine.lasting(300 * 30)
    answer = till.send(payment_for(till.session.info, range(1, 11), key=gateway.key), duration_ms=1)
    assert (answer.status, answer.error) == (200, "Invalid argument")
    assert not answer.result.data.segments
    credit = 10 * till.session.value if till.session.value else till.balance + SECOND * PRICE
    assert till.balance == credit - SECOND * PRICE
    assert port.holds(gateway.key.address, till.session_id) == 0


@pytest.mark.parametrize(("frames", "error"), [(60, ""), (60 * MOST_TIMES_DECLARED, ""), (601, "Invalid argument")])
def test_push_without_a_duration_may_last_twenty_seconds(
    port: PaidPort, gateway: PeerGateway, frames: int, error: str
) -> None:
    till = Till.opened(port, gateway)
    port.engine.lasting(frames)
    answer = till.pay_and_send(duration_ms=2000)
    assert (answer.status, answer.error) == (200, error)
    if not error:
        assert till.balance == till.session.credit, "and is billed in full"


def test_leaving_the_debt_behind_pays_once_and_no_more(port: PaidPort, gateway: PeerGateway) -> None:
    port.engine.lasting(300)
    first = Till.opened(port, gateway)
    got, answers = 0, []
    till = first
    for _ in range(12):
        answer = till.pay_and_send(duration_ms=1)
        answers.append(answer)
        got += sum(each.pixels for each in answer.result.data.segments) if answer.status == 200 else 0
        later(port)
        till = Till.opened(port, gateway)
    assert served_well(answers[0])
    assert {(each.status, each.text) for each in answers[-8:]} == {(400, INSUFFICIENT + "\n")}
    assert got <= 2 * MOST_TIMES_DECLARED * SECOND, "two sessions of ten seconds each, whatever it tries"
    with PeerGateway(port.url) as other:
        assert served_well(Till.opened(port, other).pay_and_send()), "others are served"
    port.engine.lasting(30)
    assert served_well(first.pay_and_send(duration_ms=1)), "the session pays what it owes and goes on"
    assert served_well(Till.opened(port, gateway).pay_and_send(duration_ms=1)), "and so do the sender's others"


def test_payment_of_a_session_that_must_wait_for_others_is_kept(port: PaidPort, gateway: PeerGateway) -> None:
    port.engine.lasting(300)
    sessions = [Till.opened(port, gateway) for _ in range(4)]
    assert all(served_well(each.pay_and_send(duration_ms=1)) for each in sessions), "nothing is left behind yet"
    later(port)
    port.engine.lasting(30)
    answers = [each.pay_and_send(duration_ms=1) for each in sessions]
    refused = [each for each in answers if each.status == 400]
    assert refused
    assert {each.text for each in refused} == {INSUFFICIENT + "\n"}
    assert all(each.balance >= 0 for each in sessions), "each has paid what it owed"
    assert all(served_well(each.pay_and_send(duration_ms=1)) for each in sessions)
    assert served_well(Till.opened(port, gateway).pay_and_send(duration_ms=1))


@pytest.mark.parametrize(
    ("frames", "shape"), [(60, Fraction(256, 81)), (61, Fraction(1)), (62, Fraction(4, 3)), (60, Fraction(1, 2))]
)
def test_honest_gateway_that_leaves_a_debt_in_each_session_is_never_refused(
    port: PaidPort, gateway: PeerGateway, frames: int, shape: Fraction
) -> None:
    port.engine.frames = frames
    port.engine.pixels = lambda request: [int(frames * FRAME * shape)] * len(request.profiles)
    for _ in range(40):
        till = Till.opened(port, gateway)
        assert served_well(till.pay_and_send(duration_ms=2000))
        later(port)
        gateway.end_all()


def test_streams_of_pushes_without_durations_are_never_refused(port: PaidPort, gateway: PeerGateway) -> None:
    port.engine.lasting(300)
    for _ in range(3):
        tills = [Till.opened(port, gateway) for _ in range(4)]
        for _ in range(12):
            for till in tills:
                assert served_well(till.pay_and_send(duration_ms=2000))
            port.chain.clock.ahead_s += 10
        later(port)
        gateway.end_all()


def test_terms_from_better_days_are_taken_for_sixteen_winners_more(port: PaidPort, gateway: PeerGateway) -> None:
    # Nearly every ticket wins 0.012 ETH; deposit and share of the reserve are worth five of them.
    port.chain.economics = Economics(ev_wei=11_999_000_000_000_000, redeem_gas=1_200_000)
    funds = replace(RICH, deposit_wei=3 * 10**16, reserve_wei=3 * 10**17)
    port.chain.senders.known = {Address(gateway.key.address): funds}
    till = Till.opened(port, gateway)
    terms = till.session.info
    answers = [till.send(payment_for(terms, [nonce], key=gateway.key)) for nonce in range(1, 31)]
    taken = [each for each in answers if served_well(each)]
    number, value_wei = port.wait_for(port.books.tickets.outstanding())
    assert number == len(taken) == 5 + EXCESS_WINNERS
    assert {(each.status, each.text) for each in answers[len(taken) :]} == {(400, "insufficient sender reserve\n")}
    with pytest.raises(RpcError, match="insufficient sender reserve"):
        gateway.get_orchestrator()

    async def redeemed() -> None:
        for kept in await port.books.tickets.waiting():
            await port.books.tickets.move(kept.winner.ticket.hash, TicketState.REDEEMED, paid_wei=value_wei // number)
        port.books.recipient.exposure.changed(Address(gateway.key.address))

    port.wait_for(redeemed())
    assert served_well(till.send(payment_for(terms, [31], key=gateway.key)))
    assert gateway.get_orchestrator().HasField("ticket_params")


def test_sender_that_owes_is_remembered_over_a_restart(tmp_path: Path) -> None:
    with paid_port(tmp_path) as port, PeerGateway(port.url) as gateway:
        port.chain.economics = Economics(ev_wei=11_999_000_000_000_000, redeem_gas=1_200_000)
        funds = replace(RICH, deposit_wei=3 * 10**16, reserve_wei=3 * 10**17)
        port.chain.senders.known = {Address(gateway.key.address): funds}
        till = Till.opened(port, gateway)
        answer = till.send(payment_for(till.session.info, range(1, 31), key=gateway.key))
        assert (answer.status, answer.text) == (400, "insufficient sender reserve\n"), "thirty are too many at once"
        assert served_well(till.send(payment_for(till.session.info, range(1, 22), key=gateway.key)))
        chain, key = port.chain, gateway.key
    with paid_port(tmp_path, chain=chain) as port, PeerGateway(port.url, key=key) as gateway:
        again = Till(port, gateway, till.session, seq=1)
        answer = again.send(payment_for(till.session.info, [31], key=key))
        assert (answer.status, answer.text) == (400, "insufficient sender reserve\n")
