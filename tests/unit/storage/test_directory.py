import asyncio
import errno
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from baton.jobs.ports import StoreError
from baton.kernel.clock import ManualClock
from baton.kernel.errors import ExitCode, StartError
from baton.kernel.ids import SessionId
from baton.kernel.metrics import SilentMetrics
from baton.storage import folder
from baton.storage.directory import DirectoryMediaStore
from baton.storage.files import write_all
from baton.storage.shelf import ShelfLimits
from tests.support import eventually, run

SESSION = SessionId("0123abcd")
CLOCK = ManualClock()
FILE = folder.file_name("P720/1.ts")


@asynccontextmanager
async def opened(
    directory: Path, *, total_bytes: int = 1000, clock: ManualClock = CLOCK, min_free_bytes: int = 0
) -> AsyncIterator[DirectoryMediaStore]:
    store = DirectoryMediaStore(
        directory=directory,
        base_uri="https://node.example",
        limits=ShelfLimits(total_bytes=total_bytes),
        clock=clock,
        metrics=SilentMetrics(),
        min_free_bytes=min_free_bytes,
    )
    try:
        await store.start()
        yield store
    finally:
        await store.close()


async def save(store: DirectoryMediaStore, name: str = "P720/1.ts", data: bytes = b"x" * 100) -> str:
    return await store.save(session_id=SESSION, name=name, data=data, content_type="video/mp2t")


async def read(store: DirectoryMediaStore, name: str = "P720/1.ts") -> bytes | None:
    found = await store.read(session_id=SESSION, name=name)
    return None if found is None else found.data


def tree(directory: Path) -> dict[str, int]:
    """Every path below with its permission bits."""
    return {str(p.relative_to(directory)): stat.S_IMODE(p.lstat().st_mode) for p in sorted(directory.rglob("*"))}


def test_files_lie_below_the_marker_folder_and_are_ours_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "store") as store:
            await save(store)
            assert tree(tmp_path) == {
                "store": 0o700,
                "store/baton-media": 0o700,
                "store/baton-media/lock": 0o600,
                "store/baton-media/objects": 0o700,
                "store/baton-media/objects/0123abcd": 0o700,
                f"store/baton-media/objects/0123abcd/{FILE}": 0o600,
                "store/baton-media/partial": 0o700,
            }

    run(story())


def test_nothing_is_left_when_everything_went(tmp_path: Path) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(tmp_path, clock=clock) as store:
            for name in ("1.tempfile", "P720/1.ts", "P720/2.ts", "P360/1.ts"):
                await save(store, name)
            await store.end_session(SESSION)
            clock.advance(60)
            await store.sweep()
            assert set(tree(tmp_path / "baton-media")) == {"lock", "objects", "partial"}

    run(story())


def test_start_removes_what_an_earlier_run_left_and_nothing_else(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "film.ts").write_bytes(b"the operator's own")
        async with opened(tmp_path) as store:
            await save(store)
        (tmp_path / "baton-media" / "partial" / "half").write_bytes(b"half")
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "precious").write_bytes(b"1")
        (tmp_path / "baton-media" / "objects" / "link").symlink_to(outside, target_is_directory=True)
        async with opened(tmp_path) as store:
            assert await read(store) is None
            assert set(tree(tmp_path / "baton-media")) == {"lock", "objects", "partial"}
        assert (outside / "precious").exists()
        assert (tmp_path / "film.ts").exists()

    run(story())


def test_a_folder_of_that_name_which_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "baton-media" / "objects").mkdir(parents=True)
        (tmp_path / "baton-media" / "objects" / "holiday.jpg").write_bytes(b"1")
        with pytest.raises(StartError, match="not ours") as refused:
            async with opened(tmp_path):
                pass
        assert refused.value.exit_code is ExitCode.DATA_DIR
        assert (tmp_path / "baton-media" / "objects" / "holiday.jpg").exists()

    run(story())


def test_a_link_in_the_place_of_the_marker_folder_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "baton-media").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        with pytest.raises(StartError, match="cannot be used"):
            async with opened(tmp_path):
                pass
        assert list((tmp_path / "elsewhere").iterdir()) == []

    run(story())


