"""gRPC calls on the service port: unary and server-streaming methods by their full path, as an ASGI application.

Status travels in trailers after an empty or full body; handlers answer errors with code 2 and a text that peers
compare, so nothing here rewords them (video.md 1.1, stack of the network's Go nodes). A call ends when its handler,
its deadline or its client does; a failing handler costs its call and nothing else.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog

from baton.kernel.errors import BatonError, Text
from baton.wire.grpc_frames import (
    RpcError,
    StatusCode,
    frame,
    inflate,
    status_trailers,
    timeout_seconds,
    unframe_header,
)
from baton.wire.replies import Receive, Scope, Send, send_error

__all__ = [
    "StatusCode",
    "GrpcContext",
    "GrpcRouter",
    "RpcError",
    "ServerStream",
    "ServerStreamHandler",
    "UnaryHandler",
]

log = structlog.get_logger("baton.wire")

_CONTENT_TYPE: Final = b"application/grpc"
_PREFIX_BYTES: Final = 5
_UNPACK_ASIDE_BYTES: Final = 64 * 1024
_METHOD_NOT_ALLOWED: Final = 405
_UNSUPPORTED_MEDIA_TYPE: Final = 415
_VERSION_NOT_SUPPORTED: Final = 505


@dataclass(frozen=True, slots=True)
class GrpcContext:
    """What a handler may know of its call."""

    method: str
    """Full path, ``/package.Service/Method``."""
    peer: str
    """``host:port`` of the client, IPv6 in brackets."""
    peer_host: str
    """The host alone, without brackets."""
    metadata: Mapping[str, str]
    """Request headers, names in lower case, the last of each name."""
    deadline: float | None
    """The event loop's time at which the client stops waiting or we do; None for streams without ``grpc-timeout``."""


