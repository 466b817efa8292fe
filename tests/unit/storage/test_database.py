"""The writer of money: what is committed together, what fails alone, and what a disk or a file may do to it."""

import asyncio
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from baton.kernel.errors import ExitCode, StartError
from baton.storage import database as database_module
from baton.storage import engine as engine_module
from baton.storage.database import Database, DatabaseError
from baton.storage.schema import METADATA
from tests.postgres import PASSWORD
from tests.support import eventually, run

Story = Callable[[Database], Awaitable[None]]


def told(story: Story, place: Path | str) -> None:
    async def whole() -> None:
        database = Database.open(place)
        try:
            await story(database)
        finally:
            await database.close()

    run(whole(), deadline_s=40)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path / "money.sqlite3"
    return str(request.getfixturevalue("postgres"))


def put(name: bytes) -> Callable[[Connection], bytes]:
    def work(connection: Connection) -> bytes:
        connection.execute(text("INSERT INTO nonces VALUES (:name, 1, 1)"), {"name": name})
        return name

    return work


def names(connection: Connection) -> list[bytes]:
    return [
        bytes(row) for row in connection.execute(text("SELECT recipient_rand_hash FROM nonces ORDER BY 1")).scalars()
    ]


class Gate:
    """Holds the writer back, so that what is asked meanwhile is committed together."""

    def __init__(self, database: Database) -> None:
        self._open = threading.Event()
        self._reached = threading.Event()
        self._task = asyncio.ensure_future(database.run(self._wait))

    def _wait(self, _connection: Connection) -> None:
        self._reached.set()
        assert self._open.wait(20)

    async def closed(self) -> None:
        await eventually(self._reached.is_set, what="the writer at the gate")

    async def open(self) -> None:
        self._open.set()
        await self._task


def test_changes_that_wait_are_one_commit_and_a_failing_one_goes_alone(place: Path | str) -> None:
    async def story(database: Database) -> None:
        commits: list[int] = []
        event.listen(database._engine, "commit", lambda _connection: commits.append(1))

        def spoiled(connection: Connection) -> None:
            put(b"lost")(connection)
            message = "my own mistake"
            raise ValueError(message)

        gate = Gate(database)
        await gate.closed()
        works: list[Callable[[Connection], Any]] = [put(b"a"), spoiled, put(b"a"), put(b"b")]
        asked = [asyncio.ensure_future(database.run(work)) for work in works]
        await eventually(lambda: database.waiting == 5, what="all of them wait")
        await gate.open()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert len(commits) == 2
        assert (results[0], results[3]) == (b"a", b"b")
        assert isinstance(results[1], ValueError)
        assert isinstance(results[2], DatabaseError)
        assert "nonces" in str(results[2])
        assert await database.run(names) == [b"a", b"b"]
        await eventually(lambda: database.waiting == 0, what="nothing waits")

    told(story, place)


def test_a_commit_that_fails_fails_everybody_and_keeps_nothing(tmp_path: Path) -> None:
    async def story(database: Database) -> None:
        def tables(connection: Connection) -> None:
            connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
            connection.execute(
                text("CREATE TABLE child (id INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)")
            )

        def orphan(connection: Connection) -> None:
            connection.execute(text("INSERT INTO child VALUES (7)"))

        await database.run(tables)
        gate = Gate(database)
        await gate.closed()
        works: list[Callable[[Connection], Any]] = [put(b"a"), orphan, put(b"b")]
        asked = [asyncio.ensure_future(database.run(work)) for work in works]
        await eventually(lambda: database.waiting == 4, what="all of them wait")
        with capture_logs() as logs:
            await gate.open()
            results = await asyncio.gather(*asked, return_exceptions=True)
            assert await database.run(names) == []
        assert [type(result) for result in results] == [DatabaseError] * 3
        assert "FOREIGN KEY" in str(results[0])
        assert [entry["event"] for entry in logs] == [
            "database does not take changes",
            "database takes changes again",
        ]

    told(story, tmp_path / "money")


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_WAITING_MOST", 3)

    async def story(database: Database) -> None:
        gate = Gate(database)
        await gate.closed()
        asked = [asyncio.ensure_future(database.run(put(bytes([n])))) for n in range(2)]
        await eventually(lambda: database.waiting == 3, what="as many as may wait")
        with pytest.raises(DatabaseError, match="3 changes wait"):
            await database.run(names)
        await gate.open()
        await asyncio.gather(*asked)
        assert len(await database.run(names)) == 2

    told(story, tmp_path / "money")


