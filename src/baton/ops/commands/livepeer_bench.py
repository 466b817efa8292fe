"""``baton livepeer-bench``: the reference's benchmark by its own flags, so that an operator's scripts keep working."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import click

from baton.kernel.errors import ExitCode
from baton.kernel.redaction import printable
from baton.ops.commands import bench
from baton.ops.commands.settings import RawWordsCommand

__all__ = ["command", "translate"]

_FLAGS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "in": ("--in", "Media playlist (m3u8); segments relative to it. Required."),
        "live": ("--live", "Pace segments as they play. [default: true]"),
        "concurrentSessions": ("--sessions", "Sessions at once. [default: 1]"),
        "concurrentSessionDelay": ("--session-delay", "Between the starts of two sessions. [default: 300ms]"),
        "repeat": ("--repeat", "Runs. [default: 1]"),
        "segs": ("--segs", "Segments per session. [default: 0, all]"),
        "transcodingOptions": ("--transcoding-options", "Presets, separated by commas, or a JSON file."),
        "nvidia": ("--nvidia", "GPUs, such as 0,1; session k uses GPU k modulo their number."),
        "outPrefix": ("--out-prefix", "Keep renditions as PREFIX_<profile>_<n>_<session>_<segment>.ts."),
        "mpeg7Sign": ("--mpeg7-sign", "Compute perceptual hashes too. [default: false]"),
        "netint": ("", "Refused: these devices are not supported."),
        "log": ("", "Ignored: what engines say is in the log of their failures."),
    }
)
_SWITCHES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"live": ("--live", "--no-live"), "mpeg7Sign": ("--mpeg7-sign", "")}
)
"""Words for true and for false."""
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class _Command(RawWordsCommand):
    """A command whose options are the reference's flags."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The flags of the reference's benchmark."""
        del ctx
        with formatter.section("Flags"):
            formatter.write_dl([(f"-{name}", text) for name, (_, text) in _FLAGS.items()])


def translate(words: Sequence[str]) -> list[str]:
    """The words of ``baton bench`` for the reference's, in Go's syntax: one or two dashes, a space or ``=``.

    Raises:
        click.UsageError: an unknown flag, a missing value, or a word that belongs to none.
    """
    ours = ["--csv"]
    waiting = list(reversed(words))
    while waiting:
        word = waiting.pop()
        name, equals, inline = word.removeprefix("-").removeprefix("-").partition("=")
        if not word.startswith("-") or name not in _FLAGS:
            message = f"{'unknown flag' if word.startswith('-') else 'unexpected argument'} {printable(word, limit=80)}"
            raise click.UsageError(message)
        if name in _SWITCHES:
            ours += _switch(name, inline if equals else "true")
            continue
        if not equals and not waiting:
            message = f"flag needs an argument: -{name}"
            raise click.UsageError(message)
        value = inline if equals else waiting.pop()
        option = _FLAGS[name][0]
        if option and value:
            ours.append(f"{option}={value}")
        elif name == "netint" and value:
            message = "-netint: these devices are not supported"
            raise click.UsageError(message)
    return ours


def _switch(name: str, value: str) -> list[str]:
    if value not in _TRUE | _FALSE:
        message = f"-{name} must be true or false"
        raise click.UsageError(message)
    word = _SWITCHES[name][value in _FALSE]
    return [word] if word else []


@click.command("livepeer-bench", cls=_Command)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Measure one load by the flags of livepeer_bench and print what it prints."""
    if any(word in {"-h", "-help", "--help", "--h"} for word in words):
        click.echo(ctx.get_help())
        return
    ours = translate(words)
    if not any(word.startswith("--in=") for word in ours):
        click.echo("Please provide the input manifest: -in <input.m3u8>", err=True)
        ctx.exit(ExitCode.FAILED)
    try:
        code = bench.command.main(args=ours, prog_name=ctx.command_path, standalone_mode=False)
    except click.BadParameter as error:
        raise click.BadParameter(error.message, ctx, param_hint=_hint(error)) from error
    ctx.exit(code or ExitCode.OK)


def _hint(error: click.BadParameter) -> str:
    """The flag that the operator wrote, for our option that is wrong."""
    ours = error.param.opts[0] if error.param is not None else str(error.param_hint)
    return next((f"-{name}" for name, (option, _) in _FLAGS.items() if option == ours), ours)
