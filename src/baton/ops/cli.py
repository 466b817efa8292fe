"""The command line of Baton: one group whose commands are imported only when they are called.

``baton --help`` must answer at once, so this file imports click and nothing of ours beyond the version. A command is
a row of ``COMMANDS``: its help line and the dotted name of its click command. Exit codes are ``kernel.errors``'s.
"""

import difflib
import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import click

from baton.kernel.version import NODE_VERSION, VERSION

__all__ = ["COMMANDS", "Command", "LazyGroup", "main"]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: ``module:attribute`` of the click command, and what the list of commands says."""

    where: str
    help: str


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "run": Command("baton.ops.commands.run:command", "Run an orchestrator on this machine."),
        "livepeer": Command("baton.ops.commands.livepeer:command", "Run an orchestrator by the reference's own flags."),
        "demo": Command("baton.selftest.demo:command", "Stream a clip through a node of its own, end to end."),
        "probe": Command("baton.selftest.probe:command", "Act as a gateway towards any orchestrator and judge it."),
        "bench": Command("baton.ops.commands.bench:command", "Measure what this machine can carry."),
        "livepeer-bench": Command(
            "baton.ops.commands.livepeer_bench:command", "Measure one load by the flags of livepeer_bench."
        ),
        "devnet": Command("baton.ops.commands.devnet:command", "Run a local chain with the protocol on it."),
        "status": Command("baton.ops.commands.status:command", "Show what the node on this machine is doing."),
        "tickets": Command("baton.ops.commands.tickets:command", "Show winning tickets and what gateways have paid."),
        "price": Command("baton.ops.commands.price:command", "Show or change what gateways pay."),
        "drain": Command("baton.ops.commands.drain:drain", "Take no new streams; those that run go on."),
        "undrain": Command("baton.ops.commands.drain:undrain", "Take new streams again."),
        "migrate": Command("baton.ops.commands.migrate:command", "Bring the database of money up to date."),
        "version": Command("baton.ops.commands.version:command", "Print the versions."),
    }
)


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command ``cmd_name``; None when there is none of that name."""
        del ctx
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        module, _, attribute = row.where.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, click.Command):
            message = f"{row.where} is not a command"
            raise TypeError(message)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's own, with the command that was probably meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.help) for name, row in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="baton", message=f"%(prog)s %(version)s (node version {NODE_VERSION})")
def group() -> None:
    """Baton, a Livepeer orchestrator."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    group.main(args=sys.argv[1:], prog_name="baton")
