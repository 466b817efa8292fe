"""The live session limit: in force for the next stream, kept first, and shown with where it comes from."""

import asyncio
import threading
from pathlib import Path

import pytest

from baton.app.session_limit import LiveSessionLimit
from baton.config.origin import Source
from baton.jobs.streams import Streams
from baton.kernel.clock import ManualClock
from baton.kernel.errors import CapacityError
from baton.kernel.ids import ManifestId, SessionId
from baton.kernel.metrics import SilentMetrics
from baton.storage.run_time import KeptSessionLimit
from baton.video.sessions import Opening, SessionTable
from tests.support import run
from tests.unit.jobs.rig import Store, Stores


class Gauge(SilentMetrics):
    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def set(self, name: str, value: float, **labels: str) -> None:
        super().set(name, value, **labels)
        self.values[name] = value


class Life:
    """One start of a node."""

    def __init__(self, folder: Path, *, configured: int = 2) -> None:
        self.gauges = Gauge()
        self.table = SessionTable(limit=configured)
        streams = Streams(table=self.table, stores=Stores(Store()), clock=ManualClock(), metrics=self.gauges)
        kept = KeptSessionLimit(path=folder / "run-time.json", configured=configured)
        self.limit = LiveSessionLimit(configured=configured, kept=kept, streams=streams)

    def open(self, *names: str) -> None:
        for name in names:
            opening = Opening(
                session_id=SessionId(name), manifest_id=ManifestId(name), owner=None, token_expires_at=1800
            )
            self.table.open(opening, 0.0)


def test_a_change_counts_for_the_next_stream_and_leaves_the_open_ones(tmp_path: Path) -> None:
    async def story() -> None:
        life = Life(tmp_path)
        assert (life.limit.value, life.limit.origin) == (2, None)
        life.open("a", "b")
        await life.limit.change(3)
        life.open("c")
        assert life.gauges.values["max_sessions_total"] == 3
        await life.limit.change(1)
        life.open("a", "b", "c")
        assert life.table.open_count == 3
        with pytest.raises(CapacityError):
            life.open("d")

    run(story())


def test_a_restart_keeps_it_until_the_configuration_changes(tmp_path: Path) -> None:
    async def story() -> None:
        await Life(tmp_path).limit.change(5)
        again = Life(tmp_path)
        assert again.limit.value == 5
        assert again.limit.origin is not None
        assert str(again.limit.origin) == "set at run time (/setMaxSessions)"
        assert again.limit.origin.source is Source.RUN_TIME
        assert again.gauges.values["max_sessions_total"] == 5
        other = Life(tmp_path, configured=4)
        assert (other.limit.value, other.limit.origin) == (4, None)

    run(story())


def test_what_cannot_be_kept_is_not_put_in_force(tmp_path: Path) -> None:
    async def story() -> None:
        life = Life(tmp_path / "gone")
        with pytest.raises(OSError, match="No such file"):
            await life.limit.change(5)
        assert (life.limit.value, life.limit.origin) == (2, None)

    run(story())


def test_a_caller_that_goes_away_leaves_file_and_limit_agreed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        life = Life(tmp_path)
        writing, go_on = threading.Event(), threading.Event()
        write = KeptSessionLimit.write

        def slow(kept: KeptSessionLimit, limit: int) -> None:
            writing.set()
            assert go_on.wait(10)
            write(kept, limit)

        monkeypatch.setattr(KeptSessionLimit, "write", slow)
        change = asyncio.ensure_future(life.limit.change(7))
        assert await asyncio.to_thread(writing.wait, 10)
        for _ in range(3):
            change.cancel()
            await asyncio.sleep(0)
        assert not change.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await change
        assert life.limit.value == 7
        assert Life(tmp_path).limit.value == 7
        await life.limit.change(3)
        assert life.limit.value == Life(tmp_path).limit.value == 3

    run(story())


def test_a_write_that_fails_after_the_file_is_in_place_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        life = Life(tmp_path)
        write = KeptSessionLimit.write

        def unsure(kept: KeptSessionLimit, limit: int) -> None:
            write(kept, limit)
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(KeptSessionLimit, "write", unsure)
        await life.limit.change(7)
        assert life.limit.value == Life(tmp_path).limit.value == 7
        await life.limit.change(2)
        assert life.limit.value == Life(tmp_path).limit.value == 2

    run(story())
