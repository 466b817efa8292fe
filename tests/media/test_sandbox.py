"""The cell of an engine child, tried from inside by an engine that wants out, beside one that is in no cell."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import gettempdir

import pytest

from baton.kernel.errors import Text, TranscodeError
from baton.media import sandbox
from baton.media.process import ChildCommand
from baton.media.sandbox import Cell, Offered, offered, trees_of_the_interpreter
from tests.media.pooling import make_pool, order, running

HOSTILE = ChildCommand(transcode="tests.media.hostile_engine:transcode", probe="tests.media.hostile_engine:probe")
NO = "PermissionError"
confined = pytest.mark.usefixtures("whole_cell")


@pytest.fixture
def whole_cell() -> None:
    """The test needs everything a cell is made of."""
    if offered().lacking:
        pytest.skip(f"this kernel lets a child {offered().lacking}")


@dataclass(frozen=True)
class Grounds:
    """A node's folders as far as a child has to do with them."""

    root: Path

    def __post_init__(self) -> None:
        for folder in (self.spool, self.temp, self.root / "keystore"):
            folder.mkdir()
        self.secret.write_text("key", encoding="ascii")
        self.secret.chmod(0o600)
        (self.spool / "segment-1").write_text("bytes", encoding="ascii")

    @property
    def spool(self) -> Path:
        return self.root / "work"

    @property
    def temp(self) -> Path:
        return self.root / "engine-temp"

    @property
    def secret(self) -> Path:
        return self.root / "keystore" / "UTC--1"

    @property
    def cell(self) -> Cell:
        return Cell(
            readable=trees_of_the_interpreter(unless_above=(self.root,)),
            named=(str(self.spool),),
            writable=(str(self.temp),),
        )


@pytest.fixture
def grounds(tmp_path: Path) -> Grounds:
    return Grounds(tmp_path)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of our user that a child has no business with; it says so when it is signalled, and lives on."""
    code = (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); print('ready', flush=True)\n"
        "signal.sigwait({signal.SIGTERM}); print('hit', flush=True); input()\n"
    )
    command = [sys.executable, "-I", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def attempt(grounds: Grounds, *attempts: tuple[str, object], cell: Cell | None) -> list[str]:
    """What a hostile engine's attempts came to, in their order."""

    async def story() -> list[str]:
        pool = make_pool(children=1, command=replace(HOSTILE, cell=cell))
        async with running(pool):
            with pytest.raises(TranscodeError) as refused:
                await order(pool, json.dumps([(name, str(aim)) for name, aim in attempts]), grounds.spool)
        assert refused.value.text == Text.INVALID_INPUT
        return [str(outcome) for outcome in json.loads(refused.value.detail)]

    return asyncio.run(story())


@confined
def test_files_of_the_node_and_the_system_are_out_of_reach(grounds: Grounds) -> None:
    secret = grounds.secret
    attempts = (
        *(("read", secret), ("read", "/etc/passwd"), ("read by program", secret), ("list", secret.parent)),
        *(("list", "/"), ("list", Path.home()), ("symlink", secret), ("link", secret)),
        *(("append", secret), ("remove", secret), ("chmod", secret), ("touch", secret)),
        *(
            ("write", grounds.root / "new"),
            ("write", Path(gettempdir()) / "out"),
            ("write", Path("/dev") / "shm" / "out"),
        ),
    )
    outcomes = attempt(grounds, *attempts, cell=grounds.cell)
    # Another name for a file is refused as a link across folders.
    assert [NO if outcome in {NO, "OSError"} else outcome for outcome in outcomes] == [NO] * len(attempts)
    assert secret.read_text(encoding="ascii") == "key"
    assert secret.stat().st_mode & 0o777 == 0o600


@confined
def test_a_segment_is_read_by_its_name_and_the_spool_shows_no_others(grounds: Grounds) -> None:
    segment = grounds.spool / "segment-1"
    assert attempt(
        grounds,
        *(("read", segment), ("list", grounds.spool), ("append", segment), ("remove", segment)),
        *(("write", grounds.spool / "segment-2"), ("write", grounds.temp / "mine"), ("read", grounds.temp / "mine")),
        cell=grounds.cell,
    ) == ["done bytes", NO, NO, NO, NO, "done 10", "done taken over"]