def test_a_caller_that_goes_takes_nothing_back(tmp_path: Path) -> None:
    async def story(database: Database) -> None:
        gate = Gate(database)
        await gate.closed()
        asked = asyncio.ensure_future(database.run(put(b"a")))
        await eventually(lambda: database.waiting == 2, what="it waits")
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await gate.open()
        assert await database.run(names) == [b"a"]
        assert database.waiting == 0

    told(story, tmp_path / "money")


def test_closing_finishes_what_waits_and_refuses_the_rest(tmp_path: Path) -> None:
    async def story(database: Database) -> None:
        gate = Gate(database)
        await gate.closed()
        asked = [asyncio.ensure_future(database.run(put(n.to_bytes(2, "big")))) for n in range(300)]
        await eventually(lambda: database.waiting == 301, what="all of them wait")
        closing = asyncio.ensure_future(database.close())
        await eventually(lambda: database._closed, what="it closes")
        with pytest.raises(DatabaseError, match="closed"):
            await database.run(names)
        await gate.open()
        assert await asyncio.gather(*asked) == [n.to_bytes(2, "big") for n in range(300)]
        await closing

    told(story, tmp_path / "money")
    told(_count_is(300), tmp_path / "money")


def _count_is(number: int) -> Story:
    async def story(database: Database) -> None:
        assert len(await database.run(names)) == number

    return story


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "money.sqlite3"
    path.touch(mode=0o644)
    before = os.umask(0)

    async def story(database: Database) -> None:
        await database.run(put(b"a"))
        files = sorted(tmp_path.iterdir())
        assert [file.name for file in files] == [
            *("money.sqlite3", "money.sqlite3-shm", "money.sqlite3-wal", "money.sqlite3.lock")
        ]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

    try:
        told(story, path)
    finally:
        os.umask(before)


def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    async def story(database: Database) -> None:
        def pragmas(connection: Connection) -> tuple[Any, ...]:
            return tuple(
                connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")
            )

        assert await database.run(pragmas) == ("wal", 2)

    told(story, tmp_path / "money")


def test_a_file_that_becomes_read_only_is_said_and_recovers(tmp_path: Path) -> None:
    async def story(database: Database) -> None:
        def switch(on: str) -> None:
            connection = database._engine.raw_connection()
            connection.cursor().execute(f"PRAGMA query_only={on}")
            connection.close()

        await database.run(put(b"a"))
        await asyncio.to_thread(switch, "ON")
        with pytest.raises(DatabaseError, match="readonly"):
            await database.run(put(b"b"))
        await asyncio.to_thread(switch, "OFF")
        assert await database.run(names) == [b"a"]
        await database.run(put(b"b"))
        assert await database.run(names) == [b"a", b"b"]

    told(story, tmp_path / "money")


def test_a_file_that_somebody_else_holds_is_waited_for_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_BUSY_S", 0.2)
    path = tmp_path / "money"

    async def story(database: Database) -> None:
        other = create_engine(f"sqlite:///{path}")
        with other.connect() as connection:
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
            with pytest.raises(DatabaseError, match="locked"):
                await database.run(put(b"a"))
        other.dispose()
        await database.run(put(b"a"))

    told(story, path)


@pytest.mark.parametrize("kind", ["garbage", "half", "folder", "no folder"])
def test_what_is_no_database_is_a_start_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "money"
    if kind == "garbage":
        path.write_bytes(bytes(range(256)) * 64)
    elif kind == "half":
        told(_filled, path)
        content = bytearray(path.read_bytes())
        content[4096 * 3 :] = b"\xaa" * len(content[4096 * 3 :])
        path.write_bytes(content)
    elif kind == "folder":
        path.mkdir()
    else:
        path = tmp_path / "missing" / "money"
    with pytest.raises(StartError, match="cannot be used") as refused:
        Database.open(path)
    assert refused.value.exit_code is ExitCode.DATA_DIR
    assert str(path) in str(refused.value)


async def _filled(database: Database) -> None:
    for number in range(300):
        await database.run(put(number.to_bytes(32, "big")))


@pytest.mark.parametrize("url", ["mysql://ann:geheim@h/x", "not a url", "sqlite3:///x", "postgres:geheim", ""])
def test_other_databases_are_refused_without_showing_them(url: str) -> None:
    with pytest.raises(StartError, match="must be sqlite") as refused:
        Database.open(url)
    assert "geheim" not in str(refused.value)


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(StartError, match=r"127\.0\.0\.1:1/money") as refused:
        Database.open(f"postgresql://ann:{PASSWORD}@127.0.0.1:1/money?application_name={PASSWORD}")
    assert PASSWORD not in str(refused.value)


