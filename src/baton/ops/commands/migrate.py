"""``baton migrate``: bring the database of money up to date, without starting a node."""

import json
import os
from pathlib import Path
from typing import Any

import click

from baton.config.argv import read_command_line
from baton.config.load import Loaded, load
from baton.kernel.errors import ConfigError, ExitCode, StartError
from baton.ops.commands.settings import SettingsCommand, home_directory, print_problems

__all__ = ["command"]


@click.command("migrate", cls=SettingsCommand)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Bring the database up to date, as a node does at its start. `--json` prints JSON.

    Nodes that share a database are best stopped first; one that runs goes on as long as it understands the tables.
    """
    as_json = "--json" in words
    line = read_command_line(tuple(word for word in words if word != "--json"))
    if line.wants_help:
        click.echo(ctx.get_help())
        return
    try:
        loaded = load(line, environ=os.environ, home=home_directory(), directory=Path.cwd())
        found = _migrate(loaded)
    except ConfigError as error:
        print_problems(error)
        ctx.exit(ExitCode.CONFIG)
    except StartError as error:
        click.echo(json.dumps({"error": str(error)}) if as_json else f"baton: {error}", err=not as_json)
        ctx.exit(error.exit_code)
    click.echo(json.dumps(found) if as_json else _sentence(found))


def _migrate(loaded: Loaded) -> dict[str, Any]:
    from baton.app.record import migrate

    return migrate(loaded.settings)


def _sentence(found: dict[str, Any]) -> str:
    if found["before"] == found["after"]:
        return f"{found['database']} is up to date (version {found['after']})"
    before = f"from version {found['before']} " if found["before"] else ""
    return f"{found['database']} was brought {before}to version {found['after']}"
