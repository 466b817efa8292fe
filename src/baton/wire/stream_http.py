"""GET /stream/...: renditions for the gateways that they were made for (video.md 6.2).

There is no authentication: the session id in the path has 128 random bits and nobody else learns it.
"""

from baton.jobs.ports import ServedMedia
from baton.kernel.errors import Text
from baton.kernel.ids import SessionId
from baton.wire.replies import Receive, Scope, Send, send_body, send_error, start

__all__ = ["STREAM_PREFIX", "StreamRoute"]

STREAM_PREFIX = "/stream/"
_PLAYLIST = ".m3u8"
_OK = 200
_NOT_FOUND = 404


class StreamRoute:
    """The /stream/ routes as an ASGI application."""

    def __init__(self, *, media: ServedMedia | None) -> None:
        """``media`` None when renditions are kept elsewhere: then nothing is found here."""
        self._media = media

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one object, whatever the method."""
        del receive
        session, _, name = scope["path"].removeprefix(STREAM_PREFIX).partition("/")
        found = None
        if self._media is not None and session and name and not name.endswith(_PLAYLIST):
            found = await self._media.read(session_id=SessionId(session), name=name)
        if found is None:
            await send_error(send, _NOT_FOUND, Text.NOT_FOUND)
            return
        headers = [
            (b"content-type", found.content_type.encode("latin-1")),
            (b"content-length", str(len(found.data)).encode("ascii")),
            (b"access-control-allow-origin", b"*"),
            (b"access-control-expose-headers", b"Content-Length"),
            (b"cache-control", b"max-age=5"),
        ]
        if scope["http_version"] == "1.1":
            headers.append((b"connection", b"keep-alive"))
        await start(send, _OK, headers)
        await send_body(send, b"" if scope["method"] == "HEAD" else found.data)
