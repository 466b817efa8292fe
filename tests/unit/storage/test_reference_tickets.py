"""What go-livepeer's database of payments.md 13 gives us: winners that are proven, once, and nothing else."""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from baton.kernel.clock import ManualClock
from baton.kernel.crypto import sign_hash
from baton.kernel.ids import Address, to_checksum_hex
from baton.payments.ticket import MAX_WIN_PROB, Ticket, draw, rand_hash
from baton.storage.database import Database
from baton.storage.reference_tickets import Fate, ImportReport, ReferenceDatabaseError, import_reference_tickets
from baton.storage.schema import TicketState
from baton.storage.winners import KeptTicket, TicketStore
from tests.payments.gatewayside import Sender
from tests.support import run

ME = Address(bytes.fromhex("73aed7b5deb30222fa896f399d46cc99c7bee57f"))
SENDER = Sender()
# A number with leading zeros, as one in 256 is: min-BE drops them.
RAND = int.from_bytes(bytes([0, 0, *range(30)]), "big")

SCHEMA = """
CREATE TABLE kv (key STRING PRIMARY KEY, value STRING, updatedAt STRING DEFAULT CURRENT_TIMESTAMP);
INSERT INTO kv(key, value) VALUES ('dbVersion', '1');
INSERT INTO kv(key, value) VALUES ('chainID', '42161');
CREATE TABLE ticketQueue (
    createdAt DATETIME DEFAULT CURRENT_TIMESTAMP, sender STRING, recipient STRING, faceValue BLOB, winProb BLOB,
    senderNonce INTEGER, recipientRand BLOB, recipientRandHash STRING, sig BLOB PRIMARY KEY, creationRound int64,
    creationRoundBlockHash STRING, paramsExpirationBlock int64, redeemedAt DATETIME, txHash STRING
);
CREATE INDEX idx_ticketqueue_sender ON ticketQueue(sender);
"""


