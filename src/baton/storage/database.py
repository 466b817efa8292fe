"""The database of money: one writer thread, group commit, SQLite in the data directory or PostgreSQL for several nodes.

A change is a function of a connection. Changes that wait together are committed together, each in a savepoint of its
own, so that one that fails takes none of the others along. A caller gets its answer when the commit is safe on disk, so
what a peer reads as accepted survives a power cut. What the writer cannot keep up with is refused, not queued for ever.

A connection that breaks while it commits leaves open whether the commit happened. Each commit on PostgreSQL therefore
numbers a row of its writer, and the writer looks there before it does anything a second time.
"""

import asyncio
import os
import queue
import random
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from baton.kernel.errors import BatonError, ExitCode, StartError
from baton.kernel.metrics import Metrics, SilentMetrics
from baton.storage.engine import CONFLICTS, connect, reason, shown
from baton.storage.lock import take_lock
from baton.storage.schema import WRITERS

__all__ = ["Database", "DatabaseError"]

log = structlog.get_logger("baton.storage")

_T = TypeVar("_T")

_WAITING_MOST = 4096
_BATCH_MOST = 256
_TRIES = 6
_TOGETHER_TRIES = 2
"""After this many conflicts with other nodes each change of a batch is committed alone, holding little for little."""
_PAUSE_S = 0.05
_DOUBT_TRIES = 10
_NAME_BYTES = 16
_WRITERS_KEPT_S = 30 * 86_400.0

_Outcome = tuple[Any, BaseException | None]


class DatabaseError(BatonError):
    """A change is not on record: the disk, the server, or too many that wait. The text is for the log."""


@dataclass(slots=True)
class _Job:
    work: Callable[[Connection], Any]
    writes: bool
    done: "Future[Any]" = field(default_factory=Future)


