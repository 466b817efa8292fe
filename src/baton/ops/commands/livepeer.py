"""``baton livepeer``: a node started by the reference's own command line, so that an operator keeps the flags."""

import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from baton.config.flags import FLAGS
from baton.config.livepeer import SPELLINGS, Spelling
from baton.config.livepeer_load import ask, load_livepeer, respell
from baton.config.load import Loaded
from baton.kernel.errors import ConfigError
from baton.kernel.version import NODE_VERSION, VERSION
from baton.ops.commands.run import live, print_check
from baton.ops.commands.settings import RawWordsCommand, home_directory, print_problems

__all__ = ["LivepeerCommand", "command"]

_OWN = (
    ("-orchestrator -transcoder", "Be an orchestrator with its own transcoder, the role that this version has."),
    ("-config PATH", "Read settings from this file: a flag without its dash and a value on each line."),
    ("-check", "Check every setting, print those in force, and end."),
    ("-version", "Print the versions and end."),
    ("-h, -help", "Show this message and end."),
)

_ALSO = (
    "Each flag is also a variable: LP_MAXSESSIONS=4. Other flags of the reference are known and refused by name; "
    "all of them with the reasons are in docs/reference/livepeer.md."
)

_SCOPE = (
    "This version is an orchestrator with its own transcoder, off-chain or on a private network: it has no "
    "redemption, AI or remote transcoders yet. Take out what is refused; -check shows what is left without starting "
    "anything."
)
_NOT_HERE = "this version"
"""What every refusal of something that is yet to come says."""


class LivepeerCommand(RawWordsCommand):
    """A command whose options are the table of the reference's flags."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The flags that work, then those that are known and refused."""
        del ctx
        with formatter.section("The reference's flags"):
            formatter.write_dl([_help_of(row) for row in SPELLINGS.values() if row.works and not row.is_only_ours])
        with formatter.section("Settings that the reference does not have"):
            formatter.write_dl([_help_of(row) for row in SPELLINGS.values() if row.works and row.is_only_ours])
        with formatter.section("This command"):
            formatter.write_dl(list(_OWN))
        with formatter.section("Also"):
            formatter.write_text(_ALSO)


def _help_of(row: Spelling) -> tuple[str, str]:
    flag = FLAGS[row.setting]
    default = row.default or row.note or flag.default or flag.default_note
    option = f"-{row.name}" if row.switch else f"-{row.name} VALUE"
    text = f"Deprecated; use -{row.instead}." if row.instead else respell(flag.help)
    return option, f"{text} [{flag.kind.label}; default: {default}]" if default else f"{text} [{flag.kind.label}]"


@click.command("livepeer", cls=LivepeerCommand)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Run an orchestrator by the reference's own flags, variables and configuration file."""
    home, directory = home_directory(), Path.cwd()
    asked = ask(words, environ=os.environ, home=home, directory=directory)

    def again() -> Loaded:
        """The settings as the same words, variables and file give them now."""
        return load_livepeer(
            ask(words, environ=os.environ, home=home, directory=directory), home=home, directory=directory
        )

    if asked.wants_help:
        click.echo(ctx.get_help())
        return
    if asked.problems or not asked.wants_version:
        try:
            loaded = again()
        except ConfigError as error:
            print_problems(error)
            if any(_NOT_HERE in problem for problem in error.problems):
                click.echo(_SCOPE, err=True)
            ctx.exit(error.exit_code)
    if asked.wants_version:
        click.echo("\n".join(_versions()))
    elif asked.check:
        print_check(loaded)
    else:
        ctx.exit(live(loaded, again))


def _versions() -> Iterable[str]:
    yield f"Livepeer Node Version: {NODE_VERSION}"
    yield f"Baton version: {VERSION}"
    yield f"Python runtime version: {platform.python_implementation()} {platform.python_version()}"
    yield f"Architecture: {platform.machine()}"
    yield f"Operating system: {sys.platform}"