def test_the_password_is_in_no_log_and_no_error(postgres: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(database: Database) -> None:
        with pytest.raises(DatabaseError) as wrong:
            await database.run(lambda connection: connection.execute(text("SELECT * FROM nothing_like_this")))
        suicide = text("SELECT pg_terminate_backend(pg_backend_pid())")
        with capture_logs() as logs, pytest.raises(DatabaseError) as gone:
            await database.run(lambda connection: connection.execute(suicide))
        told_all = f"{wrong.value!r}{gone.value!r}{logs}{caplog.text}{database!r}"
        assert PASSWORD not in told_all
        assert "nothing_like_this" in told_all

    assert PASSWORD in postgres
    told(story, postgres)


def test_migrations_make_what_the_schema_says(place: Path | str) -> None:
    async def story(database: Database) -> None:
        def shape(connection: Connection) -> dict[str, Any]:
            look = inspect(connection)
            return {
                table: (
                    {
                        column["name"]: (str(column["type"]), column["nullable"], column["default"])
                        for column in look.get_columns(table)
                    },
                    look.get_pk_constraint(table)["constrained_columns"],
                    sorted((index["name"], tuple(index["column_names"])) for index in look.get_indexes(table)),
                )
                for table in look.get_table_names()
                if table != "alembic_version"
            }

        made = await database.run(shape)

        def again(connection: Connection) -> dict[str, Any]:
            METADATA.drop_all(connection)
            METADATA.create_all(connection)
            return shape(connection)

        assert await database.run(again) == made
        assert set(made) == set(METADATA.tables)

    told(story, place)


def test_a_newer_database_is_left_alone(place: Path | str) -> None:
    async def story(database: Database) -> None:
        await database.run(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num='9999'")))

    told(story, place)
    with pytest.raises(StartError, match="newer version") as refused:
        Database.open(place)
    assert refused.value.exit_code is ExitCode.DATA_DIR


def test_a_file_belongs_to_one_node(tmp_path: Path) -> None:
    async def story(_database: Database) -> None:
        with pytest.raises(StartError, match=f"in use by another node \\(process {os.getpid()}\\)") as refused:
            await asyncio.to_thread(Database.open, tmp_path / "money")
        assert refused.value.exit_code is ExitCode.DATA_DIR

    told(story, tmp_path / "money")
    told(story, tmp_path / "money")


def test_opening_again_keeps_everything(place: Path | str) -> None:
    async def first(database: Database) -> None:
        await database.run(put(b"a"))

    async def second(database: Database) -> None:
        assert await database.run(names) == [b"a"]

    told(first, place)
    told(second, place)


_FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from sqlalchemy import text
from baton.storage.database import Database, DatabaseError

async def main(path):
    database = Database.open(path)
    kept, failed = 0, 0
    def put(number):
        def work(connection):
            name = number.to_bytes(4, "big") * 500
            connection.execute(text("INSERT INTO nonces VALUES (:name, 1, 1)"), {"name": name})
        return work
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    kept = set()
    for number in range(1000):
        try:
            await database.run(put(number))
            kept.add(number)
        except DatabaseError as error:
            failed += 1
            said = str(error)
            if failed == 3:
                break
    assert failed == 3, failed
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await database.run(put(5000))
    kept.add(5000)
    def names(connection):
        return {int.from_bytes(bytes(row)[:4], "big") for row in
                connection.execute(text("SELECT recipient_rand_hash FROM nonces")).scalars()}
    assert await database.run(names) == kept, "what was refused is there, or what was taken is not"
    await database.close()
    again = Database.open(path)
    assert await again.run(names) == kept
    await again.close()
    print(len(kept), said)

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, tmp_path / "money"], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stderr
    assert "full" in done.stdout or "I/O error" in done.stdout


def test_an_error_of_the_driver_is_told_without_values(tmp_path: Path) -> None:
    async def story(database: Database) -> None:
        def work(connection: Connection) -> None:
            connection.execute(text("INSERT INTO nonces VALUES (:a, :b, NULL)"), {"a": b"hidden value", "b": 1})

        with pytest.raises(DatabaseError) as refused:
            await database.run(work)
        assert "hidden value" not in str(refused.value)
        assert not isinstance(refused.value, OperationalError)

    told(story, tmp_path / "money")
