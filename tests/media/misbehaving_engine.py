"""An engine that does what the tests tell it to: its orders are words in the comment of the request.

Runs inside a real engine child. ``input_path`` names a folder in which it leaves traces that a test waits for.
"""

import ctypes
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

from baton.kernel.capabilities import Capability
from baton.kernel.errors import Text, TranscodeError
from baton.media.job import Choice, EncoderTuning, EngineReport, RenditionOutput, TranscodeOutput, TranscodeRequest
from baton.media.messages import Accepted, Hello, encode


def transcode(request: TranscodeRequest) -> TranscodeOutput:
    order, _, argument = request.comment.partition(" ")
    folder = Path(request.input_path)
    tries = len(list(folder.glob("try-*")))
    (folder / f"try-{tries}").write_text(str(os.getpid()), encoding="ascii")
    if order == "first":
        order, _, argument = argument.partition(" ") if tries == 0 else ("fine", "", "1000")
    _ORDERS[order](argument)
    size = int(argument) if order == "fine" else 1000
    return output(size, count=len(request.profiles))


def output(size_bytes: int, *, count: int = 1) -> TranscodeOutput:
    rendition = RenditionOutput(data=bytes(size_bytes), pixels=64 * 36 * 2, frames=2, width=64, height=36)
    return TranscodeOutput(renditions=(rendition,) * count, decoded_px=1, decoded_frames=1, engine_ms=1)


def probe(tuning: EncoderTuning) -> EngineReport:
    _ORDERS.get(tuning.preset, _fine)("")
    return EngineReport(capability_ids=(0, 1), refused=((2, "no such thing"),), engine="odd 1", encoders=("libodd",))


def probe_nothing(tuning: EncoderTuning) -> EngineReport:
    """An engine that loads and can do nothing, as after an update that changed what it stands on."""
    del tuning
    return EngineReport(
        capability_ids=(), refused=((0, "no such call"), (1, "no such call")), engine="odd", encoders=()
    )


def probe_by_turns(tuning: EncoderTuning) -> EngineReport:
    """The next word in the file that ``PROBES`` names says what works: ``hevc`` too, ``h264`` alone, or ``nothing``.

    Like the real one it tries nothing that is not wanted.
    """
    script = Path(os.environ["PROBES"])
    word, _, rest = script.read_text(encoding="ascii").partition(" ")
    script.write_text(rest, encoding="ascii")
    hevc = word == "hevc" and tuning.hevc_encoding is not Choice.OFF
    works = () if word == "nothing" else (Capability.H264, Capability.HEVC_ENCODE)[: 1 + hevc]
    return EngineReport(
        capability_ids=tuple(map(int, works)), refused=(), engine="odd", encoders=("libodd", "libodder")[: len(works)]
    )


def probe_gone(tuning: EncoderTuning) -> EngineReport:
    raise TranscodeError(Text.ENCODER_NOT_FOUND, detail=f"nothing for {tuning.preset}")


_STAYS: list[bytearray] = []


def _fine(argument: str) -> None:
    del argument


def _crash(argument: str) -> None:
    del argument
    print("about to read where nothing is", file=sys.stderr, flush=True)  # noqa: T201 -- a child's last words
    ctypes.string_at(0)


def _exit(argument: str) -> None:
    os._exit(int(argument or 0))


def _hang(argument: str) -> None:
    del argument
    while True:
        time.sleep(1)


def _grow(argument: str) -> None:
    """Grow by ``argument`` MiB, then wait."""
    hoard = [b"\x01" * (1 << 20) for _ in range(int(argument))]
    _hang(str(len(hoard)))


def _hoard(argument: str) -> None:
    """Take ``argument`` pieces of 8 MiB, as a ladder does, and free them below one that stays."""
    pieces = [b"\x01" * (8 << 20) for _ in range(int(argument))]
    _STAYS.append(bytearray(1 << 20))
    del pieces


def _refuse(argument: str) -> None:
    raise TranscodeError(argument, detail="as told")


def _stumble(argument: str) -> None:
    raise ZeroDivisionError(argument)


def _no_memory(argument: str) -> None:
    raise MemoryError(argument)


def _talk(argument: str) -> None:
    """Print ``argument`` KiB."""
    for _ in range(int(argument)):
        os.write(2, b"x" * 1023 + b"\n")