@confined
def test_nothing_on_the_network_can_be_reached_and_no_local_service(grounds: Grounds) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
        path = grounds.root / "service"
        local.bind(str(path))
        local.listen()
        port = tcp.getsockname()[1]
        assert (
            attempt(
                grounds,
                *(("connect", port), ("datagram", port), ("listen", "127.0.0.1"), ("unix", path), ("ring", 8)),
                cell=grounds.cell,
            )
            == [NO] * 5
        )


@confined
def test_other_processes_are_left_in_peace(grounds: Grounds, bystander: "subprocess.Popen[bytes]") -> None:
    attempts = ("kill", "kill by program", "trace", "memory", "environment", "starve", "bind to core")
    outcomes = attempt(grounds, *((name, bystander.pid) for name in attempts), cell=grounds.cell)
    assert outcomes == [NO] * len(attempts)
    bystander.kill()
    assert bystander.communicate()[0] == b""


@confined
def test_a_child_may_still_arrange_its_own_affairs(grounds: Grounds) -> None:
    """Threads and libraries ask for limits and cores of their own process, and talk to themselves."""
    attempts = ("starve", 0), ("bind to core", 0), ("stream pair", "")
    assert attempt(grounds, *attempts, cell=grounds.cell) == ["done "] * 3


@confined
def test_the_program_that_computes_hashes_is_limited_in_a_cell(grounds: Grounds) -> None:
    """Memory in KiB, processor time in seconds, and what it may write in blocks of 512 bytes, soft and hard."""
    programs = grounds.root / "programs"
    programs.mkdir()
    limits = " ".join(f"$(ulimit -{kind} -{what})" for what in "vtf" for kind in "SH")
    (programs / "signs").write_text(f"#!/bin/sh\necho {limits} >&2\nexit 3\n", encoding="ascii")
    (programs / "signs").chmod(0o700)
    cell = replace(grounds.cell, readable=(*grounds.cell.readable, str(programs)))
    assert attempt(grounds, ("sign", programs / "signs"), cell=cell) == [
        "done the FFmpeg program ended with 3: 4194304 4194304 300 300 131072 131072"
    ]


@confined
def test_no_datagram_reaches_a_local_service(grounds: Grounds) -> None:
    """The service manager listens to datagrams of the node's user."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(grounds.root / "notify"))
        assert attempt(grounds, ("pair", grounds.root / "notify"), cell=None) == ["done "]
        assert manager.recv(100) == b"STOPPING=1"
        manager.recv(100)
        assert attempt(grounds, ("pair", grounds.root / "notify"), cell=grounds.cell) == [NO]


@confined
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to lose")
def test_a_child_of_root_is_not_almighty(grounds: Grounds) -> None:
    assert attempt(grounds, ("become", 65534), cell=grounds.cell) == [NO]


def test_a_child_dumps_nothing_whether_in_a_cell_or_not(grounds: Grounds) -> None:
    assert attempt(grounds, ("core", ""), cell=None) == ["done 0 0"]


def test_without_a_cell_all_of_it_succeeds(grounds: Grounds, bystander: "subprocess.Popen[bytes]") -> None:
    """The attempts are real ones: it is the cell that keeps them from succeeding."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
        path = grounds.root / "service"
        local.bind(str(path))
        local.listen()
        port = tcp.getsockname()[1]
        outcomes = attempt(
            grounds,
            *(("read", grounds.secret), ("read by program", grounds.secret), ("read", "/etc/passwd")),
            *(("list", grounds.spool), ("chmod", grounds.secret), ("append", grounds.secret), ("touch", path)),
            *(("connect", port), ("datagram", port), ("listen", "127.0.0.1"), ("unix", path), ("kill", bystander.pid)),
            *(("write", grounds.root / "new"), ("remove", grounds.secret)),
            *(("starve", bystander.pid), ("bind to core", bystander.pid)),
            cell=None,
        )
    assert [outcome for outcome in outcomes if not outcome.startswith("done")] == []
    assert bystander.stdout is not None
    assert bystander.stdout.readline() == b"hit\n"


