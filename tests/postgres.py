"""A PostgreSQL server of the tests' own: started from the system's programs, on a socket in a private folder.

One server serves a whole run, the workers of pytest-xdist together: whoever comes first starts it, whoever goes last
stops it. Each test gets an empty database. The server refuses to run as root, so root runs it as ``postgres`` or
``nobody``. It does not wait for the disk, which a killed process does not need.
"""

import contextlib
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

__all__ = ["NOT_INSTALLED", "PASSWORD", "Postgres", "postgres", "postgres_of_the_run", "private_postgres"]

NOT_INSTALLED = "PostgreSQL is not installed"
PASSWORD = "tomato-horse-42"
"""The server trusts everybody; what tests look for in logs is this."""

_START_S = 45


def _programs() -> Path | None:
    """The folder with ``initdb`` and ``pg_ctl``."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("pgserver")
    if wheel is not None and wheel.origin is not None:
        folders.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


def _owner() -> dict[str, Any]:
    """Whom the server runs as: arguments of ``subprocess``; none for a user that it accepts."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
    return {}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server and how to reach it."""

    folder: Path
    programs: Path

    @classmethod
    def make(cls, programs: Path) -> "Postgres":
        """A fresh server, running."""
        folder = Path(tempfile.mkdtemp(prefix="baton-pg-"))
        owner = _owner()
        if owner:
            os.chown(folder, owner["user"], owner["group"])
        made = cls(folder, programs)
        made._call(
            "initdb", "-D", made.data, "-A", "trust", "-U", "baton", "-E", "UTF8", "--locale=C", "--no-sync", "-N"
        )
        options = {
            "listen_addresses": "''",
            "unix_socket_directories": f"'{folder}'",
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "60",
            "shared_buffers": "16MB",
            "deadlock_timeout": "'100ms'",
        }
        with (made.data / "postgresql.conf").open("a", encoding="ascii") as file:
            file.writelines(f"{name} = {value}\n" for name, value in options.items())
        made.start()
        return made

    @property
    def data(self) -> Path:
        """The server's own folder."""
        return self.folder / "data"

    def start(self) -> None:
        """Start, or start again after ``kill``; returns when connections are taken."""
        end = time.monotonic() + _START_S
        while True:
            try:
                self._call("pg_ctl", "start", "-w", "-t", str(_START_S), "-D", self.data, "-l", self.folder / "log")
            except subprocess.CalledProcessError:
                # What is left of a killed server still holds its memory until it notices.
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        """Stop and remove everything."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._call("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self.data)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL to the server's first process; the others notice and end."""
        pid = int((self.data / "postmaster.pid").read_text(encoding="ascii").split()[0])
        os.kill(pid, signal.SIGKILL)

    def url(self, database: str) -> str:
        """A database of the server, as ``Database.open`` takes it."""
        return f"postgresql+psycopg://baton:{PASSWORD}@/{database}?host={self.folder}"

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """URL of a fresh database, which is gone afterwards."""
        name = f"t{secrets.token_hex(8)}"
        self._say(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self._say(f"DROP DATABASE {name} WITH (FORCE)")

    def _say(self, statement: str) -> None:
        with psycopg.connect(f"host={self.folder} user=baton dbname=postgres", autocommit=True) as connection:
            connection.execute(statement)

    def _call(self, program: str, *words: str | Path) -> None:
        done = subprocess.run(
            [self.programs / program, *words],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            timeout=2 * _START_S,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            **_owner(),
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, program, stderr=done.stderr)


def _programs_or_skip() -> Path:
    programs = _programs()
    if programs is None:
        pytest.skip(NOT_INSTALLED)
    return programs


@pytest.fixture(scope="session")
def postgres_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The server that all workers share."""
    programs = _programs_or_skip()
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    note = shared / "postgres-folder"
    with (shared / "postgres-users").open("w") as users, (shared / "postgres-door").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        if note.exists():
            server = Postgres(Path(note.read_text(encoding="utf-8")), programs)
        else:
            server = Postgres.make(programs)
            note.write_text(str(server.folder), encoding="utf-8")
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield server
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            note.unlink()
            server.stop()


@pytest.fixture
def postgres(postgres_of_the_run: Postgres) -> Iterator[str]:
    """URL of an empty database."""
    with postgres_of_the_run.database() as url:
        yield url


@pytest.fixture
def private_postgres() -> Iterator[Postgres]:
    """A server for one test, which may kill it."""
    server = Postgres.make(_programs_or_skip())
    try:
        yield server
    finally:
        server.stop()