UnaryHandler = Callable[[bytes, GrpcContext], Awaitable[bytes]]
ServerStreamHandler = Callable[[bytes, GrpcContext], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class ServerStream:
    """A method that answers with any number of messages; it has no deadline of ours."""

    handler: ServerStreamHandler


class _ClientGoneError(Exception):
    """The client ended the call or its connection."""


class GrpcRouter:
    """The gRPC services of a port."""

    def __init__(
        self, handlers: Mapping[str, UnaryHandler | ServerStream], *, default_deadline_s: float = 20.0
    ) -> None:
        """``handlers`` by full path, ``/package.Service/Method``; ``default_deadline_s`` bounds unary calls."""
        self._handlers = dict(handlers)
        self._services = frozenset(path[1:].rpartition("/")[0] for path in handlers)
        self._default_deadline_s = default_deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        headers = _metadata(scope)
        if "http.response.trailers" not in scope.get("extensions", {}):
            await send_error(send, _VERSION_NOT_SUPPORTED, "gRPC requires HTTP/2")
            return
        if scope["method"] != "POST":
            await send_error(send, _METHOD_NOT_ALLOWED, f'invalid gRPC request method "{scope["method"]}"')
            return
        if not _is_grpc(headers.get("content-type", "")):
            await send_error(send, _UNSUPPORTED_MEDIA_TYPE, "invalid gRPC request content-type")
            return
        with contextlib.suppress(_ClientGoneError):
            await _Call(scope=scope, headers=headers, receive=receive, send=send).serve(self)

    def context(self, scope: Scope, headers: Mapping[str, str], *, bounded: bool) -> GrpcContext:
        """The context of a call; raises ``RpcError`` for a malformed timeout."""
        limit_s = self._default_deadline_s if bounded else None
        if "grpc-timeout" in headers:
            asked_s = timeout_seconds(headers["grpc-timeout"])
            limit_s = asked_s if limit_s is None else min(asked_s, limit_s)
        return GrpcContext(
            method=scope["path"],
            peer=_peer(scope),
            peer_host=(scope.get("client") or ("", 0))[0],
            metadata=headers,
            deadline=None if limit_s is None else asyncio.get_running_loop().time() + limit_s,
        )

    def handler(self, path: str) -> UnaryHandler | ServerStream:
        """The method at ``path``; raises ``RpcError`` in the words of the network's nodes when there is none."""
        found = self._handlers.get(path)
        if found is not None:
            return found
        service, slash, method = path.removeprefix("/").rpartition("/")
        if not slash:
            raise RpcError(StatusCode.UNIMPLEMENTED, f'malformed method name: "{path}"')
        if service not in self._services:
            raise RpcError(StatusCode.UNIMPLEMENTED, f"unknown service {service}")
        raise RpcError(StatusCode.UNIMPLEMENTED, f"unknown method {method} for service {service}")


class _Call:
    """One call from its header to its trailers."""

    def __init__(self, *, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send) -> None:
        self._scope = scope
        self._headers = headers
        self._receive = receive
        self._send = send
        self._started = False

    async def serve(self, router: GrpcRouter) -> None:
        """Run the handler and send what it makes; always ends with trailers unless the client is gone."""
        limit = asyncio.timeout(None)
        try:
            handler = router.handler(self._scope["path"])
            context = router.context(self._scope, self._headers, bounded=not isinstance(handler, ServerStream))
            limit = asyncio.timeout_at(context.deadline)
            async with limit:
                await self._handle(handler, context)
        except _ClientGoneError:
            raise
        except RpcError as error:
            await self._end(error.code, error.text)
        except BatonError as error:
            await self._end(StatusCode.UNKNOWN, str(error))
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                await self._end(StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")
                return
            log.exception("rpc failed unexpectedly", method=self._scope["path"])
            await self._end(StatusCode.UNKNOWN, Text.INTERNAL)
        else:
            await self._end(StatusCode.OK)

    async def _handle(self, handler: UnaryHandler | ServerStream, context: GrpcContext) -> None:
        request = await self._request()
        watcher = asyncio.create_task(self._until_gone())
        worker = asyncio.create_task(self._work(handler, request, context))
        try:
            await asyncio.wait((watcher, worker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watcher.cancel()
            worker.cancel()
            await asyncio.wait((watcher, worker))
        if worker.cancelled():
            raise _ClientGoneError
        worker.result()

    async def _work(self, handler: UnaryHandler | ServerStream, request: bytes, context: GrpcContext) -> None:
        if not isinstance(handler, ServerStream):
            await self._message(await handler(request, context))
            return
        # Headers at once: clients of held streams wait for them to know that they are registered.
        await self._start()
        messages = handler.handler(request, context)
        try:
            async for message in messages:
                await self._message(message)
        finally:
            close = getattr(messages, "aclose", None)
            if close is not None:
                await close()

    async def _request(self) -> bytes:
        """The one message of the request."""
        received = bytearray()
        while (found := unframe_header(received)) is None or len(received) < _PREFIX_BYTES + found[1]:
            event = await self._receive()
            if event["type"] != "http.request":
                raise _ClientGoneError
            received += event["body"]
            if not event["more_body"]:
                break
        if found is None:
            found = unframe_header(received)
        if found is None or len(received) < _PREFIX_BYTES + found[1]:
            raise RpcError(StatusCode.INTERNAL, "unexpected EOF")
        packed, length = found
        payload = bytes(received[_PREFIX_BYTES : _PREFIX_BYTES + length])
        return await self._unpack(payload) if packed else payload

    async def _unpack(self, payload: bytes) -> bytes:
        encoding = self._headers.get("grpc-encoding", "identity")
        if encoding in {"identity", ""}:
            raise RpcError(StatusCode.INTERNAL, "grpc: compressed flag set with identity or empty encoding")
        if encoding != "gzip":
            text = f'grpc: Decompressor is not installed for grpc-encoding "{encoding}"'
            raise RpcError(StatusCode.UNIMPLEMENTED, text)
        if len(payload) < _UNPACK_ASIDE_BYTES:
            return inflate(payload)
        return await asyncio.to_thread(inflate, payload)

    async def _until_gone(self) -> None:
        """Returns when the client has ended the call; what else it sends is taken and forgotten."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _start(self) -> None:
        if not self._started:
            self._started = True
            headers = [(b"content-type", _CONTENT_TYPE)]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})

    async def _message(self, message: bytes) -> None:
        await self._start()
        await self._send({"type": "http.response.body", "body": frame(message), "more_body": True})

    async def _end(self, code: StatusCode, text: str = "") -> None:
        await self._start()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        await self._send(
            {"type": "http.response.trailers", "headers": status_trailers(code, text), "more_trailers": False}
        )


def _is_grpc(content_type: str) -> bool:
    rest = content_type.lower().removeprefix("application/grpc")
    return rest != content_type.lower() and rest[:1] in {"", "+", ";"}


def _metadata(scope: Scope) -> Mapping[str, str]:
    return MappingProxyType({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    if client is None:
        return ""
    host, port = client
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