@confined
def test_a_cell_with_gpu_has_the_nodes_of_the_cards_and_no_others(grounds: Grounds) -> None:
    """Nodes of cards that this machine lacks are skipped; what a pattern names can be used."""
    cell = replace(grounds.cell.with_gpu(), devices=("/dev/zer*", "/dev/baton-none"))
    assert attempt(grounds, ("append", "/dev/zero"), ("append", "/dev/full"), ("read", grounds.secret), cell=cell) == [
        "done 10",
        NO,
        NO,
    ]


@pytest.mark.parametrize(
    ("environment", "gpu"),
    [({"CUDA_VISIBLE_DEVICES": "GPU-1"}, True), ({"CUDA_VISIBLE_DEVICES": ""}, False), ({}, False)],
)
def test_a_child_that_is_shown_a_card_gets_its_nodes(
    environment: dict[str, str],
    gpu: bool,  # noqa: FBT001 -- a parameter of the table
) -> None:
    cell = Cell(readable=("/x",), devices=("/dev/mine",))
    told = Cell.from_text(cell.for_child(environment).as_text())
    assert told == (cell.with_gpu() if gpu else cell)
    assert ("/dev/nvidia*" in told.devices) is gpu


def test_an_entry_of_the_path_above_the_data_directory_is_not_readable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``python -m`` puts the working directory on the path; it may well be the operator's home."""
    home, other = tmp_path / "home", tmp_path / "packages"
    (home / ".baton").mkdir(parents=True)
    other.mkdir()
    monkeypatch.setattr(sys, "path", ["", str(home), str(other)])
    trees = trees_of_the_interpreter(unless_above=(home / ".baton",))
    assert str(home) not in trees
    assert str(other) in trees
    assert str(Path(sandbox.__file__).parents[1]) in trees


@confined
def test_data_inside_the_environment_of_the_interpreter_is_not_readable(
    grounds: Grounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment made in the folder that also holds the data directory is read in parts."""
    (grounds.root / "lib").mkdir()
    monkeypatch.setattr(sys, "prefix", str(grounds.root))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(grounds.root))
    trees = trees_of_the_interpreter(unless_above=(grounds.secret.parent,))
    assert str(grounds.root) not in trees
    assert str(grounds.root / "lib") in trees
    cell = replace(grounds.cell, readable=(*trees, *grounds.cell.readable))
    assert not cell.shows(grounds.secret)
    assert attempt(grounds, ("read", grounds.secret), cell=cell) == [NO]


@pytest.mark.parametrize(
    ("there", "gaps"),
    [
        (Offered(7, seccomp=True), ""),
        (Offered(4, seccomp=True), "signal processes of the node's user"),
        (Offered(2, seccomp=True), "empty files that it may read, signal processes of the node's user"),
        (Offered(6, seccomp=False), "open sockets"),
        (Offered(0, seccomp=True), "read and write the node's files, signal processes of the node's user"),
    ],
)
def test_what_a_kernel_lacks_is_told(there: Offered, gaps: str) -> None:
    assert there.lacking == gaps


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
@confined
def test_older_kernels_get_what_they_know(grounds: Grounds, version: int) -> None:
    """Whatever the version: the rules are those that it has, and a child in them cannot read a secret."""
    assert confined_as(version, grounds, seccomp=True) == "PermissionError"


def test_a_kernel_without_any_of_it_still_runs_the_child(grounds: Grounds) -> None:
    assert confined_as(0, grounds, seccomp=False) == "key"


def confined_as(version: int, grounds: Grounds, *, seccomp: bool) -> str:
    """What a process reads of a secret after it was confined by the rules of an older kernel."""
    code = (
        "import sys; from pathlib import Path; from baton.media import sandbox\n"
        "import ctypes; ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)\n"
        f"sandbox.offered = lambda: sandbox.Offered({version}, seccomp={seccomp})\n"
        "sandbox.confine(sandbox.Cell.from_text(sys.argv[1]))\n"
        "try: print(Path(sys.argv[2]).read_text())\n"
        "except OSError as error: print(type(error).__name__)\n"
    )
    environment = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    done = subprocess.run(
        [sys.executable, "-c", code, grounds.cell.as_text(), str(grounds.secret)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return done.stdout.strip()
