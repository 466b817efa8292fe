"""One engine child as the node sees it: started, given jobs one at a time, watched, killed and buried.

Belongs to the event loop. Killing is immediate and final; ``bury`` waits until the kernel has let go of the process,
so that no zombie stays. The child is reaped here and nowhere else, so its process id is never somebody else's.
"""

import asyncio
import os
import signal
import socket
import subprocess  # the child is spawned with a fixed argument list, see ``_spawn``
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar, cast

from baton.kernel.errors import Text
from baton.media.heap import MOST_KEPT_BYTES, heap_environment
from baton.media.link import Link
from baton.media.messages import Accepted, Answer, Failed, Hello, Released
from baton.media.sandbox import Cell

__all__ = [
    "BURIAL_S",
    "CHILD_MOVES",
    "ChildCommand",
    "ChildLostError",
    "ChildState",
    "DeathCause",
    "EngineChild",
    "start_child",
]

BURIAL_S = 3.0
"""A killed process is gone long before this, unless the kernel is stuck with it."""

_T = TypeVar("_T", bound=Answer)
_REAP_FIRST_S = 0.001
_REAP_MOST_S = 0.05
_SOCKET_BUFFER_BYTES = 1 << 20
_LAST_WORDS_BYTES = 4096
_WORDS_PER_LOOK_BYTES = 1 << 16
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STAT_RSS_FIELD = 21
"""Index of the resident pages among the fields of ``/proc/<pid>/stat`` that follow the program's name."""
_HANDED_DOWN = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_HANDED_DOWN_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "OMP_")


class ChildState(Enum):
    """Where a child is in its life."""

    STARTING = "starting"
    """Its process runs; the engine is being loaded."""
    IDLE = "idle"
    """Waits for a job."""
    BUSY = "busy"
    """Has a job."""
    DEAD = "dead"
    """Killed or gone; takes no job any more."""


CHILD_MOVES: frozenset[tuple[ChildState, ChildState]] = frozenset(
    {
        (ChildState.STARTING, ChildState.IDLE),
        (ChildState.STARTING, ChildState.DEAD),
        (ChildState.IDLE, ChildState.BUSY),
        (ChildState.IDLE, ChildState.DEAD),
        (ChildState.BUSY, ChildState.IDLE),
        (ChildState.BUSY, ChildState.DEAD),
    }
)
"""Every allowed change of state; nobody rises from the dead."""


class DeathCause(Enum):
    """Why a child is no more; the label of ``engine_restarts_total``."""

    CRASHED = "crashed"
    """It went by itself: a codec's crash, the kernel short of memory, somebody's kill."""
    DEADLINE = "deadline"
    """Its job took longer than anybody would wait."""
    MEMORY = "memory"
    """It outgrew its memory limit."""
    UNRECOVERABLE = "unrecoverable"
    """Its engine said that only a restart helps: a lost device context."""
    GARBAGE = "garbage"
    """It answered nonsense."""
    STOPPED = "stopped"
    """Somebody suspended it."""
    UNRESPONSIVE = "unresponsive"
    """It did not take the job it was given."""
    NO_START = "no_start"
    """It never came up."""
    CANCELLED = "cancelled"
    """Nobody wants its work any more, and a codec cannot be interrupted."""
    QUARANTINED = "quarantined"
    """Its device is out of use; what it worked on goes elsewhere."""
    RECYCLED = "recycled"
    """It did its share of jobs, or grew fat on them."""
    SHUTDOWN = "shutdown"
    """The node stops."""


class ChildLostError(Exception):
    """A child died on us before it answered."""

    def __init__(self, cause: DeathCause, detail: str) -> None:
        """``detail`` is for the log."""
        super().__init__(f"{cause.value}: {detail}" if detail else cause.value)
        self.cause = cause
        self.detail = detail
        self.at_work = False
        """Whether it had begun with a job; before that, its death is not the job's fault."""


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """What to start: the engine's functions as ``module:function``, and how the process ranks."""

    transcode: str = "baton.media.engine.transcode:transcode"
    probe: str = "baton.media.engine.probe:probe"
    release: str = ""
    """Lets go of what the engine keeps of a stream; empty for an engine that keeps nothing."""
    niceness: int = 10
    """How far a child steps back from the node's own work, which must answer while all cores encode."""
    environment: tuple[tuple[str, str], ...] = ()
    """Further variables of the child's environment: which device it shall see."""
    kept_bytes: int = MOST_KEPT_BYTES
    """Free memory that a child keeps between jobs; the pool lowers it to fit its limit."""
    cell: Cell | None = None
    """What the child is left with; None leaves it everything its user has."""


