"""``baton demo``: the main job on this machine, end to end.

Starts a node of its own, streams a clip through it as a gateway would, decodes every rendition with an independent
FFmpeg, compares it with what was asked, reported and sent, and stops the node again. Exit code 0, or 1 with the
reason. Nothing is left behind, whichever way it ends.
"""

import contextlib
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from baton.kernel.errors import ExitCode
from baton.selftest.interrupt import InterruptedBySignal, run_until_signal

if TYPE_CHECKING:
    from rich.console import Console

    from baton.selftest.checks import Check
    from baton.selftest.report import Progress
    from baton.selftest.streaming import Judgement, StreamedSegment

__all__ = ["CLIP", "LADDER", "DemoFailedError", "command"]

CLIP = Path(__file__).parent / "media" / "clip.mp4"
"""The clip that comes with the package."""
LADDER = ("P240p30fps16x9", "P360p30fps16x9", "P720p30fps16x9")
"""What is asked for: presets that gateways use, small enough for two slow cores."""
_PRESET = "superfast"
_LONGEST_S = 30.0
_TOO_SLOW = "A gateway leaves here: this machine is too slow for this file, or too busy with other work"


class DemoFailedError(Exception):
    """The demo cannot be shown; the text is the reason."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Everything a demo found out."""

    engine: str
    source: str
    notes: tuple[str, ...]
    streamed: "tuple[StreamedSegment, ...]"
    judgement: "Judgement"
    checks: "tuple[Check, ...]"

    @property
    def ok(self) -> bool:
        """Whether everything was as it should be."""
        from baton.selftest.checks import all_passed

        return all_passed(self.checks)


async def run_demo(*, video: Path, limit_s: float, progress: "Progress") -> DemoResult:
    """The whole demo. Raises ``DemoFailedError``."""
    from baton.selftest.http2 import PeerError, PeerTooSlowError
    from baton.selftest.inspector import InspectError
    from baton.selftest.nodeprocess import NodeFailedError
    from baton.selftest.segmenter import SegmentError

    with tempfile.TemporaryDirectory(prefix="baton-demo-") as name:
        try:
            return await _stages(Path(name), video=video, limit_s=limit_s, progress=progress)
        except PeerTooSlowError as error:
            message = f"{error}. {_TOO_SLOW}"
            raise DemoFailedError(message) from error
        except (PeerError, InspectError, NodeFailedError, SegmentError) as error:
            raise DemoFailedError(str(error)) from error


async def _stages(folder: Path, *, video: Path, limit_s: float, progress: "Progress") -> DemoResult:
    from baton.kernel.ids import ManifestId
    from baton.kernel.profiles import PRESETS
    from baton.selftest import segmenter
    from baton.selftest.checks import failed, passed
    from baton.selftest.checks_stream import JudgedRendition
    from baton.selftest.gateway import Gateway
    from baton.selftest.inspector import Inspector
    from baton.selftest.nodeprocess import running_node
    from baton.selftest.parties import Endpoint
    from baton.selftest.streaming import StreamedSegment, judge_stream, stream_capabilities, stream_segments

    profiles = tuple(PRESETS[preset] for preset in LADDER)
    inspector = Inspector.best()

    def streamed_one(segment: StreamedSegment) -> None:
        progress.advance(f"segment {segment.index}: {segment.total_s * 1000:.0f} ms, {segment.realtime_factor:.2f}x")

    def judged_one(rows: Sequence[JudgedRendition]) -> None:
        faults = [f"{row.profile.name}: {'; '.join(row.faults)}" for row in rows if row.faults]
        progress.advance(f"segment {rows[0].segment}: {', '.join(faults) or 'ok'}")

    progress.step(f"Cutting {video.name} into segments")
    source = await segmenter.cut(video, folder, limit_s=limit_s)
    progress.step("Starting a node")
    async with running_node(folder, "--encoder-preset", _PRESET) as node:
        async with Gateway(endpoint=Endpoint.parse(node.uri)) as gateway:
            progress.step("Asking for terms")
            terms = await gateway.get_orchestrator(stream_capabilities(source, profiles))
            progress.step("Streaming", of=len(source.segments))
            streamed = await stream_segments(
                gateway=gateway,
                terms=terms,
                source=source,
                profiles=profiles,
                folder=folder,
                manifest_id=ManifestId(f"demo-{secrets.token_hex(4)}"),
                on_segment=streamed_one,
            )
            await gateway.end_session(terms.auth_token)
        progress.step("Stopping the node")
        exit_code = await node.stop()
    engine = await inspector.engine()
    progress.step("Decoding every rendition", of=len(streamed))
    judgement = await judge_stream(inspector=inspector, streamed=streamed, profiles=profiles, on_judged=judged_one)
    stopped = passed if exit_code == ExitCode.OK else failed
    return DemoResult(
        engine=engine,
        source=f"{source.codec} {source.width_px}x{source.height_px}, {source.fps:.5g} frames per second",
        notes=source.notes,
        streamed=streamed,
        judgement=judgement,
        checks=(
            *_rendition_checks(judgement),
            *judgement.joints,
            stopped("node stops", f"drained after SIGTERM, exit code {exit_code}"),
        ),
    )


def _rendition_checks(judgement: "Judgement") -> "tuple[Check, ...]":
    from baton.selftest.checks import failed, passed

    bad = [row for row in judgement.renditions if row.faults]
    if bad:
        first = bad[0]
        reason = f"{len(bad)} of {len(judgement.renditions)} wrong; segment {first.segment} {first.profile.name}: "
        return (failed("renditions", reason + "; ".join(first.faults)),)
    words = "pixels as reported, sizes and frames as asked, audio packets as sent"
    return (passed("renditions", f"{len(judgement.renditions)} decoded: {words}"),)


def _show(console: "Console", result: DemoResult) -> None:
    from baton.selftest.report import print_checks, print_renditions, summary_line

    print_renditions(console, result.streamed, result.judgement.renditions)
    print_checks(console, result.checks)
    console.print(f"Source: {result.source}. Judged by {result.engine}.", markup=False, highlight=False, soft_wrap=True)
    for note in result.notes:
        console.print(f"Note: {note}.", markup=False, highlight=False, soft_wrap=True)
    console.print(
        summary_line(result.streamed, result.judgement.renditions), markup=False, highlight=False, soft_wrap=True
    )


def _json(result: DemoResult) -> dict[str, Any]:
    from baton.selftest.report import check_rows, rendition_rows, summary_line

    return {
        "ok": result.ok,
        "engine": result.engine,
        "source": result.source,
        "notes": list(result.notes),
        "checks": check_rows(result.checks),
        "renditions": rendition_rows(result.streamed, result.judgement.renditions),
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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def command(video: Path | None, seconds: float, *, as_json: bool) -> None:
    """Stream a clip through a node of its own, as a gateway would, and check every rendition."""
    from baton.selftest.report import new_console, print_json, progress_on

    console = new_console()
    chosen = video if video is not None and str(video) not in {"", "."} else CLIP
    try:
        with progress_on(console, quiet=as_json) as progress:
            result: DemoResult = run_until_signal(run_demo(video=chosen, limit_s=seconds, progress=progress))
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
