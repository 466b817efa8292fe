"""gRPC on the wire: message frames, timeouts and status texts, as the network's nodes speak them. Pure.

A message is one byte "compressed", four bytes length, payload. Nothing here decides; it reads and writes.
"""

import zlib
from enum import IntEnum
from typing import Final

__all__ = [
    "MAX_MESSAGE_BYTES",
    "StatusCode",
    "RpcError",
    "frame",
    "inflate",
    "status_trailers",
    "timeout_seconds",
    "unframe_header",
]

MAX_MESSAGE_BYTES: Final = 4 << 20
"""Largest request message, packed or not: what every peer takes (video.md 1.1)."""

_PREFIX_BYTES: Final = 5
_MAX_TIMEOUT_DIGITS: Final = 8
_MAX_TEXT_BYTES: Final = 4096
_UNITS_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_GZIP: Final = 16 + zlib.MAX_WBITS
_PRINTABLE: Final = frozenset(range(0x20, 0x7F)) - {ord("%")}


class StatusCode(IntEnum):
    """Status codes of gRPC."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    """What handlers of the network answer with; peers then compare the text."""
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class RpcError(Exception):
    """Ends a call with ``code`` and ``text``, exactly as the peer reads it."""

    def __init__(self, code: StatusCode, text: str) -> None:
        """``text`` may hold any characters; it is percent-encoded on the wire."""
        super().__init__(text)
        self.code = code
        self.text = text


def frame(message: bytes) -> bytes:
    """A message as it travels, not compressed."""
    return b"\x00" + len(message).to_bytes(4) + message


def unframe_header(prefix: bytes | bytearray) -> tuple[bool, int] | None:
    """Whether the message is compressed, and its length; None while ``prefix`` is shorter than that takes.

    Raises:
        RpcError: the flag is neither 0 nor 1, or the message is longer than anyone may send.
    """
    if len(prefix) < _PREFIX_BYTES:
        return None
    if prefix[0] > 1:
        raise RpcError(StatusCode.INTERNAL, f"grpc: received unexpected payload format {prefix[0]}")
    length = int.from_bytes(prefix[1:_PREFIX_BYTES])
    if length > MAX_MESSAGE_BYTES:
        raise RpcError(
            StatusCode.RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({length} vs. {MAX_MESSAGE_BYTES})"
        )
    return bool(prefix[0]), length


def inflate(packed: bytes) -> bytes:
    """A gzip message unpacked, never to more than a message may have.

    Raises:
        RpcError: it is not gzip, or unpacks to too much.
    """
    unpacker = zlib.decompressobj(_GZIP)
    try:
        message = unpacker.decompress(packed, MAX_MESSAGE_BYTES + 1)
    except zlib.error as error:
        raise RpcError(StatusCode.INTERNAL, "grpc: failed to decompress the received message") from error
    if len(message) > MAX_MESSAGE_BYTES:
        raise RpcError(
            StatusCode.RESOURCE_EXHAUSTED,
            f"grpc: received message after decompression larger than max ({len(message)} vs. {MAX_MESSAGE_BYTES})",
        )
    if not unpacker.eof:
        raise RpcError(StatusCode.INTERNAL, "grpc: failed to decompress the received message")
    return message


def timeout_seconds(value: str) -> float:
    """The ``grpc-timeout`` header in seconds.

    Raises:
        RpcError: it is no timeout.
    """
    digits, unit = value[:-1], value[-1:]
    if (
        unit not in _UNITS_S
        or not 0 < len(digits) <= _MAX_TIMEOUT_DIGITS
        or not (digits.isascii() and digits.isdigit())
    ):
        raise RpcError(StatusCode.INTERNAL, "malformed grpc-timeout")
    return int(digits) * _UNITS_S[unit]


def status_trailers(code: StatusCode, text: str = "") -> list[tuple[bytes, bytes]]:
    """The trailers that end a call. A text longer than peers take as a header is cut."""
    trailers = [(b"grpc-status", str(int(code)).encode("ascii"))]
    if text:
        raw = text.encode("utf-8", "replace")[:_MAX_TEXT_BYTES]
        # Cut between characters.
        whole = raw.decode("utf-8", "ignore").encode("utf-8")
        encoded = "".join(chr(octet) if octet in _PRINTABLE else f"%{octet:02X}" for octet in whole)
        trailers.append((b"grpc-message", encoded.encode("ascii")))
    return trailers
