"""One suite for every media store: what jobs and the /stream/ route may count on, whichever the operator chose."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from baton.jobs.ports import MediaStore, ServedMedia, ServedObject, StoreError
from baton.kernel.clock import ManualClock
from baton.kernel.ids import SessionId
from baton.kernel.metrics import SilentMetrics
from baton.storage.directory import DirectoryMediaStore
from baton.storage.memory import MemoryMediaStore
from baton.storage.shelf import ShelfLimits
from tests.support import eventually, run

BASE = "https://node.example:8935"
SESSION = SessionId("0123456789abcdef0123456789abcdef01234567")
OTHER = SessionId("fedcba98")
LIMITS = ShelfLimits(total_bytes=1000, grace_s=60, max_age_s=600)

Store = MemoryMediaStore | DirectoryMediaStore


class Recorder(SilentMetrics):
    """Checks names as ever, and keeps the values."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def set(self, name: str, value: float, **labels: str) -> None:
        super().set(name, value, **labels)
        self.values[name] = value

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        super().add(name, amount, **labels)
        self.values[name] = self.values.get(name, 0) + amount


class Bench:
    """A store under test with its clock and its numbers."""

    def __init__(self, store: Store, clock: ManualClock, metrics: Recorder) -> None:
        self.store = store
        self.clock = clock
        self.metrics = metrics

    async def save(self, name: str, data: bytes = b"x" * 100, session: SessionId = SESSION) -> str:
        port: MediaStore = self.store
        return await port.save(session_id=session, name=name, data=data, content_type="video/mp2t")

    async def read(self, name: str, session: SessionId = SESSION) -> ServedObject | None:
        port: ServedMedia = self.store
        return await port.read(session_id=session, name=name)


