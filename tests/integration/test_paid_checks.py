"""Steps 12 to 14 of /segment and every check of a ticket over the real port: status, text, order, and what is credited.

Rows of video.md 4.2 and payments.md 5 and 5.1.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_utils.address import to_checksum_address

from baton.kernel.ids import Address
from baton.payments.facevalue import SenderFunds
from tests.integration.paid import EV_WEI, ME, PaidPort, Till
from tests.integration.paid_fixtures import PAID
from tests.payments.memory import RICH
from tests.peer.gateway import Answer, PeerGateway, RpcError
from tests.peer.keys import PeerKey
from tests.peer.paying import expected_value, malleated, payment_for, sign_tickets
from tests.peer.pb import lp_rpc_pb2 as pb

pytestmark = [pytest.mark.node]
served, port, gateway = PAID

BOTH_PROTOCOLS = pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])
POOR = SenderFunds(deposit_wei=0, withdraw_round=0, reserve_wei=0, claimed_wei=0, claimed_by_us_wei=0)
RAND = "invalid recipientRand for ticket recipientRandHash"
SIGNATURE = "invalid ticket signature"
EXPIRED = "TicketParams expired"
INSUFFICIENT = "Insufficient balance"


@pytest.fixture
def till(port: PaidPort, gateway: PeerGateway) -> Till:
    """A session that has not paid."""
    return Till.opened(port, gateway)


def refused(answer: Answer, status: int, text: str) -> None:
    """The whole answer of a refusal."""
    assert (answer.status, answer.text) == (status, text + "\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def honest(till: Till, *nonces: int) -> pb.Payment:
    return payment_for(till.session.info, nonces or (1, 2), key=till.gateway.key)


# Step 12: our terms.


def test_sender_without_reserve_gets_no_terms(port: PaidPort, gateway: PeerGateway) -> None:
    port.chain.senders.known = {Address(gateway.key.address): POOR}
    with pytest.raises(RpcError) as refusal:
        gateway.get_orchestrator()
    assert (refusal.value.code, refusal.value.text) == (2, "insufficient sender reserve")


def test_node_that_sees_no_chain_promises_nothing(port: PaidPort, gateway: PeerGateway) -> None:
    port.chain.rounds.is_fresh = False
    with pytest.raises(RpcError) as refusal:
        gateway.get_orchestrator()
    assert (refusal.value.code, refusal.value.text) == (2, "chain state is not available")


@BOTH_PROTOCOLS
def test_reserve_that_shrinks_between_quote_and_first_payment_is_a_500_and_nothing_is_taken(
    till: Till, *, http2: bool
) -> None:
    till.port.chain.senders.known = {Address(till.gateway.key.address): POOR}
    refused(till.send(honest(till), http2=http2), 500, "Internal Server Error")
    assert till.balance == 0


def test_terms_come_before_the_payment_and_after_the_token(till: Till) -> None:
    till.port.chain.senders.known = {Address(till.gateway.key.address): POOR}
    bad = honest(till)
    bad.ticket_sender_params[0].sig = bytes(65)
    refused(till.send(bad), 500, "Internal Server Error")
    post = till.post(bad)
    post.data.auth_token.token = bytes(32)
    refused(till.gateway.post(post), 403, "invalid auth token")


def test_session_that_paid_goes_on_without_new_terms_while_its_credit_lasts(till: Till) -> None:
    assert till.pay_and_send().error == ""
    till.port.chain.senders.known = {Address(till.gateway.key.address): POOR}
    before = till.session.info
    paid = till.send(payment_for(before, range(1, 4), key=till.gateway.key))
    assert (paid.status, paid.error) == (200, "")
    assert not paid.result.HasField("info"), "the gateway keeps the terms it has"
    till.port.chain.rounds.is_fresh = False
    assert till.send(None).error == ""


# Step 13: the payment as a whole.


def test_orchestrator_that_is_not_active_takes_no_payment(till: Till) -> None:
    till.port.chain.rounds.inactive = {ME}
    text = f"orchestrator {to_checksum_address(ME)} is inactive in round 3500, cannot process payments"
    refused(till.send(honest(till)), 400, text)
    assert till.balance == 0


def no_price(payment: pb.Payment) -> None:
    payment.ClearField("expected_price")


def no_units(payment: pb.Payment) -> None:
    payment.expected_price.pixelsPerUnit = 0


@pytest.mark.parametrize(
    ("spoil", "why"), [(no_price, "expected price is nil"), (no_units, "pixels per unit is 0")], ids=["none", "units"]
)
@BOTH_PROTOCOLS
def test_tickets_without_a_usable_price_are_refused(
    till: Till, spoil: Callable[[pb.Payment], None], why: str, *, http2: bool
) -> None:
    payment = honest(till)
    spoil(payment)
    refused(till.send(payment, http2=http2), 400, f'invalid expected price sent with payment err="{why}"')
    assert till.balance == 0


def test_price_is_looked_at_after_the_active_set(till: Till) -> None:
    till.port.chain.rounds.inactive = {ME}
    payment = honest(till)
    no_price(payment)
    assert "is inactive in round" in till.send(payment).text


def test_payment_without_sender_is_signed_by_nobody(till: Till) -> None:
    payment = honest(till)
    payment.ClearField("sender")
    refused(till.send(payment), 403, "ErrSegSig")


# Step 13: every check of a ticket, in its order.


def test_sender_that_the_chain_says_nothing_about(till: Till) -> None:
    assert till.pay_and_send().error == ""
    payment = honest(till)
    till.port.chain.senders.known = {Address(till.gateway.key.address): None}
    text = f"could not get sender info for {till.gateway.key.checksum_hex}: no endpoint answers"
    refused(till.send(payment), 400, text)


@pytest.mark.parametrize(("withdraw", "unlocking"), [(3500, True), (3501, True), (3502, False), (0, False), (1, True)])
def test_sender_about_to_unlock_is_refused(till: Till, withdraw: int, *, unlocking: bool) -> None:
    till.port.chain.senders.known = {Address(till.gateway.key.address): replace(RICH, withdraw_round=withdraw)}
    answer = till.send(honest(till))
    if unlocking:
        sender = till.gateway.key.checksum_hex
        refused(answer, 400, f"deposit and reserve for sender {sender} is set to unlock soon")
        assert till.balance == 0
    else:
        assert (answer.status, answer.error) == (200, "")


def test_tickets_for_another_orchestrator_are_refused(till: Till) -> None:
    payment = honest(till)
    payment.ticket_params.recipient = bytes([5]) * 20
    refused(till.send(payment), 400, "invalid ticket recipient")
    assert till.balance == 0


@pytest.mark.parametrize("field", ["face_value", "win_prob", "recipient_rand_hash", "seed", "expiration_block"])
@pytest.mark.parametrize("change", ["bit", "empty", "longer", "all ones"])
def test_any_change_of_the_terms_is_found_out(till: Till, field: str, change: str) -> None:
    payment = honest(till, 1)
    del payment.ticket_sender_params[:]
    was = getattr(payment.ticket_params, field)
    changed = {
        "bit": was[:-1] + bytes([was[-1] ^ 1]),
        "empty": b"",
        "longer": was + b"\x01",
        "all ones": b"\xff" * 32,
    }[change]
    setattr(payment.ticket_params, field, changed)
    refused(till.send(sign_tickets(payment, [1], key=till.gateway.key)), 400, RAND)
    assert till.balance == 0


@pytest.mark.parametrize("change", ["round", "hash", "no hash", "none", "huge", "negative"])
def test_any_change_of_the_creation_round_is_found_out(till: Till, change: str) -> None:
    payment = honest(till, 1)
    del payment.ticket_sender_params[:]
    made = payment.expiration_params
    if change == "none":
        payment.ClearField("expiration_params")
    elif change == "hash":
        made.creation_round_block_hash = bytes([1]) * 32
    elif change == "no hash":
        made.creation_round_block_hash = b""
    else:
        made.creation_round = {"round": made.creation_round + 1, "huge": 2**63 - 1, "negative": -(2**63)}[change]
    for nonce in (1, 2):
        payment.ticket_sender_params.add(sender_nonce=nonce, sig=bytes(64) + b"\x1b")
    refused(till.send(payment), 400, RAND)
    assert till.balance == 0


def foreign(payment: pb.Payment) -> bytes:
    other = pb.Payment()
    other.CopyFrom(payment)
    del other.ticket_sender_params[:]
    return bytes(sign_tickets(other, [1], key=PeerKey.fresh()).ticket_sender_params[0].sig)


def first_signature(payment: pb.Payment) -> bytes:
    return bytes(payment.ticket_sender_params[0].sig)


SIGNATURES: dict[str, Callable[[pb.Payment], bytes]] = {
    "none": lambda _: b"",
    "zeros": lambda _: bytes(65),
    "ones": lambda _: b"\xff" * 65,
    "64 bytes": lambda p: first_signature(p)[:64],
    "66 bytes": lambda p: first_signature(p) + b"\x00",
    "a megabyte": lambda p: first_signature(p) * 1000,
    "high s": lambda p: malleated(first_signature(p)),
    "v of 0 or 1": lambda p: first_signature(p)[:64] + bytes([first_signature(p)[64] - 27]),
    "v the other": lambda p: first_signature(p)[:64] + bytes([55 - first_signature(p)[64]]),
    "v of 29": lambda p: first_signature(p)[:64] + b"\x1d",
    "of another nonce": lambda p: bytes(p.ticket_sender_params[1].sig),
    "of somebody else": foreign,
}


@pytest.mark.parametrize("kind", SIGNATURES)
def test_ticket_that_the_sender_did_not_sign_is_refused_and_the_others_count(till: Till, kind: str) -> None:
    payment = honest(till, 1, 2, 3)
    payment.ticket_sender_params[0].sig = SIGNATURES[kind](payment)
    refused(till.send(payment), 400, SIGNATURE)
    assert till.balance == 2 * expected_value(payment.ticket_params)
    assert till.send(honest(till, 1)).status == 200, "a nonce that nobody signed for is not used up"


@BOTH_PROTOCOLS
def test_nonce_counts_once(till: Till, *, http2: bool) -> None:
    payment = honest(till, 7)
    assert till.send(payment, http2=http2).error == ""
    before = till.balance
    sender = till.gateway.key.checksum_hex
    refused(till.send(payment, http2=http2), 400, f"invalid ticket senderNonce: already seen sender={sender} nonce=7")
    assert till.balance == before


def test_nonces_come_in_any_order_up_to_the_largest(till: Till) -> None:
    assert till.send(honest(till, 2**32 - 1, 5, 0, 3)).error == ""
    assert till.balance == 4 * expected_value(till.session.info.ticket_params) - 1000 * 1212


def test_same_nonce_twice_in_one_payment_counts_once(till: Till) -> None:
    sender = till.gateway.key.checksum_hex
    refused(till.send(honest(till, 1, 1)), 400, f"invalid ticket senderNonce: already seen sender={sender} nonce=1")
    assert till.balance == expected_value(till.session.info.ticket_params)


def test_terms_take_six_hundred_nonces(till: Till) -> None:
    sender = till.gateway.key.checksum_hex
    refused(
        till.send(honest(till, *range(1, 603))),
        400,
        f"invalid ticket senderNonce: too many values sender={sender} nonce=602",
    )
    assert till.balance == 600 * expected_value(till.session.info.ticket_params)


@pytest.mark.parametrize(("blocks", "expired"), [(40, False), (41, False), (42, True), (10_000, True)])
def test_terms_expire_two_blocks_after_they_say_so(till: Till, blocks: int, *, expired: bool) -> None:
    till.port.chain.rounds.last_seen_l1_block += blocks
    answer = till.send(honest(till))
    if expired:
        refused(answer, 400, EXPIRED)
        assert till.balance == 0
    else:
        assert (answer.status, answer.error) == (200, "")


def test_fresh_terms_save_a_session_whose_terms_expired(till: Till) -> None:
    till.port.chain.rounds.last_seen_l1_block += 50
    refused(till.send(honest(till)), 400, EXPIRED)
    till.session.learn(till.gateway.get_orchestrator())
    assert till.pay_and_send().error == ""


def unlocking(till: Till, _: pb.Payment) -> None:
    till.port.chain.senders.known = {Address(till.gateway.key.address): replace(RICH, withdraw_round=1)}


def wrong_recipient(_: Till, payment: pb.Payment) -> None:
    payment.ticket_params.recipient = bytes([5]) * 20


def wrong_seed(_: Till, payment: pb.Payment) -> None:
    payment.ticket_params.seed = b"\x01"


def wrong_signature(_: Till, payment: pb.Payment) -> None:
    for row in payment.ticket_sender_params:
        row.sig = bytes(65)


def seen(till: Till, payment: pb.Payment) -> None:
    till.send(payment)


def stale(till: Till, _: pb.Payment) -> None:
    till.port.chain.rounds.last_seen_l1_block += 50


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (unlocking, wrong_recipient, "is set to unlock soon"),
        (wrong_recipient, wrong_seed, "invalid ticket recipient"),
        (wrong_seed, wrong_signature, RAND),
        (wrong_signature, stale, SIGNATURE),
        (seen, stale, "already seen"),
    ],
)
def test_earlier_check_of_a_ticket_answers(
    till: Till,
    first: Callable[[Till, pb.Payment], None],
    second: Callable[[Till, pb.Payment], None],
    text: str,
) -> None:
    payment = honest(till, 1)
    first(till, payment)
    second(till, payment)
    answer = till.send(payment)
    assert answer.status == 400
    assert text in answer.text


# Step 14: the balance.


@BOTH_PROTOCOLS
def test_balance_must_cover_the_estimate_and_not_a_wei_less(till: Till, *, http2: bool) -> None:
    # 256 x 144 at 30 frames for 8 s: 8 847 360 pixels at 1212 wei, 1.34 tickets.
    worth = expected_value(till.session.info.ticket_params)
    assert worth < 8_847_360 * 1212 < 2 * worth
    refused(till.send(honest(till, 1), duration_ms=8000, http2=http2), 400, INSUFFICIENT)
    assert till.balance == worth, "what was paid stays as credit"
    answer = till.send(honest(till, 2), duration_ms=8000, http2=http2)
    assert (answer.status, answer.error) == (200, "")
    assert till.balance == 2 * worth - 1000 * 1212


def test_one_ticket_is_the_least(till: Till) -> None:
    assert till.send(honest(till, 1)).error == ""
    assert 0 < EV_WEI - till.balance < 2_000_000
    refused(till.send(None), 400, INSUFFICIENT)
    assert till.send(honest(till, 2)).error == ""
    assert till.send(None, duration_ms=1000).error == ""


def test_payment_is_kept_when_the_segment_is_refused_later(till: Till) -> None:
    post = till.post(honest(till, 1))
    refused(till.gateway.post(replace(post, body=b"another body")), 403, "Forbidden")
    assert till.balance == expected_value(till.session.info.ticket_params)
    assert not till.port.holds(till.gateway.key.address, till.session_id)
    assert till.send(None).error == "", "and its credit is there for the next"


def test_payment_error_comes_before_the_balance(till: Till) -> None:
    payment = honest(till, 1)
    wrong_signature(till, payment)
    refused(till.send(payment), 400, SIGNATURE)
