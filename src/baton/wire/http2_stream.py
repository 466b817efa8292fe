"""One HTTP/2 request and its answer: the ASGI ``receive`` and ``send`` of one stream.

Body bytes are credited to the peer when the application takes them, so an application that does not read holds at
most the stream's window. Answers never exceed what the peer's windows and the transport take, so a peer that does not
read holds nothing but the piece that the application has in hand. Owned by its connection; event loop only.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from jh2.exceptions import H2Error

from baton.wire.http2_engine import ErrorCodes, Http2Engine
from baton.wire.http2_scope import BODY_IDLE_EXTENSION
from baton.wire.replies import Message, Scope

__all__ = ["Http2Stream", "Link"]

Headers = list[tuple[bytes, bytes]]

_PIECE_BYTES: Final = 128 * 1024
_MERGE_BELOW_BYTES: Final = 4096
_MERGED_BYTES: Final = 64 * 1024
_PROGRESS_BYTES: Final = 4096
_INTERNAL: Final = 500
_NO_CONTENT: Final = 204
_NOT_MODIFIED: Final = 304
_BAD_VALUE: Final = re.compile(rb"[\x00\r\n]")
_HOP_BY_HOP: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})


class Link(Protocol):
    """What a stream needs of its connection."""

    engine: Http2Engine
    write_paused: bool

    def flush(self) -> None:
        """Hand everything that is framed to the transport now."""
        ...

    def framed(self, data_bytes: int) -> None:
        """Something was framed, ``data_bytes`` of it body: send it soon."""
        ...

    def taken(self, stream_id: int, credit: int) -> None:
        """The application took ``credit`` flow-controlled bytes of the stream's body."""
        ...

    def answered_early(self, stream_id: int) -> None:
        """The answer of ``stream_id`` is out while its request is still coming in."""
        ...

    def default_headers(self) -> Headers:
        """Headers of every answer."""
        ...

    def now(self) -> float:
        """Monotonic seconds."""
        ...


