"""What commands that take a node's settings share: the help made from the table, and how problems are shown.

Click parses nothing in a ``RawWordsCommand``. The words go to ``config.argv``, which finds all problems of a line at
once, later versions' options among them; click only prints the help.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from baton.config.flag import Flag
from baton.config.flags import FLAGS
from baton.config.origin import Provenance
from baton.kernel.errors import ConfigError

__all__ = ["RawWordsCommand", "SettingsCommand", "home_directory", "option_of", "print_problems", "settings_lines"]

_OWN_OPTIONS = (
    ("--config PATH", "Read settings from this file instead of baton.toml in the data directory."),
    ("--check", "Check every setting, print those in force, and end."),
    ("-h, --help", "Show this message and end."),
)


class RawWordsCommand(click.Command):
    """A command that reads its own words; its callback gets them as ``words``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hand every word to the callback unread."""
        ctx.params["words"] = tuple(args)
        return []

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The usage line."""
        del ctx
        return ["[OPTIONS]"]


class SettingsCommand(RawWordsCommand):
    """A command whose options are the table of settings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Settings by group, then the options about the command itself."""
        del ctx
        groups: dict[str, list[tuple[str, str]]] = {}
        for flag in FLAGS.values():
            groups.setdefault(flag.group, []).append((option_of(flag), _help_of(flag)))
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)
        with formatter.section("This command"):
            formatter.write_dl(list(_OWN_OPTIONS))
        with formatter.section("Also"):
            formatter.write_text("Each option is also a key of baton.toml and a variable: BATON_MAX_SESSIONS=4.")


def option_of(flag: Flag) -> str:
    """An option as help and reference page write it."""
    if flag.kind.is_boolean:
        return f"--{flag.name} / --no-{flag.name}"
    short = f"-{flag.short}, " if flag.short else ""
    return f"{short}--{flag.name} VALUE"


def _help_of(flag: Flag) -> str:
    default = flag.default or flag.default_note
    return f"{flag.help} [{flag.kind.label}; default: {default}]" if default else f"{flag.help} [{flag.kind.label}]"


def home_directory() -> Path:
    """The operator's home; the working directory for a user who has none, as in some containers."""
    try:
        return Path.home()
    except RuntimeError:
        return Path.cwd()


def print_problems(error: ConfigError) -> None:
    """Every problem on standard error, one a line."""
    count = len(error.problems)
    click.echo(f"baton: {count} problem{'s' if count > 1 else ''} with the settings; nothing was started", err=True)
    for problem in error.problems:
        click.echo(f"  - {problem}", err=True)


def settings_lines(rows: Sequence[Provenance]) -> Iterable[str]:
    """The table of settings as aligned text: name, value, origin."""
    table = [("setting", "value", "from"), *((row.name, row.shown or '""', str(row.origin)) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in (0, 1)]
    for name, value, origin in table:
        yield f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}"
