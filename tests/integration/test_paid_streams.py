"""Paid streams over the real port: what the gateway's books say and what ours say is the same, to the last fraction."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import pytest

from baton.kernel.errors import Text, TranscodeError
from tests.integration.paid import EV_WEI, ME, Chain, PaidPort, Till, paid_port
from tests.integration.paid_fixtures import PAID
from tests.node import eventually
from tests.peer.gateway import PeerGateway
from tests.peer.paying import expected_value, payment_for, price_of
from tests.peer.segments import make_profile, preset

pytestmark = [pytest.mark.node]
served, port, gateway = PAID

BOTH_PROTOCOLS = pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])
LADDER = (preset("P240p30fps16x9"), preset("P144p30fps16x9"))


def test_terms_are_those_of_a_paid_node(port: PaidPort, gateway: PeerGateway) -> None:
    info = gateway.get_orchestrator()
    terms = info.ticket_params
    assert terms.recipient == ME
    assert price_of(info) == Fraction(1212), "one percent of redemption on top of 1200"
    assert EV_WEI <= expected_value(terms) < EV_WEI + 1
    assert int.from_bytes(terms.face_value, "big") == 12_000_000_000_000_000
    assert int.from_bytes(terms.expiration_block, "big") == port.chain.rounds.last_seen_l1_block + 40
    assert terms.expiration_params.creation_round == port.chain.rounds.last_initialized_round
    assert terms.expiration_params.creation_round_block_hash == port.chain.rounds.round_block_hash
    other = gateway.get_orchestrator().ticket_params
    assert other.recipient_rand_hash != terms.recipient_rand_hash
    assert other.seed != terms.seed


@BOTH_PROTOCOLS
def test_both_books_agree_over_a_stream_to_the_last_fraction(
    port: PaidPort, gateway: PeerGateway, *, http2: bool
) -> None:
    made = [[1_234_567, 890], [40, 41], [2_000_001, 999_999], [0, 0], [3, 5], [4_000_000, 1]]
    till = Till.opened(port, gateway, profiles=LADDER)
    free = 0
    for pixels in made:
        port.engine.always(*pixels)
        spent = till.prepare()
        free += not spent.tickets
        answer = till.send(spent.payment, http2=http2)
        assert (answer.status, answer.error) == (200, ""), answer.text
        assert [s.pixels for s in answer.result.data.segments] == pixels
        till.finish(spent, answer)
        assert till.balance == till.session.credit
    done = sum(map(sum, made)) * Fraction(1212)
    assert till.balance == till.session.value - done
    assert free, "credit that lasts is used up before tickets are sent"
    assert not port.holds(gateway.key.address, till.session_id)


@BOTH_PROTOCOLS
def test_segments_in_flight_at_once_are_all_served_and_all_paid(
    port: PaidPort, gateway: PeerGateway, *, http2: bool
) -> None:
    port.engine.pixels = lambda request: [p.width * p.height * 60 for p in request.profiles]
    till = Till.opened(port, gateway, profiles=LADDER)
    assert till.pay_and_send().error == ""
    port.engine.go.clear()
    spent = [till.prepare() for _ in range(4)]
    posts = [till.post(one.payment) for one in spent]
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(gateway.post, post, http2=http2) for post in posts]
        try:
            eventually(
                lambda: port.holds(gateway.key.address, till.session_id) == 4, what="four segments hold their cost"
            )
        finally:
            port.engine.go.set()
        for one, pending in zip(spent, answers, strict=True):
            answer = pending.result(timeout=30)
            assert (answer.status, answer.error) == (200, "")
            till.finish(one, answer)
    assert till.balance == till.session.credit
    assert till.pay_and_send().error == ""
    assert till.balance == till.session.credit


def test_sessions_of_one_gateway_keep_their_own_accounts(port: PaidPort, gateway: PeerGateway) -> None:
    tills = [Till.opened(port, gateway) for _ in range(3)]
    for till in (*tills, *reversed(tills), tills[1]):
        assert till.pay_and_send().error == ""
    assert len({till.session_id for till in tills}) == 3
    for till in tills:
        assert till.balance == till.session.credit > 0


def test_fresh_terms_come_with_every_answer_and_old_ones_stay_good(port: PaidPort, gateway: PeerGateway) -> None:
    till = Till.opened(port, gateway)
    seen = {till.session.info.ticket_params.recipient_rand_hash}
    first = till.session.info
    for _ in range(3):
        assert till.pay_and_send().error == ""
        seen.add(till.session.info.ticket_params.recipient_rand_hash)
        assert till.session.info.auth_token == first.auth_token
        assert price_of(till.session.info) == price_of(first)
    assert len(seen) == 4
    till.session.learn(first)
    till.session.credit -= EV_WEI
    assert till.pay_and_send().error == ""


def test_price_of_a_running_session_stays_when_the_operator_and_gas_move(port: PaidPort, gateway: PeerGateway) -> None:
    till = Till.opened(port, gateway)
    assert till.pay_and_send().error == ""
    port.chain.prices = type(port.chain.prices)(default=Fraction(99_999))
    port.chain.gas.price_wei *= 50
    for _ in range(3):
        assert till.pay_and_send().error == ""
        assert price_of(till.session.info) == Fraction(1212)
    assert till.balance == till.session.credit
    assert price_of(gateway.get_orchestrator()) > 99_999


def test_terms_from_before_a_change_of_price_are_taken_at_their_price(port: PaidPort, gateway: PeerGateway) -> None:
    till = Till.opened(port, gateway)
    port.chain.prices = type(port.chain.prices)(default=Fraction(7))
    assert till.pay_and_send().error == ""
    state = port.account(gateway.key.address, till.session_id)
    assert state is not None
    assert state.price == Fraction(1212)
    assert till.balance == till.session.credit


def test_failed_segment_costs_nothing_and_its_hold_is_gone(port: PaidPort, gateway: PeerGateway) -> None:
    till = Till.opened(port, gateway)
    spent = till.prepare()
    port.engine.error = TranscodeError(Text.INVALID_VIDEO)
    assert till.send(spent.payment).error == Text.INVALID_VIDEO
    assert till.balance == spent.fresh
    assert not port.holds(gateway.key.address, till.session_id)
    port.engine.error = None
    till.session.restore(spent)
    assert till.pay_and_send().error == ""


def test_stream_of_a_free_node_needs_no_tickets(port: PaidPort, gateway: PeerGateway) -> None:
    port.chain.prices = type(port.chain.prices)(default=Fraction(0))
    info = gateway.get_orchestrator()
    assert info.price_info.pricePerUnit == 0
    assert not any(info.ticket_params.face_value)
    till = Till.opened(port, gateway)
    answer = till.send(None)
    assert (answer.status, answer.error) == (200, "")
    assert port.account(gateway.key.address, till.session_id) is None


def test_restart_costs_no_credit_and_no_session(tmp_path: Path) -> None:
    chain = Chain()
    with paid_port(tmp_path, chain=chain) as port, PeerGateway(port.url) as gateway:
        till = Till.opened(port, gateway)
        assert till.pay_and_send().error == ""
        before, key = till.session.credit, gateway.key
    chain.secrets.older = (chain.secrets.current,)
    chain.secrets.current = bytes([7]) * 32
    with paid_port(tmp_path, chain=chain) as port, PeerGateway(port.url, key=key) as gateway:
        again = Till(port, gateway, till.session, seq=till.seq)
        assert again.balance == before
        again.session.credit -= EV_WEI  # so that the old terms are used, not only the old credit
        short = again.prepare()
        assert short.tickets
        assert again.send(short.payment).error == ""


def test_credit_from_before_a_restart_buys_work_without_another_ticket(tmp_path: Path) -> None:
    chain = Chain()
    with paid_port(tmp_path, chain=chain) as port, PeerGateway(port.url) as gateway:
        till = Till.opened(port, gateway)
        assert till.send(payment_for(till.session.info, [1, 2, 3], key=gateway.key)).error == ""
        before, key = till.balance, gateway.key
    with paid_port(tmp_path, chain=chain) as port, PeerGateway(port.url, key=key) as gateway:
        again = Till(port, gateway, till.session, seq=till.seq)
        assert again.send(None).error == ""
        assert again.balance == before - 1000 * 1212


def test_what_many_gateways_pay_at_once_is_all_booked(port: PaidPort) -> None:
    def stream(_: int) -> tuple[Fraction, Fraction]:
        with PeerGateway(port.url) as gateway:
            till = Till.opened(port, gateway)
            for _segment in range(4):
                answer = till.pay_and_send()
                assert (answer.status, answer.error) == (200, "")
            gateway.end_all()
            return till.balance, till.session.credit

    with ThreadPoolExecutor(5) as pool:
        for ours, theirs in pool.map(stream, range(10)):
            assert ours == theirs


@pytest.mark.parametrize(
    ("name", "wide"), [("4:3 for 16:9", Fraction(4, 3)), ("portrait for landscape", Fraction(256, 81))]
)
def test_source_of_another_shape_goes_on_although_it_costs_more_than_was_asked(
    port: PaidPort, gateway: PeerGateway, name: str, wide: Fraction
) -> None:
    del name
    profile = make_profile("large", 1280, 720, 1_000_000, 30)
    port.engine.pixels = lambda _request: [int(1280 * 720 * 60 * wide)]
    till = Till.opened(port, gateway, profiles=(profile,))
    for _ in range(5):
        assert till.pay_and_send().error == ""
        assert till.balance == till.session.credit
