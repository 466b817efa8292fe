"""Migrations of the database: numbered steps, run by alembic from code when a node or ``baton migrate`` opens it."""

from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, func, select

from baton.kernel.errors import ExitCode, StartError

__all__ = ["Migrated", "bring_up_to_date"]

_HERE = Path(__file__).parent
_LOCK = 0x6261746F6E
"""A number that means nothing but us."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """Versions of a database before and after; None is an empty one."""

    before: str | None
    after: str | None


def bring_up_to_date(engine: Engine) -> Migrated:
    """Run the steps that a database has not seen yet, all in one transaction; none when it is current. Blocks.

    Raises:
        StartError: ``ExitCode.DATA_DIR``: it is newer than this program, which must not touch it.
    """
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Nodes that share the database may start at the same moment; until the commit one of them has the word.
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        have = MigrationContext.configure(connection).get_current_revision()
        if have is not None and have not in {step.revision for step in script.walk_revisions()}:
            message = f"the database is of a newer version ({have}) than this program knows"
            raise StartError(message, exit_code=ExitCode.DATA_DIR)
        migration = MigrationContext.configure(
            connection,
            opts={"render_as_batch": True, "fn": lambda rev, _context: script._upgrade_revs("head", rev)},  # noqa: SLF001 -- alembic's own way in, which its documentation shows
        )
        with Operations.context(migration):
            migration.run_migrations()
        return Migrated(have, script.get_current_head())
