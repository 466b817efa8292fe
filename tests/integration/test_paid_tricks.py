"""Gateways that want work for nothing, over the real port (payments.md 18): none gets a wei of credit or a segment."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from baton.kernel.ids import Address
from baton.payments.facevalue import Economics
from tests.integration.paid import Chain, PaidPort, Till, done, paid_port
from tests.integration.paid_fixtures import PAID
from tests.payments.memory import RICH
from tests.peer.gateway import Answer, PeerGateway, RpcError
from tests.peer.keys import PeerKey
from tests.peer.paying import credit_only, expected_value, payment_for, sign_tickets
from tests.peer.pb import lp_rpc_pb2 as pb

pytestmark = [pytest.mark.node]
served, port, gateway = PAID

LEAST, MOST = -(2**63), 2**63 - 1
RAND = "invalid recipientRand for ticket recipientRandHash"
INSUFFICIENT = "Insufficient balance"


@pytest.fixture
def till(port: PaidPort, gateway: PeerGateway) -> Iterator[Till]:
    """A session that has not paid; afterwards an honest one is still served."""
    yield Till.opened(port, gateway)
    assert Till.opened(port, gateway).pay_and_send().error == ""


def refused(answer: Answer, text: str, status: int = 400) -> None:
    assert (answer.status, answer.text) == (status, text + "\n")


PRICES: dict[str, pb.PriceInfo | None] = {
    "none": None,
    "zero": pb.PriceInfo(pricePerUnit=0, pixelsPerUnit=1),
    "zero of zero": pb.PriceInfo(),
    "per nothing": pb.PriceInfo(pricePerUnit=1212, pixelsPerUnit=0),
    "negative": pb.PriceInfo(pricePerUnit=-1212, pixelsPerUnit=1),
    "negative units": pb.PriceInfo(pricePerUnit=1212, pixelsPerUnit=-1),
    "one wei for all": pb.PriceInfo(pricePerUnit=1, pixelsPerUnit=MOST),
    "least": pb.PriceInfo(pricePerUnit=LEAST, pixelsPerUnit=LEAST),
    "least per most": pb.PriceInfo(pricePerUnit=LEAST, pixelsPerUnit=MOST),
    "most": pb.PriceInfo(pricePerUnit=MOST, pixelsPerUnit=1),
}


def at_price(payment: pb.Payment, price: pb.PriceInfo | None) -> pb.Payment:
    payment.ClearField("expected_price")
    if price is not None:
        payment.expected_price.CopyFrom(price)
    return payment


@pytest.mark.parametrize("name", PRICES)
@pytest.mark.parametrize("terms", ["no terms", "terms without tickets"])
def test_price_of_ones_own_without_tickets_buys_nothing(till: Till, name: str, terms: str) -> None:
    payment = at_price(credit_only(till.session.info, key=till.gateway.key), PRICES[name])
    if terms != "no terms":
        payment.ticket_params.CopyFrom(till.session.info.ticket_params)
        payment.expiration_params.CopyFrom(till.session.info.ticket_params.expiration_params)
    answer = till.send(payment)
    assert answer.status == 400
    assert answer.text.startswith((INSUFFICIENT, "invalid expected price sent with payment"))
    assert till.port.account(till.gateway.key.address, till.session_id) is None, "and pins no price"


@pytest.mark.parametrize("name", sorted(PRICES.keys() - {"none", "zero of zero", "per nothing"}))
def test_price_of_ones_own_with_tickets_is_not_the_quoted_one(till: Till, name: str) -> None:
    payment = at_price(payment_for(till.session.info, [1, 2], key=till.gateway.key), PRICES[name])
    refused(till.send(payment), RAND)
    assert till.port.account(till.gateway.key.address, till.session_id) is None


@pytest.mark.parametrize("name", PRICES)
def test_running_session_is_billed_at_its_own_price_whatever_it_says(till: Till, name: str) -> None:
    assert till.pay_and_send().error == ""
    assert till.send(payment_for(till.session.info, [1, 2], key=till.gateway.key)).error == ""
    before = till.balance
    answer = till.send(at_price(credit_only(till.session.info, key=till.gateway.key), PRICES[name]))
    assert (answer.status, answer.error) == (200, "")
    assert till.balance == before - 1000 * 1212


def test_same_price_in_other_numbers_is_the_same_price(till: Till) -> None:
    payment = payment_for(till.session.info, [1], key=till.gateway.key)
    payment.expected_price.pricePerUnit *= 1000
    payment.expected_price.pixelsPerUnit *= 1000
    assert till.send(payment).error == ""


@pytest.mark.parametrize("moved", [1, 2, 8, 16, 28])
@pytest.mark.parametrize("way", ["win_prob to face_value", "face_value to win_prob", "seed to face_value"])
def test_bytes_moved_between_fields_change_the_terms(till: Till, moved: int, way: str) -> None:
    payment = payment_for(till.session.info, [], key=till.gateway.key)
    terms = payment.ticket_params
    if way == "win_prob to face_value":
        terms.face_value, terms.win_prob = terms.face_value + terms.win_prob[:moved], terms.win_prob[moved:]
    elif way == "face_value to win_prob":
        kept = max(1, len(terms.face_value) - moved)
        terms.win_prob, terms.face_value = terms.face_value[kept:] + terms.win_prob, terms.face_value[:kept]
    else:
        terms.seed, terms.face_value = terms.seed[:-moved], terms.seed[-moved:] + terms.face_value
    refused(till.send(sign_tickets(payment, [1, 2, 3], key=till.gateway.key)), RAND)
    assert till.balance == 0


@pytest.mark.parametrize("field", ["face_value", "win_prob", "seed", "expiration_block", "recipient_rand_hash"])
def test_number_of_a_hundred_kilobytes_is_only_a_wrong_number(till: Till, field: str) -> None:
    payment = payment_for(till.session.info, [1], key=till.gateway.key)
    setattr(payment.ticket_params, field, b"\xff" * 100_000)
    refused(till.send(payment, http2=False), RAND)


def test_leading_zeros_change_no_number(till: Till) -> None:
    payment = payment_for(till.session.info, [1], key=till.gateway.key)
    payment.ticket_params.face_value = bytes(40) + payment.ticket_params.face_value
    assert till.send(payment).error == ""
    assert till.balance == expected_value(till.session.info.ticket_params) - 1000 * 1212


@pytest.mark.parametrize("round_number", [LEAST, -1, 0, MOST])
def test_round_that_never_was(till: Till, round_number: int) -> None:
    payment = payment_for(till.session.info, [1], key=till.gateway.key)
    payment.expiration_params.creation_round = round_number
    refused(till.send(payment), RAND)


def test_payment_replayed_into_another_session_of_the_same_sender_counts_nothing(till: Till) -> None:
    payment = payment_for(till.session.info, [1, 2], key=till.gateway.key)
    assert till.send(payment).error == ""
    other = Till.opened(till.port, till.gateway)
    sender = till.gateway.key.checksum_hex
    refused(other.send(payment), f"invalid ticket senderNonce: already seen sender={sender} nonce=2")
    assert other.balance == 0
    refused(other.send(None), INSUFFICIENT)


def test_terms_of_one_session_pay_for_another_of_the_same_sender(till: Till) -> None:
    other = Till.opened(till.port, till.gateway)
    assert other.send(payment_for(till.session.info, [1], key=till.gateway.key)).error == ""
    assert till.balance == 0


def test_credit_of_a_session_is_not_spent_by_another(till: Till) -> None:
    assert till.send(payment_for(till.session.info, range(1, 20), key=till.gateway.key)).error == ""
    other = Till.opened(till.port, till.gateway)
    refused(other.send(None), INSUFFICIENT)


def test_credit_of_somebody_else_is_not_spent(till: Till) -> None:
    assert till.send(payment_for(till.session.info, range(1, 20), key=till.gateway.key)).error == ""
    before = till.balance
    with PeerGateway(till.port.url) as thief:
        stolen = Till(till.port, thief, till.session, seq=till.seq)
        refused(stolen.send(credit_only(till.session.info, key=thief.key)), INSUFFICIENT)
        claimed = credit_only(till.session.info, key=till.gateway.key)
        refused(stolen.send(claimed), "ErrSegSig", status=403)
    assert till.balance == before


def test_tickets_of_somebody_else_are_worth_nothing(till: Till) -> None:
    seen = payment_for(till.session.info, [1, 2, 3], key=till.gateway.key)
    with PeerGateway(till.port.url) as thief:
        mine = Till.opened(till.port, thief)
        seen.sender = thief.key.address
        refused(mine.send(seen), RAND)
        signed = payment_for(till.session.info, [1], key=thief.key)
        refused(mine.send(signed), RAND)
        own = payment_for(mine.session.info, [1], key=till.gateway.key)
        own.sender = thief.key.address
        refused(mine.send(own), "invalid ticket signature")
        assert mine.balance == 0


def test_terms_of_another_orchestrator_with_the_same_address_are_refused(till: Till, tmp_path: Path) -> None:
    chain = Chain()
    chain.secrets.current = bytes([3]) * 32
    with paid_port(tmp_path, chain=chain) as other, PeerGateway(other.url, key=till.gateway.key) as elsewhere:
        foreign = payment_for(elsewhere.get_orchestrator(), [1, 2], key=till.gateway.key)
    refused(till.send(foreign), RAND)


def test_replay_after_a_restart_counts_nothing(tmp_path: Path) -> None:
    chain, key = Chain(), PeerKey.fresh()
    with paid_port(tmp_path, chain=chain) as port, PeerGateway(port.url, key=key) as gateway:
        till = Till.opened(port, gateway)
        payment = payment_for(till.session.info, [1, 2], key=key)
        assert till.send(payment).error == ""
        before = till.balance
    with paid_port(tmp_path, chain=chain) as port, PeerGateway(port.url, key=key) as gateway:
        again = Till(port, gateway, till.session, seq=1)
        assert again.balance == before
        answer = again.send(payment)
        refused(answer, f"invalid ticket senderNonce: already seen sender={key.checksum_hex} nonce=2")
        assert again.balance == before


def at_once(count: int, work: Callable[[int], Answer]) -> list[Answer]:
    """The answers of ``count`` requests that start together."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Answer:
        barrier.wait(timeout=20)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.parametrize("sessions", ["one session", "a session each"])
