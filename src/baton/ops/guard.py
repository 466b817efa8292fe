"""The door of the management port: who may speak to it, before any route sees the request.

An ASGI wrapper. Browsers are kept out (a page elsewhere must not drain a node or read its status through a visitor's
browser): requests with ``Origin`` are refused, and on a loopback port ``Host`` must be a loopback name, so that a
foreign name pointed at 127.0.0.1 gets nowhere. Changes need the operator's token. Bodies are bounded.
"""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from baton.config.addresses import is_loopback, parse_endpoint
from baton.config.values import BadValueError

__all__ = ["Guard"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LARGEST_BODY_BYTES = 16 * 1024
_BODY_TIMEOUT_S = 10.0
_READING = frozenset({"GET", "HEAD"})


class Guard:
    """Wraps an ASGI application."""

    def __init__(self, *, app: App, token: Callable[[], str], loopback_only: bool) -> None:
        """``token`` gives the operator's token; ``loopback_only``: the port is bound to loopback."""
        self._app = app
        self._token = token
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, 401 or 413 here, or pass the request on."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        body = await _read_body(receive)
        if body is None:
            await _answer(send, 413, "the body is too large or takes too long")
            return
        await self._app(scope, _replay(body, receive), send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = scope["headers"]
        if any(name == b"origin" for name, _ in headers):
            return 403, "requests from browsers are not taken here"
        hosts = [value for name, value in headers if name == b"host"]
        if self._loopback_only and not (len(hosts) == 1 and _is_loopback_host(hosts[0])):
            return 403, "Host must be a name of this machine: localhost, 127.0.0.1 or [::1]"
        if any(name == b"content-length" and not _small(value) for name, value in headers):
            return 413, "the body is too large"
        if scope["method"] not in _READING and not self._authorised(headers):
            return 401, "the operator's token is missing or wrong (management.token in the data directory)"
        return None

    def _authorised(self, headers: list[tuple[bytes, bytes]]) -> bool:
        given = [value for name, value in headers if name == b"authorization"]
        wanted = b"Bearer " + self._token().encode("ascii")
        return len(given) == 1 and hmac.compare_digest(given[0], wanted)


def _small(value: bytes) -> bool:
    return value.isdigit() and len(value) < 10 and int(value) <= _LARGEST_BODY_BYTES  # noqa: PLR2004 -- digits of a length


def _is_loopback_host(value: bytes) -> bool:
    try:
        return is_loopback(parse_endpoint(value.decode("ascii")).host)
    except (BadValueError, UnicodeDecodeError):
        return False


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body; None when it is too large, too slow, or its sender is gone."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > _LARGEST_BODY_BYTES:
                    return None
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        return None


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body that was read already, then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _answer(send: Send, status: int, error: str) -> None:
    body = json.dumps({"error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if status == 401:  # noqa: PLR2004 -- the status that asks for credentials
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
