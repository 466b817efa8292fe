"""How a database is reached: the driver, and what we ask of SQLite and PostgreSQL before anything is written.

SQLite writes ahead and waits for the disk at each commit; its files are 0600. PostgreSQL gets limits of time for
everything, so that neither a stuck node nor a network that went silent stops the writer for ever.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from baton.kernel.errors import ExitCode, StartError
from baton.storage.files import PRIVATE_FILE_MODE

__all__ = ["CONFLICTS", "connect", "reason", "shown"]

CONFLICTS = frozenset({"40001", "40P01", "55P03"})
"""PostgreSQL's words for "somebody else was in the way, try again": serialization, deadlock, lock not had in time."""

_CONNECT_S = 5
_BUSY_S = 10.0
_LIMITS = "-c lock_timeout=10s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"
_SILENCE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
_DRIVERS = {"sqlite": "sqlite", "postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


def connect(url: str | Path, *, prepare: Callable[[Engine], object]) -> Engine:
    """An engine whose database was opened, found sound and prepared by ``prepare``. Blocks.

    ``url`` is a file, ``sqlite:///<path>`` or ``postgresql://…``.

    Raises:
        StartError: ``ExitCode.DATA_DIR``, without password.
    """
    parsed = URL.create("sqlite", database=str(url)) if isinstance(url, Path) else _parse(url)
    engine: Engine | None = None
    try:
        engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
        if engine.dialect.name == "sqlite":
            _check(engine)
        prepare(engine)
    except (SQLAlchemyError, OSError) as error:
        if engine is not None:
            engine.dispose()
        message = f"the database {shown(parsed)} cannot be used: {reason(error)}"
        raise StartError(message, exit_code=ExitCode.DATA_DIR) from error
    except BaseException:
        if engine is not None:
            engine.dispose()
        raise
    return engine


def shown(url: URL) -> str:
    """A database's name without anything secret: no user info and no parameters."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.query.get("host", url.host or "")
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()}://{host if isinstance(host, str) else ','.join(host)}{port}/{url.database or ''}"


def reason(error: BaseException) -> str:
    """What happened, without the statement and its values."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    return f"{type(error).__name__}: {error}".strip().replace("\n", " ")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    driver = _DRIVERS.get(parsed.drivername.partition("+")[0]) if parsed is not None else None
    if parsed is None or driver is None:
        message = "the database must be sqlite:///<path> or postgresql://<user>:<password>@<host>/<name>"
        raise StartError(message, exit_code=ExitCode.DATA_DIR)
    return parsed.set(drivername=driver)


def _postgresql(url: URL) -> Engine:
    arguments: dict[str, Any] = {"connect_timeout": _CONNECT_S, "options": _LIMITS, **_SILENCE}
    wanted = {name: value for name, value in arguments.items() if name not in url.query}
    return create_engine(url, pool_size=1, max_overflow=1, pool_pre_ping=True, connect_args=wanted)


def _sqlite(url: URL) -> Engine:
    path = Path(url.database or "")
    path.touch(mode=PRIVATE_FILE_MODE)
    path.chmod(PRIVATE_FILE_MODE)  # the files beside it take their mode from this one
    engine = create_engine(url, connect_args={"timeout": _BUSY_S, "check_same_thread": False})

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


def _check(engine: Engine) -> None:
    """Look the whole file over; raises ``OSError`` when it is damaged."""
    with engine.connect() as connection:
        found = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
    if found != "ok":
        message = f"the file is damaged: {found}"
        raise OSError(message)
