"""``baton run``: read the settings, say which are in force, and live until stopped."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import click

from baton.config.argv import read_command_line
from baton.config.load import Loaded, load
from baton.kernel.errors import ConfigError, ExitCode, StartError
from baton.ops.commands.settings import SettingsCommand, home_directory, print_problems, settings_lines

__all__ = ["command", "live", "print_check"]


@click.command("run", cls=SettingsCommand)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Run an orchestrator on this machine until it is stopped by SIGTERM or Ctrl-C."""
    line = read_command_line(words)
    if line.wants_help:
        click.echo(ctx.get_help())
        return
    home, directory = home_directory(), Path.cwd()
    try:
        loaded = load(line, environ=os.environ, home=home, directory=directory)
    except ConfigError as error:
        print_problems(error)
        ctx.exit(ExitCode.CONFIG)
    if line.check:
        print_check(loaded)
        return
    ctx.exit(live(loaded, lambda: load(line, environ=os.environ, home=home, directory=directory)))


def print_check(loaded: Loaded) -> None:
    """The settings in force on standard output, warnings on standard error."""
    for text in settings_lines(loaded.provenance):
        click.echo(text)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)


def live(loaded: Loaded, again: Callable[[], Loaded]) -> int:
    """Say which settings are not the defaults, run the node to its end, and return the exit code.

    ``again`` reads the same sources anew, for SIGHUP; until the node takes that signal, it is ignored.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    import structlog

    from baton import app
    from baton.ops.logs import configure_logging

    configure_logging(loaded.settings.logs)
    log = structlog.get_logger("baton.config")
    for row in loaded.changed:
        log.info("setting", setting=row.name, value=row.shown, origin=str(row.origin))
    for warning in loaded.warnings:
        log.warning("settings warning", about=warning)
    try:
        return int(app.run(loaded, again))
    except ConfigError as error:
        print_problems(error)
        return ExitCode.CONFIG
    except StartError as error:
        log.critical("node cannot start", reason=str(error), exit_code=int(error.exit_code))
        return error.exit_code
