"""Judgments about discovery: what makes a gateway leave fails, what peers tolerate is told."""

from dataclasses import replace

import pytest

from baton.jobs.messages import AuthToken, ObjectStoreKind, ObjectStoreOffer, OrchestratorInfo, Price, TicketParams
from baton.kernel.capabilities import Capabilities
from baton.kernel.crypto import sign_message
from baton.kernel.ids import ZERO_ADDRESS, Address, SessionId
from baton.selftest import checks
from baton.selftest.checks import Check, Verdict
from tests.unit.selftest.fake_orchestrator import ADDRESS, PRIVATE_KEY

NOW = 1_700_000_000.0
TOKEN = AuthToken(token=bytes(32), session_id=SessionId("f1405ced"), expiration=1_700_001_800)
INFO = OrchestratorInfo(
    transcoder="https://o.example:8935",
    address=ZERO_ADDRESS,
    capabilities=Capabilities.offering(range(13), version="0.9.1"),
    auth_token=TOKEN,
)
TICKETS = TicketParams(b"\x01", b"\x01", b"\x01", b"\x01", b"\x01", b"\x01", 1, b"\x01")


def test_one_failure_fails_all_and_information_never_does() -> None:
    rows = [checks.passed("a", ""), checks.info("b", "")]
    assert checks.all_passed(rows)
    assert checks.all_passed([])
    assert not checks.all_passed([*rows, checks.failed("c", "")])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("\x1b[31mred\x07\n", "\ufffd[31mred\ufffd\ufffd"),
        ("right\u202eleft", "right\ufffdleft"),
        ("x" * 200, "x" * 159 + "\u2026"),
        ("x" * 160, "x" * 160),
        ("", ""),
    ],
)
def test_text_of_strangers_is_printable_and_short(text: str, shown: str) -> None:
    assert checks.printable(text) == shown


@pytest.mark.parametrize(
    ("samples_ms", "verdict"),
    [([10.0, 20.0, 30.0], Verdict.PASS), ([10.0, 499.9, 3000.0], Verdict.PASS), ([10.0, 500.0, 500.0], Verdict.FAIL)],
)
def test_discovery_latency_is_judged_by_its_median(samples_ms: list[float], verdict: Verdict) -> None:
    assert checks.judge_discovery_latency(samples_ms).verdict is verdict


@pytest.mark.parametrize(
    ("uri", "verdict"),
    [
        ("https://o.example:8935", Verdict.PASS),
        ("https://o.example:8935/base", Verdict.PASS),
        ("https://[2001:db8::1]:8935", Verdict.PASS),
        ("http://o.example:8935", Verdict.INFO),
        ("", Verdict.FAIL),
        ("https://o.example:8935/", Verdict.FAIL),
        ("o.example:8935", Verdict.FAIL),
        ("ftp://o.example", Verdict.FAIL),
        ("https://", Verdict.FAIL),
        ("https://o.example:99999", Verdict.FAIL),
        ("https://o.example?x=1", Verdict.FAIL),
        ("https://[::1", Verdict.FAIL),
    ],
)
def test_transcoder_uri(uri: str, verdict: Verdict) -> None:
    assert checks.judge_transcoder_uri(uri).verdict is verdict


@pytest.mark.parametrize(
    ("price", "tickets", "verdict", "words"),
    [
        (None, None, Verdict.INFO, "off-chain"),
        (None, TICKETS, Verdict.FAIL, "without a price"),
        (Price(7, 0), TICKETS, Verdict.FAIL, "no price"),
        (Price(-1, 1), TICKETS, Verdict.FAIL, "no price"),
        (Price(7, 3), None, Verdict.FAIL, "nobody can pay"),
        (Price(7, 3), replace(TICKETS, face_value=b""), Verdict.FAIL, "incomplete"),
        (Price(7, 3), TICKETS, Verdict.PASS, "2.33333 wei per pixel"),
        (Price(0, 1), None, Verdict.PASS, "0 wei per pixel"),
    ],
)
def test_price(price: Price | None, tickets: TicketParams | None, verdict: Verdict, words: str) -> None:
    row = checks.judge_price(replace(INFO, price=price, ticket_params=tickets))
    assert row.verdict is verdict
    assert words in row.reason


