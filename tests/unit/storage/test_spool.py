import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from baton.jobs.ports import FetchError, SpoolError
from baton.kernel.crypto import keccak256
from baton.kernel.metrics import SilentMetrics
from baton.storage import spool as spool_module
from baton.storage.files import write_all
from baton.storage.spool import FileSpool, SpoolLimits
from tests.support import eventually, run

LIMIT = 300_000_000
SMALL = SpoolLimits(total_bytes=1000, min_free_bytes=0, uploads=3, batch_bytes=64)


@contextmanager
def spooling(folder: Path, limits: SpoolLimits | None = None) -> Iterator[FileSpool]:
    folder.mkdir(exist_ok=True)
    spool = FileSpool(folder=folder, metrics=SilentMetrics(), limits=limits or SpoolLimits(min_free_bytes=0))
    try:
        yield spool
    finally:
        spool.close()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


class Held:
    """A body that stops after its first chunk until it is let go; knows whether it was closed."""

    def __init__(self, first: bytes) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self.closed = False
        self._first = first

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            yield self._first
            self.reached.set()
            await self.go_on.wait()
            yield b"rest"
        finally:
            self.closed = True


def test_a_body_becomes_a_private_file_with_its_hash_and_goes_with_its_context(tmp_path: Path) -> None:
    async def story() -> None:
        with spooling(tmp_path / "work") as spool:
            async with await spool.receive(chunks(b"abc", b"", b"def"), limit_bytes=6) as segment:
                path = Path(segment.path)
                assert path.parent == tmp_path / "work"
                assert path.read_bytes() == b"abcdef"
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                assert segment.size_bytes == spool.total_bytes == 6
                assert segment.content_hash == keccak256(b"abcdef")
            assert not path.exists()
            assert spool.total_bytes == 0

    run(story())


def test_an_empty_body_is_an_empty_file(tmp_path: Path) -> None:
    async def story() -> None:
        with spooling(tmp_path) as spool:
            async with await spool.receive(chunks(), limit_bytes=6) as segment:
                assert Path(segment.path).read_bytes() == b""
                assert segment.content_hash == keccak256(b"")

    run(story())


