"""Winners that go-livepeer left behind: its ticket queue is read, every ticket is proven, and the good ones are kept.

An operator who moves here loses no winning ticket that was not redeemed yet (payments.md 13). The reference's database
is opened read-only and never changed. A row is kept when it is for our recipient, its number is the one its sender was
promised, its sender signed it and it won: the chain would take nothing less. Reading again adds nothing twice.
"""

import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import structlog

from baton.kernel.crypto import recover_hash_signer
from baton.kernel.errors import BatonError
from baton.kernel.ids import Address
from baton.payments.ticket import HASH_BYTES, Ticket, WinningTicket, draw, rand_hash
from baton.storage.winners import TicketStore

__all__ = ["Fate", "ImportReport", "ReferenceDatabaseError", "import_reference_tickets"]

log = structlog.get_logger("baton.storage")

_KNOWN_VERSION = 1
_AT_ONCE = 200
_SIGNATURE_BYTES = 65
_LARGEST_NONCE = 2**32 - 1
_LARGEST_NUMBER = 2**63 - 1
_ADDRESS_BYTES = 20
_HEX = re.compile(rb"0[xX]([0-9a-fA-F]{2})+")
_DIGITS = re.compile(rb"[0-9]{1,19}")
_QUERY = """
    SELECT createdAt, sender, recipient, faceValue, winProb, senderNonce, recipientRand, recipientRandHash, sig,
           creationRound, creationRoundBlockHash, paramsExpirationBlock
    FROM ticketQueue WHERE redeemedAt IS NULL AND txHash IS NULL ORDER BY rowid
"""


class ReferenceDatabaseError(BatonError):
    """The reference's database cannot be read; the text is for the operator."""


class Fate(Enum):
    """What became of a row."""

    KEPT = "kept"
    KNOWN = "known"
    """It was on record before."""
    MALFORMED = "malformed"
    RECIPIENT = "other_recipient"
    RAND = "wrong_recipient_rand"
    SIGNATURE = "wrong_signature"
    LOST = "not_won"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How many rows met which fate, and the face value in wei of those kept now."""

    rows: dict[Fate, int]
    kept_wei: int = 0


async def import_reference_tickets(
    path: Path, *, recipient: Address, store: TicketStore, now: Callable[[], float]
) -> ImportReport:
    """Keep what is not redeemed yet in the ``lpdb.sqlite3`` of an operator who moves here.

    Raises:
        ReferenceDatabaseError: it is not there, not a database of the reference, or of a newer version.
        DatabaseError: our own record does not take them; those it took before stay.
    """
    counts: Counter[Fate] = Counter()
    kept_wei = 0
    reader = _Reader(path)
    try:
        await asyncio.to_thread(reader.open)
        while judged := await asyncio.to_thread(reader.next, recipient):
            counts.update(fate for fate, winner, _ in judged if winner is None)
            good = [(winner, created_s) for _, winner, created_s in judged if winner is not None]
            new = await asyncio.gather(
                *(store.add((w,), won_at_s=now() if created_s is None else created_s) for w, created_s in good)
            )
            for (winner, _), added in zip(good, new, strict=True):
                counts[Fate.KEPT if added else Fate.KNOWN] += 1
                kept_wei += winner.ticket.face_value_wei if added else 0
    finally:
        await asyncio.to_thread(reader.close)
    report = ImportReport(dict(counts), kept_wei)
    if counts:
        log.info(
            "tickets of the reference imported",
            path=str(path),
            kept_wei=kept_wei,
            **{fate.value: number for fate, number in sorted(counts.items(), key=lambda item: item[0].value)},
        )
    return report


_Judged = tuple[Fate, WinningTicket | None, float | None]


class _Reader:
    """The reference's file, a portion at a time. Its methods block; one runs at a time, in any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._rows: sqlite3.Cursor | None = None

    def open(self) -> None:
        with _told(self._path):
            if not self._path.is_file():
                message = f"{self._path}: no such file"
                raise ReferenceDatabaseError(message)
            self._connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False
            )
            # Columns without a type of their own hold whatever came; bytes are never wrong.
            self._connection.text_factory = bytes
            found = self._connection.execute("SELECT value FROM kv WHERE key = 'dbVersion'").fetchone()
            version = _number(found[0], most=_LARGEST_NUMBER) if found is not None else None
            if version is None or version > _KNOWN_VERSION:
                message = f"{self._path}: not a database of a version that is known here"
                raise ReferenceDatabaseError(message)
            self._rows = self._connection.execute(_QUERY)

    def next(self, recipient: Address) -> list[_Judged]:
        with _told(self._path):
            rows = self._rows.fetchmany(_AT_ONCE) if self._rows is not None else []
        return [_judge(row, recipient) for row in rows]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What SQLite says, in an error of ours."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        message = f"{path}: {error}"
        raise ReferenceDatabaseError(message) from error