def test_same_tickets_sent_ten_times_at_once_count_once(till: Till, sessions: str) -> None:
    payment = payment_for(till.session.info, range(1, 9), key=till.gateway.key)
    tills = [till] * 10 if sessions == "one session" else [Till.opened(till.port, till.gateway) for _ in range(10)]
    posts = [each.post(payment) for each in tills]
    answers = at_once(10, lambda n: till.gateway.post(posts[n]))
    assert sorted(a.status for a in answers) == [200] + [400] * 9
    worth = expected_value(till.session.info.ticket_params)
    ids = {each.session_id for each in tills}
    total = sum((till.port.balance(till.gateway.key.address, each) for each in ids), Fraction(0))
    assert total == 8 * worth - 1000 * 1212


def test_ten_jobs_at_once_on_the_credit_of_three(till: Till) -> None:
    # 8 s of small video cost 1.34 tickets: four tickets cover two jobs at once, holds included, and no third.
    worth = expected_value(till.session.info.ticket_params)
    post = till.gateway.compose
    body = b"the picture"
    first = post(body, info=till.session.info, profiles=till.profiles, duration_ms=8000)
    first.payment.CopyFrom(payment_for(till.session.info, [1, 2, 3, 4], key=till.gateway.key))
    till.port.engine.go.clear()
    till.port.engine.pixels = lambda _request: [8_847_360]
    posts = [first] + [
        post(body, info=till.session.info, profiles=till.profiles, duration_ms=8000, seq=n) for n in range(1, 11)
    ]
    with ThreadPoolExecutor(11) as pool:
        held = pool.submit(till.gateway.post, posts[0], http2=False)
        try:
            till.wait_holds(1)
            rest = [pool.submit(till.gateway.post, each, http2=False) for each in posts[1:]]
            refusals = done(rest, 9)
        finally:
            till.port.engine.go.set()
        answers = [held.result(timeout=30), *(each.result(timeout=30) for each in rest)]
    assert len(refusals) == 9
    assert all(a.text == INSUFFICIENT + "\n" for a in refusals)
    assert sum(a.status == 200 for a in answers) == 2
    assert till.balance == 4 * worth - 2 * 8_847_360 * 1212


