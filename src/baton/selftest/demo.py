"""``baton demo``: the main job on this machine, end to end.

Starts a chain and a node on it, streams a clip through it as a gateway that pays, decodes every rendition with an
independent FFmpeg, compares it with what was asked, reported and sent, compares the books of both sides, and stops
everything again. Exit code 0, or 1 with the reason. Nothing is left behind, whichever way it ends.
"""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from baton.kernel.errors import ExitCode
from baton.selftest.demonstration import CLIP, DemoFailedError, DemoResult, run_demo
from baton.selftest.interrupt import InterruptedBySignal, run_until_signal

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["command"]

_LONGEST_S = 30.0


def _show(console: "Console", result: DemoResult) -> None:
    from baton.selftest.moneyreport import print_money
    from baton.selftest.report import print_checks, print_renditions, summary_line

    print_renditions(console, result.streamed, result.judgement.renditions)
    if result.money is not None:
        print_money(console, result.money)
    print_checks(console, result.checks)
    console.print(f"Source: {result.source}. Judged by {result.engine}.", markup=False, highlight=False, soft_wrap=True)
    for note in result.notes:
        console.print(f"Note: {note}.", markup=False, highlight=False, soft_wrap=True)
    console.print(
        summary_line(result.streamed, result.judgement.renditions), markup=False, highlight=False, soft_wrap=True
    )


def _json(result: DemoResult) -> dict[str, Any]:
    from baton.selftest.moneyreport import money_document
    from baton.selftest.report import check_rows, rendition_rows, summary_line

    return {
        "ok": result.ok,
        "engine": result.engine,
        "source": result.source,
        "notes": list(result.notes),
        "checks": check_rows(result.checks),
        "renditions": rendition_rows(result.streamed, result.judgement.renditions),
        "money": money_document(result.money) if result.money is not None else None,
        "summary": summary_line(result.streamed, result.judgement.renditions),
    }


@click.command("demo")
@click.option("--video", type=click.Path(path_type=Path), help="Stream this file instead of the clip that comes along.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=_LONGEST_S,
    show_default=True,
    help="Stream at most this much of the file.",
)
@click.option("--offchain", is_flag=True, help="Start no chain: nobody pays.")
@click.option("--cache-dir", type=click.Path(file_okay=False, path_type=Path), help="Where anvil is kept.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def command(video: Path | None, seconds: float, *, offchain: bool, cache_dir: Path | None, as_json: bool) -> None:
    """Stream a clip through a node of its own, as a gateway that pays would, and check every rendition and wei.

    The chain is a devnet of its own; anvil, which it needs, is fetched by npm the first time.
    """
    from baton.selftest.report import new_console, print_json, progress_on

    console = new_console()
    chosen = video if video is not None and str(video) not in {"", "."} else CLIP
    try:
        with progress_on(console, quiet=as_json) as progress:
            work = run_demo(video=chosen, limit_s=seconds, offchain=offchain, cache=cache_dir, progress=progress)
            result: DemoResult = run_until_signal(work)
    except DemoFailedError as error:
        if as_json:
            print_json({"ok": False, "reason": str(error)})
        else:
            console.print(f"demo failed: {error}", markup=False, highlight=False, style="bold red")
        sys.exit(ExitCode.FAILED)
    except InterruptedBySignal as interrupted:
        with contextlib.suppress(OSError):
            sys.stderr.write("interrupted\n")
        sys.exit(128 + interrupted.number)
    if as_json:
        print_json(_json(result))
    else:
        _show(console, result)
        verdict = "demo passed" if result.ok else "demo failed: see the rows marked fail"
        console.print(verdict, style="bold green" if result.ok else "bold red")
    sys.exit(ExitCode.OK if result.ok else ExitCode.FAILED)