class EngineChild:
    """A child process from ``start_child``. ``exchange`` any number of times; in the end ``kill`` and ``bury``."""

    def __init__(self, *, process: "subprocess.Popen[bytes]", words_fd: int) -> None:
        """A process just spawned, and the reading end of its standard output and error."""
        self.pid = process.pid
        self.state = ChildState.STARTING
        self.jobs_done = 0
        self.rss_bytes = 0
        self.gone = asyncio.Event()
        self.lost: ChildLostError | None = None
        """Why it died, once it did."""
        self._link = Link(misbehaved=self._misbehaved, closed=self._closed)
        self._process = process
        self._words_fd = words_fd
        self._words = b""
        self._transport: asyncio.Transport | None = None
        self._looks_stopped = 0

    async def come_up(self, socket_end: socket.socket, *, timeout_s: float) -> None:
        """Take our end of its socket and wait until its engine is loaded.

        Raises:
            ChildLostError: it was not up after ``timeout_s``; the detail holds its last words. Nothing is left behind.
        """
        loop = asyncio.get_running_loop()
        try:
            self._transport, _ = await loop.create_unix_connection(lambda: self._link, sock=socket_end)
            self._link.expect(1)
            async with asyncio.timeout(timeout_s):
                await self._next(Hello)
            self._move(ChildState.IDLE)
        except (ChildLostError, TimeoutError) as error:
            self.kill(DeathCause.NO_START, f"not up within {timeout_s} s")
            await self.bury()
            detail = f"{self.lost}; exit {self.exit_text}; {self.last_words}"
            raise ChildLostError(DeathCause.NO_START, detail) from error
        except BaseException:
            self.kill(DeathCause.SHUTDOWN, "")
            await self.bury()
            raise

    @property
    def is_gone(self) -> bool:
        """Whether the kernel has let go of the process. Asking reaps it, so only ask about the killed."""
        return self._process.poll() is not None

    @property
    def exit_text(self) -> str:
        """How the process ended, once buried: ``SIGSEGV`` or its exit status."""
        code = self._process.returncode
        if code is None:
            return "unknown"
        if code >= 0:
            return str(code)
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    @property
    def last_words(self) -> str:
        """The end of what it printed; hostile media may have had a hand in it."""
        return self._words.decode("utf-8", "backslashreplace").strip()

    async def exchange(
        self, job: tuple[bytes, ...], wanted: type[_T], *, accept_timeout_s: float, deadline_at: float
    ) -> _T | Failed:
        """Give it an encoded job and wait for the answer. ``deadline_at`` is in the loop's time.

        Cancelling kills the child: its codec cannot be interrupted.

        Raises:
            ChildLostError: it died, took too long, lied, or says itself that it must be restarted.
        """
        if self.lost is not None:
            raise self.lost
        self._move(ChildState.BUSY)
        cause = DeathCause.UNRESPONSIVE
        try:
            accept_at = asyncio.get_running_loop().time() + accept_timeout_s
            async with asyncio.timeout_at(min(accept_at, deadline_at)):
                await self._ask(job)
            cause = DeathCause.DEADLINE
            async with asyncio.timeout_at(deadline_at):
                answer = await self._next(wanted, Failed)
        except TimeoutError as error:
            raise self.kill(cause, "") from error
        except asyncio.CancelledError:
            self.kill(DeathCause.CANCELLED, "")
            raise
        if isinstance(answer, Failed) and answer.text == Text.UNRECOVERABLE:
            raise self.kill(DeathCause.UNRECOVERABLE, answer.detail)
        if not isinstance(answer, Released):
            self.jobs_done += 1
        if self.lost is None:
            self._move(ChildState.IDLE)
        return cast("_T | Failed", answer)  # _next lets nothing else through

    def look(self, *, memory_limit_bytes: int) -> None:
        """Check on it: how large it is, whether somebody suspended it, what it prints. Call often."""
        if self.lost is not None:
            return
        self._listen()
        stopped, self.rss_bytes = _vitals(self.pid)
        self._looks_stopped = self._looks_stopped + 1 if stopped else 0
        if self.rss_bytes > memory_limit_bytes:
            self.kill(DeathCause.MEMORY, f"{self.rss_bytes} of {memory_limit_bytes} bytes")
        elif self._looks_stopped > 1:
            self.kill(DeathCause.STOPPED, "")

    def kill(self, cause: DeathCause, detail: str) -> ChildLostError:
        """End it and whatever it started, now. The first cause counts and is returned."""
        if self.lost is not None:
            return self.lost
        self.lost = ChildLostError(cause, detail)
        self.lost.at_work = self.state is ChildState.BUSY and self._link.accepted
        self._move(ChildState.DEAD)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._transport is not None:
            self._transport.abort()
        self._link.fail(self.lost, keep_arrived=cause is DeathCause.CRASHED)
        self.gone.set()
        return self.lost

    async def bury(self, *, within_s: float = BURIAL_S) -> None:
        """Wait until the process is no more and give back what it held here. Kill it first; any number of times.

        A cancellation is answered only after that, so that no zombie is left: a killed process is gone in moments.
        Gives up after ``within_s``: then it is stuck in the kernel, as a hung device driver can do; see ``is_gone``.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + within_s
        pause_s = _REAP_FIRST_S
        cancelled: asyncio.CancelledError | None = None
        while not self.is_gone and loop.time() < give_up_at:
            try:
                await asyncio.sleep(pause_s)
            except asyncio.CancelledError as error:
                cancelled = error
            pause_s = min(2 * pause_s, _REAP_MOST_S)
        if self._words_fd >= 0:
            self._listen()
            os.close(self._words_fd)
            self._words_fd = -1
        if cancelled is not None:
            raise cancelled

    async def _ask(self, job: tuple[bytes, ...]) -> None:
        """Send a job and wait until the child has it."""
        if self._transport is None:
            message = "a child takes jobs only after its start"
            raise RuntimeError(message)
        self._link.expect(2)
        self._transport.writelines(job)
        await self._next(Accepted)

    async def _next(self, *wanted: type[object]) -> Answer:
        """The next answer, if it is one that the child may give now."""
        answer = await self._link.next()
        if isinstance(answer, wanted):
            return answer
        raise self.kill(DeathCause.GARBAGE, f"{type(answer).__name__} is no answer to that")

    def _misbehaved(self, what: str) -> None:
        self.kill(DeathCause.GARBAGE, what)

    def _closed(self) -> None:
        self.kill(DeathCause.CRASHED, "it went away")

    def _move(self, to: ChildState) -> None:
        if (self.state, to) not in CHILD_MOVES:
            message = f"engine child {self.pid}: no move from {self.state.value} to {to.value}"
            raise RuntimeError(message)
        self.state = to

    def _listen(self) -> None:
        """Keep the end of what the child prints; what comes faster than that waits in the pipe, and the child too."""
        with suppress(BlockingIOError):
            heard = os.read(self._words_fd, _WORDS_PER_LOOK_BYTES)
            self._words = (self._words + heard)[-_LAST_WORDS_BYTES:]


async def start_child(command: ChildCommand, *, timeout_s: float) -> EngineChild:
    """Spawn a child and wait until its engine is loaded.

    Raises:
        ChildLostError: it was not up after ``timeout_s``; the detail holds its last words. Nothing is left behind.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
        try:
            child = _spawn(command, theirs)
        except OSError as error:
            ours.close()
            raise ChildLostError(DeathCause.NO_START, str(error)) from error
    await child.come_up(ours, timeout_s=timeout_s)
    return child


