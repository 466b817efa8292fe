"""An engine that a stranger took over: it tries to get out of its cell, and tells what each attempt came to.

Runs inside a real engine child. ``comment`` of the request names the attempts, ``input_path`` what they aim at.
"""

import ctypes
import json
import math
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame

from baton.kernel.errors import Text, TranscodeError
from baton.media.engine.signatures import PerceptualHash
from baton.media.job import EncoderTuning, EngineReport, TranscodeOutput, TranscodeRequest

_IO_URING_SETUP = 425


def transcode(request: TranscodeRequest) -> TranscodeOutput:
    """Every attempt of the comment, each with its aim; the outcomes come back as the detail of a refusal."""
    aims = json.loads(request.comment)
    raise TranscodeError(Text.INVALID_INPUT, detail=json.dumps([_tried(name, aim) for name, aim in aims]))


def probe(tuning: EncoderTuning) -> EngineReport:
    del tuning
    return EngineReport(capability_ids=(0,), refused=(), engine="hostile", encoders=())


def _tried(name: str, aim: str) -> str:
    try:
        return f"done {_ATTEMPTS[name](aim)}"
    except OSError as error:
        return type(error).__name__


def _read(aim: str) -> str:
    return Path(aim).read_text(encoding="utf-8")


def _list(aim: str) -> str:
    return " ".join(path.name for path in Path(aim).iterdir())


def _write(aim: str) -> str:
    return str(Path(aim).write_text("taken over", encoding="utf-8"))


def _append(aim: str) -> str:
    with Path(aim).open("a", encoding="utf-8") as file:
        return str(file.write("taken over"))


def _remove(aim: str) -> str:
    Path(aim).unlink()
    return ""


def _link(aim: str) -> str:
    """Give a file of the node another name where we may read."""
    os.link(aim, Path(os.environ["TMPDIR"]) / "link")
    return _read(str(Path(os.environ["TMPDIR"]) / "link"))


def _symlink(aim: str) -> str:
    path = Path(os.environ["TMPDIR"]) / "symlink"
    path.symlink_to(aim)
    return _read(str(path))


def _chmod(aim: str) -> str:
    Path(aim).chmod(0o777)
    return ""


def _touch(aim: str) -> str:
    os.utime(aim, (0, 0))
    return ""


def _connect(aim: str) -> str:
    with socket.create_connection(("127.0.0.1", int(aim)), timeout=5):
        return ""


def _datagram(aim: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        return str(line.sendto(b"x", ("127.0.0.1", int(aim))))


def _listen(aim: str) -> str:
    with socket.create_server((aim, 0)):
        return ""


def _unix(aim: str) -> str:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(aim)
        return ""


def _pair(aim: str) -> str:
    """A datagram socket by another way than making one: it sends to whom it likes."""
    for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        with end:
            end.sendto(b"STOPPING=1", aim)
    return ""


def _stream_pair(aim: str) -> str:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in ends:
        end.close()
    return aim


def _starve(aim: str) -> str:
    """Take resources from another process: open files here, time on a processor would do as well."""
    _, hard = resource.prlimit(int(aim), resource.RLIMIT_NOFILE)
    resource.prlimit(int(aim), resource.RLIMIT_NOFILE, (hard, hard))
    return ""


def _bind_to_core(aim: str) -> str:
    os.sched_setaffinity(int(aim), os.sched_getaffinity(int(aim)))
    return ""


def _kill(aim: str) -> str:
    os.kill(int(aim), signal.SIGTERM)
    return ""


def _kill_by_program(aim: str) -> str:
    return _by_program(f"import os, signal; os.kill({int(aim)}, signal.SIGTERM)")


def _read_by_program(aim: str) -> str:
    return _by_program(f"print(open({aim!r}).read())")


def _by_program(code: str) -> str:
    """What a program started from here gets: ours by inheritance, nothing more."""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(done.stderr)
    return done.stdout


def _sign(aim: str) -> str:
    """What the program that computes perceptual hashes says; it is told to say its limits."""
    picture = VideoFrame(64, 64, "yuv420p")
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    making = PerceptualHash(deadline_s=math.inf, program=aim)
    making.take(picture)
    making.end()
    making.result(ticks_per_s=90_000)
    making.discard()
    return making.trouble


def _trace(aim: str) -> str:
    _call("ptrace", 16, int(aim), 0, 0)
    return ""


def _memory(aim: str) -> str:
    with Path(f"/proc/{aim}/mem").open("rb") as file:
        return str(len(file.read(1)))


def _environment(aim: str) -> str:
    return _read(f"/proc/{aim}/environ")


def _ring(aim: str) -> str:
    """Sockets by way of a ring, which no filter of calls would see."""
    parameters = ctypes.create_string_buffer(120)
    return str(_call("syscall", _IO_URING_SETUP, int(aim), parameters))


def _become(aim: str) -> str:
    os.setgid(int(aim))
    os.setuid(int(aim))
    return str(os.getuid())


def _core(aim: str) -> str:
    """Whether the kernel would let others of our user look in, and write our memory down."""
    dumpable = _call("prctl", 3, 0, 0, 0, 0)
    return f"{dumpable} {resource.getrlimit(resource.RLIMIT_CORE)[0]}{aim}"


def _call(name: str, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(getattr(libc, name)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


_ATTEMPTS: dict[str, Callable[[str], str]] = {
    "read": _read,
    "list": _list,
    "write": _write,
    "append": _append,
    "remove": _remove,
    "link": _link,
    "symlink": _symlink,
    "chmod": _chmod,
    "touch": _touch,
    "connect": _connect,
    "datagram": _datagram,
    "listen": _listen,
    "unix": _unix,
    "pair": _pair,
    "stream pair": _stream_pair,
    "starve": _starve,
    "bind to core": _bind_to_core,
    "kill": _kill,
    "kill by program": _kill_by_program,
    "read by program": _read_by_program,
    "sign": _sign,
    "trace": _trace,
    "memory": _memory,
    "environment": _environment,
    "ring": _ring,
    "become": _become,
    "core": _core,
}