def test_two_nodes_never_share_a_directory(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as store:
            await save(store)
            with pytest.raises(StartError, match=f"in use by another node .process {os.getpid()}"):
                async with opened(tmp_path):
                    pass
            assert await read(store) == b"x" * 100
        async with opened(tmp_path) as store:
            await save(store)

    run(story())


def test_a_directory_that_is_a_file_is_a_start_error(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StartError, match="cannot be used"):
            async with opened(tmp_path / "file" / "store"):
                pass

    run(story())


@pytest.mark.parametrize("planted", ["leaf", "session"])
def test_planted_links_are_not_followed(tmp_path: Path, planted: str) -> None:
    async def story() -> None:
        secret = tmp_path / "secret"
        secret.mkdir()
        (secret / FILE).write_bytes(b"s" * 100)
        async with opened(tmp_path / "store") as store:
            await save(store)
            objects = tmp_path / "store" / "baton-media" / "objects"
            place, target = {
                "leaf": (objects / SESSION / FILE, secret / FILE),
                "session": (objects / SESSION, secret),
            }[planted]
            place.rename(tmp_path / "away")
            place.symlink_to(target)
            assert await read(store) is None
            if planted == "leaf":
                await save(store, data=b"y" * 100)
                assert await read(store) == b"y" * 100
            else:
                with pytest.raises(StoreError, match=r"^Input/output error$"):
                    await save(store, data=b"y" * 100)
        assert (secret / FILE).read_bytes() == b"s" * 100

    run(story())


def test_files_that_somebody_changed_are_not_served(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as store:
            await save(store)
            path = tmp_path / "baton-media" / "objects" / SESSION / FILE
            path.write_bytes(b"short")
            assert await read(store) is None
            path.unlink()
            os.mkfifo(path)
            assert await read(store) is None

    run(story())


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """A switch: writes fail half way with the error of a full disk."""
    state = {"full": False}

    def write(descriptor: int, data: bytes) -> None:
        if state["full"]:
            write_all(descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_all(descriptor, data)

    monkeypatch.setattr(folder, "write_all", write)
    return state


def test_a_full_disk_is_told_leaves_nothing_behind_and_is_logged_once(
    tmp_path: Path, full_disk: dict[str, bool]
) -> None:
    async def story() -> None:
        async with opened(tmp_path) as store:
            await save(store)
            full_disk["full"] = True
            for _ in range(3):
                with pytest.raises(StoreError, match=r"^Input/output error$"):
                    await save(store, "P720/2.ts")
            with pytest.raises(StoreError):
                await save(store, "P720/1.ts")
            full_disk["full"] = False
            assert await read(store, "P720/1.ts") is None, "half an object is no object"
            assert set(tree(tmp_path / "baton-media")) == {"lock", "objects", "partial"}
            await save(store, "P720/3.ts", b"x" * 1000)

    with capture_logs() as logs:
        run(story())
    assert [(e["event"], e["log_level"]) for e in logs] == [
        ("object store cannot be written", "error"),
        ("object store can be written again", "info"),
    ]
    assert logs[0]["reason"] == "No space left on device"


def test_writes_stop_before_the_file_system_is_full(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, min_free_bytes=1 << 60) as store:
            with pytest.raises(StoreError, match=r"^Input/output error$"):
                await save(store)

    run(story())


def test_a_caller_that_goes_away_leaves_books_and_disk_in_step(tmp_path: Path) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(tmp_path, clock=clock) as store:
            async with asyncio.TaskGroup() as group:
                saving = group.create_task(save(store))
                await asyncio.sleep(0)
                saving.cancel()
            path = tmp_path / "baton-media" / "objects" / SESSION / FILE
            await eventually(path.exists, what="the write that was under way")
            assert await read(store) == b"x" * 100
            clock.advance(600)
            await store.sweep()
            assert not path.exists()

    run(story())


def test_saving_before_start_and_after_close_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as store:
            await save(store)
        with pytest.raises(StoreError, match=r"^Missing local storage$"):
            await save(store)
        assert await read(store) is None

    run(story())


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, os, pathlib; from tests.unit.storage.test_directory import opened\n"
        "async def main():\n"
        "  async with opened(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[3]
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"},
    )
    assert killed.returncode == -9

    async def story() -> None:
        async with opened(tmp_path) as store:
            await save(store)

    run(story())


def test_readers_of_one_object_share_its_bytes_and_never_get_an_older_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as store:
            await save(store, data=b"x" * 100)
            first, second = await asyncio.gather(
                *(store.read(session_id=SESSION, name="P720/1.ts") for _ in range(2)),
            )
            assert first is not None
            assert first is second
            await save(store, data=b"y" * 100)
            third = await store.read(session_id=SESSION, name="P720/1.ts")
            assert third is not None
            assert (first.data, third.data) == (b"x" * 100, b"y" * 100)

    run(story())
