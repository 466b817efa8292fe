"""How the operator's commands find their node: the same settings as the node, from the same sources."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from baton.config.argv import CommandLine
from baton.config.flags import FLAGS
from baton.config.load import ManagementTarget, load_management
from baton.kernel.errors import ConfigError, ExitCode
from baton.ops.client import NodeUnreachableError, ask
from baton.ops.commands.settings import home_directory, print_problems

__all__ = ["ask_node", "target_options"]

_NAMES = ("cli-addr", "data-dir", "network")


def target_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--cli-addr``, ``--data-dir``, ``--network``, ``--config`` and ``--json``."""
    function = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)
    function = click.option("--config", metavar="PATH", help="The node's configuration file.")(function)
    for name in reversed(_NAMES):
        flag = FLAGS[name]
        function = click.option(flag.option, metavar="VALUE", help=flag.help)(function)
    return function


def ask_node(ctx: click.Context, method: str, path: str, **options: str | None) -> dict[str, Any]:
    """The node's answer; ends the command with a clear text when there is none."""
    config = options.pop("config")
    values = {name.replace("_", "-"): value for name, value in options.items() if value is not None}
    try:
        return ask(_target(CommandLine(values, config=config)), method, path)
    except ConfigError as error:
        print_problems(error)
        ctx.exit(ExitCode.CONFIG)
    except NodeUnreachableError as error:
        click.echo(f"baton: {error}", err=True)
        ctx.exit(ExitCode.FAILED)


def _target(line: CommandLine) -> ManagementTarget:
    return load_management(line, environ=os.environ, home=home_directory(), directory=Path.cwd())
