"""The payer of the self test: the network's own tickets, a gateway's sums, and terms that no gateway would sign."""

import base64
from dataclasses import replace
from fractions import Fraction

import pytest

from baton.jobs.messages import AuthToken, OrchestratorInfo, Payment, Price, TicketParams
from baton.kernel.capabilities import Capabilities
from baton.kernel.ids import Address, SessionId
from baton.kernel.profiles import PRESETS
from baton.selftest.checks import Verdict
from baton.selftest.checks_payment import judge_books, judge_terms_for_sale
from baton.selftest.parties import GatewayKey
from baton.selftest.paying import PaymentSession
from baton.selftest.tickets import (
    PayerLimits,
    TermsRefusedError,
    expected_value_wei,
    judge_terms,
    price_per_px,
    sign_ticket,
)
from baton.wire import codec
from tests.support import run

KEY = GatewayKey.from_private_key(bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"))
PARAMS = TicketParams(
    recipient=bytes.fromhex("73AEd7b5dEb30222fa896f399d46cC99c7BEe57F"),
    face_value=(12_000_000_000_000_000).to_bytes(7, "big"),
    win_prob=(77194726158210796949047323339125271902179989777093709359638392000000000).to_bytes(30, "big"),
    recipient_rand_hash=bytes.fromhex("29fdf4fc9a84f824df51b002fbde735aa931ad938a64780391e05e48cd4758f6"),
    seed=bytes.fromhex("0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"),
    expiration_block=(20_000_040).to_bytes(4, "big"),
    creation_round=3500,
    creation_round_block_hash=bytes.fromhex("7624778dedc75f8b322b9fa1632a610d40b85e106c7d9bf0e743a9ce291b9c6f"),
)
TERMS = OrchestratorInfo(
    transcoder="https://127.0.0.1:8935",
    address=Address(PARAMS.recipient),
    capabilities=Capabilities(),
    auth_token=AuthToken(bytes(32), SessionId("session"), 2_000_000_000),
    ticket_params=PARAMS,
    price=Price(1200, 1),
)
SIGNATURES = (
    (
        "e367a72ab297842d919a5a5769911eebaf40307919e9b2ecd19cdd8dce5d59fe"
        "05850b7e7ea1b7cad453e4d230582bd10b077f1f0a637acd1cc4b9f7a5243d491c"
    ),
    (
        "d6aceb49779188120159ab393ef4666737dbf70089e0b8ee4eec4b4f18dcde11"
        "089f615cf9597e7db604f9314777477d1cce8a687bb4d4bbf8bd55c7c932e2211b"
    ),
)
PAYMENT = (
    "CokBChRzrte13rMCIvqJbzmdRsyZx77lfxIHKqHvuU4AABoeCy9PwHlJCM8jL/eGJZAkFqdTB1WmbFeIxKdz1LAAIiAp/fT8moT4JN9RsAL73nNaqTGtk4pk"
    "eAOR4F5IzUdY9iogAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAyBAExLSgSFCx1NuNgXZwWp6PXsYmOUpOWplwjGiUIrBsSIHYkd43tx1+LMiuf"
    "oWMqYQ1AuF4QbH2b8OdDqc4pG5xvIkUIARJB42enKrKXhC2RmlpXaZEe669AMHkZ6bLs0Zzdjc5dWf4FhQt+fqG3ytRT5NIwWCvRCwd/Hwpjes0cxLn3pSQ9"
    "SRwiRQgCEkHWrOtJd5GIEgFZqzk+9GZnN9v3AInguO5O7EtPGNzeEQifYVz5WX59tgT5MUd3R30czopoe7TUu/i9VcfJMuIhGyoFCLAJEAE="
)
SMALL = (PRESETS["P144p30fps16x9"],)


def session(terms: OrchestratorInfo = TERMS) -> PaymentSession:
    return PaymentSession(key=KEY, terms=terms)


@pytest.mark.parametrize("nonce", [1, 2])
def test_ticket_of_the_vectors(nonce: int) -> None:
    ticket = sign_ticket(PARAMS, sender=KEY.address, nonce=nonce, private_key=KEY.private_key or b"")
    assert ticket.signature.hex() == SIGNATURES[nonce - 1]


def test_payment_of_the_vectors_byte_for_byte() -> None:
    purse = session()
    # 256 x 144 at 30 frames a second for 11 s: 1.82 tickets.
    spent = run(purse.pay(SMALL, duration_ms=11_000))
    assert base64.b64encode(codec.encode_payment(spent.payment)).decode() == PAYMENT
    assert spent.fresh_wei == 2 * expected_value_wei(PARAMS) == purse.sent_wei


def test_credit_is_used_before_tickets_and_goes_below_zero() -> None:
    purse = session()
    worth = expected_value_wei(PARAMS)
    first = run(purse.pay(SMALL, duration_ms=2000))
    assert len(first.payment.tickets) == 1
    assert purse.credit_wei == 0, "set aside"
    purse.settle(first, pixels=0)
    assert purse.credit_wei == worth
    second = run(purse.pay(SMALL, duration_ms=2000))
    assert second.payment == Payment(sender=KEY.address, has_sender=True, expected_price=Price(1200, 1))
    purse.settle(second, pixels=10**8)
    assert purse.credit_wei == worth - 10**8 * 1200 < 0
    third = run(purse.pay(SMALL, duration_ms=2000))
    assert third.existing_wei + third.fresh_wei >= worth
    assert [t.sender_nonce for t in third.payment.tickets] == list(range(2, 2 + len(third.payment.tickets)))


def test_nonces_begin_anew_with_new_terms_and_credit_goes_on() -> None:
    purse = session()
    purse.settle(run(purse.pay(SMALL, duration_ms=2000)), pixels=3)
    before = purse.credit_wei
    purse.learn(None)
    purse.learn(replace(TERMS, ticket_params=replace(PARAMS, recipient_rand_hash=bytes([1]) * 32)))
    assert purse.credit_wei == before
    assert run(purse.pay(SMALL, duration_ms=2000)).payment.tickets[0].sender_nonce == 1
    assert purse.faults == ()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"expiration_block": b""}, "ticketParams expiration block is 0"),
        ({"expiration_block": (101).to_bytes(1, "big")}, "ticketParams expired"),
        ({"win_prob": b"\xff" * 32}, "ticket faceValue too low faceValue=12000000000000000"),
        ({"win_prob": b"\xff" * 31}, "ticket EV 46875000000000 > max ticket EV 3000000000000"),
        ({"creation_round": -1}, "ticketParams creation round -1 is negative"),
    ],
)
def test_terms_that_no_gateway_signs(change: dict[str, bytes], text: str) -> None:
    params = replace(PARAMS, **change)  # type: ignore[arg-type]  # fields by name
    with pytest.raises(TermsRefusedError) as refusal:
        judge_terms(params, limits=PayerLimits(), last_seen_l1_block=100)
    assert str(refusal.value) == text


