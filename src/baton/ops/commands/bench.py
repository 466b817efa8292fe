"""``baton bench``: what this machine can carry, searched for or tried with a load that is asked for."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from baton.config.flags import FLAGS
from baton.config.values import BadValueError, Base, Kind, duration
from baton.kernel.errors import ConfigError, ExitCode, StartError
from baton.ops.commands.settings import home_directory, print_problems

if TYPE_CHECKING:
    from baton.config.model import Settings
    from baton.selftest.bench.figures import Timing
    from baton.selftest.bench.plan import BenchPlan, Findings
    from baton.selftest.bench.progress import LineProgress

__all__ = ["NODE_OPTIONS", "command"]

NODE_OPTIONS = ("engine-children", "encoder-preset", "engine-threads", "engine-memory-limit")
"""Settings of the node that change what it carries; in force here as for ``baton run``, from all their sources."""
_MOST_SESSIONS = 10_000
_LONGEST_SEARCH_S = 86_400.0
_REFERENCE_DELAY = "300ms"


def _read_by(kind: Kind) -> Callable[[click.Context, click.Parameter, str], Any]:
    """A callback that reads an option's text as a kind of setting, with the kind's reason where it cannot."""

    def read(ctx: click.Context, param: click.Parameter, text: str) -> Any:  # noqa: ANN401 -- what the kind makes
        try:
            return kind.read(text, Base(home_directory(), Path.cwd()))
        except BadValueError as error:
            raise click.BadParameter(error.reason, ctx, param) from error

    return read


def _node_options(function: Callable[..., None]) -> Callable[..., None]:
    """Options that are settings of the node: read by ``config.load``, explained by their row."""
    for name in reversed(NODE_OPTIONS):
        flag = FLAGS[name]
        function = click.option(
            flag.option, metavar="VALUE", help=f"{flag.help} [{flag.kind.label}; default: {flag.default}]"
        )(function)
    return function


@click.command("bench")
@click.option(
    "--in", "source", type=click.Path(path_type=Path), help="Media playlist (m3u8) or media file; else a clip."
)
@click.option("--transcoding-options", metavar="LIST|FILE", help="Presets, separated by commas, or a JSON file.")
@click.option(
    "--sessions", type=click.IntRange(1, _MOST_SESSIONS), help="Try this load instead of searching the limit."
)
@click.option(
    "--live/--no-live", default=None, help="Pace segments as they play. [default: with --sessions; not in a search]"
)
@click.option(
    "--session-delay",
    metavar="DURATION",
    callback=_read_by(duration(0, 3600)),
    default=_REFERENCE_DELAY,
    show_default=True,
    help="Between the starts of two sessions of --sessions.",
)
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, show_default=True, help="Runs of --sessions.")
@click.option("--segs", type=click.IntRange(min=0), default=0, help="Segments per session. [default: 0, all]")
@click.option("--out-prefix", default="", help="Keep renditions as PREFIX_<profile>_<n>_<session>_<segment>.ts.")
@click.option("--mpeg7-sign", is_flag=True, help="Compute perceptual hashes too.")
@click.option("--nvidia", metavar="LIST", help="GPUs to measure, such as 0,1 or all. [default: the processor]")
@click.option(
    "--time-limit",
    metavar="DURATION",
    callback=_read_by(duration(5, _LONGEST_SEARCH_S)),
    default="120s",
    show_default=True,
    help="Longest search.",
)
@click.option(
    "--sessions-most",
    type=click.IntRange(1, _MOST_SESSIONS),
    default=256,
    show_default=True,
    help="The search goes no further.",
)
@_node_options
@click.option("--config", metavar="PATH", help="Take the node's settings from this file.")
@click.option("--csv", "as_csv", is_flag=True, help="Print what livepeer_bench prints. Implies --sessions 1.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
@click.option("--progress/--no-progress", default=None, help="Say what happens. [default: on a terminal]")
def command(**given: Any) -> None:  # noqa: ANN401 -- click hands over what each option's type makes
    """Measure what this machine can carry, and suggest --max-sessions.

    Without --sessions the limit is searched: loads are doubled until transcoding takes more than 0.8 of the video's
    duration, then narrowed down, and the answer is run once as gateways would send it. With --sessions N that load is
    tried, and the exit code is 1 when it does not fit.
    """
    _check_together(given)
    settings = _settings(given)
    plan = _plan(given)
    sys.exit(_measure(settings, plan, given))


def _check_together(given: dict[str, Any]) -> None:
    if given["as_csv"] and given["as_json"]:
        message = "--csv and --json exclude one another"
        raise click.UsageError(message)
    if given["as_csv"] and given["sessions"] is None:
        given["sessions"] = 1
    if given["sessions"] is None and (given["repeat"] > 1 or given["out_prefix"]):
        message = "--repeat and --out-prefix belong to a load; say which with --sessions"
        raise click.UsageError(message)


def _settings(given: dict[str, Any]) -> "Settings":
    from baton.config.load import load
    from baton.ops.logs import configure_logging

    words = []
    for name in (*NODE_OPTIONS, "nvidia", "config"):
        value = given[name.replace("-", "_")]
        words += [f"--{name}", value] if value is not None else []
    try:
        loaded = load(words, environ=os.environ, home=home_directory(), directory=Path.cwd())
    except ConfigError as error:
        print_problems(error)
        sys.exit(ExitCode.CONFIG)
    logs = loaded.settings.logs
    # The figures are what this command has to say; that a child was recycled is no news here.
    configure_logging(replace(logs, level="warning") if logs.level == "info" else logs)
    return loaded.settings


def _plan(given: dict[str, Any]) -> "BenchPlan":
    from baton.selftest.bench.ladder import DEFAULT_LADDER, LadderError, read_ladder
    from baton.selftest.bench.plan import BenchPlan
    from baton.selftest.demonstration import CLIP

    options = given["transcoding_options"] or DEFAULT_LADDER
    try:
        ladder = read_ladder(options, directory=Path.cwd())
    except LadderError as error:
        raise click.BadParameter(str(error), param_hint="--transcoding-options") from error
    live = given["live"]
    return BenchPlan(
        source=given["source"] or CLIP,
        transcoding_options=options,
        ladder=ladder,
        sessions=given["sessions"],
        live=given["sessions"] is not None if live is None else live,
        session_delay_s=given["session_delay"],
        repeat=given["repeat"],
        most_segments=given["segs"],
        out_prefix=given["out_prefix"],
        perceptual_hash=given["mpeg7_sign"],
        time_limit_s=given["time_limit"],
        most_sessions=given["sessions_most"],
    )


def _measure(settings: "Settings", plan: "BenchPlan", given: dict[str, Any]) -> int:
    """Run it, print what is known, and say how it ended."""
    from baton.selftest.bench.machine import this_machine
    from baton.selftest.bench.plan import Findings
    from baton.selftest.bench.progress import LineProgress

    findings = Findings(plan, this_machine())
    as_csv = bool(given["as_csv"])
    wanted = given["progress"] if not as_csv else bool(given["progress"])
    progress = LineProgress(wanted=wanted)
    if as_csv:
        _csv_head(plan, given)
    exit_code = _run(settings, findings, progress, as_csv=as_csv)
    progress.clear()
    try:
        _show(findings, as_csv=as_csv, as_json=bool(given["as_json"]))
        sys.stdout.flush()
    except OSError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_code or ExitCode.FAILED
    if exit_code or as_csv:
        return exit_code
    return ExitCode.OK if findings.ok else ExitCode.FAILED


def _run(settings: "Settings", findings: "Findings", progress: "LineProgress", *, as_csv: bool) -> int:
    from baton.app.bench import run_bench
    from baton.selftest.bench.course import Measured
    from baton.selftest.bench.plan import BenchError
    from baton.selftest.interrupt import InterruptedBySignal, run_until_signal

    listener = Measured(
        step=progress.step, point=progress.point, tick=progress.tick, timing=_print_csv_line if as_csv else None
    )
    try:
        run_until_signal(run_bench(settings, findings, listener=listener))
    except InterruptedBySignal as interrupted:
        findings.interrupted = True
        return 128 + interrupted.number
    except (BenchError, OSError) as error:
        findings.failure = str(error)
        return ExitCode.FAILED
    except StartError as error:
        findings.failure = str(error)
        return error.exit_code
    return ExitCode.OK


def _csv_head(plan: "BenchPlan", given: dict[str, Any]) -> None:
    from baton.selftest.bench.reference_output import CSV_HEADER, settings_table

    click.echo("\n".join(settings_table(plan, given["nvidia"] or "")), err=True)
    click.echo(CSV_HEADER)


async def _print_csv_line(timing: "Timing") -> None:
    from baton.selftest.bench.reference_output import csv_line

    await asyncio.to_thread(click.echo, csv_line(timing))


def _show(findings: "Findings", *, as_csv: bool, as_json: bool) -> None:
    from baton.selftest.bench.report import document, print_findings
    from baton.selftest.report import new_console, print_json

    if as_json:
        print_json(document(findings))
    elif as_csv:
        from baton.selftest.bench.reference_output import result_table

        asked = findings.found.asked
        if asked is not None and asked.figures.segments:
            click.echo("\n".join(result_table(asked)), err=True)
        if findings.failure:
            click.echo(f"bench failed: {findings.failure}", err=True)
    elif findings.devices:
        print_findings(new_console(), findings)
    elif findings.failure:
        click.echo(f"bench failed: {findings.failure}", err=True)
    if findings.interrupted:
        with contextlib.suppress(OSError):
            click.echo("interrupted", err=True)
