"""The output of the reference's benchmark, line by line, for scripts that read it (video.md 7.13).

Pure: texts out of values. Lines of segments go to standard output, the two tables to standard error.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from baton.selftest.bench.figures import Point, Timing
from baton.selftest.bench.plan import BenchPlan

__all__ = ["CSV_HEADER", "csv_line", "result_table", "settings_table"]

CSV_HEADER = "timestamp,session,segment,seg_dur,transcode_time,frames"


def csv_line(timing: Timing) -> str:
    """One segment: local time, numbers with four significant digits, trailing zeros dropped."""
    return (
        f"{_local_time(timing.ended_at_s)},{timing.session},{timing.segment},"
        f"{timing.duration_s:.4g},{timing.took_s:.4g},{timing.frames}"
    )


def settings_table(plan: BenchPlan, devices: str) -> Iterable[str]:
    """What is about to be done."""
    rows = [
        ("Source File", str(plan.source)),
        ("Transcoding Options", plan.transcoding_options),
        ("Concurrent Sessions", str(plan.sessions or 1)),
        ("Live Mode", str(plan.live).lower()),
        ("MPEG-7 Sign Mode", str(plan.perceptual_hash).lower()),
    ]
    if devices:
        rows.append(("Nvidia GPU IDs", devices))
    return _table(rows)


def result_table(point: Point) -> Iterable[str]:
    """What came of it."""
    figures = point.figures
    return _table(
        [
            ("Concurrent Sessions", str(point.sessions)),
            ("Total Segs Transcoded", str(figures.segments)),
            ("Real-Time Segs Transcoded", str(figures.real_time_segments)),
            ("* Real-Time Segs Ratio *", f"{figures.real_time_share:.4g}"),
            ("Total Source Duration", f"{figures.source_s:.6g}s"),
            ("Total Transcoding Duration", f"{figures.took_s:.6g}s"),
            ("* Real-Time Duration Ratio *", f"{figures.ratio:.4g}"),
        ]
    )


def _local_time(unix_s: float) -> str:
    """``2024-05-01 12:00:00.1234`` in the machine's zone; a fraction without its trailing zeros, none without a dot."""
    ticks = int(unix_s * 10_000 + 1e-3)
    whole = datetime.fromtimestamp(ticks // 10_000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    fraction = f"{ticks % 10_000:04d}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def _table(rows: Sequence[tuple[str, str]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    border = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    yield border
    for name, value in rows:
        yield f"| {name:<{widths[0]}} | {value:<{widths[1]}} |"
    yield border
