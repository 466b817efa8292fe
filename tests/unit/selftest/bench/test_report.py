"""What people, programs and scripts of the reference's benchmark read."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from baton.media.job import EngineReport
from baton.selftest.bench import reference_output
from baton.selftest.bench.course import DeviceFound, Found
from baton.selftest.bench.figures import Figures, Point, Timing
from baton.selftest.bench.ladder import DEFAULT_LADDER, read_ladder
from baton.selftest.bench.machine import Machine, this_machine
from baton.selftest.bench.outputs import RenditionFiles
from baton.selftest.bench.plan import BenchError, BenchPlan, DeviceFacts, Findings
from baton.selftest.bench.progress import LineProgress
from baton.selftest.bench.report import document, print_findings
from baton.selftest.bench.search import LimitSearch
from baton.selftest.bench.source import BenchSegment, BenchSource
from baton.selftest.bench.verdict import sentences

MACHINE = Machine("A processor", 2, 1 << 30, "Linux", "CPython 3.11", "0.1.0", 0.1)


@pytest.fixture(autouse=True)
def zone_of_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import time

    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def timing(*, ended_at_s: float = 1_700_000_000.5, duration_s: float = 2.0, took_s: float = 0.5) -> Timing:
    return Timing(3, 7, duration_s, took_s, 60, ended_at_s, 250_000, 1_000_000)


@pytest.mark.parametrize(
    ("ended_at_s", "duration_s", "took_s", "line"),
    [
        (1_700_000_000.5, 2.0, 0.5, "2023-11-14 22:13:20.5,3,7,2,0.5,60"),
        (1_700_000_000.0, 2.002, 1.23456, "2023-11-14 22:13:20,3,7,2.002,1.235,60"),
        (1_700_000_000.12345, 10.010009765, 0.000123456, "2023-11-14 22:13:20.1234,3,7,10.01,0.0001235,60"),
        (1_700_000_000.0101, 1.9999, 12.3456, "2023-11-14 22:13:20.0101,3,7,2,12.35,60"),
    ],
)
def test_line_of_a_segment_is_the_reference_s(ended_at_s: float, duration_s: float, took_s: float, line: str) -> None:
    row = timing(ended_at_s=ended_at_s, duration_s=duration_s, took_s=took_s)
    assert reference_output.csv_line(row) == line


def test_header_is_the_reference_s() -> None:
    assert reference_output.CSV_HEADER == "timestamp,session,segment,seg_dur,transcode_time,frames"


def test_result_table_is_the_reference_s() -> None:
    figures = Figures.of([timing(took_s=1.0), timing(took_s=2.0), timing(took_s=2.5)])
    assert list(reference_output.result_table(Point(4, figures))) == [
        "+------------------------------+--------+",
        "| Concurrent Sessions          | 4      |",
        "| Total Segs Transcoded        | 3      |",
        "| Real-Time Segs Transcoded    | 2      |",
        "| * Real-Time Segs Ratio *     | 0.6667 |",
        "| Total Source Duration        | 6s     |",
        "| Total Transcoding Duration   | 5.5s   |",
        "| * Real-Time Duration Ratio * | 0.9167 |",
        "+------------------------------+--------+",
    ]


def plan(*, sessions: int | None = None) -> BenchPlan:
    ladder = read_ladder(DEFAULT_LADDER, directory=Path())
    return BenchPlan(source=Path("x.m3u8"), transcoding_options=DEFAULT_LADDER, ladder=ladder, sessions=sessions)


def test_settings_table_names_what_was_asked() -> None:
    lines = list(reference_output.settings_table(plan(sessions=4), "0,1"))
    assert "| Concurrent Sessions | 4  " in lines[3]
    assert any(line.startswith("| Nvidia GPU IDs      | 0,1") for line in lines)


def searched() -> Findings:
    search, points = LimitSearch(most=64), []
    for sessions in (1, 2, 3, 2, 3):
        figures = Figures(10, 10, 20.0, 20 * 0.31 * sessions, 600, 10_000_000, 20_000_000)
        points.append(Point(sessions, figures, wall_s=2.0))
        search.record(points[-1])
    found = DeviceFound("cpu", search.limit, search.too_many, complete=True, tried=search.tried, points=tuple(points))
    together = replace(points[1], live=True)
    report = EngineReport((1,), (), "an engine", ("libx264",))
    return Findings(
        plan(),
        MACHINE,
        settings=(("encoder-preset", "medium"),),
        source=BenchSource("x.m3u8", (BenchSegment(Path("/a.ts"), 2.0, 9),), "h264 1280x720", ("without audio",)),
        devices=(DeviceFacts("cpu", 2, report),),
        found=Found(devices=(found,), together=(together,), suggested=2, one_session=points[0].figures),
    )


def printed(findings: Findings) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_findings(console, findings)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_document_holds_everything_under_stated_names() -> None:
    document_read = json.loads(json.dumps(document(searched())))
    assert {key: document_read[key] for key in ("schema", "version", "ok", "mode", "suggested_max_sessions")} == {
        "schema": "baton.bench",
        "version": 1,
        "ok": True,
        "mode": "search",
        "suggested_max_sessions": 2,
    }
    assert set(document_read) == {
        *("schema", "version", "ok", "interrupted", "failure", "mode", "suggested_max_sessions", "fits", "words"),
        *("rule", "machine", "devices", "settings", "asked", "source", "load", "searches", "together"),
        "session_mbit_per_s",
    }
    assert document_read["machine"]["cores"] == 2
    assert document_read["devices"][0]["engine"] == "an engine"
    assert document_read["searches"][0]["numbers"][2] == {
        "sessions": 3,
        "tries": 2,
        "fits": False,
        "duration_ratio": 0.93,
        "real_time_share": 1.0,
    }
    assert document_read["together"][0]["live"] is True
    assert document_read["session_mbit_per_s"] == {"in": 4.0, "out": 8.0}
    assert document_read["asked"]["profiles"][0]["name"] == "P240p30fps16x9"


def test_sentences_give_the_answer_and_its_margin() -> None:
    words = list(sentences(searched()))
    assert words[0] == "cpu: 2 sessions at a ratio of 0.62; 3 sessions came to 0.93, and the limit is 0.8."
    assert "Suggested: --max-sessions 2" in words
    assert words[1] == (
        "Run paced, as gateways send: 2 sessions at once came to 0.62, with 100% of the segments in real time. "
        "That holds."
    )
    assert any("4.0 Mbit/s in and sends 8.0 Mbit/s out; for 2 sessions that is 8.0 and 16.0" in word for word in words)


def test_table_has_a_row_for_each_load() -> None:
    text = printed(searched())
    rows = [line.split()[:6] for line in text.splitlines() if line.startswith((" cpu", "cpu "))]
    assert rows[:3] == [
        ["cpu", "1", "1", "10", "0.31", "100%"],
        ["cpu", "2", "2", "20", "0.62", "100%"],
        ["cpu", "3", "2", "20", "0.93", "100%"],
    ]
    assert "all, paced" in text
    assert "Note: without audio." in text


@pytest.mark.parametrize(
    ("ratio", "trouble", "fits", "word"),
    [(0.5, "", True, "4 sessions: fits."), (0.9, "", False, "does not fit."), (0.5, "No such device", False, "does")],
)
def test_asked_load_gets_a_verdict(ratio: float, trouble: str, fits: bool, word: str) -> None:  # noqa: FBT001 -- a parameter of the table
    point = Point(4, Figures(10, 10, 20.0, 20 * ratio, 600, 1, 1), trouble=trouble)
    findings = Findings(plan(sessions=4), MACHINE, found=Found(asked=point))
    assert findings.ok is fits
    assert word in next(iter(sentences(findings)))
    assert document(findings)["load"]["fits"] is fits


def test_interrupted_search_says_what_it_knows() -> None:
    search = LimitSearch(most=64)
    search.record(Point(1, Figures(3, 3, 6.0, 1.2, 180, 1, 1)))
    partial = DeviceFound("cpu", 1, None, complete=False, tried=search.tried, points=())
    findings = Findings(plan(), MACHINE, found=Found(devices=(partial,), suggested=1), interrupted=True)
    words = list(sentences(findings))
    assert words[0] == "cpu: at least 1 session at a ratio of 0.20; more was not tried."
    assert "not run paced" in words[1]
    assert not findings.ok


def test_nothing_known_and_nothing_fitting_are_told_apart() -> None:
    unknown = Findings(plan(), MACHINE, found=Found(devices=(DeviceFound("cpu", 0, None, False, (), ()),)))
    assert any("more time" in word for word in sentences(unknown))
    search = LimitSearch(most=64)
    search.record(Point(1, Figures(3, 0, 6.0, 12.0, 180, 1, 1)))
    none = DeviceFound("cpu", 0, 1, complete=True, tried=search.tried, points=())
    assert next(iter(sentences(Findings(plan(), MACHINE, found=Found(devices=(none,)))))) == (
        "cpu: not one session; 1 session came to 2.00, and the limit is 0.8."
    )
    assert any(
        "does not carry one session" in w for w in sentences(Findings(plan(), MACHINE, found=Found(devices=(none,))))
    )


def test_busy_machine_is_told() -> None:
    busy = replace(MACHINE, load_before=5.0)
    findings = searched()
    findings.machine = busy
    assert any("5.0 other processes" in word for word in sentences(findings))
    assert this_machine().cores >= 1
    assert this_machine().cpu


def test_texts_of_files_do_not_reach_the_terminal_s_markup() -> None:
    findings = searched()
    findings.source = BenchSource("x", (), "", ("[bold]not bold[/bold]",))
    assert "[bold]not bold[/bold]" in printed(findings)


def test_progress_speaks_on_a_terminal_or_when_asked() -> None:
    for wanted, said in ((None, False), (True, True), (False, False)):
        stream = io.StringIO()
        progress = LineProgress(wanted=wanted, stream=stream)
        progress.step("searching")
        progress.tick(1, 6)
        progress.point(Point(2, Figures(6, 6, 12.0, 6.0), wall_s=1.5), "cpu")
        progress.clear()
        expected = "searching\n  cpu: 2 sessions: ratio 0.50, 100% in real time, 1.5 s: fits\n"
        assert stream.getvalue() == (expected if said else "")


@pytest.mark.parametrize("prefix", ["missing/x", "\0x"])
def test_prefix_that_cannot_be_written_to(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot be written"):
        RenditionFiles(str(tmp_path / prefix) if "\0" not in prefix else prefix, ())