class Http2Stream:
    """The state of one stream, from its request header to the end of its application."""

    def __init__(self, *, link: Link, stream_id: int, scope: Scope, ended: bool, body_idle_s: float) -> None:
        """``ended`` when the request has no body; ``body_idle_s`` bounds pauses of body and answer."""
        self.stream_id = stream_id
        self.scope = scope
        self.header_bytes = 0
        self.heard_at = link.now()
        self.gone = False
        self._link = link
        self._ended = ended
        self._end_told = False
        self._body_idle_s: float | None = body_idle_s
        self._stall_s = body_idle_s
        self._expect_continue = not ended and any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"]
        )
        self._chunks: deque[tuple[bytes | bytearray, int]] = deque()
        self._unread = 0
        self._arrived = asyncio.Event()
        self._sendable = asyncio.Event()
        self._blocked_since: float | None = None
        self._sent_since_blocked = 0
        self._started = False
        self._complete = False
        self._body_done = False
        self._trailers_due = False
        self._bodyless = scope["method"] == "HEAD"
        scope["extensions"][BODY_IDLE_EXTENSION] = {"set_s": self.set_body_idle_s}

    # What the connection tells us.

    @property
    def unread(self) -> int:
        """Flow-controlled bytes that wait for the application."""
        return self._unread

    @property
    def body_awaited(self) -> bool:
        """Whether the peer owes us body and we hold none that it could be waiting for us to take."""
        return not self._ended and not self.gone and not self._chunks

    def set_body_idle_s(self, seconds: float | None) -> None:
        """The application knows better how long this body may pause; None: for ever."""
        self._body_idle_s = seconds

    def body_arrived(self, data: bytes, credit: int) -> None:
        """A DATA frame of ``credit`` flow-controlled bytes."""
        if self.gone or self._complete or not data:
            if credit:
                self._link.taken(self.stream_id, credit)
            return
        self._unread += credit
        if self._chunks and len(data) < _MERGE_BELOW_BYTES:
            last, held = self._chunks[-1]
            if len(last) < _MERGED_BYTES:
                # Small chunks grow together: each object costs more than its bytes.
                merged = last if isinstance(last, bytearray) else bytearray(last)
                merged += data
                self._chunks[-1] = (merged, held + credit)
                return
        self._chunks.append((data, credit))
        self._arrived.set()

    def body_ended(self) -> None:
        """The peer finished its request."""
        self._ended = True
        self._arrived.set()

    def left(self) -> None:
        """The stream is gone: reset by the peer, given up by us, or its connection is lost."""
        self.gone = True
        self._arrived.set()
        self._sendable.set()
        self._discard()

    def wake_sender(self) -> None:
        """A window or the transport may have room again."""
        self._sendable.set()

    def give_up(self, code: ErrorCodes) -> None:
        """End the stream from our side with ``code``."""
        if not self.gone:
            self._reset(code)
            self.left()

    def overdue(self, now: float) -> str | None:
        """Why the stream has paused too long at ``now``, as a metric label; None while it is in time."""
        if self._body_idle_s is not None and self.body_awaited and now - self.heard_at > self._body_idle_s:
            return "body_idle"
        if self._blocked_since is not None and now - self._blocked_since > self._stall_s:
            return "send_stall"
        return None

    def finish(self) -> None:
        """The application returned. What it left undone is ended so that the peer knows."""
        if not self.gone and not self._complete:
            if self._started:
                self._reset(ErrorCodes.INTERNAL_ERROR)
            else:
                self._send_headers(_INTERNAL, [], end=True)
                self._completed()
        self.left()

    # What the application calls.

    async def receive(self) -> Message:
        """The next ``http.request``; after the body, ``http.disconnect`` once the stream is over."""
        if self._expect_continue:
            self._say_continue()
        while not self.gone:
            if self._chunks:
                data, credit = self._chunks.popleft()
                self._unread -= credit
                self._link.taken(self.stream_id, credit)
                self._end_told = self._ended and not self._chunks
                return {"type": "http.request", "body": bytes(data), "more_body": not self._end_told}
            if self._ended and not self._end_told:
                self._end_told = True
                return {"type": "http.request", "body": b"", "more_body": False}
            self._arrived.clear()
            await self._arrived.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take one ASGI message. On a stream that is gone nothing happens; ``receive`` tells.

        Raises:
            RuntimeError: the application's messages are out of order or malformed.
        """
        if self.gone and not self._complete:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self._started:
            self._start(message)
        elif kind == "http.response.body" and self._started and not self._body_done:
            await self._body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.trailers" and self._trailers_due and self._body_done and not self._complete:
            self._trailers(message)
        else:
            error = f"unexpected ASGI message {kind}"
            raise RuntimeError(error)

    def _start(self, message: Message) -> None:
        status = message["status"]
        self._trailers_due = bool(message.get("trailers", False))
        self._bodyless = self._bodyless or status in {_NO_CONTENT, _NOT_MODIFIED}
        self._expect_continue = False
        self._send_headers(status, message.get("headers", ()), end=False)

    async def _body(self, body: bytes, *, more: bool) -> None:
        rest = memoryview(b"" if self._bodyless else body)
        end = not more and not self._trailers_due
        while rest:
            room = await self._room()
            if not room:
                return
            piece, rest = rest[:room], rest[room:]
            last = end and not rest
            if not self._try(self._link.engine.send_data, self.stream_id, piece, last):
                return
            self._progressed(len(piece))
            if last:
                self._completed()
        self._body_done = not more
        self._blocked_since = None
        if end and not self._complete:
            self._try(self._link.engine.end_stream, self.stream_id)
            self._completed()

    def _trailers(self, message: Message) -> None:
        headers = _clean(message.get("headers", ()))
        if message.get("more_trailers", False):
            error = "trailers must come in one message"
            raise RuntimeError(error)
        if headers:
            self._try(self._link.engine.send_headers, self.stream_id, headers, True)
        else:
            self._try(self._link.engine.end_stream, self.stream_id)
        self._completed()

    # Craft.

    async def _room(self) -> int:
        """How much body may go out now, waiting until some may; 0 when the stream is gone."""
        while not self.gone:
            room = self._window()
            if room > 0 and not self._link.write_paused:
                return int(min(room, _PIECE_BYTES, self._link.engine.max_outbound_frame_size))
            if self._blocked_since is None:
                self._blocked_since = self._link.now()
                self._sent_since_blocked = 0
            self._link.flush()
            self._sendable.clear()
            await self._sendable.wait()
        return 0

    def _window(self) -> int:
        try:
            return int(self._link.engine.local_flow_control_window(self.stream_id))
        except H2Error:
            self.left()
            return 0

    def _progressed(self, sent: int) -> None:
        """A byte now and then is no progress: within one message, a peer must take a piece worth its cost."""
        self._link.framed(sent)
        if self._blocked_since is not None:
            self._sent_since_blocked += sent
            if self._sent_since_blocked >= _PROGRESS_BYTES or self._window() >= _PROGRESS_BYTES:
                self._blocked_since = None

    def _send_headers(self, status: int, headers: Iterable[tuple[bytes, bytes]], *, end: bool) -> None:
        cleaned = _clean(headers)
        self._started = True
        block = [(b":status", str(status).encode("ascii")), *self._link.default_headers(), *cleaned]
        self._try(self._link.engine.send_headers, self.stream_id, block, end)

    def _say_continue(self) -> None:
        self._expect_continue = False
        self._try(self._link.engine.send_headers, self.stream_id, [(b":status", b"100")])

    def _completed(self) -> None:
        """The answer is out. What is still to come of the request is the connection's affair."""
        self._complete = True
        self._body_done = True
        self._blocked_since = None
        if not self._ended and not self.gone:
            self._link.answered_early(self.stream_id)
        self.left()

    def _reset(self, code: ErrorCodes) -> None:
        self._try(self._link.engine.reset_stream, self.stream_id, code)

    def _try(self, act: Callable[..., None], *args: object) -> bool:
        """Let the engine act; a stream or connection that is already over is no error of the application."""
        if self.gone:
            return False
        try:
            act(*args)
        except (H2Error, KeyError):
            self.left()
            return False
        self._link.framed(0)
        return True

    def _discard(self) -> None:
        """Nobody reads any more: the connection gets its credit back."""
        while self._chunks:
            self._link.taken(self.stream_id, self._chunks.popleft()[1])
        self._unread = 0


def _clean(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers as HTTP/2 carries them: lower-case names, nothing about the connection, no line breaks."""
    cleaned: Headers = []
    for name, value in headers:
        lowered = bytes(name).lower()
        if lowered in _HOP_BY_HOP:
            continue
        if _BAD_VALUE.search(value) or _BAD_VALUE.search(lowered) or not lowered or lowered.startswith(b":"):
            error = "malformed header in an answer"
            raise RuntimeError(error)
        cleaned.append((lowered, bytes(value)))
    return cleaned
