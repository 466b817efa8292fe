"""POST /payment and POST /refresh-payment of a paid node over the real port (video.md 4.6, 4.7; payments.md 2)."""

import base64
import json
from dataclasses import replace
from fractions import Fraction

import pytest

from baton.kernel.capabilities import ModelConstraint, bits_from_ids
from baton.kernel.ids import Address
from baton.payments.prices import PriceTable
from tests.integration.paid import PRICE, PaidPort, Till
from tests.integration.paid_fixtures import PAID
from tests.integration.test_paid_checks import POOR
from tests.payments.memory import RICH
from tests.peer.gateway import Answer, PeerGateway
from tests.peer.paying import credit_only, expected_value, malleated, payment_for, price_of
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import SegmentPost

pytestmark = [pytest.mark.node]
served, port, gateway = PAID

BOTH_PROTOCOLS = pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])
RAND = "invalid recipientRand for ticket recipientRandHash"
PIPELINE, MODEL = 27, "a/model"
STREAM = b"stream-1"


def composed(gateway: PeerGateway, info: pb.OrchestratorInfo, payment: pb.Payment, name: bytes = STREAM) -> SegmentPost:
    """What comes without work: the hash of nothing, sequence 0, no profiles."""
    post = gateway.compose(b"", info=info, profiles=(), manifest_id=name)
    post.payment.CopyFrom(payment)
    return post


def pay(
    gateway: PeerGateway, info: pb.OrchestratorInfo, payment: pb.Payment, *, name: bytes = STREAM, http2: bool = True
) -> Answer:
    post = composed(gateway, info, payment, name)
    return gateway.post(replace(post, body=b""), url=gateway.url + "/payment", http2=http2)


def told(answer: Answer) -> pb.OrchestratorInfo:
    assert answer.status == 200, answer.text
    return pb.PaymentResult.FromString(answer.body).info


def ask(gateway: PeerGateway, question: object, *, http2: bool = True) -> Answer:
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    return gateway.request("POST", gateway.url + "/refresh-payment", body=body, http2=http2)


def refused(answer: Answer, status: int, text: str) -> None:
    assert (answer.status, answer.text) == (status, text + "\n")


@BOTH_PROTOCOLS
def test_payment_is_credited_to_the_stream_and_answered_with_fresh_terms(
    port: PaidPort, gateway: PeerGateway, *, http2: bool
) -> None:
    info = gateway.get_orchestrator()
    answer = pay(gateway, info, payment_for(info, [1, 2], key=gateway.key), http2=http2)
    fresh = told(answer)
    assert port.balance(gateway.key.address, "stream-1") == 2 * expected_value(info.ticket_params)
    assert port.account(gateway.key.address, info.auth_token.session_id) is None, "not to the session"
    assert fresh.auth_token == info.auth_token
    assert fresh.ticket_params.recipient_rand_hash != info.ticket_params.recipient_rand_hash
    assert told(pay(gateway, fresh, payment_for(fresh, [1], key=gateway.key), http2=http2)).transcoder == gateway.url
    assert port.balance(gateway.key.address, "stream-1") == 3 * expected_value(info.ticket_params)


def test_a_stream_with_a_name_of_kilobytes_pays_and_its_name_is_kept_nowhere(
    port: PaidPort, gateway: PeerGateway
) -> None:
    info, name = gateway.get_orchestrator(), "n" * 40_000
    told(pay(gateway, info, payment_for(info, [1], key=gateway.key), name=name.encode()))
    keys = {each.key for each, _ in port.wait_for(port.books.store.accounts())}
    assert max(map(len, keys)) <= 128
    assert ask(gateway, {"sender": gateway.key.checksum_hex, "manifest_id": name}).status == 200
    assert ask(gateway, {"sender": gateway.key.checksum_hex, "manifest_id": name + "n"}).status == 409


def test_quote_and_payment_use_the_same_account_so_the_price_stays(port: PaidPort, gateway: PeerGateway) -> None:
    info = gateway.get_orchestrator()
    assert price_of(told(pay(gateway, info, payment_for(info, [1], key=gateway.key)))) == Fraction(1212)
    port.chain.prices = PriceTable(default=Fraction(5000))
    port.chain.gas.price_wei *= 3
    assert price_of(told(pay(gateway, info, payment_for(info, [2], key=gateway.key)))) == Fraction(1212)
    assert price_of(gateway.get_orchestrator()) > 5000


def test_payment_without_tickets_is_answered_and_pins_nothing(port: PaidPort, gateway: PeerGateway) -> None:
    info = gateway.get_orchestrator()
    payment = credit_only(info, key=gateway.key)
    payment.expected_price.pricePerUnit = 0
    told(pay(gateway, info, payment))
    assert port.account(gateway.key.address, "stream-1") is None
    assert ask(gateway, {"sender": gateway.key.checksum_hex, "manifest_id": "stream-1"}).status == 409


