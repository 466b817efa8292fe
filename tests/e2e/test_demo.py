"""``baton demo`` end to end: it passes, says what it saw, takes the operator's file, and leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest

from baton.selftest.demonstration import LADDER
from tests.devnet.fixtures import CACHE, need_npm
from tests.e2e.commands import baton, environment, processes_of
from tests.node import eventually
from tests.unit.selftest.made import make_clip, run_ffmpeg

pytestmark = [pytest.mark.node, pytest.mark.media, pytest.mark.timeout(150)]


def nothing_left(temporary: Path) -> None:
    assert list(temporary.iterdir()) == []
    eventually(lambda: not processes_of(temporary), deadline_s=5, what=f"no process left: {processes_of(temporary)}")


RENDITIONS = ["renditions", *(f"continuity of {name}" for name in LADDER)]


def test_demo_shows_a_paid_stream_with_both_sides_books(tmp_path: Path) -> None:
    need_npm()
    done = baton(tmp_path, "demo", "--seconds", "8", "--cache-dir", str(CACHE), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert {check["verdict"] for check in report["checks"]} == {"pass"}
    assert [check["name"] for check in report["checks"]] == [
        *RENDITIONS,
        *("payments", "tickets", "winners", "debit", "balances", "node stops"),
    ]
    money = report["money"]
    price, pixels = Fraction(money["price_wei_per_pixel"]), sum(row["pixels"] for row in report["renditions"])
    # 240,000 wei, and what redeeming a winner of 10,000 gwei costs at the gas price of the demo's chain.
    assert price == 240_000 * (1 + Fraction(350_000 * 10_000_000, 10**13))
    assert money["win_probability"] == 0.25
    assert int(money["debit_wei"]) == pixels * price == money["node"]["pixels"] * price
    assert int(money["credit_wei"]) == money["tickets_sent"] * int(money["ticket_expected_value_wei"])
    assert money["balance_wei"] == money["node"]["balance_wei"]
    assert round(Fraction(money["balance_wei"])) == int(money["credit_wei"]) - int(money["debit_wei"]) > 0
    assert money["tickets_sent"] == money["node"]["tickets"] >= 30
    # Four dozen draws at one in four: that none wins happens once in a hundred thousand runs.
    assert 0 < money["node"]["winners"] < money["tickets_sent"]
    assert int(money["node"]["won_wei"]) == money["node"]["winners"] * int(money["ticket_face_value_wei"])
    nothing_left(tmp_path)


def test_demo_on_a_chain_prints_the_money(tmp_path: Path) -> None:
    need_npm()
    done = baton(tmp_path, "demo", "--seconds", "2", "--cache-dir", str(CACHE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    table = done.stdout.partition("money  ")[2].partition("Paid on chain")[0]
    rows = {line.split("  ")[0].strip(): line for line in table.splitlines()}
    assert rows["tickets"].split() == ["tickets", "10", "sent", "10", "taken"]
    assert rows["winners"].split()[1:] in ([str(count), "kept"] for count in range(11))
    for name in ("credit (expected value)", "debit (price of the work)", "balance"):
        ours, theirs = re.findall(r"([\d,.]+) gwei", rows[name])
        assert ours == theirs
    assert "324,000 wei a pixel" in done.stdout
    assert "demo passed" in done.stdout.splitlines()
    nothing_left(tmp_path)


def test_demo_without_a_chain_to_be_had_says_how_to_do_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, temporary = tmp_path / "programs", tmp_path / "t"
    programs.mkdir()
    temporary.mkdir()
    for name in ("node", "npm"):
        program = programs / name
        program.write_text("#!/bin/sh\necho 'npm error network unreachable' >&2\nexit 1\n")
        program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    done = baton(temporary, "demo", "--seconds", "2", "--cache-dir", str(tmp_path / "cache"))
    assert done.returncode == 1
    assert "demo failed: npm could not fetch anvil:" in done.stdout
    assert "network unreachable" in done.stdout
    assert "Without one: CHAIN=0 make demo, or baton demo --offchain" in done.stdout
    nothing_left(temporary)


def test_demo_off_chain_passes_and_tells_every_rendition(tmp_path: Path) -> None:
    done = baton(tmp_path, "demo", "--offchain", "--seconds", "4", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert report["money"] is None
    assert {check["verdict"] for check in report["checks"]} == {"pass"}
    assert [check["name"] for check in report["checks"]] == [*RENDITIONS, "node stops"]
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
    done = baton(temporary, "demo", "--offchain", "--video", str(clip))
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
    done = baton(temporary, "demo", "--offchain", "--video", str(clip), "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    assert {(row["width"], row["height"]) for row in report["renditions"]} == {(426, 320), (640, 480), (1280, 960)}


def test_demo_of_what_cannot_be_sent_says_so_and_exits_1(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "v.mkv", seconds=1, video=("libvpx-vp9", "-deadline", "realtime"))
    temporary = tmp_path / "t"
    temporary.mkdir()
    done = baton(temporary, "demo", "--offchain", "--video", str(clip))
    assert done.returncode == 1
    assert "demo failed: video codec vp9 cannot be sent" in done.stdout
    nothing_left(temporary)


@contextmanager
def streaming_demo(temporary: Path, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A demo on a chain that has begun to stream."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "baton", "demo", "--cache-dir", str(CACHE)],
            env=environment(temporary),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.PIPE,
        )
    try:
        eventually(lambda: b"Streaming and paying" in output.read_bytes(), deadline_s=60, what="the demo streams")
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    need_npm()
    temporary = tmp_path / "t"
    temporary.mkdir()
    with streaming_demo(temporary, tmp_path / "out") as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (128 + number, b"interrupted\n")
    nothing_left(temporary)


def test_demo_whose_chain_dies_says_so_and_leaves_no_process(tmp_path: Path) -> None:
    need_npm()
    temporary, output = tmp_path / "t", tmp_path / "out"
    temporary.mkdir()
    with streaming_demo(temporary, output) as process:
        (chain,) = (pid for pid, line in processes_of(temporary).items() if " -m baton devnet " in line)
        os.kill(chain, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, b"")
    assert re.search(r"demo failed: segment \d+: the chain does not answer", output.read_text())
    eventually(lambda: not processes_of(temporary), deadline_s=5, what=f"no process left: {processes_of(temporary)}")