class Database:
    """One database. Use from the event loop; its thread lives from ``open`` to ``close``."""

    def __init__(self, engine: Engine, *, name: bytes | None, lock_fd: int | None, metrics: Metrics) -> None:
        """Use ``open``. ``name`` is that of the row that numbers our commits; owns the descriptor of a file's lock."""
        self._engine = engine
        self._metrics = metrics
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._failing = False
        self._closing = threading.Event()
        self._name = name
        self._lock_fd = lock_fd
        self._number = 0
        self._thread = threading.Thread(target=self._serve, name="database writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, url: str | Path, *, metrics: Metrics | None = None) -> "Database":
        """Connect, bring the tables up to date and start the writer. Blocks.

        ``url`` is a file, ``sqlite:///<path>`` or ``postgresql://…``. ``metrics`` is used in the writer's thread too.

        Raises:
            StartError: ``ExitCode.DATA_DIR``: it cannot be opened or is of a newer node. Never shows the password.
        """
        from baton.storage.migrations import bring_up_to_date

        engine = connect(url, prepare=bring_up_to_date)
        try:
            name, lock_fd = _enrolled(engine), _locked(engine)
        except (SQLAlchemyError, OSError) as error:
            engine.dispose()
            message = f"the database {shown(engine.url)} cannot be used: {reason(error)}"
            raise StartError(message, exit_code=ExitCode.DATA_DIR) from error
        except StartError:
            engine.dispose()
            raise
        return cls(engine, name=name, lock_fd=lock_fd, metrics=metrics or SilentMetrics())

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @property
    def waiting(self) -> int:
        """Changes that are not on record yet."""
        return self._waiting

    async def run(self, work: Callable[[Connection], _T], *, writes: bool = True) -> _T:
        """The result of ``work`` once what it did is safe on disk.

        ``work`` runs in the writer's thread, maybe more than once, and must do nothing but talk to its connection. It
        is not undone when the caller is cancelled. Without ``writes`` it only looks.

        Raises:
            DatabaseError: it is not on record.
        """
        if self._closed:
            message = "the database is closed"
            raise DatabaseError(message)
        if self._waiting >= _WAITING_MOST:
            message = f"{self._waiting} changes wait for the database"
            raise DatabaseError(message)
        job = _Job(work, writes)
        self._waiting += 1
        self._metrics.set("database_waiting", self._waiting)
        self._jobs.put(job)
        answer = asyncio.wrap_future(job.done)
        answer.add_done_callback(self._one_less)
        return cast("_T", await asyncio.shield(answer))

    async def close(self) -> None:
        """Finish what waits, then let go of the database."""
        if not self._closed:
            self._closed = True
            self._closing.set()
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._engine.dispose()
        lock_fd, self._lock_fd = self._lock_fd, None
        if lock_fd is not None:
            os.close(lock_fd)

    def _one_less(self, answer: "asyncio.Future[Any]") -> None:
        self._waiting -= 1
        self._metrics.set("database_waiting", self._waiting)
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
        """What waits together with ``first``, and whether the end was among it.

        All of it in bad times: with a server that is gone, nobody should wait for others to be refused one by one.
        """
        batch = [first]
        most = _WAITING_MOST if self._failing else _BATCH_MOST
        while len(batch) < most:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _commit(self, batch: list[_Job]) -> None:
        started = time.monotonic()
        outcomes: list[_Outcome] = []
        for attempt in range(1, _TRIES + 1):
            try:
                outcomes = self._attempt(batch)
            except Exception as error:  # noqa: BLE001 -- whatever it is, whoever waits must hear of it
                if len(batch) > 1 and attempt >= _TOGETHER_TRIES and _is_conflict(error):
                    for job in batch:
                        self._commit([job])
                    return
                if attempt < _TRIES and self._worth_another(error):
                    self._pause(attempt)
                    continue
                self._tell_trouble(error)
                outcomes = [(None, error)] * len(batch)
            else:
                self._metrics.observe("database_commit_time_seconds", time.monotonic() - started)
                self._tell_recovery()
            break
        for job, (value, failure) in zip(batch, outcomes, strict=True):
            if failure is None:
                job.done.set_result(value)
            elif isinstance(failure, SQLAlchemyError):
                job.done.set_exception(DatabaseError(reason(failure)))
            else:
                job.done.set_exception(failure)

    def _attempt(self, batch: list[_Job]) -> list[_Outcome]:
        """All jobs in one transaction; raises when none of it is on record."""
        with self._engine.connect() as connection, connection.begin() as transaction:
            outcomes = [_one(connection, job) for job in batch]
            if any(job.writes for job in batch):
                self._mark(connection)
            try:
                transaction.commit()
            except DBAPIError as error:
                # SQLite leaves the transaction open when it cannot commit it: nothing more may go over this connection.
                connection.invalidate(error)
                if self._name is None or not error.connection_invalidated or not self._landed():
                    raise
        return outcomes

    def _mark(self, connection: Connection) -> None:
        if self._name is not None:
            self._number += 1
            values = {"number": self._number, "since_s": time.time()}
            marked = connection.execute(update(WRITERS).where(WRITERS.c.name == self._name).values(values))
            if marked.rowcount == 0:  # a node that started while we had nothing to do for a month tidied our row away
                connection.execute(insert(WRITERS).values(name=self._name, **values))

    def _landed(self) -> bool:
        """Whether the commit whose answer was lost happened. Waits for it to end, should it still be under way.

        Raises:
            DatabaseError: it cannot be found out, so nothing may be tried a second time.
        """
        query = select(WRITERS.c.number).where(WRITERS.c.name == self._name).with_for_update()
        for attempt in range(1, _DOUBT_TRIES + 1):
            try:
                with self._engine.begin() as connection:
                    return connection.execute(query).scalar() == self._number
            except SQLAlchemyError as error:
                if attempt == _DOUBT_TRIES:
                    message = f"the server was lost during a commit, which may have happened: {reason(error)}"
                    raise DatabaseError(message) from error
                self._pause(min(attempt, _TRIES))
        raise AssertionError  # the last try returns or raises

    def _worth_another(self, error: Exception) -> bool:
        if _is_conflict(error):
            return True
        # Nothing was committed, or we know that it was not. When the server is known to be gone, one try is enough.
        return not self._failing and self._name is not None and _is_lost(error)

    def _pause(self, attempt: int) -> None:
        """Wait before another try, a little longer each time and never as long as somebody else."""
        if not self._closing.is_set():
            time.sleep(_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.0))  # noqa: S311 -- no secret

    def _tell_trouble(self, error: Exception) -> None:
        """Said once per bad time."""
        self._metrics.add("database_failures_total")
        if not self._failing:
            self._failing = True
            log.error("database does not take changes", reason=reason(error))

    def _tell_recovery(self) -> None:
        if self._failing:
            self._failing = False
            log.info("database takes changes again")


def _enrolled(engine: Engine) -> bytes | None:
    """The name of a fresh row that numbers our commits, None on SQLite; rows of nodes that are long gone go."""
    if engine.dialect.name != "postgresql":
        return None
    name, now = secrets.token_bytes(_NAME_BYTES), time.time()
    with engine.begin() as connection:
        connection.execute(delete(WRITERS).where(WRITERS.c.since_s < now - _WRITERS_KEPT_S))
        connection.execute(insert(WRITERS).values(name=name, number=0, since_s=now))
    return name


def _locked(engine: Engine) -> int | None:
    """A descriptor that keeps a file ours: nodes that share a record must know it, and a file is never shared."""
    if engine.dialect.name != "sqlite":
        return None
    return take_lock(f"{engine.url.database}.lock", what=f"database {engine.url.database}")


def _one(connection: Connection, job: _Job) -> _Outcome:
    """One job's outcome; raises what spoils the whole transaction."""
    try:
        with connection.begin_nested():
            return job.work(connection), None
    except DBAPIError as error:
        if error.connection_invalidated or _is_conflict(error):
            raise
        return None, error
    except Exception as error:  # noqa: BLE001 -- a job's own mistake is its caller's to hear
        return None, error


def _is_conflict(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in CONFLICTS


def _is_lost(error: BaseException) -> bool:
    """The connection broke, or could not be made: psycopg gives errors of its own making no state."""
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated or getattr(error.orig, "sqlstate", None) in {None, "57P03"}
    )