def test_checks_of_the_segment_come_first(gateway: PeerGateway) -> None:
    info = gateway.get_orchestrator()
    good = composed(gateway, info, payment_for(info, [1], key=gateway.key))
    url = gateway.url + "/payment"
    refused(
        gateway.post(replace(good, payment_header="!"), url=url),
        402,
        "base64 decode error: illegal base64 data at input byte 0",
    )
    junk = gateway.post(replace(good, payment_header="Cg=="), url=url)
    assert junk.status == 402
    assert junk.text.startswith("protobuf unmarshal error: ")
    refused(gateway.post(replace(good, segment_header="!"), url=url), 403, "ErrorSegEncoding")
    unsigned = replace(good, data=pb.SegData.FromString(good.data.SerializeToString()))
    unsigned.data.sig = malleated(good.data.sig)
    refused(gateway.post(unsigned, url=url), 403, "ErrSegSig")
    nameless = replace(good, data=pb.SegData.FromString(good.data.SerializeToString()))
    nameless.data.ClearField("auth_token")
    refused(gateway.post(nameless, url=url), 403, "missing auth token")
    nameless.data.auth_token.CopyFrom(info.auth_token)
    nameless.data.auth_token.expiration += 1
    refused(gateway.post(nameless, url=url), 403, "invalid auth token")


def test_terms_that_cannot_be_made_are_a_500_and_take_nothing(port: PaidPort, gateway: PeerGateway) -> None:
    info = gateway.get_orchestrator()
    port.chain.senders.known = {Address(gateway.key.address): POOR}
    refused(pay(gateway, info, payment_for(info, [1], key=gateway.key)), 500, "Internal Server Error")
    assert port.balance(gateway.key.address, "stream-1") == 0


def test_fault_of_a_ticket_is_a_400(port: PaidPort, gateway: PeerGateway) -> None:
    info = gateway.get_orchestrator()
    payment = payment_for(info, [1, 2], key=gateway.key)
    payment.ticket_sender_params[1].sig = malleated(payment.ticket_sender_params[1].sig)
    refused(pay(gateway, info, payment), 400, "invalid ticket signature")
    assert port.balance(gateway.key.address, "stream-1") == expected_value(info.ticket_params)
    refused(
        pay(gateway, info, payment_for(info, [1], key=gateway.key), name=b"another"),
        400,
        f"invalid ticket senderNonce: already seen sender={gateway.key.checksum_hex} nonce=1",
    )


# Quote classes.


@pytest.fixture
def cheap(port: PaidPort, gateway: PeerGateway) -> pb.OrchestratorInfo:
    """Terms for a model that costs a small part of what video does, from a node that offers it."""
    models = {PIPELINE: {MODEL: ModelConstraint(warm=True)}}
    ids = (*range(13), 26, PIPELINE)
    port.offered = replace(port.offered, bits=bits_from_ids(ids), capacities=dict.fromkeys(ids, 1), models=models)
    port.chain.prices = PriceTable(default=PRICE, models={(None, PIPELINE, MODEL): Fraction(3)})
    request = gateway.orchestrator_request(bits=None)
    request.capabilities.CopyFrom(for_model())
    info = gateway.get_orchestrator(request)
    assert price_of(info) == Fraction(303, 100)
    return info


def for_model() -> pb.Capabilities:
    """What a gateway asks for that wants the model."""
    wanted = pb.Capabilities(bitstring=bits_from_ids((PIPELINE,)), capacities={PIPELINE: 1})
    wanted.constraints.PerCapability[PIPELINE].models[MODEL].warm = True
    return wanted


def test_terms_of_a_model_do_not_pay_for_video(
    port: PaidPort, gateway: PeerGateway, cheap: pb.OrchestratorInfo
) -> None:
    till = Till.opened(port, gateway)
    refused(till.send(payment_for(cheap, [1, 2], key=gateway.key)), 400, RAND)
    assert till.balance == 0
    refused(pay(gateway, cheap, payment_for(cheap, [1], key=gateway.key)), 400, RAND)
    assert port.balance(gateway.key.address, "stream-1") == 0


def test_terms_of_a_model_pay_for_the_model(port: PaidPort, gateway: PeerGateway, cheap: pb.OrchestratorInfo) -> None:
    post = composed(gateway, cheap, payment_for(cheap, [1], key=gateway.key), name=b"model")
    post.data.capabilities.CopyFrom(for_model())
    fresh = told(gateway.post(post, url=gateway.url + "/payment"))
    assert price_of(fresh) == Fraction(303, 100)
    state = port.account(gateway.key.address, "model")
    assert state is not None
    assert (state.price, state.balance_wei) == (Fraction(303, 100), expected_value(cheap.ticket_params))
    dear = gateway.get_orchestrator()
    other = composed(gateway, dear, payment_for(dear, [1], key=gateway.key), name=b"model")
    other.data.capabilities.CopyFrom(for_model())
    refused(gateway.post(other, url=gateway.url + "/payment"), 400, RAND)


