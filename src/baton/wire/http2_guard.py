"""Flood guard of one HTTP/2 connection: frames are counted before anything is spent on them. Pure.

The protocol library answers PING, SETTINGS and stray frames by itself, as often as a stranger likes. The meter walks
over the frame headers of the incoming bytes first and refuses what no honest client does: more than a burst of cheap
frames beyond a steady rate, endless header blocks, tiny chunks without end (RFC 9113 10.5).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

__all__ = ["BUDGETS", "PREFACE", "Budget", "FloodError", "Frame", "FrameMeter", "OversizeFrameError"]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""The first bytes of every HTTP/2 client."""

_FRAME_HEADER_BYTES: Final = 9
_SMALL_DATA_BYTES: Final = 256
_MAX_SETTINGS_BYTES: Final = 6 * 64
_BYTES_PER_WINDOW_UPDATE: Final = 512
_END_STREAM: Final = 0x1
_END_HEADERS: Final = 0x4


class Frame(IntEnum):
    """Frame types as they stand on the wire."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


@dataclass(frozen=True, slots=True)
class Budget:
    """``burst`` at once, then ``per_s``."""

    burst: float
    per_s: float


BUDGETS: Mapping[str, Budget] = MappingProxyType(
    {
        "empty_data": Budget(200, 10),
        "small_data": Budget(4096, 2000),
        "priority": Budget(500, 10),
        "reset": Budget(300, 20),
        "settings": Budget(100, 1),
        "ping": Budget(1000, 50),
        "goaway": Budget(5, 1),
        # One per _BYTES_PER_WINDOW_UPDATE sent comes on top, so that downloads pay for themselves.
        "window_update": Budget(5000, 1000),
        "continuation": Budget(256, 64),
        "unknown": Budget(100, 10),
        # Bytes, not frames: unpacking a header is the dearest thing that a stranger can order per byte.
        "header_bytes": Budget(16 << 20, 4 << 20),
    }
)
"""What one connection may spend. Each is far above what clients of the network do, and cheap for us to grant."""

_KINDS: Mapping[int, str] = MappingProxyType(
    {
        Frame.PRIORITY: "priority",
        Frame.RST_STREAM: "reset",
        Frame.SETTINGS: "settings",
        Frame.PING: "ping",
        Frame.GOAWAY: "goaway",
        Frame.WINDOW_UPDATE: "window_update",
        Frame.CONTINUATION: "continuation",
    }
)


class FloodError(Exception):
    """The peer spent a budget; ``reason`` is its name."""

    def __init__(self, reason: str) -> None:
        """``reason`` is a key of ``BUDGETS`` or ``header_block``."""
        super().__init__(reason)
        self.reason = reason


class OversizeFrameError(Exception):
    """A frame longer than our SETTINGS allow; the library would collect it whole before it says so."""


class _Account:
    """One budget as it is being spent."""

    __slots__ = ("_at", "_budget", "_left")

    def __init__(self, budget: Budget, now: float) -> None:
        self._budget = budget
        self._left = budget.burst
        self._at = now

    def take(self, amount: float, now: float) -> bool:
        self.add((now - self._at) * self._budget.per_s)
        self._at = now
        self._left -= amount
        return self._left >= 0

    def add(self, amount: float) -> None:
        self._left = min(self._budget.burst, self._left + amount)


class FrameMeter:
    """Walks over the bytes of one connection, preface included, and judges each frame by its header."""

    __slots__ = (
        "_accounts",
        "_block_bytes",
        "_block_since",
        "_header",
        "_max_block_bytes",
        "_max_frame_bytes",
        "_preface",
        "_remaining",
        "data_stream",
    )

    def __init__(self, *, max_block_bytes: int, max_frame_bytes: int, now: float) -> None:
        """``max_block_bytes`` bounds one packed header block; ``now`` is monotonic seconds."""
        self._max_block_bytes = max_block_bytes
        self._max_frame_bytes = max_frame_bytes
        self._accounts = {name: _Account(budget, now) for name, budget in BUDGETS.items()}
        self._header = b""
        self._preface = True
        self._remaining = len(PREFACE)
        self._block_bytes = 0
        self._block_since: float | None = now
        self.data_stream = 0
        """The stream whose DATA frame has begun but not ended, 0 when there is none."""

    @property
    def waiting_since(self) -> float | None:
        """When the unfinished header block (or preface with its SETTINGS) began; None when nothing is owed."""
        return self._block_since

    def feed(self, data: bytes | memoryview, now: float) -> None:
        """Judge ``data``, which arrived at ``now`` monotonic seconds.

        Raises:
            FloodError: the connection must end with ENHANCE_YOUR_CALM, and ``data`` must not be looked at.
            OversizeFrameError: the same, with FRAME_SIZE_ERROR.
        """
        position, end = 0, len(data)
        while position < end:
            if self._remaining:
                step = min(self._remaining, end - position)
                self._remaining -= step
                position += step
                if not self._remaining:
                    self._payload_done()
                continue
            wanted = _FRAME_HEADER_BYTES - len(self._header)
            self._header += data[position : position + wanted]
            position += wanted
            if len(self._header) < _FRAME_HEADER_BYTES:
                return
            header, self._header = self._header, b""
            self._remaining = int.from_bytes(header[:3])
            self._judge(header[3], header[4], int.from_bytes(header[5:9]) & 0x7FFFFFFF, now)
            if not self._remaining:
                self._payload_done()

    def sent(self, data_bytes: int) -> None:
        """We sent this much body: the peer may answer with window updates."""
        self._accounts["window_update"].add(data_bytes / _BYTES_PER_WINDOW_UPDATE)

    def _judge(self, kind: int, flags: int, stream: int, now: float) -> None:
        length = self._remaining
        if length > self._max_frame_bytes:
            raise OversizeFrameError
        if kind == Frame.DATA:
            self.data_stream = stream
            if length < _SMALL_DATA_BYTES and not flags & _END_STREAM:
                self._spend("small_data" if length else "empty_data", 1, now)
            return
        if kind in {Frame.HEADERS, Frame.CONTINUATION}:
            self._judge_block(kind, flags, length, now)
        if kind == Frame.SETTINGS and length > _MAX_SETTINGS_BYTES:
            # The library would remember each of them, known or not.
            reason = "settings"
            raise FloodError(reason)
        if kind != Frame.HEADERS:
            self._spend(_KINDS.get(kind, "unknown"), 1, now)

    def _judge_block(self, kind: int, flags: int, length: int, now: float) -> None:
        if kind == Frame.HEADERS:
            self._block_bytes = 0
            self._block_since = now
        self._block_bytes += length
        if self._block_bytes > self._max_block_bytes:
            reason = "header_block"
            raise FloodError(reason)
        self._spend("header_bytes", length, now)
        if flags & _END_HEADERS:
            # Marks the last piece: when its payload is in, nothing is owed any more.
            self._block_bytes = -1

    def _payload_done(self) -> None:
        self.data_stream = 0
        if self._preface:
            # The preface counts as begun until the frame after it, SETTINGS, is in.
            self._preface = False
            self._block_bytes = -1
        elif self._block_bytes < 0:
            self._block_bytes = 0
            self._block_since = None

    def _spend(self, name: str, amount: float, now: float) -> None:
        if not self._accounts[name].take(amount, now):
            raise FloodError(name)
