"""Settings of the record of money, a part of ``config.flags``. Pure."""

from baton.config.database import cluster_secrets, database_url
from baton.config.flag import Flag

__all__ = ["RECORD"]

_MONEY = "Money"

RECORD = (
    Flag(
        "database-url",
        "money.database_url",
        database_url(),
        "",
        "Database of balances and winning tickets, or a file that holds its URL. Several nodes share a PostgreSQL.",
        _MONEY,
        default_note="money.sqlite3 in the data directory",
        secret=True,
        value_or_file=True,
    ),
    Flag(
        "cluster-secret",
        "money.cluster_secrets",
        cluster_secrets(),
        "",
        "Secret that nodes on one database share, so that quotes and sessions of one are good at all; or a file with "
        "it. Two: the one in use, then one that still counts.",
        _MONEY,
        default_note="secrets of the node's own",
        secret=True,
        value_or_file=True,
    ),
)
"""In the order of help and reference page."""
