"""What a service manager hears of a node, and that one which does not listen costs nothing."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from baton.node.drain import Drain, DrainState
from baton.node.manager import ServiceManager
from tests.support import run


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The manager's end, and how it is named to the node."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@baton-{tmp_path.name}-{id(tmp_path)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        line.settimeout(10)
        yield line, name


def heard(line: socket.socket) -> list[str]:
    """Everything said so far, one entry a datagram."""
    line.setblocking(False)
    found = []
    while True:
        try:
            found.append(line.recv(4096).decode("ascii"))
        except BlockingIOError:
            return found


def serving(name: str) -> tuple[ServiceManager, Drain]:
    """What tells the manager of a node that serves."""
    told, drain = ServiceManager({"NOTIFY_SOCKET": name}), Drain()
    told.attend(drain)
    drain.move(DrainState.SERVING)
    return told, drain


def test_the_life_of_a_node_is_told(manager: tuple[socket.socket, str]) -> None:
    line, name = manager
    drain = Drain()
    ServiceManager({"NOTIFY_SOCKET": name}).attend(drain)
    moves = (DrainState.SERVING, DrainState.DRAINING, DrainState.SERVING, DrainState.DRAINING)
    for state in (*moves, DrainState.CLOSING, DrainState.STOPPED):
        drain.move(state)
    assert heard(line) == [
        "STATUS=serving\nREADY=1",
        "STATUS=draining",
        "STATUS=serving\nREADY=1",
        "STATUS=draining",
        "STATUS=closing\nSTOPPING=1",
        "STATUS=stopped\nSTOPPING=1",
    ]


def test_a_reload_begins_with_its_time_and_ends_with_ready(manager: tuple[socket.socket, str]) -> None:
    line, name = manager
    told, drain = serving(name)
    heard(line)
    told.reloading()
    told.reloaded()
    begun, done = heard(line)
    word, _, time_us = begun.partition("\nMONOTONIC_USEC=")
    assert (word, time_us.isdigit(), done) == ("RELOADING=1", True, "READY=1")
    drain.move(DrainState.CLOSING)
    heard(line)
    told.reloading()
    told.reloaded()
    assert heard(line) == []


def test_a_node_that_still_starts_is_not_ready_because_it_was_reloaded(manager: tuple[socket.socket, str]) -> None:
    line, name = manager
    told = ServiceManager({"NOTIFY_SOCKET": name})
    told.attend(Drain())
    told.reloading()
    told.reloaded()
    assert heard(line) == []


def test_signs_of_life_come_twice_per_interval(manager: tuple[socket.socket, str]) -> None:
    line, name = manager

    async def story() -> None:
        told = ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "7"}, pid=7)
        task = asyncio.ensure_future(told.run())
        for _ in range(3):
            assert await asyncio.to_thread(line.recv, 100) == b"WATCHDOG=1"
        task.cancel()
        await asyncio.wait({task})

    run(story())


@pytest.mark.parametrize(
    "environ",
    [{"WATCHDOG_USEC": "10000", "WATCHDOG_PID": "8"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}, {}],
)
def test_no_signs_of_life_for_nobody(manager: tuple[socket.socket, str], environ: dict[str, str]) -> None:
    line, name = manager

    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ServiceManager({"NOTIFY_SOCKET": name, **environ}, pid=7).run()

    run(story())
    assert heard(line) == []


@pytest.mark.parametrize("name", ["", "/nowhere/at/all", "@nobody-listens-here"])
def test_a_manager_that_is_not_there_costs_nothing(name: str) -> None:
    told, _ = serving(name)
    told.reloading()
    told.reloaded()


def test_a_manager_that_does_not_read_holds_nobody_up(manager: tuple[socket.socket, str]) -> None:
    line, name = manager
    told, _ = serving(name)
    heard(line)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, suppress(BlockingIOError):
        other.setblocking(False)
        for _ in range(5000):
            other.sendto(b"x", line.getsockname())
    told.reloaded()
    assert set(heard(line)) == {"x"}
    told.reloaded()
    assert heard(line) == ["READY=1"]


def test_another_kind_of_socket_is_said_and_left_alone() -> None:
    with capture_logs() as logs:
        serving("vsock:2:1234")[0].reloaded()
    assert [line["event"] for line in logs] == ["service manager cannot be told"]