@given(st.lists(st.binary(max_size=150), max_size=12))
@settings(max_examples=40)
def test_any_cut_into_chunks_gives_the_same_file(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    async def story() -> None:
        with spooling(tmp_path_factory.mktemp("spool"), SpoolLimits(min_free_bytes=0, batch_bytes=64)) as spool:
            async with await spool.receive(chunks(*parts), limit_bytes=LIMIT) as segment:
                assert Path(segment.path).read_bytes() == b"".join(parts)
                assert segment.content_hash == keccak256(b"".join(parts))

    run(story())


@given(st.lists(st.sampled_from([1, 3000, 16_383, 16_384, 20_000, 300_000]), max_size=12))
@settings(max_examples=25, deadline=None)
def test_large_and_small_chunks_keep_their_order(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    async def story() -> None:
        parts = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
        with spooling(tmp_path_factory.mktemp("spool")) as spool:
            async with await spool.receive(chunks(*parts), limit_bytes=LIMIT) as segment:
                assert Path(segment.path).read_bytes() == b"".join(parts)
                assert segment.content_hash == keccak256(b"".join(parts))

    run(story())


@pytest.mark.parametrize("parts", [(b"x" * 101,), (b"x" * 100, b"y"), tuple([b"x"] * 101)])
def test_a_body_over_its_limit_leaves_nothing(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    async def story() -> None:
        with spooling(tmp_path, SMALL) as spool:
            with pytest.raises(SpoolError, match="longer than 100 bytes"):
                await spool.receive(chunks(*parts), limit_bytes=100)
            assert list(tmp_path.iterdir()) == []
            assert spool.total_bytes == 0
            async with await spool.receive(chunks(b"x" * 100), limit_bytes=100):
                pass

    run(story())


def test_all_segments_together_are_bounded_until_they_are_removed(tmp_path: Path) -> None:
    async def story() -> None:
        with spooling(tmp_path, SMALL) as spool:
            async with await spool.receive(chunks(b"x" * 600), limit_bytes=LIMIT):
                with pytest.raises(SpoolError, match="spooled already"):
                    await spool.receive(chunks(b"x" * 401), limit_bytes=LIMIT)
                assert len(list(tmp_path.iterdir())) == 1
            async with await spool.receive(chunks(b"x" * 1000), limit_bytes=LIMIT):
                pass

    run(story())


def test_uploads_at_once_are_bounded(tmp_path: Path) -> None:
    async def story() -> None:
        with spooling(tmp_path, SMALL) as spool:
            bodies = [Held(b"x") for _ in range(3)]
            async with asyncio.TaskGroup() as group:
                uploads = [group.create_task(spool.receive(body(), limit_bytes=9)) for body in bodies]
                for body in bodies:
                    await body.reached.wait()
                with pytest.raises(SpoolError, match="3 uploads at once"):
                    await spool.receive(chunks(b"x"), limit_bytes=9)
                for body in bodies:
                    body.go_on.set()
            for upload in uploads:
                async with upload.result():
                    pass
            assert list(tmp_path.iterdir()) == []

    run(story())


def test_a_cancelled_upload_removes_its_file_and_closes_its_body(tmp_path: Path) -> None:
    async def story() -> None:
        with spooling(tmp_path, SMALL) as spool:
            body = Held(b"x" * 200)
            async with asyncio.TaskGroup() as group:
                upload = group.create_task(spool.receive(body(), limit_bytes=LIMIT))
                await body.reached.wait()
                await eventually(lambda: list(tmp_path.iterdir()), what="the first batch on disk")
                upload.cancel()
            assert upload.cancelled()
            assert body.closed
            assert list(tmp_path.iterdir()) == []
            assert spool.total_bytes == 0

    run(story())


def test_cancelling_twice_still_removes_the_file(tmp_path: Path) -> None:
    async def story() -> None:
        with spooling(tmp_path, SMALL) as spool:
            body = Held(b"x" * 200)
            async with asyncio.TaskGroup() as group:
                upload = group.create_task(spool.receive(body(), limit_bytes=LIMIT))
                await body.reached.wait()
                await eventually(lambda: list(tmp_path.iterdir()), what="the first batch on disk")
                upload.cancel()
                await asyncio.sleep(0)
                upload.cancel()
            await eventually(lambda: not list(tmp_path.iterdir()), what="the file to go")
            assert spool.total_bytes == 0

    run(story())


def test_a_body_that_breaks_off_passes_its_error_on_and_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 200
        message = "the store went away"
        raise FetchError(message)

    async def story() -> None:
        with spooling(tmp_path, SMALL) as spool:
            with pytest.raises(FetchError, match="went away"):
                await spool.receive(broken(), limit_bytes=LIMIT)
            assert list(tmp_path.iterdir()) == []
            assert spool.total_bytes == 0

    run(story())


def test_a_full_disk_is_told_and_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = {"disk": True}

    def write(descriptor: int, data: bytearray) -> None:
        if full["disk"]:
            write_all(descriptor, data[:1])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_all(descriptor, data)

    monkeypatch.setattr(spool_module, "write_all", write)

    async def story() -> None:
        with spooling(tmp_path, SMALL) as spool:
            for parts in ((b"x",), (b"x" * 100, b"y" * 100, b"z" * 100)):
                with pytest.raises(SpoolError, match="No space left on device"):
                    await spool.receive(chunks(*parts), limit_bytes=LIMIT)
            assert list(tmp_path.iterdir()) == []
            assert spool.total_bytes == 0
            full["disk"] = False
            async with await spool.receive(chunks(b"x"), limit_bytes=LIMIT):
                pass

    with capture_logs() as logs:
        run(story())
    assert [e["event"] for e in logs] == ["spool cannot be written", "spool can be written again"]


def test_uploads_stop_before_the_file_system_is_full(tmp_path: Path) -> None:
    async def story() -> None:
        with spooling(tmp_path, SpoolLimits(min_free_bytes=1 << 60)) as spool:
            with pytest.raises(SpoolError, match="almost full"):
                await spool.receive(chunks(b"x"), limit_bytes=LIMIT)
            assert list(tmp_path.iterdir()) == []

    run(story())


def test_a_folder_removed_by_hand_is_made_again(tmp_path: Path) -> None:
    async def story() -> None:
        with spooling(tmp_path / "work") as spool:
            (tmp_path / "work").rmdir()
            async with await spool.receive(chunks(b"x"), limit_bytes=1) as segment:
                assert stat.S_IMODE(Path(segment.path).parent.stat().st_mode) == 0o700

    run(story())


def test_leftovers_of_an_earlier_run_go_and_nothing_else(tmp_path: Path) -> None:
    async def story() -> None:
        precious = tmp_path / "precious"
        precious.write_bytes(b"1")
        work = tmp_path / "work"
        with spooling(work) as spool:
            await spool.receive(chunks(b"never removed"), limit_bytes=100)
        (work / "segment-link").symlink_to(precious)
        (work / "segment-folder").mkdir()
        (work / "other").write_bytes(b"1")
        with spooling(work) as spool:
            assert await spool.clean_leftovers() == 2
        assert {p.name for p in work.iterdir()} == {"segment-folder", "other"}
        assert precious.exists()

    run(story())


def test_leftovers_of_no_folder_are_none(tmp_path: Path) -> None:
    async def story() -> None:
        spool = FileSpool(folder=tmp_path / "missing", metrics=SilentMetrics())
        assert await spool.clean_leftovers() == 0
        spool.close()

    run(story())


def test_many_uploads_at_once_do_not_mix(tmp_path: Path) -> None:
    async def one(spool: FileSpool, seed: int) -> None:
        parts = [bytes([seed, i]) * 500 for i in range(20)]
        async with await spool.receive(chunks(*parts), limit_bytes=LIMIT) as segment:
            assert Path(segment.path).read_bytes() == b"".join(parts)
            assert segment.content_hash == keccak256(b"".join(parts))

    async def story() -> None:
        with spooling(tmp_path, SpoolLimits(min_free_bytes=0, batch_bytes=4096)) as spool:
            async with asyncio.TaskGroup() as group:
                for seed in range(40):
                    group.create_task(one(spool, seed))
            assert list(tmp_path.iterdir()) == []

    run(story())