def test_gateway_that_looks_around_is_told_every_price(port: PaidPort, gateway: PeerGateway) -> None:
    port.chain.prices = PriceTable(default=PRICE, models={(None, PIPELINE, MODEL): Fraction(3, 7)})
    (listed,) = gateway.get_orchestrator(bits=None).capabilities_prices
    assert (listed.capability, listed.constraint) == (PIPELINE, MODEL)
    assert Fraction(listed.pricePerUnit, listed.pixelsPerUnit) == Fraction(3, 7)
    assert not gateway.get_orchestrator().capabilities_prices


# POST /refresh-payment.


@BOTH_PROTOCOLS
def test_refresh_tells_fresh_terms_at_the_pinned_price(port: PaidPort, gateway: PeerGateway, *, http2: bool) -> None:
    info = gateway.get_orchestrator()
    told(pay(gateway, info, payment_for(info, [1], key=gateway.key)))
    port.chain.prices = PriceTable(default=Fraction(9999))
    answer = ask(gateway, {"sender": gateway.key.checksum_hex, "manifest_id": " stream-1\n"}, http2=http2)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    value = json.loads(answer.body)
    assert value.keys() == {"payment_params", "orchestrator", "manifest_id", "payment_url"}
    assert (value["orchestrator"], value["manifest_id"]) == (gateway.url, "stream-1")
    assert value["payment_url"] == gateway.url + "/payment"
    fresh = pb.OrchestratorInfo.FromString(base64.b64decode(value["payment_params"], validate=True))
    named = {field.name for field, _ in fresh.ListFields()}
    assert named == {"transcoder", "ticket_params", "price_info", "address", "auth_token"}
    assert price_of(fresh) == Fraction(1212)
    assert fresh.auth_token.session_id == "stream-1"
    assert fresh.ticket_params.recipient_rand_hash != info.ticket_params.recipient_rand_hash
    told(pay(gateway, fresh, payment_for(fresh, [1], key=gateway.key), http2=http2))
    assert port.balance(gateway.key.address, "stream-1") == 2 * expected_value(info.ticket_params)


def error_of(answer: Answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/json"
    value = json.loads(answer.body)
    assert value.keys() == {"error"}
    assert value["error"].keys() == {"message"}
    return answer.status, value["error"]["message"]


ADDRESS = "0x" + "ab" * 20


@pytest.mark.parametrize(
    ("question", "status", "text"),
    [
        (b"{", 400, None),
        (b"", 400, None),
        (b"\xff\xfe", 400, None),
        (b"[" * 100_000, 400, None),
        (b" " * ((1 << 20) + 1), 400, "http: request body too large"),
        ([], 400, None),
        ({}, 400, "invalid sender"),
        ({"sender": "", "manifest_id": "x"}, 400, "invalid sender"),
        ({"sender": "0x12", "manifest_id": "x"}, 400, "invalid sender"),
        ({"sender": "zz" * 20, "manifest_id": "x"}, 400, "invalid sender"),
        ({"sender": 5, "manifest_id": "x"}, 400, "invalid sender"),
        ({"sender": ADDRESS}, 400, "missing manifest_id"),
        ({"sender": ADDRESS, "manifest_id": " \t\n"}, 400, "missing manifest_id"),
        ({"sender": ADDRESS, "manifest_id": 7}, 400, "missing manifest_id"),
        ({"sender": ADDRESS, "manifest_id": "x"}, 409, "fixed price not found for session"),
        ({"sender": ADDRESS[2:], "manifest_id": "\ud800"}, 409, "fixed price not found for session"),
    ],
    ids=lambda value: str(value)[:40],
)
@BOTH_PROTOCOLS
def test_questions_that_have_no_answer(
    gateway: PeerGateway, question: object, status: int, text: str | None, *, http2: bool
) -> None:
    got = error_of(ask(gateway, question, http2=http2))
    assert got[0] == status
    assert text is None or got[1] == text


def test_terms_of_a_paid_stream_that_cannot_be_made_are_masked(port: PaidPort, gateway: PeerGateway) -> None:
    info = gateway.get_orchestrator()
    told(pay(gateway, info, payment_for(info, [1], key=gateway.key)))
    port.chain.senders.known = {Address(gateway.key.address): POOR}
    question = {"sender": gateway.key.checksum_hex, "manifest_id": "stream-1"}
    assert error_of(ask(gateway, question)) == (500, "Internal Server Error")
    port.chain.senders.known = {Address(gateway.key.address): RICH}
    assert ask(gateway, question).status == 200


def test_refresh_is_no_token_for_segments_of_other_sessions(port: PaidPort, gateway: PeerGateway) -> None:
    """Nothing is signed on this route, so what it gives away must be worth nothing without the sender's key."""
    info = gateway.get_orchestrator()
    told(pay(gateway, info, payment_for(info, [1], key=gateway.key)))
    value = json.loads(ask(gateway, {"sender": gateway.key.checksum_hex, "manifest_id": "stream-1"}).body)
    fresh = pb.OrchestratorInfo.FromString(base64.b64decode(value["payment_params"]))
    with PeerGateway(port.url) as thief:
        refused(pay(thief, fresh, payment_for(fresh, [1], key=thief.key)), 400, RAND)
        refused(pay(thief, fresh, payment_for(fresh, [1], key=gateway.key)), 403, "ErrSegSig")
