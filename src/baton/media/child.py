"""An engine child: ``python -m baton.media.child``, the only kind of process that ever loads a codec.

It takes one job at a time from its socket, answers, and ends when the node's end closes. It owns nothing: no port, no
store, no secret (its environment is chosen by ``media.process``), and whatever it does wrong ends with its own death.
Before it loads an engine it closes its cell (``media.sandbox``): no file, socket or process of the node is in reach.

Signals of a terminal or a service manager go to the whole family; a child ignores them, because the node decides when
the work in hand is done. It cannot outlive the node: the kernel kills it when its parent dies.
"""

import argparse
import ctypes
import importlib
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baton.kernel.errors import Text, TranscodeError
from baton.media.frames import FrameReader
from baton.media.heap import REST_AFTER_S, Heap
from baton.media.job import EncoderTuning, EngineReport, TranscodeOutput, TranscodeRequest
from baton.media.messages import (
    ANSWER_LIMITS,
    JOB_LIMITS,
    MAX_RENDITION_BYTES,
    Accepted,
    Answer,
    Failed,
    Hello,
    Job,
    Release,
    Released,
    decode_job,
    encode,
)
from baton.media.sandbox import Cell, confine

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_READ_BYTES = 1 << 16
_OOM_PREFERENCE = "500"
"""Of 1000: when memory runs out the kernel shall take a child, never the node."""


@dataclass(frozen=True, slots=True)
class _Engine:
    """The functions of an engine."""

    transcode: Callable[[TranscodeRequest], TranscodeOutput]
    probe: Callable[[EncoderTuning], EngineReport]
    release: Callable[[str], None] | None
    """Lets go of what is kept of a stream; None for an engine that keeps nothing."""


def main() -> None:
    """Serve jobs until the node closes the socket."""
    options = _parse_arguments()
    _settle_in(parent=options.parent, niceness=options.nice)
    os.set_inheritable(options.fd, False)  # programs that an engine starts must not hold our line open
    heap = Heap(most_kept_bytes=options.keep)
    if options.cell:
        confine(Cell.from_text(options.cell))
    engine = _load(transcode=options.transcode, probe=options.probe, release=options.release)
    # Not closed by us: the node takes the end of this line for our death, so last words must come before it.
    link = socket.socket(fileno=options.fd)
    with suppress(BrokenPipeError, ConnectionResetError):
        _send(link, Hello(pid=os.getpid()))
        _serve(link, engine, heap)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="baton.media.child")
    parser.add_argument("--fd", type=int, required=True, help="the connected socket to the node")
    parser.add_argument("--parent", type=int, required=True, help="process id of the node")
    parser.add_argument("--nice", type=int, default=0, help="how much to step back from the node's own work")
    parser.add_argument("--transcode", required=True, help="module:function that does segments")
    parser.add_argument("--probe", required=True, help="module:function that tries the engine")
    parser.add_argument("--release", default="", help="module:function that lets go of a stream")
    parser.add_argument("--keep", type=int, required=True, help="bytes of free memory that may stay between jobs")
    parser.add_argument("--cell", default="", help="what it is left with, as JSON; empty leaves it everything")
    return parser.parse_args()


def _settle_in(*, parent: int, niceness: int) -> None:
    """Make this process safe to lose: dies with its parent, dumps no core, gets no new rights, yields to the node."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_OOM_PREFERENCE, encoding="ascii")
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # last: from here on our files in /proc are root's
    if os.getppid() != parent:  # it died before we could ask to die with it
        sys.exit(0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(niceness)


def _load(*, transcode: str, probe: str, release: str) -> _Engine:
    """The functions behind ``module:function`` names. Importing loads the codecs, before the first job."""
    return _Engine(
        transcode=_function(transcode),
        probe=_function(probe),
        release=_function(release) if release else None,
    )


def _function(name: str) -> Any:  # noqa: ANN401 -- what a name leads to has no type before it is there
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _serve(link: socket.socket, engine: _Engine, heap: Heap) -> None:
    reader = FrameReader(limits=JOB_LIMITS)
    waiting = select.poll()
    waiting.register(link, select.POLLIN)
    while data := _receive(link, waiting, heap):
        for frame in reader.feed(data):
            job = decode_job(frame)
            _send(link, Accepted())
            answer = _fitting(_work(engine, job))
            heap.after_job()  # before the answer: the node looks at our size when it has that
            _send(link, answer)
            del answer


def _receive(link: socket.socket, waiting: "select.poll", heap: Heap) -> bytes:
    """What the node says next; after a while without a word, memory is returned first."""
    if not waiting.poll(REST_AFTER_S * 1000):
        heap.return_free()
    return link.recv(_READ_BYTES)


def _work(engine: _Engine, job: Job) -> Answer:
    """Do a job. Whatever Python can catch is an answer; the rest is for the node to notice."""
    try:
        if isinstance(job, EncoderTuning):
            return engine.probe(job)
        if isinstance(job, Release):
            if engine.release is not None:
                engine.release(job.session_key)
            return Released()
        return engine.transcode(job)
    except TranscodeError as error:
        return Failed(error.text, error.detail)
    except MemoryError:
        return Failed(Text.NO_MEMORY)
    except Exception as error:  # noqa: BLE001 -- the node logs it; a traceback here would reach nobody
        return Failed(Text.UNKNOWN, f"{type(error).__name__}: {error}")


def _fitting(answer: Answer) -> Answer:
    """The answer, unless it is more than the node would take: then a word about that."""
    if not isinstance(answer, TranscodeOutput):
        return answer
    sizes = [len(rendition.data) for rendition in answer.renditions]
    hashes = [len(rendition.perceptual_hash) for rendition in answer.renditions]
    too_many = len(sizes + hashes) > ANSWER_LIMITS.payloads or sum(sizes + hashes) > ANSWER_LIMITS.total_bytes
    if too_many or max(sizes, default=0) > MAX_RENDITION_BYTES:
        return Failed(Text.RUNAWAY, f"renditions of {sizes} bytes")
    return answer


def _send(link: socket.socket, answer: Answer) -> None:
    for buffer in encode(answer):
        link.sendall(buffer)


if __name__ == "__main__":
    main()
