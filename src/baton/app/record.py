"""The record of money by a node's settings: which database, which secrets."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from baton.config.model import Settings
from baton.kernel.clock import Clock
from baton.storage.data_dir import MONEY_NAME, DataDir
from baton.storage.secrets import ClusterTokenSecrets, TokenSecrets
from baton.storage.ticket_secrets import ClusterTicketSecrets, TicketSecretFile

__all__ = ["database_place", "is_shared", "migrate", "reference_database", "ticket_secrets", "token_secrets"]

_FOLDER_OF_OURS = "baton"
_REFERENCE_NAME = "lpdb.sqlite3"


def database_place(settings: Settings) -> str | Path:
    """What ``Database.open`` opens."""
    return settings.money.database_url or settings.data_dir / MONEY_NAME


def is_shared(settings: Settings) -> bool:
    """Whether other nodes may write the same record, so that ``Recipient`` must not trust its memory of it."""
    return settings.money.database_url.startswith("postgresql")


def reference_database(settings: Settings) -> Path | None:
    """The reference's database, where the data directory is the folder that ``baton livepeer`` makes beside it."""
    found = settings.data_dir.parent / _REFERENCE_NAME
    return found if settings.data_dir.name == _FOLDER_OF_OURS and found.is_file() else None


def token_secrets(settings: Settings, data_dir: DataDir, *, clock: Clock) -> TokenSecrets | ClusterTokenSecrets:
    """The secrets behind auth tokens: the cluster's, else the node's own. Blocks.

    Raises:
        StartError: their file cannot be used.
    """
    if settings.money.cluster_secrets:
        return ClusterTokenSecrets(settings.money.cluster_secrets)
    return TokenSecrets.load(data_dir.token_secrets, clock=clock)


def ticket_secrets(settings: Settings, data_dir: DataDir, *, clock: Clock) -> TicketSecretFile | ClusterTicketSecrets:
    """The secrets behind ticket terms: the cluster's, else the node's own. Blocks.

    Raises:
        StartError: their file cannot be used.
    """
    if settings.money.cluster_secrets:
        return ClusterTicketSecrets(settings.money.cluster_secrets)
    return TicketSecretFile.load(data_dir.ticket_secrets, clock=clock)


def migrate(settings: Settings) -> dict[str, Any]:
    """Bring the database up to date: its name, and its version before and after. Blocks.

    Raises:
        StartError: it cannot be used, or a node is at work in the data directory where it lies.
    """
    from baton.storage.engine import connect, shown
    from baton.storage.migrations import Migrated, bring_up_to_date

    found: list[Migrated] = []
    place = database_place(settings)
    with DataDir.acquire(settings.data_dir) if isinstance(place, Path) else nullcontext():
        engine = connect(place, prepare=lambda engine: found.append(bring_up_to_date(engine)))
        engine.dispose()
    return {"database": shown(engine.url), "before": found[0].before, "after": found[0].after}
