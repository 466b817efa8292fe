"""The service port's front desk: gRPC by content type, everything else by path, as the network's nodes do it.

An HTTP/2 request whose content type starts with ``application/grpc`` goes to the gRPC services; a path with double
slashes or dot segments is answered with its clean form; what nobody serves is 404 (video.md 1.1, 1.4).
"""

import html
import posixpath
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote

from baton.wire.replies import Receive, Scope, Send, send_error, send_plain

__all__ = ["App", "Router", "clean_path", "healthz"]

App = Callable[[Scope, Receive, Send], Awaitable[None]]

_GRPC = b"application/grpc"
_UNQUOTED = "/:@!$&'()*+,;=~-._"
_OK = 200
_MOVED = 301
_NOT_FOUND = 404


def clean_path(path: str) -> str:
    """The canonical form of a path: one slash at a time, no dot segments, a trailing slash kept."""
    rooted = "/" + path.lstrip("/")
    clean = posixpath.normpath(rooted)
    if clean.startswith("//"):
        clean = clean[1:]
    return clean + "/" if rooted.endswith("/") and clean != "/" else clean


class Router:
    """The application behind the service port."""

    def __init__(self, *, grpc: App, exact: Mapping[str, App], prefixes: Mapping[str, App]) -> None:
        """``exact`` paths are tried before ``prefixes``; a prefix ends in a slash."""
        self._grpc = grpc
        self._exact = dict(exact)
        self._prefixes = dict(prefixes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; anything else (WebSocket, lifespan) is not for this port and is closed."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            return
        if _is_grpc(scope):
            await self._grpc(scope, receive, send)
            return
        await self._route(scope)(scope, receive, send)

    def _route(self, scope: Scope) -> App:
        path = scope["path"]
        if path != clean_path(path):
            return _moved
        if path in self._exact:
            return self._exact[path]
        for prefix, app in self._prefixes.items():
            if path.startswith(prefix):
                return app
        return _not_found


def _is_grpc(scope: Scope) -> bool:
    if scope["http_version"] != "2":
        return False
    return any(name == b"content-type" and value.startswith(_GRPC) for name, value in scope["headers"])


async def healthz(scope: Scope, receive: Receive, send: Send) -> None:
    """Liveness: 200 and nothing else, whatever the method."""
    del scope, receive
    await send_plain(send, _OK)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send_error(send, _NOT_FOUND, "404 page not found")


async def _moved(scope: Scope, receive: Receive, send: Send) -> None:
    """Point at the clean path, with the few lines of HTML that peers' routers add for readers."""
    del receive
    target = quote(clean_path(scope["path"]), safe=_UNQUOTED)
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("latin-1")
    headers = [(b"location", target.encode("latin-1"))]
    body = b""
    if scope["method"] in {"GET", "HEAD"}:
        headers.append((b"content-type", b"text/html; charset=utf-8"))
    if scope["method"] == "GET":
        body = f'<a href="{html.escape(target)}">Moved Permanently</a>.\n\n'.encode()
    await send_plain(send, _MOVED, body, headers)