def _stop(argument: str) -> None:
    """Suspend itself, as an operator would."""
    del argument
    os.kill(os.getpid(), signal.SIGSTOP)


def _close(argument: str) -> None:
    """Close the socket and live on."""
    _line().shutdown(socket.SHUT_RDWR)
    _hang(argument)


def _say(argument: str) -> None:
    _line().sendall(_LIES[argument])
    _hang("")


def _interrupt(argument: str) -> None:
    """The signals that a terminal or a service manager sends to the whole family."""
    del argument
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)


def _environment(argument: str) -> None:
    """Refuse with what is known of the environment, as detail."""
    del argument
    raise TranscodeError(Text.INVALID_INPUT, detail=" ".join(sorted(os.environ)))


def _limits(argument: str) -> None:
    del argument
    core = Path("/proc/self/limits").read_text(encoding="ascii")
    line = next(row for row in core.splitlines() if row.startswith("Max core file size"))
    score = Path("/proc/self/oom_score_adj").read_text(encoding="ascii").strip()
    niceness = os.nice(0)
    raise TranscodeError(Text.INVALID_INPUT, detail=f"core {line.split()[4]} oom {score} nice {niceness}")


def _line() -> socket.socket:
    number = int(sys.argv[sys.argv.index("--fd") + 1])
    return socket.socket(fileno=os.dup(number))


def _frame(header: bytes, *lengths: int, header_bytes: int | None = None) -> bytes:
    prefix = struct.pack("!4sII", b"BTF1", len(header) if header_bytes is None else header_bytes, len(lengths))
    return prefix + struct.pack(f"!{len(lengths)}Q", *lengths) + header


_LIES = {
    "noise": os.urandom(4096),
    "half": b"".join(encode(output(100_000)))[:50_000],
    "huge header": _frame(b"", header_bytes=1 << 31),
    "huge payload": _frame(b"{}", 1 << 40),
    "many payloads": _frame(b"{}", *([1] * 65)),
    "too much": _frame(b"{}", *([300_000_000] * 4)),
    "pickle": _frame(b"\x80\x04\x95cposix\nsystem\n"),
    "not json": _frame(b"{'kind': output}"),
    "deep": _frame(b'{"kind":"output","value":' + b"[" * 200_000),
    "unknown kind": _frame(b'{"kind":"shell","value":{}}'),
    "no value": _frame(b'{"kind":"failed"}'),
    "wrong type": _frame(b'{"kind":"failed","value":{"text":7,"detail":""}}'),
    "extra field": _frame(b'{"kind":"failed","value":{"text":"","detail":"","also":1}}'),
    "no payload": _frame(
        b'{"kind":"output","value":{"renditions":[{"data":null,"pixels":1,"frames":1,"width":1,"height":1}],'
        b'"decoded_px":1,"decoded_frames":1,"engine_ms":1,"fallbacks":[],"decoded_ms":1}}'
    ),
    "negative": b"".join(encode(TranscodeOutput(renditions=(), decoded_px=-1, decoded_frames=0, engine_ms=0))),
    "vast": b"".join(
        encode(
            TranscodeOutput(
                renditions=(RenditionOutput(data=b"", pixels=1, frames=1, width=1 << 17, height=1),),
                decoded_px=1,
                decoded_frames=1,
                engine_ms=0,
            )
        )
    ),
    "huge number": _frame(b'{"kind":"hello","value":{"pid":' + b"9" * 5000 + b"}}"),
    "hello": b"".join(encode(Hello(pid=1))),
    "accepted": b"".join(encode(Accepted())),
    "twice": b"".join((*encode(output(10)), *encode(output(10)))),
    "a report": b"".join(encode(EngineReport(capability_ids=(), refused=(), engine="", encoders=()))),
}

LIES = tuple(_LIES)

_ORDERS = {
    "fine": _fine,
    "crash": _crash,
    "exit": _exit,
    "hang": _hang,
    "grow": _grow,
    "hoard": _hoard,
    "refuse": _refuse,
    "stumble": _stumble,
    "no_memory": _no_memory,
    "talk": _talk,
    "stop": _stop,
    "close": _close,
    "say": _say,
    "interrupt": _interrupt,
    "environment": _environment,
    "limits": _limits,
}
