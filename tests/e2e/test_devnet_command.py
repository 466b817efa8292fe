"""``baton devnet`` as an operator types it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from baton.devnet import Devnet
from tests.devnet.fixtures import CACHE, need_npm
from tests.e2e.commands import baton, environment, processes_of
from tests.node import eventually, free_port
from tests.support import run


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_devnet_says_where_it_is_and_goes_when_told(tmp_path: Path, stop: signal.Signals) -> None:
    need_npm()
    arguments = ["devnet", "--json", "--cache-dir", str(CACHE), "--round-length", "20", "--accounts", "1"]
    arguments += ["--l1-block-time", "0.05", "--block-time", "0.5", "--port", str(free_port())]
    command = subprocess.Popen(
        [sys.executable, "-m", "baton", *arguments],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with command:
        assert command.stdout is not None
        document = json.loads(command.stdout.readline())
        assert "public test keys" in document["warning"]
        assert document["rpc_url"].endswith(arguments[-1])
        devnet = Devnet.attach(document)
        assert (devnet.options.round_length, len(devnet.accounts.spare)) == (20, 1)
        first = run(devnet.current_round())
        eventually(lambda: run(devnet.current_round()) > first + 1, what="rounds go by")
        eventually(lambda: run(devnet.is_round_initialized()), what="and are initialized")
        command.send_signal(stop)
        assert command.wait(20) == 0
        assert command.stdout.read() == ""  # one document and nothing else
    assert processes_of(tmp_path) == {}


def test_taken_port_has_its_exit_code(tmp_path: Path, devnet: Devnet) -> None:
    port = devnet.rpc_url.rpartition(":")[2]
    done = baton(tmp_path, "devnet", "--cache-dir", str(CACHE), "--port", port)
    assert done.returncode == 3, done.stderr
    assert f"port {port} of 127.0.0.1 cannot be bound" in done.stderr
    assert done.stdout == ""


def test_options_that_cannot_work_are_refused_before_anything_starts(tmp_path: Path) -> None:
    done = baton(tmp_path, "devnet", "--cache-dir", str(tmp_path / "none"), "--round-length", "1000000")
    assert done.returncode == 2
    assert "the L1 clock starts after the first round" in done.stderr
    assert not (tmp_path / "none").exists()
