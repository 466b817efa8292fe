"""``baton bench`` and ``baton livepeer-bench`` on real engines: short loads, a short search, and every way to end."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clips import decoded_frames, make_segments
from tests.e2e.commands import baton, environment, processes_of
from tests.node import eventually

pytestmark = [pytest.mark.media, pytest.mark.timeout(150)]

SMALL = ("--transcoding-options", "P144p30fps16x9", "--encoder-preset", "ultrafast")
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,4})?,(\d+),(\d+),(\S+),(\S+),(\d+)")


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "t"
    folder.mkdir()
    return folder


@pytest.fixture
def playlist(tmp_path: Path) -> Path:
    folder = tmp_path / "hls"
    folder.mkdir()
    make_segments(folder, count=3, seconds=1)
    path = folder / "x.m3u8"
    path.write_text("#EXTM3U\n" + "".join(f"#EXTINF:1.0,\n{n:03d}.ts\n" for n in range(3)))
    return path


def nothing_left(temporary: Path) -> None:
    assert list(temporary.iterdir()) == []
    eventually(lambda: not processes_of(temporary), deadline_s=5, what=f"no process left: {processes_of(temporary)}")


def report_of(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_line_of_an_operator_prints_what_livepeer_bench_prints(playlist: Path, temporary: Path) -> None:
    options = playlist.with_name("opts.json")
    options.write_text(json.dumps([{"name": "p", "width": 256, "height": 144, "bitrate": 200000, "gop": "1"}]))
    done = baton(
        temporary,
        *("livepeer-bench", "-in", str(playlist), "-transcodingOptions", str(options), "-concurrentSessions=2"),
        *("-concurrentSessionDelay", "10ms", "-live=false", "-segs", "2", "-outPrefix", str(playlist.parent / "out")),
    )
    assert done.returncode == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    assert header == "timestamp,session,segment,seg_dur,transcode_time,frames"
    found = [match for line in lines if (match := LINE.fullmatch(line))]
    assert len(found) == len(lines) == 4
    assert sorted((m[2], m[3], m[4], m[6]) for m in found) == [
        (session, segment, "1", "30") for session in "01" for segment in "01"
    ]
    table = {
        row[1].strip(): row[2].strip() for row in (line.split("|") for line in done.stderr.splitlines()) if row[1:]
    }
    assert table["Concurrent Sessions"] == "2"
    assert table["Live Mode"] == "false"
    assert table["Total Segs Transcoded"] == "4"
    assert table["Total Source Duration"] == "4s"
    total_s = sum(float(m[5]) for m in found)
    assert float(table["* Real-Time Duration Ratio *"]) == pytest.approx(total_s / 4, rel=0.01)
    made = sorted(path.name for path in playlist.parent.glob("out_*"))
    assert made == [f"out_p_0_{session}_{segment}.ts" for session in "01" for segment in "01"]
    assert len(decoded_frames((playlist.parent / made[0]).read_bytes())) == 30
    nothing_left(temporary)


def test_asked_load_gets_a_verdict_and_its_exit_code(playlist: Path, temporary: Path) -> None:
    done = baton(temporary, "bench", "--in", str(playlist), *SMALL, "--sessions", "1", "--repeat", "2", "--json")
    report = report_of(done)
    assert report["load"]["segments"] == 6
    assert report["load"]["frames"] == 180
    assert report["load"]["live"] is True
    assert report["load"]["wall_s"] >= 2 * 2.0
    assert done.returncode == (0 if report["load"]["fits"] else 1)
    assert done.stderr == ""
    assert report["devices"][0]["engine"].startswith("PyAV ")
    assert report["settings"]["encoder-preset"] == "ultrafast"
    nothing_left(temporary)


def test_signatures_can_be_measured_too_and_are_kept(playlist: Path, temporary: Path) -> None:
    prefix = playlist.parent / "out"
    words = ("--sessions", "1", "--segs", "1", "--no-live", "--mpeg7-sign", "--out-prefix", str(prefix), "--json")
    report = report_of(baton(temporary, "bench", "--in", str(playlist), *SMALL, *words))
    assert report["load"]["segments"] == 1
    assert (playlist.parent / "out_P144p30fps16x9_0_0_0.ts.bin").stat().st_size > 100
    nothing_left(temporary)


def test_search_of_the_clip_ends_in_time_with_a_suggestion(temporary: Path) -> None:
    done = baton(temporary, "bench", *SMALL, "--time-limit", "30s", "--sessions-most", "2", "--segs", "3", "--progress")
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert ["cpu", "1"] in rows
    suggested = re.search(r"^Suggested: --max-sessions ([12])$", done.stdout, re.MULTILINE)
    assert (suggested is not None) == (done.returncode == 0)
    assert "searching the limit of cpu" in done.stderr
    nothing_left(temporary)


def test_load_beyond_the_machine_is_answered_with_no(playlist: Path, temporary: Path) -> None:
    playlist.write_text("#EXTM3U\n#EXTINF:0.001,\n000.ts\n#EXTINF:0.001,\n001.ts\n")
    done = baton(temporary, "bench", "--in", str(playlist), *SMALL, "--sessions", "2", "--json")
    assert done.returncode == 1
    report = report_of(done)
    assert report["load"]["duration_ratio"] > 0.8
    assert "does not fit" in report["words"][0]
    nothing_left(temporary)


def test_garbage_among_the_segments_ends_with_the_engine_s_reason(playlist: Path, temporary: Path) -> None:
    (playlist.parent / "001.ts").write_bytes(bytes(range(256)) * 400)
    done = baton(temporary, "bench", "--in", str(playlist), *SMALL, "--sessions", "1", "--no-live", "--json")
    assert done.returncode == 1
    report = report_of(done)
    assert report["failure"].startswith("001.ts: ")
    assert report["load"]["segments"] == 1
    nothing_left(temporary)


def test_renditions_that_the_engine_cannot_make_end_a_search_at_once(playlist: Path, temporary: Path) -> None:
    options = playlist.with_name("opts.json")
    options.write_text(json.dumps([{"width": 256, "height": 144, "bitrate": 200000, "encoder": "VP9"}]))
    done = baton(temporary, "bench", "--in", str(playlist), "--transcoding-options", str(options))
    assert done.returncode == 1
    assert "Failed: cpu: 000.ts: " in done.stdout
    nothing_left(temporary)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_bench_tells_what_it_knows_and_leaves_nothing(
    playlist: Path, temporary: Path, number: signal.Signals
) -> None:
    log = playlist.parent / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "baton", "bench", "--in", str(playlist), *SMALL, "--sessions", "1"),
                *("--repeat", "100", "--json", "--progress"),
            ],
            env=environment(temporary),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
        )
    try:
        eventually(lambda: b"run 2 of 100" in log.read_bytes(), deadline_s=60, what="the second run begins")
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    report = json.loads(output)
    assert process.returncode == 128 + number
    assert report["interrupted"] is True
    assert report["load"]["segments"] >= 3
    assert log.read_text().endswith("interrupted\n")
    nothing_left(temporary)