Opener = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture(params=["memory", "directory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    @asynccontextmanager
    async def open_store(limits: ShelfLimits = LIMITS) -> AsyncIterator[Bench]:
        clock, metrics = ManualClock(), Recorder()
        if request.param == "memory":
            yield Bench(MemoryMediaStore(base_uri=BASE, limits=limits, clock=clock, metrics=metrics), clock, metrics)
            return
        store = DirectoryMediaStore(
            directory=tmp_path, base_uri=BASE, limits=limits, clock=clock, metrics=metrics, min_free_bytes=0
        )
        await store.start()
        try:
            yield Bench(store, clock, metrics)
        finally:
            await store.close()

    return open_store


def test_an_object_is_read_as_it_was_saved_under_the_path_of_its_url(opened: Opener) -> None:
    async def story() -> None:
        async with opened() as bench:
            url = await bench.save("P720 ü%/7.ts", b"\x47rendition")
            assert url == f"{BASE}/stream/{SESSION}/P720%20%C3%BC%25/7.ts"
            session, _, name = unquote(urlsplit(url).path).removeprefix("/stream/").partition("/")
            found = await bench.read(name, SessionId(session))
            assert found == ServedObject(data=b"\x47rendition", content_type="video/mp2t")

    run(story())


ALIKE = (
    *("x", "x/1.ts", "x/x", "X", "X/1.ts", "x%2F1.ts", "x.", "x ", " x", "é/1.ts", "e\u0301/1.ts", "con", "aux/1.ts"),
    *(f"{'n' * 255}/{'m' * 255}", f"{'n' * 255}/{'m' * 254}", "a" * 255, ".x", "..x/...", "-", "~", "$HOME", "*/?"),
)


def test_names_that_are_nearly_the_same_are_kept_apart(opened: Opener) -> None:
    """A name and one below it, another case, another spelling of one letter, the longest there are."""

    async def story() -> None:
        async with opened(ShelfLimits(total_bytes=100_000, objects_per_session=100)) as bench:
            for order in (ALIKE, ALIKE[::-1]):
                for name in order:
                    await bench.save(name, name.encode())
                for name in ALIKE:
                    found = await bench.read(name)
                    assert found is not None, name
                    assert found.data == name.encode()
            await bench.save("x", b"another")
            below = await bench.read("x/1.ts")
            assert below is not None
            assert below.data == b"x/1.ts"

    run(story())


def test_one_part_names_empty_objects_and_many_sessions(opened: Opener) -> None:
    async def story() -> None:
        async with opened() as bench:
            await bench.save("7.tempfile", b"")
            await bench.save("7.tempfile", b"other", OTHER)
            assert (await bench.read("7.tempfile")) == ServedObject(b"", "video/mp2t")
            assert (await bench.read("7.tempfile", OTHER)) == ServedObject(b"other", "video/mp2t")

    run(story())


@pytest.mark.parametrize(
    ("session", "name"),
    [
        (SESSION, "P720/8.ts"),
        (OTHER, "P720/7.ts"),
        (SESSION, ""),
        (SESSION, "P720"),
        (SESSION, "P720/"),
        (SESSION, "P720/../P720/7.ts"),
        (SESSION, f"../{SESSION}/P720/7.ts"),
        (SESSION, "/etc/passwd"),
        (SESSION, "P720/7.ts\x00"),
        (SESSION, "\udcff"),
        (SESSION, "a" * 100_000),
        (SessionId(""), "P720/7.ts"),
        (SessionId(".."), "P720/7.ts"),
        (SessionId("."), f"{SESSION}/P720/7.ts"),
        (SessionId(f"../objects/{SESSION}"), "P720/7.ts"),
    ],
)
def test_unknown_and_hostile_names_read_as_nothing(opened: Opener, session: SessionId, name: str) -> None:
    async def story() -> None:
        async with opened() as bench:
            await bench.save("P720/7.ts")
            assert await bench.read(name, session) is None

    run(story())


@pytest.mark.parametrize("name", ["", "..", "../x", "/x", "a/../b", "a/b/c", "a\\b", "a\x00", "\udcff", "a" * 256])
def test_names_that_could_escape_cannot_be_saved(opened: Opener, name: str) -> None:
    async def story() -> None:
        async with opened() as bench:
            with pytest.raises(StoreError, match=r"^Invalid argument$"):
                await bench.save(name)
            with pytest.raises(StoreError, match=r"^Invalid argument$"):
                await bench.save("1.ts", session=SessionId(name or "a/b"))
            assert bench.metrics.values["media_store_objects"] == 0

    run(story())


def test_the_same_name_again_replaces_in_place(opened: Opener) -> None:
    async def story() -> None:
        async with opened() as bench:
            first = await bench.save("P720/7.ts", b"a" * 900)
            assert await bench.save("P720/7.ts", b"b" * 950) == first
            found = await bench.read("P720/7.ts")
            assert found is not None
            assert found.data == b"b" * 950
            assert bench.metrics.values == {"media_store_bytes": 950, "media_store_objects": 1}

    run(story())


def test_bytes_are_bounded_and_what_was_fetched_goes_first(opened: Opener) -> None:
    async def story() -> None:
        async with opened() as bench:
            for seq in range(10):
                await bench.save(f"P720/{seq}.ts")
            assert await bench.read("P720/5.ts") is not None
            await bench.save("P720/10.ts")
            assert await bench.read("P720/5.ts") is None
            await bench.save("P720/11.ts")
            assert await bench.read("P720/0.ts") is None
            assert bench.metrics.values["media_store_bytes"] == 1000
            assert bench.metrics.values["media_store_evictions_total"] == 2

    run(story())


def test_an_object_larger_than_the_store_is_refused_and_costs_nobody_anything(opened: Opener) -> None:
    async def story() -> None:
        async with opened() as bench:
            await bench.save("P720/0.ts")
            with pytest.raises(StoreError, match=r"^Cannot allocate memory$"):
                await bench.save("P720/1.ts", b"x" * 1001)
            assert await bench.read("P720/0.ts") is not None
            assert await bench.read("P720/1.ts") is None

    run(story())


def test_renditions_outlive_their_session_for_the_grace_period(opened: Opener) -> None:
    async def story() -> None:
        async with opened() as bench:
            await bench.save("P720/0.ts")
            await bench.save("P720/0.ts", session=OTHER)
            await bench.store.end_session(SESSION)
            await bench.store.end_session(SESSION)
            await bench.store.end_session(SessionId("nobody knows it"))
            bench.clock.advance(59)
            await bench.store.sweep()
            assert await bench.read("P720/0.ts") is not None
            bench.clock.advance(1)
            await bench.store.sweep()
            assert await bench.read("P720/0.ts") is None
            assert await bench.read("P720/0.ts", OTHER) is not None
            assert bench.metrics.values["media_store_objects"] == 1

    run(story())


def test_the_answer_of_a_segment_that_ran_when_its_session_ended_can_be_fetched(opened: Opener) -> None:
    async def story() -> None:
        async with opened() as bench:
            await bench.save("P720/0.ts")
            await bench.store.end_session(SESSION)
            bench.clock.advance(50)
            await bench.save("P720/1.ts")
            bench.clock.advance(50)
            await bench.store.sweep()
            assert await bench.read("P720/0.ts") is None
            assert await bench.read("P720/1.ts") is not None
            bench.clock.advance(10)
            await bench.store.sweep()
            assert await bench.read("P720/1.ts") is None

    run(story())


def test_a_session_saved_into_after_it_was_forgotten_does_not_stay_for_ever(opened: Opener) -> None:
    async def story() -> None:
        async with opened() as bench:
            await bench.store.end_session(SESSION)
            await bench.save("P720/1.ts")
            bench.clock.advance(600)
            await bench.store.sweep()
            assert bench.metrics.values["media_store_objects"] == 0

    run(story())


def test_fetched_renditions_go_after_their_grace_while_the_stream_goes_on(opened: Opener) -> None:
    async def story() -> None:
        async with opened() as bench:
            await bench.save("P720/0.ts")
            await bench.save("P720/1.ts")
            await bench.read("P720/0.ts")
            bench.clock.advance(60)
            await bench.store.sweep()
            assert await bench.read("P720/0.ts") is None
            assert await bench.read("P720/1.ts") is not None

    run(story())


def test_many_saves_and_reads_at_once_keep_the_books_right(opened: Opener) -> None:
    async def story() -> None:
        async with opened(ShelfLimits(total_bytes=1000)) as bench:
            outcomes = await asyncio.gather(
                *(bench.save(f"P{seq % 3}/{seq % 20}.ts", bytes([seq]) * (40 + seq)) for seq in range(60)),
                *(bench.read(f"P{seq % 3}/{seq % 20}.ts") for seq in range(60)),
                return_exceptions=True,
            )
            # A store that takes time may find that an object had to go again before it was in place.
            assert all(isinstance(e, StoreError) for e in outcomes if isinstance(e, BaseException))
            kept = [
                (seq, found.data)
                for seq in range(60)
                if (found := await bench.read(f"P{seq % 3}/{seq % 20}.ts")) is not None
            ]
            assert sum(len(data) for _, data in kept) <= 1000
            assert kept
            assert all(data == bytes([seq]) * (40 + seq) for seq, data in kept)

    run(story())


def test_the_service_sweeps_by_itself(opened: Opener) -> None:
    async def story() -> None:
        async with opened() as bench:
            await bench.save("P720/0.ts")
            await bench.store.end_session(SESSION)
            bench.clock.advance(61)
            async with asyncio.TaskGroup() as group:
                service = group.create_task(bench.store.run())
                await eventually(lambda: bench.metrics.values["media_store_objects"] == 0, what="the sweep")
                service.cancel()

    run(story())