def test_terms_are_good_until_one_block_before_they_expire() -> None:
    judge_terms(PARAMS, limits=PayerLimits(), last_seen_l1_block=20_000_038)
    with pytest.raises(TermsRefusedError, match="expired"):
        judge_terms(PARAMS, limits=PayerLimits(), last_seen_l1_block=20_000_039)


def test_payment_beyond_the_limits_is_not_made() -> None:
    with pytest.raises(TermsRefusedError, match="total ticket EV"):
        judge_terms(PARAMS, limits=PayerLimits(tickets=10**6), last_seen_l1_block=None, tickets=2501)
    with pytest.raises(TermsRefusedError, match="601 tickets"):
        judge_terms(PARAMS, limits=PayerLimits(), last_seen_l1_block=None, tickets=601)


class Watching:
    """A payer that looks at the chain."""

    def __init__(self, block: int, fault: str | None) -> None:
        self.block, self.fault = block, fault

    async def last_seen_l1_block(self) -> int | None:
        return self.block

    async def sender_fault(self, sender: Address, *, face_value_wei: int) -> str | None:
        assert (sender, face_value_wei) == (KEY.address, 12_000_000_000_000_000)
        return self.fault


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (Watching(20_000_000, "no sender reserve"), "no sender reserve"),
        (Watching(20_000_039, "no sender reserve"), "ticketParams expired"),
    ],
)
def test_chain_of_the_payer_is_asked(view: Watching, text: str) -> None:
    purse = PaymentSession(key=KEY, terms=TERMS, view=view)
    with pytest.raises(TermsRefusedError, match=text):
        run(purse.pay(SMALL, duration_ms=2000))


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        (replace(TERMS, price=Price(1, 0)), "pixels per unit is 0"),
        (replace(TERMS, price=Price(-1, 1)), "negative"),
        (replace(TERMS, ticket_params=None), "cannot be paid"),
        (replace(TERMS, ticket_params=replace(PARAMS, win_prob=b"")), "worth nothing"),
    ],
)
def test_prices_that_cannot_be_paid(terms: OrchestratorInfo, text: str) -> None:
    with pytest.raises(TermsRefusedError, match=text):
        run(session(terms).pay(SMALL, duration_ms=2000))


def test_price_that_more_than_doubles_ends_the_session() -> None:
    purse = session()
    purse.learn(replace(TERMS, price=Price(2400, 1), ticket_params=replace(PARAMS, recipient_rand_hash=bytes(32))))
    run(purse.pay(SMALL, duration_ms=2000))
    purse.learn(replace(TERMS, price=Price(2401, 1), ticket_params=replace(PARAMS, recipient_rand_hash=b"\x01" * 32)))
    with pytest.raises(TermsRefusedError, match="Orchestrator price has more than doubled"):
        run(purse.pay(SMALL, duration_ms=2000))
    assert judge_books(purse).verdict is Verdict.FAIL


def test_terms_that_come_twice_are_a_fault() -> None:
    purse = session()
    assert judge_books(purse).verdict is Verdict.PASS
    purse.learn(TERMS)
    assert judge_books(purse).reason.startswith("1 times: the same ticket parameters came twice")


def test_terms_for_sale() -> None:
    assert judge_terms_for_sale(TERMS).reason == "8000000000 wei a ticket, 12,000,000 gwei to the winner"
    assert judge_terms_for_sale(replace(TERMS, ticket_params=None)).verdict is Verdict.INFO
    for params in (replace(PARAMS, win_prob=b""), replace(PARAMS, face_value=b""), replace(PARAMS, seed=b"")):
        judged = judge_terms_for_sale(replace(TERMS, ticket_params=params))
        assert judged.verdict is (Verdict.PASS if params.seed == b"" else Verdict.FAIL)
    assert price_per_px(Price(2400, 2)) == Fraction(1200)
