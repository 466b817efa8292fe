"""A node's record of money, read when the node has ended and from the outside: what it holds to be paid, won and owed.

Opens the SQLite file for reading only and knows nothing of the node's code. The gateway repeats every draw with it:
a winner must be one of its own tickets, and must really have won (payments.md 4).
"""

import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from baton.jobs.messages import TicketParams
from baton.kernel.crypto import keccak256
from baton.selftest.parties import GatewayKey
from baton.selftest.tickets import sign_ticket

__all__ = ["NodeCounts", "NodeRecord", "RecordError", "Winner", "read_record", "winner_faults"]

_MOST_ROWS = 1_000_000
_MONEY = "money.sqlite3"


class RecordError(Exception):
    """The record cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """What the node itself counted, from its metrics: of money no more than floats, exact enough to be shown."""

    tickets: int
    winners: int
    credit_gwei: float
    pixels: int


@dataclass(frozen=True, slots=True)
class Winner:
    """A ticket that the node says has won, with what proves it."""

    params: TicketParams
    nonce: int
    signature: bytes
    recipient_rand: bytes

    @property
    def face_value_wei(self) -> int:
        """What it pays."""
        return int.from_bytes(self.params.face_value, "big")


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """Everything a node has on record about one gateway, in wei."""

    tickets: int
    """Tickets seen of all gateways; a node of our own has no other."""
    winners: tuple[Winner, ...]
    balance_wei: Fraction

    @property
    def won_wei(self) -> int:
        """Face value of all winners."""
        return sum(winner.face_value_wei for winner in self.winners)


def read_record(data_dir: Path, *, sender: bytes) -> NodeRecord:
    """What the node that worked in ``data_dir`` has on record about a gateway. Blocking.

    Raises:
        RecordError: no such record.
    """
    place = data_dir / _MONEY
    try:
        with contextlib.closing(sqlite3.connect(f"{place.as_uri()}?mode=ro", uri=True)) as database:
            (tickets,) = database.execute("select count(*) from nonces").fetchone()
            balances = database.execute("select balance_wei from accounts where sender = ?", (sender,)).fetchall()
            rows = database.execute(
                "select recipient, face_value_wei, win_prob, recipient_rand_hash, creation_round,"
                " creation_round_block_hash, expiration_block, sender_nonce, signature, recipient_rand"
                " from tickets where sender = ? limit ?",
                (sender, _MOST_ROWS),
            ).fetchall()
    except sqlite3.Error as error:
        message = f"the node's record {place.name} cannot be read: {error}"
        raise RecordError(message) from error
    return NodeRecord(
        tickets=int(tickets),
        winners=tuple(_winner(row) for row in rows),
        balance_wei=sum((Fraction(text) for (text,) in balances), Fraction(0)),
    )


def _winner(row: tuple[Any, ...]) -> Winner:
    recipient, face_value, win_prob, rand_hash, creation_round, block_hash, expiration_block, *proof = row
    params = TicketParams(
        recipient=recipient,
        face_value=_minimal(int(face_value)),
        win_prob=_minimal(int(win_prob)),
        recipient_rand_hash=rand_hash,
        seed=b"",
        expiration_block=_minimal(expiration_block),
        creation_round=creation_round,
        creation_round_block_hash=block_hash,
    )
    nonce, signature, rand = proof
    return Winner(params=params, nonce=nonce, signature=signature, recipient_rand=rand)


def _minimal(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def winner_faults(winners: Iterable[Winner], *, key: GatewayKey) -> tuple[str, ...]:
    """What is wrong with winners that ought to be tickets of this gateway. ``key`` has a private key."""
    assert key.private_key is not None  # noqa: S101 -- stated above
    faults = []
    for winner in winners:
        ours = sign_ticket(winner.params, sender=key.address, nonce=winner.nonce, private_key=key.private_key)
        drawn = int.from_bytes(keccak256(winner.signature + winner.recipient_rand), "big")
        if winner.signature != ours.signature:
            faults.append(f"ticket {winner.nonce} was never sent")
        elif keccak256(winner.recipient_rand) != winner.params.recipient_rand_hash:
            faults.append(f"ticket {winner.nonce} was drawn with another number than was promised")
        elif drawn >= int.from_bytes(winner.params.win_prob, "big"):
            faults.append(f"ticket {winner.nonce} did not win")
    return tuple(faults)