def test_header_of_2500_tickets_credits_what_its_terms_take(till: Till) -> None:
    terms = payment_for(till.session.info, range(1, 11), key=till.gateway.key)
    for nonce in range(11, 2501):
        terms.ticket_sender_params.add(sender_nonce=nonce, sig=bytes(64) + b"\x1b")
    refused(till.send(terms), "invalid ticket signature")
    assert till.balance == 10 * expected_value(terms.ticket_params)


def test_every_answer_brings_other_terms(till: Till) -> None:
    hashes, seeds = [], []
    for _ in range(5):
        for info in (till.gateway.get_orchestrator(), till.pay_and_get_info()):
            hashes.append(info.ticket_params.recipient_rand_hash)
            seeds.append(info.ticket_params.seed)
    assert len(set(hashes)) == len(set(seeds)) == 10


def test_sender_that_owes_all_it_has_gets_no_more_terms(port: PaidPort, gateway: PeerGateway) -> None:
    # Nearly every ticket wins 0.012 ETH; deposit and share of the reserve are worth five of them.
    port.chain.economics = Economics(ev_wei=11_999_000_000_000_000, redeem_gas=1_200_000)
    funds = replace(RICH, deposit_wei=3 * 10**16, reserve_wei=3 * 10**17)
    port.chain.senders.known = {Address(gateway.key.address): funds}
    till = Till.opened(port, gateway)
    answers = [till.send(payment_for(till.session.info, [nonce], key=gateway.key)) for nonce in range(1, 8)]
    assert [(a.status, a.error) for a in answers] == [(200, "")] * 7
    assert answers[0].result.HasField("info")
    assert not answers[-1].result.HasField("info")
    with pytest.raises(RpcError, match="insufficient sender reserve"):
        gateway.get_orchestrator()
    with PeerGateway(port.url) as other:
        assert other.get_orchestrator().HasField("ticket_params")


def test_price_above_zero_is_never_quoted_as_zero(port: PaidPort, gateway: PeerGateway) -> None:
    port.chain.prices = type(port.chain.prices)(default=Fraction(1, 10**30))
    info = gateway.get_orchestrator()
    assert info.price_info.pricePerUnit >= 1
    assert any(info.ticket_params.win_prob)
    till = Till.opened(port, gateway)
    refused(till.send(None), INSUFFICIENT)
    assert till.pay_and_send().error == ""
    assert till.balance == till.session.credit