def _judge(row: tuple[Any, ...], recipient: Address) -> _Judged:
    """What a row is; with the winner only when the chain would pay it."""
    created_s, winner = _time_s(row[0]), _winner(row)
    if winner is None:
        return Fate.MALFORMED, None, created_s
    ticket = winner.ticket
    if ticket.recipient != recipient:
        return Fate.RECIPIENT, None, created_s
    if rand_hash(winner.recipient_rand) != ticket.recipient_rand_hash:
        return Fate.RAND, None, created_s
    if recover_hash_signer(ticket.hash, winner.signature) != ticket.sender:
        return Fate.SIGNATURE, None, created_s
    if draw(winner.signature, winner.recipient_rand) >= ticket.win_prob:
        return Fate.LOST, None, created_s
    return Fate.KEPT, winner, created_s


def _winner(row: tuple[Any, ...]) -> WinningTicket | None:
    """The row as a ticket; None when a column is not what the reference writes there."""
    _, sender, recipient, value, win_prob, nonce, rand, name, signature, round_number, block_hash, expiration = row
    try:
        return WinningTicket(
            Ticket(
                recipient=Address(_hex(recipient, _ADDRESS_BYTES)),
                sender=Address(_hex(sender, _ADDRESS_BYTES)),
                face_value_wei=_word(value),
                win_prob=_word(win_prob),
                sender_nonce=_integer(nonce, most=_LARGEST_NONCE),
                recipient_rand_hash=_hex(name, HASH_BYTES),
                creation_round=_integer(round_number, most=_LARGEST_NUMBER),
                creation_round_block_hash=_hex(block_hash, HASH_BYTES),
            ),
            _signature(signature),
            _word(rand),
            expiration_block=_integer(expiration, most=_LARGEST_NUMBER),
        )
    except ValueError:
        return None


def _hex(value: object, length: int) -> bytes:
    if not isinstance(value, bytes) or not _HEX.fullmatch(value) or len(value) != 2 * length + 2:
        raise ValueError
    return bytes.fromhex(value[2:].decode("ascii"))


def _word(value: object) -> int:
    """A number of the chain, big-endian without leading zeros."""
    if not isinstance(value, bytes) or len(value) > HASH_BYTES:
        raise ValueError
    return int.from_bytes(value, "big")


def _signature(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != _SIGNATURE_BYTES:
        raise ValueError
    return value


def _integer(value: object, *, most: int) -> int:
    number = _number(value, most=most)
    if number is None:
        raise ValueError
    return number


def _number(value: object, *, most: int) -> int | None:
    """A whole number from 0 on: SQLite makes one of a text that looks like it, where a column has no type it knows."""
    if isinstance(value, bytes) and _DIGITS.fullmatch(value):
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= most else None


def _time_s(value: object) -> float | None:
    """Unix time of a column that the database filled in; None when it is anything else."""
    if not isinstance(value, bytes):
        return None
    try:
        return datetime.fromisoformat(value.decode("ascii")).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
