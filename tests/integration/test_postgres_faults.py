"""A PostgreSQL that dies, answers no more at the worst moment, or has two nodes in each other's way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import Enum
from fractions import Fraction
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import delete, select
from structlog.testing import capture_logs

from baton.kernel.clock import ManualClock
from baton.kernel.ids import Address
from baton.payments.ports import AccountKey, Debit, TicketEntry
from baton.storage import database as database_module
from baton.storage.accounts import AccountStore
from baton.storage.database import Database, DatabaseError
from baton.storage.schema import WRITERS
from tests.postgres import Postgres
from tests.support import eventually, run

ANN = Address(bytes([1]) * 20)
ACCOUNT = AccountKey(ANN, "session")
QUOTE = bytes([7]) * 32
SOCKET = ".s.PGSQL.5432"


def entry(nonce: int, quote_name: bytes = QUOTE) -> TicketEntry:
    return TicketEntry(quote_name, nonce, 20_000_040, Fraction(3))


class Loss(Enum):
    """When the connection breaks."""

    BEFORE_COMMIT = "the server never hears of the commit"
    AFTER_COMMIT = "the commit happens and its answer is lost"


class Line:
    """A socket between node and server that cuts a commit when told to."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self.loss: Loss | None = None
        self.cut = 0
        self.hold_back = False
        """Refuse new connections."""

    @contextlib.asynccontextmanager
    async def laid(self, folder: Path) -> AsyncIterator[None]:
        listener = await asyncio.start_unix_server(self._connected, folder / SOCKET)
        try:
            yield
        finally:
            listener.close()
            await listener.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.hold_back:
            writer.close()
            return
        there_reader, there_writer = await asyncio.open_unix_connection(str(self._server / SOCKET))
        back = asyncio.ensure_future(self._pass(there_reader, writer))
        try:
            while data := await reader.read(1 << 16):
                if self.loss is not None and b"COMMIT" in data:
                    back.cancel()
                    if self.loss is Loss.AFTER_COMMIT:
                        with contextlib.suppress(asyncio.CancelledError):
                            await back
                        there_writer.write(data)
                        await there_reader.read(1)
                    self.loss, self.cut = None, self.cut + 1
                    return
                there_writer.write(data)
                await there_writer.drain()
        except ConnectionError:
            pass
        finally:
            back.cancel()
            for end in (writer, there_writer):
                end.close()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
            writer.close()


@pytest.mark.parametrize("loss", Loss)
def test_a_commit_whose_answer_is_lost_happens_once(
    postgres: str, postgres_of_the_run: Postgres, tmp_path_factory: pytest.TempPathFactory, loss: Loss
) -> None:
    folder = tmp_path_factory.mktemp("line")

    async def story() -> None:
        line = Line(postgres_of_the_run.folder)
        async with line.laid(folder):
            through = postgres.replace(str(postgres_of_the_run.folder), quote(str(folder)))
            database = await asyncio.to_thread(Database.open, through)
            store = AccountStore(database, now=ManualClock().now)
            await store.accept(ACCOUNT, price=Fraction(1), tickets=(entry(1),))
            line.loss = loss
            applied = await store.accept(ACCOUNT, price=Fraction(1), tickets=(entry(2),))
            assert applied.state.balance_wei == 6
            assert not applied.seen
            line.loss = loss
            assert (await store.debit(Debit(ACCOUNT, Fraction(5)))).state.balance_wei == 1
            assert line.cut == 2
            state = await store.account(ACCOUNT)
            assert state is not None
            assert state.balance_wei == 1
            await database.close()

    run(story())


def test_a_commit_that_stays_in_doubt_is_not_made_again(
    postgres: str,
    postgres_of_the_run: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database_module, "_PAUSE_S", 0.001)
    folder = tmp_path_factory.mktemp("line")

    async def story() -> None:
        line = Line(postgres_of_the_run.folder)
        async with line.laid(folder):
            through = postgres.replace(str(postgres_of_the_run.folder), quote(str(folder)))
            database = await asyncio.to_thread(Database.open, through)
            store = AccountStore(database, now=ManualClock().now)
            await store.accept(ACCOUNT, price=Fraction(1), tickets=(entry(1),))
            line.loss, line.hold_back = Loss.AFTER_COMMIT, True
            with pytest.raises(DatabaseError, match="may have happened"):
                await store.debit(Debit(ACCOUNT, Fraction(5)))
            line.hold_back = False
            state = await store.account(ACCOUNT)
            assert state is not None
            assert state.balance_wei == -2
            await database.close()

    run(story())


