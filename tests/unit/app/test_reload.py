"""SIGHUP: the log level and the certificate are taken, what needs a restart is named, and mistakes change nothing."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from baton.app.reload import Reload
from baton.config.load import Loaded, load
from baton.node.manager import ServiceManager
from baton.ops import logs as logs_module
from baton.ops.logs import LogVerbosity
from tests.support import eventually, run


class Manager(ServiceManager):
    """Writes down what a service manager would hear."""

    def __init__(self) -> None:
        super().__init__({})
        self.heard: list[str] = []

    def reloading(self) -> None:
        self.heard.append("reloading")

    def reloaded(self) -> None:
        self.heard.append("ready")


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Levels that were put in force, instead of in this process."""
    found: list[int] = []
    monkeypatch.setattr(logs_module, "_set_level", found.append)
    return found


def loaded(folder: Path, *words: str) -> Loaded:
    return load(["--data-dir", str(folder), *words], environ={}, home=folder, directory=folder)


def story_of(before: Loaded, again: Callable[[], Loaded]) -> tuple[LogVerbosity, list[dict[str, object]]]:
    """Two reloads, each from the question to the manager's ready."""

    async def story() -> tuple[LogVerbosity, list[dict[str, object]]]:
        manager, verbosity = Manager(), LogVerbosity("info")
        reload = Reload(before, again, verbosity, None, manager)
        with capture_logs() as logs:
            task = asyncio.ensure_future(reload.run())
            for times in (1, 2):
                reload.ask()
                reload.ask()
                wanted = ["reloading", "ready"] * times
                await eventually(lambda wanted=wanted: manager.heard == wanted, what="reloaded")  # type: ignore[misc]  # bound now
            task.cancel()
            await asyncio.wait({task})
        return verbosity, [dict(line) for line in logs]

    return run(story())


def test_a_new_log_level_is_in_force_and_what_must_wait_is_named(levels: list[int], tmp_path: Path) -> None:
    changed = loaded(tmp_path, "--log-level", "debug", "--max-sessions", "12", "--nodes", "n.example")
    verbosity, logs = story_of(loaded(tmp_path), lambda: changed)
    assert (verbosity.number, levels) == (5, [10, 10])
    assert [line.get("settings") for line in logs] == [None, ["nodes", "max-sessions"]] * 2


def test_nothing_new_is_said_in_one_line(levels: list[int], tmp_path: Path) -> None:
    verbosity, logs = story_of(loaded(tmp_path), lambda: loaded(tmp_path))
    assert (verbosity.number, levels) == (3, [20, 20])
    assert [line["event"] for line in logs] == ["settings reloaded"] * 2


def test_settings_with_mistakes_change_nothing(levels: list[int], tmp_path: Path) -> None:
    _, logs = story_of(loaded(tmp_path), lambda: loaded(tmp_path, "--max-sessions", "none"))
    assert levels == []
    assert [(line["event"], line["log_level"]) for line in logs] == [("settings not reloaded", "error")] * 2
