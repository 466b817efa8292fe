"""Accounts, nonces and winning tickets."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables of money."""
    op.create_table(
        "accounts",
        sa.Column("sender", sa.LargeBinary(20), primary_key=True),
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("balance_wei", sa.Text, nullable=False),
        sa.Column("price", sa.Text),
        sa.Column("ticket_ev_wei", sa.Text, nullable=False),
        sa.Column("touched_s", sa.Double, nullable=False),
    )
    op.create_index("accounts_touched", "accounts", ["touched_s"])
    op.create_table(
        "nonces",
        sa.Column("recipient_rand_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("nonce", sa.BigInteger, primary_key=True),
        sa.Column("expiration_block", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "writers",
        sa.Column("name", sa.LargeBinary(16), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("since_s", sa.Double, nullable=False),
    )
    op.create_index("nonces_expiration", "nonces", ["expiration_block"])
    op.create_table(
        "tickets",
        sa.Column("ticket_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("sender", sa.LargeBinary(20), nullable=False),
        sa.Column("recipient", sa.LargeBinary(20), nullable=False),
        sa.Column("face_value_wei", sa.Text, nullable=False),
        sa.Column("win_prob", sa.Text, nullable=False),
        sa.Column("sender_nonce", sa.BigInteger, nullable=False),
        sa.Column("recipient_rand_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("recipient_rand", sa.LargeBinary(32), nullable=False),
        sa.Column("creation_round", sa.BigInteger, nullable=False),
        sa.Column("creation_round_block_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("expiration_block", sa.BigInteger, nullable=False),
        sa.Column("signature", sa.LargeBinary(65), nullable=False),
        sa.Column("account_key", sa.LargeBinary, nullable=False),
        sa.Column("won_at_s", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("changed_at_s", sa.Double, nullable=False),
        sa.Column("tx_hash", sa.LargeBinary(32)),
        sa.Column("paid_wei", sa.Text),
    )
    op.create_index("tickets_by_state", "tickets", ["state", "creation_round"])
    op.create_index("tickets_by_sender", "tickets", ["sender", "state"])


def downgrade() -> None:
    """There is no way back from money on record."""
    message = "a database of money is not taken back"
    raise NotImplementedError(message)