class Load:
    """Payers that go on whatever happens, and what was acknowledged to them."""

    def __init__(self, store: AccountStore, payers: int) -> None:
        self._store = store
        self.acknowledged: dict[int, set[int]] = {number: set() for number in range(payers)}
        self.refused = 0
        self.stopped = False

    @property
    def total(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    async def pay(self, number: int) -> None:
        nonce = 0
        while not self.stopped:
            nonce += 1
            ticket = entry(nonce, number.to_bytes(32, "big"))
            try:
                await self._store.accept(AccountKey(ANN, str(number)), price=Fraction(1), tickets=(ticket,))
            except DatabaseError:
                self.refused += 1
            else:
                self.acknowledged[number].add(nonce)

    async def more(self, *, acknowledged: int = 0, refused: int = 0) -> None:
        """Wait until so many more payments met that fate."""
        total, missed = self.total + acknowledged, self.refused + refused
        await eventually(lambda: self.total >= total and self.refused >= missed, deadline_s=30, what="more payments")


@pytest.mark.slow
def test_a_server_killed_under_load_loses_nothing_that_was_acknowledged(private_postgres: Postgres) -> None:
    server = private_postgres

    async def story(url: str) -> None:
        database = await asyncio.to_thread(Database.open, url)
        store = AccountStore(database, now=ManualClock().now)
        load = Load(store, 8)

        async def disturb() -> None:
            for _ in range(2):
                await load.more(acknowledged=100)
                await asyncio.to_thread(server.kill)
                await load.more(refused=8)
                await asyncio.to_thread(server.start)
            await load.more(acknowledged=100)
            load.stopped = True

        with capture_logs() as logs:
            async with asyncio.TaskGroup() as group:
                for number in load.acknowledged:
                    group.create_task(load.pay(number))
                group.create_task(disturb())
        words = [line["event"] for line in logs]
        assert words.count("database does not take changes") == words.count("database takes changes again") == 2
        on_record: dict[int, set[int]] = {number: set() for number in load.acknowledged}
        for name, nonce, _ in await store.nonces():
            on_record[int.from_bytes(name, "big")].add(nonce)
        for number, nonces in load.acknowledged.items():
            assert nonces <= on_record[number]
            state = await store.account(AccountKey(ANN, str(number)))
            assert state is not None
            assert state.balance_wei == 3 * len(on_record[number])
        await database.close()

    with server.database() as url:
        run(story(url), deadline_s=55)


def test_nodes_that_start_at_the_same_moment_make_the_tables_once(postgres: str) -> None:
    async def story() -> None:
        databases = await asyncio.gather(*(asyncio.to_thread(Database.open, postgres) for _ in range(4)))
        for number, database in enumerate(databases):
            store = AccountStore(database, now=ManualClock().now)
            await store.accept(ACCOUNT, price=Fraction(1), tickets=(entry(number),))
        state = await AccountStore(databases[0], now=ManualClock().now).account(ACCOUNT)
        assert state is not None
        assert state.balance_wei == 4 * 3
        for database in databases:
            await database.close()

    run(story(), deadline_s=50)


def test_a_writer_whose_row_was_tidied_away_makes_another(postgres: str) -> None:
    async def story() -> None:
        database = await asyncio.to_thread(Database.open, postgres)
        store = AccountStore(database, now=ManualClock().now)
        await store.accept(ACCOUNT, price=Fraction(1), tickets=(entry(1),))
        await database.run(lambda connection: connection.execute(delete(WRITERS)), writes=False)
        await store.debit(Debit(ACCOUNT, Fraction(1)))
        await store.debit(Debit(ACCOUNT, Fraction(1)))
        rows = await database.run(lambda connection: connection.execute(select(WRITERS.c.number)).all(), writes=False)
        assert [row.number for row in rows] == [database._number]
        await database.close()

    run(story())


def test_two_nodes_that_cross_do_not_stop_each_other(postgres: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        databases = [await asyncio.to_thread(Database.open, postgres) for _ in range(2)]
        stores = [AccountStore(database, now=clock.now) for database in databases]
        names = [AccountKey(ANN, str(n)) for n in range(12)]

        async def work(store: AccountStore, number: int, keys: list[AccountKey]) -> None:
            for turn in range(10):
                await asyncio.gather(
                    *(
                        store.accept(key, price=Fraction(1), tickets=(entry(100 * turn + n, bytes([number]) * 32),))
                        for n, key in enumerate(keys)
                    )
                )
                await asyncio.gather(*(store.debit(Debit(key, Fraction(1))) for key in reversed(keys)))

        await asyncio.gather(work(stores[0], 0, names), work(stores[1], 1, names[::-1]))
        states = dict(await stores[0].accounts())
        assert {key: state.balance_wei for key, state in states.items()} == dict.fromkeys(names, 2 * 10 * (3 - 1))
        for database in databases:
            await database.close()

    run(story(), deadline_s=50)


def test_a_ticket_that_two_nodes_take_at_once_is_credited_once(postgres: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        databases = [await asyncio.to_thread(Database.open, postgres) for _ in range(2)]
        stores = [AccountStore(database, now=clock.now) for database in databases]
        for turn in range(20):
            forth = tuple(entry(nonce, bytes([turn]) * 32) for nonce in range(10))
            taken = await asyncio.gather(
                stores[0].accept(ACCOUNT, price=Fraction(1), tickets=forth),
                stores[1].accept(ACCOUNT, price=Fraction(1), tickets=forth[::-1]),
            )
            assert sum(len(applied.seen) for applied in taken) == 10
        state = await stores[1].account(ACCOUNT)
        assert state is not None
        assert state.balance_wei == 20 * 10 * 3
        for database in databases:
            await database.close()

    run(story(), deadline_s=50)
