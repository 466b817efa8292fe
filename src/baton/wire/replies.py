"""Answers over plain HTTP as peers of the network know them, for whichever protocol version carries them.

Errors are plain text with one line feed at the end (video.md 1.4); gateways trim and compare the text.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

__all__ = [
    "Message",
    "Receive",
    "Scope",
    "Send",
    "send_body",
    "send_error",
    "send_plain",
    "start",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_CHUNK_BYTES = 256 * 1024


async def start(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Send status and headers now; the body may come much later."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def send_body(send: Send, data: bytes) -> None:
    """Send the whole body in pieces, so that a slow reader holds no more than a piece outside its flow window."""
    view = memoryview(data)
    for offset in range(0, len(view), _CHUNK_BYTES):
        piece = bytes(view[offset : offset + _CHUNK_BYTES])
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_plain(send: Send, status: int, body: bytes = b"", headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """A small answer with its length."""
    await start(send, status, [*headers, (b"content-length", str(len(body)).encode("ascii"))])
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_error(send: Send, status: int, text: str) -> None:
    """An error as peers read it."""
    headers = (
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"x-content-type-options", b"nosniff"),
    )
    await send_plain(send, status, text.encode("utf-8", "backslashreplace") + b"\n", headers)
