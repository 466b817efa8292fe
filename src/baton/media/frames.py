"""Frames: how the node and an engine child speak over their socket. Bytes only; what they mean is ``media.messages``.

    magic 4 | header length u32 | payload count u32 | payload lengths u64 each | header | payloads

Everything big-endian. The other side is not trusted: a child whose codec was taken over may say anything, so every
length is checked before a byte behind it is waited for, and nothing is ever unpickled or evaluated.
"""

import struct
from collections.abc import Generator, Iterator
from dataclasses import dataclass

__all__ = ["MAX_HEADER_BYTES", "Frame", "FrameError", "FrameLimits", "FrameReader", "frame_prefix"]

MAX_HEADER_BYTES = 1 << 20
"""Longest header in either direction; as much as all HTTP headers of a request together."""

_MAGIC = b"BTF1"
_PREFIX = struct.Struct("!4sII")
_LENGTH_BYTES = 8


class FrameError(Exception):
    """The other side broke the rules of this protocol; it cannot be trusted any more."""


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """The most that one frame may hold."""

    payloads: int
    payload_bytes: int
    total_bytes: int
    """All payloads together: what one answer may cost the reader in memory."""
    header_bytes: int = MAX_HEADER_BYTES


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame."""

    header: bytes
    payloads: tuple[bytes, ...] = ()


def frame_prefix(header: bytes, payloads: tuple[bytes, ...]) -> bytes:
    """The bytes that go before ``header`` and ``payloads``, which the sender writes as they are, without a copy.

    Raises:
        FrameError: the header is longer than any reader accepts.
    """
    if len(header) > MAX_HEADER_BYTES:
        message = f"header of {len(header)} bytes"
        raise FrameError(message)
    lengths = struct.pack(f"!{len(payloads)}Q", *(len(payload) for payload in payloads))
    return _PREFIX.pack(_MAGIC, len(header), len(payloads)) + lengths


class FrameReader:
    """Turns a stream of bytes, cut anywhere, into frames."""

    def __init__(self, *, limits: FrameLimits) -> None:
        """``limits`` bound what a frame may cost before it is refused."""
        self._limits = limits
        self._chunks: list[memoryview] = []
        self._parser = _parse(limits)
        self._missing = next(self._parser)
        self._in_frame = False

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return self._in_frame

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes, each before what follows it is looked at. Consume the iterator whole.

        Raises:
            FrameError: a rule was broken. The reader is of no use afterwards.
        """
        rest = memoryview(data)
        while rest:
            self._in_frame = True
            piece = rest[: self._missing]
            rest = rest[self._missing :]
            self._chunks.append(piece)
            self._missing -= len(piece)
            if self._missing == 0:
                frame = self._advance()
                if frame is not None:
                    yield frame

    def _advance(self) -> Frame | None:
        """Hand the parser what it waited for, and empty pieces at once; a frame when that completes one."""
        try:
            while self._missing == 0:
                piece = b"".join(self._chunks)
                self._chunks.clear()
                self._missing = self._parser.send(piece)
        except StopIteration as complete:
            frame: Frame = complete.value
            self._parser = _parse(self._limits)
            self._missing = next(self._parser)
            self._in_frame = False
            return frame
        return None


def _parse(limits: FrameLimits) -> Generator[int, bytes, Frame]:
    """One frame: yields how many bytes come next, is sent exactly those."""
    magic, header_bytes, count = _PREFIX.unpack((yield _PREFIX.size))
    if magic != _MAGIC:
        message = f"no frame begins with {magic!r}"
        raise FrameError(message)
    if header_bytes > limits.header_bytes or count > limits.payloads:
        message = f"frame with a header of {header_bytes} bytes and {count} payloads"
        raise FrameError(message)
    lengths: tuple[int, ...] = struct.unpack(f"!{count}Q", (yield count * _LENGTH_BYTES))
    if max(lengths, default=0) > limits.payload_bytes or sum(lengths) > limits.total_bytes:
        message = f"frame with payloads of {sum(lengths)} bytes, the longest of {max(lengths)}"
        raise FrameError(message)
    header = yield header_bytes
    payloads: list[bytes] = []
    for length in lengths:
        payloads.append((yield length))  # noqa: PERF401 -- no comprehension may yield
    return Frame(header=header, payloads=tuple(payloads))
