"""The tables of money: accounts, nonces that were seen, tickets that won, and who writes.

Amounts are decimal text and fractions are ``numerator/denominator``: no database keeps them exactly as numbers.
``migrations`` makes these tables; a test holds the two together.
"""

from sqlalchemy import BigInteger, Column, Double, Index, LargeBinary, MetaData, String, Table, Text

__all__ = ["ACCOUNTS", "METADATA", "NONCES", "TICKETS", "WRITERS", "TicketState"]

METADATA = MetaData()

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("sender", LargeBinary(20), primary_key=True),
    # Session ids, and names that strangers chose: bytes, since they may hold anything.
    Column("key", LargeBinary, primary_key=True),
    Column("balance_wei", Text, nullable=False),
    Column("price", Text),
    Column("ticket_ev_wei", Text, nullable=False),
    Column("touched_s", Double, nullable=False),
    Index("accounts_touched", "touched_s"),
)

NONCES = Table(
    "nonces",
    METADATA,
    Column("recipient_rand_hash", LargeBinary(32), primary_key=True),
    Column("nonce", BigInteger, primary_key=True),
    Column("expiration_block", BigInteger, nullable=False),
    Index("nonces_expiration", "expiration_block"),
)


WRITERS = Table(
    "writers",
    METADATA,
    # Each node's last commit, by which it finds out what became of one whose answer was lost (PostgreSQL only).
    Column("name", LargeBinary(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("since_s", Double, nullable=False),
)


class TicketState:
    """What became of a winner; every state but the first two is final and has a reason beside it."""

    PENDING = "pending"
    REDEEMING = "redeeming"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    USED = "used"
    ABANDONED = "abandoned"

    OPEN = (PENDING, REDEEMING)
    FINAL = (REDEEMED, EXPIRED, USED, ABANDONED)


TICKETS = Table(
    "tickets",
    METADATA,
    Column("ticket_hash", LargeBinary(32), primary_key=True),
    Column("sender", LargeBinary(20), nullable=False),
    Column("recipient", LargeBinary(20), nullable=False),
    Column("face_value_wei", Text, nullable=False),
    Column("win_prob", Text, nullable=False),
    Column("sender_nonce", BigInteger, nullable=False),
    Column("recipient_rand_hash", LargeBinary(32), nullable=False),
    Column("recipient_rand", LargeBinary(32), nullable=False),
    Column("creation_round", BigInteger, nullable=False),
    Column("creation_round_block_hash", LargeBinary(32), nullable=False),
    Column("expiration_block", BigInteger, nullable=False),
    Column("signature", LargeBinary(65), nullable=False),
    Column("account_key", LargeBinary, nullable=False),
    Column("won_at_s", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("changed_at_s", Double, nullable=False),
    Column("tx_hash", LargeBinary(32)),
    Column("paid_wei", Text),
    Index("tickets_by_state", "state", "creation_round"),
    Index("tickets_by_sender", "sender", "state"),
)
