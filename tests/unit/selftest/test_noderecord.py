"""The books compared: winners that are none, records that are none, and sides that disagree."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from baton.jobs.messages import TicketParams
from baton.kernel.crypto import keccak256
from baton.kernel.profiles import PRESETS
from baton.selftest.checks import Check, Verdict
from baton.selftest.checks_payment import judge_balances, judge_debit, judge_tickets, judge_winners
from baton.selftest.noderecord import NodeCounts, NodeRecord, RecordError, Winner, read_record, winner_faults
from baton.selftest.paying import PaymentSession
from baton.selftest.tickets import sign_ticket
from baton.storage.schema import ACCOUNTS, METADATA, TICKETS
from tests.support import run
from tests.unit.selftest.test_paying import KEY, PARAMS, TERMS

RAND = bytes(31) + b"\x07"
SURE = replace(PARAMS, recipient_rand_hash=keccak256(RAND), win_prob=b"\xff" * 32)


def winner(params: TicketParams = SURE, nonce: int = 1) -> Winner:
    signed = sign_ticket(params, sender=KEY.address, nonce=nonce, private_key=KEY.private_key or b"")
    return Winner(params=params, nonce=nonce, signature=signed.signature, recipient_rand=RAND)


def test_winners_of_our_own_are_right() -> None:
    assert winner_faults([winner(nonce=nonce) for nonce in (1, 2, 3)], key=KEY) == ()


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (replace(winner(), nonce=2), "ticket 2 was never sent"),
        (replace(winner(), params=replace(SURE, face_value=b"\xff" * 8)), "ticket 1 was never sent"),
        (replace(winner(), signature=bytes(65)), "ticket 1 was never sent"),
        (replace(winner(), recipient_rand=bytes(32)), "ticket 1 was drawn with another number than was promised"),
        (winner(replace(SURE, win_prob=b"\x01")), "ticket 1 did not win"),
    ],
)
def test_winner_that_is_none_is_found(wrong: Winner, fault: str) -> None:
    assert winner_faults([winner(), wrong], key=KEY) == (fault,)


def test_record_that_is_not_there_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="unable to open"):
        read_record(tmp_path, sender=KEY.address)
    assert list(tmp_path.iterdir()) == []


def test_record_of_something_else_is_an_error(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "money.sqlite3") as database:
        database.execute("create table holidays (day text)")
    database.close()
    with pytest.raises(RecordError, match="no such table"):
        read_record(tmp_path, sender=KEY.address)


def test_record_of_one_gateway_leaves_others_out(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path / 'money.sqlite3'}"
    engine = create_engine(place)
    METADATA.create_all(engine)
    other = bytes(20)
    with engine.begin() as database:
        for sender, nonce in ((KEY.address, 1), (other, 2)):
            made = winner(nonce=nonce)
            database.execute(
                ACCOUNTS.insert().values(
                    sender=sender, key=b"session", balance_wei=f"{nonce}/3", ticket_ev_wei="0", touched_s=0.0
                )
            )
            database.execute(
                TICKETS.insert().values(
                    ticket_hash=bytes([nonce]) * 32,
                    sender=sender,
                    recipient=SURE.recipient,
                    face_value_wei=str(made.face_value_wei),
                    win_prob=str(2**256 - 1),
                    sender_nonce=nonce,
                    recipient_rand_hash=SURE.recipient_rand_hash,
                    recipient_rand=RAND,
                    creation_round=SURE.creation_round,
                    creation_round_block_hash=SURE.creation_round_block_hash,
                    expiration_block=20_000_040,
                    signature=made.signature,
                    account_key=b"session",
                    won_at_s=0.0,
                    state="pending",
                    changed_at_s=0.0,
                )
            )
    engine.dispose()
    record = read_record(tmp_path, sender=KEY.address)
    assert record.balance_wei == Fraction(1, 3)
    assert [found.nonce for found in record.winners] == [1]
    assert winner_faults(record.winners, key=KEY) == ()


def paid() -> PaymentSession:
    """Two tickets sent, one segment of 144p done."""
    purse = PaymentSession(key=KEY, terms=TERMS)
    profiles = (PRESETS["P144p30fps16x9"],)
    spent = run(purse.pay(profiles, duration_ms=11_000))
    purse.settle(spent, pixels=256 * 144 * 330)
    return purse


PURSE = paid()
PIXELS = 256 * 144 * 330
COUNTS = NodeCounts(tickets=2, winners=1, credit_gwei=float(PURSE.sent_wei / 10**9), pixels=PIXELS)
RECORD = NodeRecord(tickets=2, winners=(winner(),), balance_wei=PURSE.credit_wei)
PRICE = Fraction(1200)


@pytest.mark.parametrize(
    "judge",
    [
        lambda: judge_tickets(PURSE, COUNTS, RECORD),
        lambda: judge_winners(COUNTS, RECORD, ()),
        lambda: judge_debit(PURSE, COUNTS, PRICE),
        lambda: judge_balances(PURSE, RECORD),
    ],
)
def test_equal_books_pass(judge: Callable[[], Check]) -> None:
    assert judge().verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        (lambda: judge_tickets(PURSE, COUNTS, replace(RECORD, tickets=1)), "1 on the node's record"),
        (lambda: judge_tickets(PURSE, replace(COUNTS, tickets=3), RECORD), "3 taken"),
        (lambda: judge_tickets(PURSE, replace(COUNTS, credit_gwei=0.0), RECORD), "worth 0 gwei to the node"),
        (lambda: judge_winners(replace(COUNTS, winners=2), RECORD, ()), "2 counted by the node, 1 on its record"),
        (lambda: judge_winners(COUNTS, RECORD, ("ticket 1 did not win",)), "1 of 1 wrong: ticket 1 did not win"),
        (lambda: judge_debit(PURSE, replace(COUNTS, pixels=PIXELS + 1), PRICE), "pixels counted by the node"),
        (
            lambda: judge_balances(PURSE, replace(RECORD, balance_wei=PURSE.credit_wei + Fraction(1, 3))),
            "the gateway holds",
        ),
    ],
)
def test_books_that_differ_fail_with_both_numbers(judge: Callable[[], Check], reason: str) -> None:
    check = judge()
    assert check.verdict is Verdict.FAIL
    assert reason in check.reason
