"""What the node and an engine child say to one another: our frozen values as JSON, their bytes beside it.

Values are taken apart and put together by the types of their fields, so that a new field of ``media.job`` travels
without a change here. Reading is strict: exact fields, exact types, bounded numbers. ``bytes`` fields become payloads
of the frame, in the order in which they are met, and are never copied into JSON.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from types import NoneType, UnionType
from typing import TypeVar, Union, get_args, get_origin, get_type_hints

from baton.kernel.errors import Text
from baton.media.frames import Frame, FrameError, FrameLimits, frame_prefix
from baton.media.job import EncoderTuning, EngineReport, TranscodeOutput, TranscodeRequest

__all__ = [
    "ANSWER_LIMITS",
    "JOB_LIMITS",
    "MAX_RENDITION_BYTES",
    "Accepted",
    "Answer",
    "Failed",
    "Hello",
    "Job",
    "Release",
    "Released",
    "decode_answer",
    "decode_job",
    "encode",
]

MAX_RENDITION_BYTES = 300_000_000
"""Largest rendition a gateway takes (video.md 9.1)."""

ANSWER_LIMITS = FrameLimits(payloads=64, payload_bytes=MAX_RENDITION_BYTES, total_bytes=1_000_000_000)
"""What the node accepts from a child."""

JOB_LIMITS = FrameLimits(payloads=0, payload_bytes=0, total_bytes=0)
"""What a child accepts from the node: segments travel as file names."""

_T = TypeVar("_T")
_MAX_INT = 2**63 - 1
_MAX_SIDE_PX = 1 << 16
_MAX_DETAIL_CHARS = 2000
_MAX_HASH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Hello:
    """The child is up: its engine is loaded and it waits for work."""

    pid: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The child has read a job and begins with it. Before this, nothing that happens is the job's fault."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine refused or gave up a job in good order; the child lives on."""

    text: str
    """One of ``kernel.errors.Text``; anything else a child says becomes ``Unknown error occurred``."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """A stream is over: what the engine kept of it goes back to the device."""

    session_key: str


@dataclass(frozen=True, slots=True)
class Released:
    """Nothing of the stream is left in the child."""


Job = TranscodeRequest | EncoderTuning | Release
"""What a child is asked: a segment to transcode, a probe of its engine with this tuning, or to let go of a stream."""

Answer = Hello | Accepted | Failed | TranscodeOutput | EngineReport | Released
"""What a child says."""

_JOBS: dict[str, type[Job]] = {"transcode": TranscodeRequest, "probe": EncoderTuning, "release": Release}
_ANSWERS: dict[str, type[Answer]] = {
    "hello": Hello,
    "accepted": Accepted,
    "failed": Failed,
    "output": TranscodeOutput,
    "report": EngineReport,
    "released": Released,
}
_NAMES: dict[type, str] = {kind: name for table in (_JOBS, _ANSWERS) for name, kind in table.items()}
_KNOWN_TEXTS = frozenset(value for name, value in vars(Text).items() if name.isupper())


def encode(value: Job | Answer) -> tuple[bytes, ...]:
    """A value as the buffers of one frame, to be written one after another.

    Raises:
        FrameError: it is too long to be sent, or holds a number that no child would take; jobs can, since profile
            names and clip bounds are a stranger's.
    """
    payloads: list[bytes] = []
    plain = {"kind": _NAMES[type(value)], "value": _take_apart(value, payloads)}
    header = json.dumps(plain, separators=(",", ":")).encode("ascii")
    sent = tuple(payloads)
    return (frame_prefix(header, sent), header, *sent)


def decode_job(frame: Frame) -> Job:
    """The job in a frame; raises ``FrameError`` for anything else."""
    return _decode(frame, _JOBS)


def decode_answer(frame: Frame) -> Answer:
    """The answer in a frame, with plausible numbers and a text that we know.

    Raises:
        FrameError: anything a sane child would not say.
    """
    answer = _decode(frame, _ANSWERS)
    if isinstance(answer, Failed):
        if answer.text not in _KNOWN_TEXTS:
            return Failed(Text.UNKNOWN, f"{answer.text}: {answer.detail}"[:_MAX_DETAIL_CHARS])
        return Failed(answer.text, answer.detail[:_MAX_DETAIL_CHARS])
    if isinstance(answer, TranscodeOutput):
        _check_output(answer)
    return answer


def _decode(frame: Frame, table: dict[str, type[_T]]) -> _T:
    try:
        plain = json.loads(frame.header)
        kind = table[plain["kind"]]
        payloads = iter(frame.payloads)
        value = _put_together(kind, plain["value"], payloads)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        message = f"unusable header of {len(frame.header)} bytes: {type(error).__name__}: {error}"[:_MAX_DETAIL_CHARS]
        raise FrameError(message) from error
    if plain.keys() != {"kind", "value"} or next(payloads, None) is not None or not isinstance(value, kind):
        message = f"{kind.__name__} with something left over"
        raise FrameError(message)
    return value


def _check_output(output: TranscodeOutput) -> None:
    numbers = [output.decoded_px, output.decoded_frames, output.decoded_ms, output.engine_ms]
    for rendition in output.renditions:
        numbers += [rendition.pixels, rendition.frames, rendition.width, rendition.height]
        if max(rendition.width, rendition.height) > _MAX_SIDE_PX:
            message = f"rendition of {rendition.width}x{rendition.height} px"
            raise FrameError(message)
        if len(rendition.perceptual_hash) > _MAX_HASH_BYTES or len(rendition.hash_trouble) > _MAX_DETAIL_CHARS:
            message = f"perceptual hash of {len(rendition.perceptual_hash)} bytes"
            raise FrameError(message)
    if min(numbers) < 0:
        message = "output with negative numbers"
        raise FrameError(message)


def _take_apart(value: object, payloads: list[bytes]) -> object:
    """A value as what JSON can hold; its bytes go to ``payloads`` and leave None behind."""
    if isinstance(value, bytes):
        payloads.append(value)
        return None
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, int) and abs(value) > _MAX_INT:
        message = f"{value} is beyond what the other side takes"
        raise FrameError(message)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, tuple):
        return [_take_apart(item, payloads) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _take_apart(getattr(value, field.name), payloads) for field in fields(value)}
    message = f"{type(value).__name__} does not travel between node and engine"
    raise TypeError(message)


def _put_together(kind: object, plain: object, payloads: Iterator[bytes]) -> object:
    """The value of type ``kind`` that ``plain`` describes; raises ``ValueError`` or ``KeyError`` when it does not."""
    if kind is bytes and plain is None:
        return _next_payload(payloads)
    if kind in {int, str, bool} and type(plain) is kind:
        if isinstance(plain, int) and abs(plain) > _MAX_INT:
            raise _mismatch(kind, plain)
        return plain
    if isinstance(kind, type) and issubclass(kind, IntEnum) and type(plain) is int:
        return kind(plain)
    if get_origin(kind) in {Union, UnionType}:
        return _put_together_optional(kind, plain, payloads)
    if get_origin(kind) is tuple and isinstance(plain, list):
        return tuple(
            _put_together(item_kind, item, payloads)
            for item_kind, item in zip(_item_kinds(kind, plain), plain, strict=True)
        )
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(plain, dict):
        hints = get_type_hints(kind)
        if plain.keys() != hints.keys():
            raise _mismatch(kind, sorted(plain))
        return kind(**{name: _put_together(hint, plain[name], payloads) for name, hint in hints.items()})
    raise _mismatch(kind, plain)


def _put_together_optional(kind: object, plain: object, payloads: Iterator[bytes]) -> object:
    """``X | None``: the only kind of union that our values have."""
    (some,) = (kind for kind in get_args(kind) if kind is not NoneType)
    return None if plain is None else _put_together(some, plain, payloads)


def _item_kinds(kind: object, plain: list[object]) -> tuple[object, ...]:
    """Types of a tuple's items: ``tuple[X, ...]`` repeats one, ``tuple[X, Y]`` names each."""
    kinds: tuple[object, ...] = get_args(kind)
    return kinds[:1] * len(plain) if kinds[-1] is Ellipsis else kinds


def _next_payload(payloads: Iterator[bytes]) -> bytes:
    payload = next(payloads, None)
    if payload is None:
        message = "fewer payloads than values"
        raise ValueError(message)
    return payload


def _mismatch(kind: object, plain: object) -> ValueError:
    return ValueError(f"no {getattr(kind, '__name__', kind)}: {plain!r:.200}")
