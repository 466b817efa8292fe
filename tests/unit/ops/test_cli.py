"""The command line: quick, complete, clear about every mistake, and with exit codes that tell them apart."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import pytest
import structlog
from click.testing import CliRunner, Result
from rich.console import Console

from baton.config.flags import FLAGS
from baton.kernel.version import NODE_VERSION, VERSION
from baton.node.drain import DrainState
from baton.ops.cli import COMMANDS, group
from baton.ops.commands.status import duration_text, render, size_text
from tests.support import run

from .rig import Rig

HEAVY = ("av", "aiohttp", "uvicorn", "fastapi", "pydantic", "google.protobuf", "coincurve", "rich.table", "structlog")


@pytest.fixture(autouse=True)
def _quiet_node() -> Iterator[None]:
    """The node of these tests lives in the same process as the command, whose output is captured."""
    with structlog.testing.capture_logs():
        yield


def call(*args: str, environ: Mapping[str, str] | None = None, home: Path) -> Result:
    clean = {name: None for name in os.environ if name.startswith("BATON_")}
    return CliRunner().invoke(group, list(args), env={**clean, "HOME": str(home), **(environ or {})})


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["run", "--help"], ["version"]])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['baton', *{args!r}]\n"
        "try:\n    runpy.run_module('baton', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_the_list_of_commands_comes_from_the_table(tmp_path: Path) -> None:
    result = call("--help", home=tmp_path)
    assert result.exit_code == 0
    for name, row in COMMANDS.items():
        assert f"  {name}" in result.output
        assert row.help in result.output


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_be_imported_and_helps(name: str, tmp_path: Path) -> None:
    assert isinstance(group.get_command(click.Context(group), name), click.Command)
    assert call(name, "--help", home=tmp_path).exit_code == 0


def test_an_unknown_command_is_answered_with_the_nearest(tmp_path: Path) -> None:
    result = call("statu", home=tmp_path)
    assert result.exit_code == 2
    assert "No such command 'statu'. Did you mean 'status'?" in result.output
    assert call("zzzzz", home=tmp_path).exit_code == 2


def test_versions(tmp_path: Path) -> None:
    assert call("--version", home=tmp_path).output == f"baton {VERSION} (node version {NODE_VERSION})\n"
    assert call("version", home=tmp_path).output.startswith(f"baton {VERSION}\n")
    assert json.loads(call("version", "--json", home=tmp_path).output)["node_version"] == NODE_VERSION


def test_help_of_run_names_every_setting(tmp_path: Path) -> None:
    output = call("run", "--help", home=tmp_path).output
    for flag in FLAGS.values():
        assert f"{flag.option} " in output
    assert "--config PATH" in output


def test_check_prints_every_setting_with_its_origin(tmp_path: Path) -> None:
    result = call("run", "--check", "--max-sessions", "4", environ={"BATON_MONITOR": "true"}, home=tmp_path)
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["setting", *FLAGS]
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["max-sessions"] == ["4", "command", "line", "(--max-sessions)"]
    assert by_name["monitor"] == ["true", "environment", "(BATON_MONITOR)"]
    assert "--service-addr is not set" in result.stderr
    assert not (tmp_path / ".baton").exists()


def test_every_problem_is_printed_and_the_code_is_2(tmp_path: Path) -> None:
    result = call("run", "--netint", "0", "--max-sessions", "0", environ={"BATON_NODE": "x"}, home=tmp_path)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "baton: 3 problems with the settings; nothing was started",
        "  - --netint is not supported yet by this version",
        "  - unknown environment variable BATON_NODE; did you mean BATON_NODES?",
        (
            "  - --max-sessions must be 'auto' or greater than zero (a number here: 'auto' is for remote transcoders); "
            "got '0' from command line (--max-sessions)"
        ),
    ]


@pytest.mark.parametrize("words", [["status"], ["drain"], ["undrain"]])
def test_without_a_node_the_code_is_1_and_the_text_says_so(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "management.token").write_text("x" * 43)
    result = call(*words, "--cli-addr", "127.0.0.1:1", "--data-dir", str(tmp_path), home=tmp_path)
    assert result.exit_code == 1
    assert "no node answers on 127.0.0.1:1 (Connection refused); is it running" in result.stderr


def test_drain_without_a_token_says_where_it_looked(tmp_path: Path) -> None:
    result = call("drain", home=tmp_path)
    assert result.exit_code == 1
    assert f"no token in {tmp_path}/.baton/offchain/management.token" in result.stderr


def test_a_wrong_address_is_a_problem_of_the_settings(tmp_path: Path) -> None:
    assert call("status", "--cli-addr", "a b", home=tmp_path).exit_code == 2
    assert call("status", "--max-sessions", "3", home=tmp_path).exit_code == 2


def against(rig: Rig, work: Callable[[Callable[..., Result]], None]) -> None:
    """Run ``work`` in a thread while the management port of ``rig`` serves."""

    async def story() -> None:
        async with rig.running():
            here = ["--cli-addr", f"127.0.0.1:{rig.port.port}", "--data-dir", str(rig.data_dir)]

            def invoke(*args: str) -> Result:
                return call(*args, *here, home=rig.data_dir)

            await asyncio.to_thread(work, invoke)

    run(story())


def test_status_of_a_running_node(tmp_path: Path) -> None:
    def work(invoke: Callable[..., Result]) -> None:
        result = invoke("status")
        assert result.exit_code == 0, result.output
        for text in ("starting", "engine: no engine has answered yet", "H.264, MPEGTS", "engine 0"):
            assert text in result.output
        assert "300 of 5 (limit 10; see devices)" in result.output
        assert r"probe: no such\x1b[2J device" in result.output
        assert r"evil\x1b[2J\udcff" in result.output
        assert "\x1b" not in result.output
        assert json.loads(invoke("status", "--json").output)["state"] == "starting"

    against(Rig(tmp_path), work)


def test_drain_undrain_and_exit_of_a_running_node(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.drain.move(DrainState.SERVING)

    def work(invoke: Callable[..., Result]) -> None:
        assert invoke("drain").output == "the node is draining: it takes no new streams\n"
        assert rig.drain.state is DrainState.DRAINING
        assert json.loads(invoke("undrain", "--json").output) == {"state": "serving", "ends": False}
        assert invoke("drain", "--exit").output == "the node drains and ends\n"

    against(rig, work)
    assert rig.leaver is not None
    assert rig.leaver.asked == 1


def test_a_refusal_is_told_in_the_node_s_words(tmp_path: Path) -> None:
    def work(invoke: Callable[..., Result]) -> None:
        result = invoke("drain")
        assert result.exit_code == 1
        assert "refuses: the node is still starting" in result.stderr

    against(Rig(tmp_path), work)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"",
    ],
)
def test_something_else_on_the_port_is_not_taken_for_a_node(answer: bytes, tmp_path: Path) -> None:
    async def story() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(answer)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            result = await asyncio.to_thread(call, "status", "--cli-addr", f"127.0.0.1:{port}", home=tmp_path)
        assert result.exit_code == 1
        assert "no node answers" in result.stderr or "is not a Baton node" in result.stderr

    run(story())


def test_rendering_survives_an_answer_of_another_version() -> None:
    console = Console(record=True, markup=False, width=100)
    render({"state": "[bold]x\x1b[2J", "sessions": [{"manifest_id": None}, "junk"], "store": 5, "reasons": {}}, console)
    text = console.export_text()
    assert r"[bold]x\x1b[2J" in text


def test_amounts_in_words() -> None:
    assert [duration_text(s) for s in (1.25, 75, 3700, 100_000, None)] == ["1.2s", "1m 15s", "1h 1m", "1d 3h", ""]
    assert [size_text(n) for n in (5, 1536, 3 << 30, 5 << 40, "x")] == ["5 B", "1.5 KiB", "3.0 GiB", "5.0 TiB", ""]