@pytest.mark.parametrize(
    ("token", "verdict"),
    [
        (TOKEN, Verdict.PASS),
        (replace(TOKEN, token=b""), Verdict.FAIL),
        (replace(TOKEN, session_id=SessionId("")), Verdict.FAIL),
        (replace(TOKEN, expiration=int(NOW)), Verdict.FAIL),
        (replace(TOKEN, expiration=-(2**63)), Verdict.FAIL),
        (replace(TOKEN, expiration=int(NOW) + 59), Verdict.FAIL),
        (replace(TOKEN, expiration=int(NOW) + 61), Verdict.PASS),
        (replace(TOKEN, expiration=2**63 - 1), Verdict.INFO),
    ],
)
def test_token(token: AuthToken, verdict: Verdict) -> None:
    assert checks.judge_token(token, now=NOW).verdict is verdict


def test_sessions_must_differ() -> None:
    assert checks.judge_sessions(["a", "b", "c"]).verdict is Verdict.PASS
    assert checks.judge_sessions(["a", "b", "a"]).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("0.9.1", Verdict.PASS),
        ("0.9.1-abcdef12-dirty", Verdict.PASS),
        ("v0.8", Verdict.PASS),
        ("", Verdict.INFO),
        ("undefined", Verdict.INFO),
        ("latest", Verdict.FAIL),
    ],
)
def test_version(version: str, verdict: Verdict) -> None:
    assert checks.judge_version(version).verdict is verdict


def test_capabilities_in_words_and_what_a_stream_needs() -> None:
    words, verdict = checks.judge_capabilities(Capabilities.offering((0, 1, 12, 26, 99), version="0.9.1"))
    assert words == Check("capabilities", Verdict.INFO, "H.264, MPEGTS, Auth token, Segment slicing, 99")
    assert verdict.verdict is Verdict.PASS
    verdict = checks.judge_capabilities(Capabilities.offering((0, 1, 12), version="0.9.1"))[-1]
    assert verdict.verdict is Verdict.FAIL
    assert verdict.reason == "missing: Segment slicing"


def test_stream_that_needs_more_names_what_is_missing() -> None:
    offer = Capabilities.offering((0, 1, 12, 26), version="0.9.1")
    wanted = Capabilities.offering((15, 12, 26), version="")
    assert checks.judge_capabilities(offer, wanted)[-1].reason == "missing for this one: HEVC decode"
    newer = replace(Capabilities.offering((0,), version=""), min_version="1.0.0")
    assert checks.judge_capabilities(offer, newer)[-1].verdict is Verdict.FAIL


def test_endless_bit_strings_stay_short() -> None:
    words = checks.judge_capabilities(replace(INFO.capabilities, bits=(2**64 - 1,) * 100_000))[0]
    assert len(words.reason) <= 1000


def test_ping_is_held_against_the_stated_address() -> None:
    value = bytes(range(32))
    good = sign_message(PRIVATE_KEY, value)
    other = sign_message(bytes([9]) * 32, value)
    assert checks.judge_ping(address=ADDRESS, value=value, reply=good).verdict is Verdict.PASS
    assert checks.judge_ping(address=ADDRESS, value=value, reply=other).verdict is Verdict.FAIL
    assert checks.judge_ping(address=ADDRESS, value=value, reply=b"").verdict is Verdict.FAIL
    assert checks.judge_ping(address=ZERO_ADDRESS, value=value, reply=b"").verdict is Verdict.PASS
    assert checks.judge_ping(address=ZERO_ADDRESS, value=value, reply=good).verdict is Verdict.INFO


def test_address_nodes_and_storage_are_told() -> None:
    assert checks.judge_address(ADDRESS).reason == "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"
    assert checks.judge_address(Address(bytes(20))).verdict is Verdict.INFO
    assert checks.judge_nodes(()).reason == "none"
    assert checks.judge_nodes(["https://a"] * 9).reason.startswith("9: https://a")
    offer = ObjectStoreOffer(kind=ObjectStoreKind.S3, host="https://s3.example/bucket", policy="secret")
    row = checks.judge_storage(replace(INFO, storage=(offer,)))
    assert row.reason == "S3 https://s3.example/bucket"
    assert checks.judge_storage(INFO).reason == "the node's own"
