"""The database of money: one writer thread, group commit, SQLite in the data directory or PostgreSQL for several nodes.

A change is a function of a connection. Changes that wait together are committed together, each in a savepoint of its
own, so that one that fails takes none of the others along. A caller gets its answer when the commit is safe on disk, so
what a peer reads as accepted survives a power cut. What the writer cannot keep up with is refused, not queued for ever.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from baton.kernel.errors import BatonError, ExitCode, StartError
from baton.storage.files import PRIVATE_FILE_MODE

__all__ = ["Database", "DatabaseError"]

log = structlog.get_logger("baton.storage")

_T = TypeVar("_T")

_WAITING_MOST = 4096
_BATCH_MOST = 256
_TRIES = 5
_CONNECT_S = 5
_BUSY_S = 10.0
_AGAIN = frozenset({"40001", "40P01"})
"""PostgreSQL's words for "somebody else was in the way, try again"."""


class DatabaseError(BatonError):
    """A change is not on record: the disk, the server, or too many that wait. The text is for the log."""


@dataclass(slots=True)
class _Job:
    work: Callable[[Connection], Any]
    done: "Future[Any]" = field(default_factory=Future)


class Database:
    """One database. Use from the event loop; its thread lives from ``open`` to ``close``."""

    def __init__(self, engine: Engine) -> None:
        """Use ``open``."""
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._failing = False
        self._thread = threading.Thread(target=self._serve, name="database writer", daemon=True)

    @classmethod
    def open(cls, url: str) -> "Database":
        """Connect, bring the tables up to date and start the writer. Blocks.

        ``url`` is ``sqlite:///<path>`` or ``postgresql+psycopg://…``.

        Raises:
            StartError: ``ExitCode.DATA_DIR``: it cannot be opened or is of a newer node. Never shows the password.
        """
        from baton.storage.migrations import bring_up_to_date

        shown = make_url(url).render_as_string(hide_password=True)
        try:
            engine = _engine(url)
            bring_up_to_date(engine)
        except (SQLAlchemyError, OSError) as error:
            message = f"the database {shown} cannot be used: {_reason(error)}"
            raise StartError(message, exit_code=ExitCode.DATA_DIR) from error
        database = cls(engine)
        database._thread.start()
        return database

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @property
    def waiting(self) -> int:
        """Changes that are not on record yet."""
        return self._waiting

    async def run(self, work: Callable[[Connection], _T]) -> _T:
        """The result of ``work`` once what it did is safe on disk.

        ``work`` runs in the writer's thread, maybe more than once, and must do nothing but talk to its connection. It
        is not undone when the caller is cancelled.

        Raises:
            DatabaseError: it is not on record.
        """
        if self._closed:
            message = "the database is closed"
            raise DatabaseError(message)
        if self._waiting >= _WAITING_MOST:
            message = f"{self._waiting} changes wait for the database"
            raise DatabaseError(message)
        job = _Job(work)
        self._waiting += 1
        self._jobs.put(job)
        answer = asyncio.wrap_future(job.done)
        answer.add_done_callback(self._one_less)
        return cast("_T", await asyncio.shield(answer))

    async def close(self) -> None:
        """Finish what waits, then let go of the database."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._engine.dispose()

    def _one_less(self, answer: "asyncio.Future[Any]") -> None:
        self._waiting -= 1
        if not answer.cancelled():
            answer.exception()  # whoever asked may be gone; the error was logged

    # In the writer's thread.

    def _serve(self) -> None:
        while True:
            first = self._jobs.get()
            if first is None:
                return
            batch, ends = self._gather(first)
            self._commit(batch)
            if ends:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """What waits together with ``first``, and whether the end was among it."""
        batch = [first]
        while len(batch) < _BATCH_MOST:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _commit(self, batch: list[_Job]) -> None:
        outcomes: list[tuple[Any, BaseException | None]] = []
        for attempt in range(1, _TRIES + 1):
            try:
                outcomes = self._try(batch)
            except Exception as error:  # noqa: BLE001 -- whatever it is, whoever waits must hear of it
                if attempt < _TRIES and _worth_another(error):
                    continue
                self._tell_trouble(error)
                outcomes = [(None, error)] * len(batch)
            else:
                self._tell_recovery()
            break
        for job, (value, failure) in zip(batch, outcomes, strict=True):
            if failure is None:
                job.done.set_result(value)
            elif isinstance(failure, SQLAlchemyError):
                job.done.set_exception(DatabaseError(_reason(failure)))
            else:
                job.done.set_exception(failure)

    def _try(self, batch: list[_Job]) -> list[tuple[Any, BaseException | None]]:
        """All jobs in one transaction; raises when none of it is on record."""
        outcomes: list[tuple[Any, BaseException | None]] = []
        with self._engine.begin() as connection:
            for job in batch:
                try:
                    with connection.begin_nested():
                        outcomes.append((job.work(connection), None))
                except DBAPIError as error:
                    if error.connection_invalidated or _worth_another(error):
                        raise
                    outcomes.append((None, error))
                except Exception as error:  # noqa: BLE001 -- a job's own mistake is its caller's to hear
                    outcomes.append((None, error))
        return outcomes

    def _tell_trouble(self, error: Exception) -> None:
        """Said once per bad time."""
        if not self._failing:
            self._failing = True
            log.error("database does not take changes", reason=_reason(error))

    def _tell_recovery(self) -> None:
        if self._failing:
            self._failing = False
            log.info("database takes changes again")


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_size=2, pool_pre_ping=True, connect_args={"connect_timeout": _CONNECT_S})
    path = Path(parsed.database or "")
    path.touch(mode=PRIVATE_FILE_MODE)
    path.chmod(PRIVATE_FILE_MODE)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_S, "check_same_thread": False})

    def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 -- the driver's connection
        # The driver would begin transactions at moments of its own; we say when.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _worth_another(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _AGAIN


def _reason(error: Exception) -> str:
    """What happened, without the statement and its values."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return f"{type(error.orig).__name__}: {error.orig}".strip().replace("\n", " ")
    return f"{type(error).__name__}: {error}".replace("\n", " ")
