"""What people and programs read of a demo or a probe: tables for a terminal, plain lines elsewhere, JSON on request.

Texts of strangers never reach the terminal's markup: everything is placed as plain text.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from baton.selftest.checks import Check, Verdict
from baton.selftest.checks_stream import JudgedRendition
from baton.selftest.streaming import StreamedSegment

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Progress",
    "check_rows",
    "new_console",
    "print_checks",
    "print_json",
    "print_renditions",
    "progress_on",
    "rendition_rows",
    "summary_line",
]

_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.INFO: "cyan"}
_MILLION = 1_000_000
_PLAIN_WIDTH = 120


class Progress(Protocol):
    """What a long command says while it works."""

    def step(self, text: str, *, of: int = 0) -> None:
        """A new step begins; ``of`` parts will follow, 0 when nobody knows."""
        ...

    def advance(self, text: str) -> None:
        """One part of the step is done."""
        ...


class SilentProgress:
    """Says nothing: for JSON."""

    def step(self, text: str, *, of: int = 0) -> None:
        """Nothing."""

    def advance(self, text: str) -> None:
        """Nothing."""


class PlainProgress:
    """One line per event: for pipes and logs."""

    def __init__(self) -> None:
        """Writes to standard output."""
        self._done, self._of = 0, 0

    def step(self, text: str, *, of: int = 0) -> None:
        """Print the step."""
        self._done, self._of = 0, of
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def advance(self, text: str) -> None:
        """Print the part and its number."""
        self._done += 1
        sys.stdout.write(f"  [{self._done}/{self._of}] {text}\n")
        sys.stdout.flush()


class LiveProgress:
    """A moving bar: for terminals."""

    def __init__(self, bar: Any) -> None:  # noqa: ANN401 -- rich is imported only where it draws
        """``bar`` is a started ``rich.progress.Progress``."""
        self._bar = bar
        self._task: Any = None

    def step(self, text: str, *, of: int = 0) -> None:
        """Replace the bar by that of the new step."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(text, total=of or None, note="")

    def advance(self, text: str) -> None:
        """Move the bar and show what was done last."""
        self._bar.update(self._task, advance=1, note=text)


def new_console() -> "Console":
    """Standard output; where nobody looks on, lines are as long as a log's."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)


@contextmanager
def progress_on(console: "Console", *, quiet: bool) -> Iterator[Progress]:
    """The progress that fits where the output goes."""
    if quiet:
        yield SilentProgress()
        return
    if not console.is_terminal:
        yield PlainProgress()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        yield LiveProgress(bar)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def rendition_rows(streamed: Sequence[StreamedSegment], judged: Sequence[JudgedRendition]) -> list[dict[str, Any]]:
    """One object per segment and rendition, for JSON and for the table."""
    times = {segment.index: segment for segment in streamed}
    rows = []
    for row in judged:
        segment = times[row.segment]
        rows.append(
            {
                "segment": row.segment,
                "rendition": row.profile.name,
                "width": row.facts.width_px if row.facts else 0,
                "height": row.facts.height_px if row.facts else 0,
                "frames": row.facts.frames if row.facts else 0,
                "pixels": row.reported_px,
                "bytes": row.size_bytes,
                "protocol": segment.protocol,
                "duration_ms": segment.source.duration_ms,
                "header_ms": _milliseconds(segment.header_s),
                "latency_ms": _milliseconds(segment.total_s),
                "realtime_factor": round(segment.realtime_factor, 2),
                "ok": not row.faults,
                "faults": list(row.faults),
            }
        )
    return rows


def print_renditions(
    console: "Console", streamed: Sequence[StreamedSegment], judged: Sequence[JudgedRendition]
) -> None:
    """The table of a stream: segment, rendition, size, pixels, latency, real-time factor, verdict."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name, width in (
        ("segment", 7),
        ("rendition", 14),
        ("size", 9),
        ("pixels", 10),
        ("latency", 8),
        ("real time", 9),
    ):
        justify: Any = "left" if name == "rendition" else "right"
        table.add_column(name, justify=justify, no_wrap=True, min_width=width)
    table.add_column("verdict", min_width=7, overflow="fold")
    last = -1
    for row in rendition_rows(streamed, judged):
        first = row["segment"] != last
        last = row["segment"]
        table.add_row(
            str(row["segment"]) if first else "",
            Text(row["rendition"]),
            f"{row['width']}x{row['height']}",
            f"{row['pixels']:,}",
            f"{row['latency_ms']} ms" if first else "",
            f"{row['realtime_factor']:.2f}x" if first else "",
            Text("ok", "green") if row["ok"] else Text("; ".join(row["faults"]), "bold red"),
        )
    console.print(table)


def check_rows(checks: Sequence[Check]) -> list[dict[str, str]]:
    """One object per check, for JSON."""
    return [{"name": c.name, "verdict": c.verdict.value, "reason": c.reason} for c in checks]


def print_checks(console: "Console", checks: Sequence[Check]) -> None:
    """A table of judgments."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("check", overflow="fold", min_width=12)
    table.add_column("verdict", min_width=7)
    table.add_column("reason", overflow="fold")
    for check in checks:
        table.add_row(Text(check.name), Text(check.verdict.value, _STYLES[check.verdict]), Text(check.reason))
    console.print(table)


def summary_line(streamed: Sequence[StreamedSegment], judged: Sequence[JudgedRendition]) -> str:
    """The whole stream in one line."""
    video_s = sum(s.source.duration_ms for s in streamed) / 1000
    wait_s = sum(s.total_s for s in streamed)
    pixels = sum(row.reported_px for row in judged)
    latencies = sorted(s.total_s for s in streamed)
    median_ms = _milliseconds(latencies[len(latencies) // 2]) if latencies else 0
    factor = video_s / wait_s if wait_s else 0.0
    return (
        f"{len(streamed)} segments, {video_s:.1f} s of video, {len(judged)} renditions, {pixels / _MILLION:,.0f} Mpx "
        f"in {wait_s:.1f} s: {factor:.2f}x real time, median latency {median_ms} ms"
    )


def print_json(value: dict[str, Any]) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
