"""A benchmark's answer for people, as tables, and for programs, as one JSON document of a stated version."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from baton.selftest.bench.course import DeviceFound
from baton.selftest.bench.figures import RULE_OF_THUMB, Point
from baton.selftest.bench.plan import BenchPlan, DeviceFacts, Findings
from baton.selftest.bench.search import Tried
from baton.selftest.bench.verdict import mbit_per_s, sentences

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["JSON_VERSION", "document", "print_findings"]

JSON_VERSION = 1
"""Rises when a field changes its meaning or goes; new fields may come without."""
_DIGITS = 4


def document(findings: Findings) -> dict[str, Any]:
    """Everything known, as what JSON can hold. Times in seconds, sizes in bytes, rates in Mbit/s."""
    plan, found = findings.plan, findings.found
    into, out = mbit_per_s(found.one_session)
    return {
        "schema": "baton.bench",
        "version": JSON_VERSION,
        "ok": findings.ok,
        "interrupted": findings.interrupted,
        "failure": findings.failure,
        "mode": "search" if plan.sessions is None else "load",
        "suggested_max_sessions": found.suggested if plan.sessions is None else None,
        "fits": findings.fits,
        "words": list(sentences(findings)),
        "rule": RULE_OF_THUMB,
        "machine": asdict(findings.machine) | {"is_busy": findings.machine.is_busy},
        "devices": [_device_facts(device) for device in findings.devices],
        "settings": dict(findings.settings),
        "asked": _plan(plan),
        "source": _source(findings),
        "load": _point(found.asked) if found.asked is not None else None,
        "searches": [_device(device) for device in found.devices],
        "together": [_point(point) for point in found.together],
        "session_mbit_per_s": {"in": round(into, _DIGITS), "out": round(out, _DIGITS)},
    }


def _plan(plan: BenchPlan) -> dict[str, Any]:
    return {
        "sessions": plan.sessions,
        "live": plan.live,
        "session_delay_s": plan.session_delay_s,
        "repeat": plan.repeat,
        "segments_most": plan.most_segments,
        "perceptual_hash": plan.perceptual_hash,
        "time_limit_s": plan.time_limit_s,
        "sessions_most": plan.most_sessions,
        "profiles": [asdict(profile) | {"codec": profile.codec.name.lower()} for profile in plan.ladder.profiles],
    }


def _source(findings: Findings) -> dict[str, Any] | None:
    source = findings.source
    if source is None:
        return None
    return {
        "name": source.name,
        "video": source.words,
        "segments": len(source.segments),
        "duration_s": round(sum(segment.duration_s for segment in source.segments), _DIGITS),
        "notes": [*source.notes, *findings.plan.ladder.notes],
    }


def _device_facts(device: DeviceFacts) -> dict[str, Any]:
    report = device.report
    return {
        "name": device.name,
        "at_once": device.at_once,
        "engine": report.engine,
        "encoders": list(report.encoders),
        "decoders": list(report.decoders),
        "encoder_sessions": report.encoder_sessions,
        "fallbacks": list(report.fallbacks),
    }


def _point(point: Point) -> dict[str, Any]:
    figures = point.figures
    return {
        "sessions": point.sessions,
        "fits": point.fits,
        "live": point.live,
        "duration_ratio": round(figures.ratio, _DIGITS),
        "real_time_share": round(figures.real_time_share, _DIGITS),
        "segments": figures.segments,
        "real_time_segments": figures.real_time_segments,
        "source_s": round(figures.source_s, _DIGITS),
        "transcode_s": round(figures.took_s, _DIGITS),
        "frames": figures.frames,
        "wall_s": round(point.wall_s, _DIGITS),
        "cut_short": point.cut_short,
        "trouble": point.trouble,
    }


def _device(device: DeviceFound) -> dict[str, Any]:
    return {
        "device": device.name,
        "limit": device.limit,
        "too_many": device.too_many,
        "complete": device.complete,
        "numbers": [_tried(tried) for tried in device.tried],
        "points": [_point(point) for point in device.points],
    }


def _tried(tried: Tried) -> dict[str, Any]:
    return {
        "sessions": tried.sessions,
        "tries": tried.tries,
        "fits": tried.fits,
        "duration_ratio": round(tried.figures.ratio, _DIGITS),
        "real_time_share": round(tried.figures.real_time_share, _DIGITS),
    }


def print_findings(console: "Console", findings: Findings) -> None:
    """Table and sentences."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    machine = findings.machine
    engines = "; ".join(f"{d.name}: {d.report.engine}, {d.at_once} at once" for d in findings.devices)
    for line in (f"Machine: {machine.cores} cores, {machine.cpu}", f"Engine: {engines}" if engines else ""):
        if line:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    for note in (*findings.plan.ladder.notes, *(findings.source.notes if findings.source else ())):
        console.print(f"Note: {note}.", markup=False, highlight=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("device")
    for name in ("sessions", "tries", "segments", "ratio", "real time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for row in _rows(findings):
        table.add_row(*(Text(cell) for cell in row[:-1]), Text(row[-1], "green" if row[-1] == "fits" else "bold red"))
    if table.row_count:
        console.print(table)
    for sentence in sentences(findings):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _rows(findings: Findings) -> list[tuple[str, ...]]:
    found = findings.found
    rows: list[tuple[str, ...]] = []
    for device in found.devices:
        for tried in device.tried:
            trouble = next((p.trouble for p in device.points if p.sessions == tried.sessions and p.trouble), "")
            rows.append(_row(device.name, tried.as_point(trouble), tries=tried.tries))
    rows += [_row("all, paced", point, tries=1) for point in found.together]
    if found.asked is not None:
        rows.append(_row("all", found.asked, tries=findings.plan.repeat))
    return rows


def _row(device: str, point: Point, *, tries: int) -> tuple[str, ...]:
    figures = point.figures
    return (
        device,
        str(point.sessions),
        str(tries),
        str(figures.segments),
        f"{figures.ratio:.2f}",
        f"{100 * figures.real_time_share:.0f}%",
        "fits" if point.fits else point.trouble or "does not fit",
    )
