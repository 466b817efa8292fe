"""A node with cards as an operator sees it: found at the start or no start, told in status and metrics, lost and told.

The driver library is the one of ``tests/nvml``, found as the loader finds any. No card works here, so either the
engines are simulated, or the node says what is missing.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.commands import ROOT, environment
from tests.integration.test_device_loss import simulated_node
from tests.node import eventually
from tests.nvml.machine import Card, NvmlMachine, compile_library

pytestmark = pytest.mark.node

CARDS = tuple(
    Card(
        f"GPU-{index}0000000-1111-2222-3333-444444444444",
        (
            *(("name", f"NVIDIA L{index}"), ("memory", "24152899584"), ("memory_used", "1073741824")),
            *(("encoder", "61"), ("temperature", "54"), ("sessions", "4"), ("throttling", "0")),
        ),
    )
    for index in range(2)
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NvmlMachine:
    folder = tmp_path / "driver"
    folder.mkdir()
    made = NvmlMachine(folder, compile_library(folder))
    made.put(*CARDS)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    monkeypatch.setenv("NVML_SCRIPT", str(made.script))
    return made


def test_cards_are_found_watched_and_lost(machine: NvmlMachine, tmp_path: Path) -> None:
    with simulated_node(tmp_path, "--nvidia", "1,0", names=("nvidia-1", "nvidia-0")) as node:
        for event in ("card failed", "device out of use", "engine child replaced"):
            node.announce(event)
        found = [line.fields["device"] for line in node.log() if line.event == "card found"]
        assert found == ["nvidia-1", "nvidia-0"]
        first, second = eventually(
            lambda: [card for card in node.status()["cards"] if card["temperature_c"] == 54], what="a look at the cards"
        )
        assert (first["device"], first["name"], first["state"]) == ("nvidia-1", "NVIDIA L1", "ok")
        assert (second["device"], second["encoder_percent"], second["encoder_sessions"]) == ("nvidia-0", 61, 4)
        text = node.manage("/metrics").text
        assert 'device="nvidia-1",unit="encoder"} 61' in text
        machine.rule(**{"card1__error__*": "15"})
        lost = eventually(
            lambda: [card for card in node.status()["cards"] if card["state"] == "lost"], what="the lost card"
        )
        assert [(card["device"], card["temperature_c"]) for card in lost] == [("nvidia-1", None)]
        node.wait_states("quarantined", "healthy")
        assert "lost" in node.status()["devices"][0]["reason"]
        table = subprocess.run(
            [sys.executable, "-m", "baton", "status", "--cli-addr", node.management_url.removeprefix("http://")],
            env={**environment(tmp_path), "BATON_DATA_DIR": str(tmp_path / "data")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "NVIDIA L1" in table
        assert "lost: " in table
        assert "1.0 GiB of 22.5 GiB" in table
        assert "61%" in table


def start(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "baton", *options, "--log-format", "json", "--data-dir", str(tmp_path / "data")],
        env=environment(tmp_path),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.usefixtures("machine")
def test_cards_on_which_nothing_can_be_computed_end_the_start_with_their_reasons(tmp_path: Path) -> None:
    done = start(tmp_path, "run", "--nvidia", "all", "--http-addr", "127.0.0.1:0", "--cli-addr", "127.0.0.1:0")
    assert done.returncode == 5
    told = done.stdout + done.stderr
    assert "nvidia-0: the transcoding engine does not work on this machine: No such device" in told
    assert "nvidia-1: the transcoding engine does not work on this machine: No such device" in told


def test_node_without_the_card_it_was_given_does_not_start(machine: NvmlMachine, tmp_path: Path) -> None:
    done = start(tmp_path, "run", "--nvidia", "0,7")
    assert done.returncode == 2
    assert "Error while parsing '-nvidia 0,7' flag: no card 7; the driver lists 0, 1" in done.stdout + done.stderr
    machine.put()
    done = start(tmp_path, "run", "--nvidia", "all")
    assert done.returncode == 2
    assert "Error while parsing '-nvidia all' flag: the NVIDIA driver lists no card" in done.stdout + done.stderr


@pytest.mark.usefixtures("machine")
def test_node_without_the_driver_library_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    (nothing / "libnvidia-ml.so.1").write_bytes(b"")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nothing))
    done = start(tmp_path, "run", "--nvidia", "all")
    assert done.returncode == 5
    assert "libnvidia-ml.so.1 was not found" in done.stdout + done.stderr


@pytest.mark.usefixtures("machine")
def test_two_kinds_of_cards_are_exit_code_1(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "baton", "livepeer", "-orchestrator", "-transcoder", "-nvidia", "0", "-netint", "all"],
        env={**environment(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 1
    assert "both -netint and -nvidia arguments specified, this is not supported" in done.stderr