def least(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def ticket(nonce: int = 1, **more: Any) -> Ticket:
    made = Ticket(ME, SENDER.address, 10**16, MAX_WIN_PROB, nonce, rand_hash(RAND), 3500, bytes([3]) * 32)
    return replace(made, **more)


def row(of: Ticket, **more: Any) -> dict[str, Any]:
    return {
        "createdAt": "2026-07-01 12:00:00",
        "sender": to_checksum_hex(of.sender),
        "recipient": to_checksum_hex(of.recipient),
        "faceValue": least(of.face_value_wei),
        "winProb": least(of.win_prob),
        "senderNonce": of.sender_nonce,
        "recipientRand": least(RAND),
        "recipientRandHash": "0x" + of.recipient_rand_hash.hex(),
        "sig": sign_hash(SENDER.key, of.hash),
        "creationRound": of.creation_round,
        "creationRoundBlockHash": "0x" + of.creation_round_block_hash.hex(),
        "paramsExpirationBlock": 20_000_040,
        "redeemedAt": None,
        "txHash": None,
        **more,
    }


def database(path: Path, *rows: dict[str, Any]) -> Path:
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
        for one in rows:
            names = ", ".join(one)
            marks = ", ".join(f":{name}" for name in one)
            connection.execute(f"INSERT INTO ticketQueue ({names}) VALUES ({marks})", one)  # noqa: S608 -- literal names
    connection.close()
    return path


def imported(tmp_path: Path, *rows: dict[str, Any], times: int = 1) -> tuple[list[ImportReport], list[KeptTicket]]:
    path = database(tmp_path / "lpdb.sqlite3", *rows)
    kept: list[KeptTicket] = []

    async def story(store: TicketStore) -> list[ImportReport]:
        reports = [
            await import_reference_tickets(path, recipient=ME, store=store, now=lambda: 5.0) for _ in range(times)
        ]
        kept.extend(await store.newest(limit=1000))
        return reports

    return with_store(tmp_path, story), kept


def with_store(tmp_path: Path, story: Callable[[TicketStore], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        ours = Database.open(tmp_path / "money")
        try:
            return await story(TicketStore(ours, now=ManualClock().now))
        finally:
            await ours.close()

    return run(whole())


def test_a_winner_is_kept_as_it_is_and_once(tmp_path: Path) -> None:
    (first, second), kept = imported(tmp_path, row(ticket()), row(ticket(2), createdAt=None), times=2)
    assert first == ImportReport({Fate.KEPT: 2}, 2 * 10**16)
    assert second == ImportReport({Fate.KNOWN: 2})
    by_nonce = {k.winner.ticket.sender_nonce: k for k in kept}
    assert by_nonce[1].winner.ticket == ticket()
    assert by_nonce[1].winner.recipient_rand == RAND
    assert by_nonce[1].winner.expiration_block == 20_000_040
    assert (by_nonce[1].state, by_nonce[1].won_at_s, by_nonce[2].won_at_s) == (
        TicketState.PENDING,
        1_782_907_200.0,
        5.0,
    )


def test_what_was_redeemed_or_sent_is_left(tmp_path: Path) -> None:
    (report,), _ = imported(
        tmp_path,
        row(ticket(1), redeemedAt="2026-07-01 12:00:00", txHash="0x" + "00" * 32),
        row(ticket(2), txHash="0x" + "11" * 32),
        row(ticket(3), redeemedAt="2026-07-01 12:00:00"),
    )
    assert report == ImportReport({})


def _loser() -> Ticket:
    for nonce in range(100):
        made = ticket(nonce, win_prob=MAX_WIN_PROB // 2)
        if draw(sign_hash(SENDER.key, made.hash), RAND) >= made.win_prob:
            return made
    raise AssertionError


@pytest.mark.parametrize(
    ("bad", "fate"),
    [
        (lambda: row(ticket(recipient=Address(bytes([1]) * 20))), Fate.RECIPIENT),
        (lambda: row(ticket(), recipientRand=least(RAND + 1)), Fate.RAND),
        (lambda: row(ticket(), senderNonce=2), Fate.SIGNATURE),
        (lambda: row(ticket(), faceValue=least(10**17)), Fate.SIGNATURE),
        (lambda: row(ticket(), sig=bytes(65)), Fate.SIGNATURE),
        (lambda: row(ticket(), sender=to_checksum_hex(Address(bytes(20)))), Fate.SIGNATURE),
        (lambda: row(_loser()), Fate.LOST),
        (lambda: row(ticket(), sig=b"short"), Fate.MALFORMED),
        (lambda: row(ticket(), sig=None), Fate.MALFORMED),
        (lambda: row(ticket(), sender=None), Fate.MALFORMED),
        (lambda: row(ticket(), sender="0x12"), Fate.MALFORMED),
        (lambda: row(ticket(), recipient=123), Fate.MALFORMED),
        (lambda: row(ticket(), faceValue=bytes(33)), Fate.MALFORMED),
        (lambda: row(ticket(), winProb=1.5), Fate.MALFORMED),
        (lambda: row(ticket(), senderNonce=-1), Fate.MALFORMED),
        (lambda: row(ticket(), senderNonce=2**32), Fate.MALFORMED),
        (lambda: row(ticket(), creationRound="soon"), Fate.MALFORMED),
        (lambda: row(ticket(), creationRoundBlockHash="0x" + "zz" * 32), Fate.MALFORMED),
        (lambda: row(ticket(), paramsExpirationBlock=None), Fate.MALFORMED),
    ],
)
def test_what_the_chain_would_not_pay_is_counted_and_left(
    tmp_path: Path, bad: Callable[[], dict[str, Any]], fate: Fate
) -> None:
    good = row(ticket(99))
    (report,), kept = imported(tmp_path, bad(), good)
    assert report.rows == {fate: 1, Fate.KEPT: 1}
    assert len(kept) == 1


def test_hundreds_of_rows_are_read(tmp_path: Path) -> None:
    (report,), _ = imported(tmp_path, *(row(ticket(nonce)) for nonce in range(450)))
    assert report.rows == {Fate.KEPT: 450}


def test_the_file_is_left_as_it_is_and_told_of_once(tmp_path: Path) -> None:
    path = database(tmp_path / "lpdb.sqlite3", row(ticket()))
    path.chmod(0o444)
    before = path.read_bytes()

    async def story(store: TicketStore) -> None:
        with capture_logs() as logs:
            await import_reference_tickets(path, recipient=ME, store=store, now=lambda: 5.0)
        assert [(entry["event"], entry["kept"]) for entry in logs] == [("tickets of the reference imported", 1)]
        assert str(RAND) not in str(logs)

    with_store(tmp_path, story)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("lpdb")) == ["lpdb.sqlite3"]


@pytest.mark.parametrize("kind", ["none", "garbage", "other", "newer", "no version"])
def test_what_is_no_database_of_the_reference_is_said(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lpdb.sqlite3"
    if kind == "garbage":
        path.write_bytes(b"nothing" * 1000)
    elif kind == "other":
        sqlite3.connect(path).close()
        path.touch()
    elif kind != "none":
        database(path)
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE kv SET value = 2" if kind == "newer" else "DELETE FROM kv")
        connection.close()

    async def story(store: TicketStore) -> None:
        with pytest.raises(ReferenceDatabaseError, match=r"lpdb\.sqlite3"):
            await import_reference_tickets(path, recipient=ME, store=store, now=lambda: 5.0)
        assert await store.outstanding() == (0, 0)

    with_store(tmp_path, story)
