"""``baton demo`` end to end: it passes, says what it saw, takes the operator's file, and leaves nothing behind."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.commands import baton, environment, processes_of
from tests.node import eventually
from tests.unit.selftest.made import make_clip, run_ffmpeg

pytestmark = [pytest.mark.node, pytest.mark.media, pytest.mark.timeout(150)]


def nothing_left(temporary: Path) -> None:
    assert list(temporary.iterdir()) == []
    eventually(lambda: not processes_of(temporary), deadline_s=5, what=f"no process left: {processes_of(temporary)}")


def test_demo_passes_and_tells_every_rendition(tmp_path: Path) -> None:
    done = baton(tmp_path, "demo", "--seconds", "4", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert {check["verdict"] for check in report["checks"]} == {"pass"}
    assert [check["name"] for check in report["checks"]] == [
        "renditions",
        "continuity of P240p30fps16x9",
        "continuity of P360p30fps16x9",
        "continuity of P720p30fps16x9",
        "node stops",
    ]
    assert [(row["segment"], row["width"], row["height"], row["pixels"]) for row in report["renditions"]] == [
        (0, 426, 240, 6_134_400),
        (0, 640, 360, 13_824_000),
        (0, 1280, 720, 55_296_000),
        (1, 426, 240, 6_134_400),
        (1, 640, 360, 13_824_000),
        (1, 1280, 720, 55_296_000),
    ]
    assert {row["protocol"] for row in report["renditions"]} == {"HTTP/2"}
    nothing_left(tmp_path)


def test_demo_of_an_operators_file_prints_a_table(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "holiday.mkv", seconds=3)
    temporary = tmp_path / "t"
    temporary.mkdir()
    done = baton(temporary, "demo", "--video", str(clip))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert any(line.split()[:2] == ["segment", "rendition"] for line in lines)
    assert any("P360p30fps16x9" in line and "640x360" in line and "13,824,000" in line for line in lines)
    assert "demo passed" in lines
    assert "  [1/2] segment 0" in done.stdout
    nothing_left(temporary)


def test_demo_of_a_film_with_another_frame_rate_and_no_sound_passes(tmp_path: Path) -> None:
    clip = tmp_path / "film.mp4"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=640x480:r=24000/1001:d=5"),
        *("-c:v", "libx264", "-g", "48", "-pix_fmt", "yuv420p", str(clip)),
    )
    temporary = tmp_path / "t"
    temporary.mkdir()
    done = baton(temporary, "demo", "--video", str(clip), "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    assert {(row["width"], row["height"]) for row in report["renditions"]} == {(426, 320), (640, 480), (1280, 960)}


def test_demo_of_what_cannot_be_sent_says_so_and_exits_1(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "v.mkv", seconds=1, video=("libvpx-vp9", "-deadline", "realtime"))
    temporary = tmp_path / "t"
    temporary.mkdir()
    done = baton(temporary, "demo", "--video", str(clip))
    assert done.returncode == 1
    assert "demo failed: video codec vp9 cannot be sent" in done.stdout
    nothing_left(temporary)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "out"
    temporary = tmp_path / "t"
    temporary.mkdir()
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "baton", "demo"],
            env=environment(temporary),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.PIPE,
        )
    try:
        eventually(lambda: b"Streaming" in output.read_bytes(), deadline_s=60, what="the demo streams")
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (128 + number, b"interrupted\n")
    nothing_left(temporary)