def _spawn(command: ChildCommand, socket_end: socket.socket) -> EngineChild:
    """Start the process: own group, no standard input, an environment without secrets, no file but its socket.

    From the thread of the event loop, always: the kernel kills a child when the thread that spawned it ends.
    """
    environment = dict(command.environment)
    cell = command.cell.for_child(environment) if command.cell is not None else None
    words_fd, their_words_fd = os.pipe()
    try:
        os.set_blocking(words_fd, False)
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module; nothing a peer said
            [
                *(sys.executable, "-P", "-X", "faulthandler", "-m", "baton.media.child"),
                *("--fd", str(socket_end.fileno()), "--parent", str(os.getpid()), "--nice", str(command.niceness)),
                *("--transcode", command.transcode, "--probe", command.probe, "--release", command.release),
                *("--keep", str(command.kept_bytes)),
                *("--cell", cell.as_text() if cell is not None else ""),
            ],
            stdin=subprocess.DEVNULL,
            stdout=their_words_fd,
            stderr=their_words_fd,
            env=_environment(os.environ)
            | heap_environment(command.kept_bytes)
            | (cell.environment if cell is not None else {})
            | environment,
            pass_fds=(socket_end.fileno(),),
            process_group=0,
        )
    except OSError:
        os.close(words_fd)
        raise
    finally:
        os.close(their_words_fd)
    return EngineChild(process=process, words_fd=words_fd)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a child may know of our environment. Listed by name, so that no secret slips through."""
    handed = {k: v for k, v in ours.items() if k in _HANDED_DOWN or k.startswith(_HANDED_DOWN_PREFIXES)}
    handed["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    return handed


def _vitals(pid: int) -> tuple[bool, int]:
    """Whether a process is suspended, and its resident bytes; (False, 0) where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0] == b"T", int(fields[_STAT_RSS_FIELD]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return False, 0
