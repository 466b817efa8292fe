"""POST /segment: headers into values, body into the story, the early 200 and the result (video.md 4.1, 4.2).

The 200 goes out as soon as the body is in and intact: gateways wait only ``max(2 s, half the duration)`` for it, while
the result may take ``max(8 s, 4 x duration)``. A client that goes away takes its work with it.
"""

import asyncio
from collections.abc import AsyncIterator

import structlog

from baton.jobs.admission import SegmentRequest
from baton.jobs.segment import SegmentDesk
from baton.kernel.clock import Clock
from baton.kernel.errors import RefusedError
from baton.wire.codec import encode_segment_result
from baton.wire.headers import PAYMENT_HEADER, SEGMENT_HEADER, payment_from_header, segment_from_header
from baton.wire.replies import Receive, Scope, Send, send_body, send_error, start

__all__ = ["ClientGoneError", "SegmentRoute", "peer_host", "read_segment_request"]

log = structlog.get_logger("baton.wire")

_OK = 200


class ClientGoneError(Exception):
    """The peer closed its stream or connection before its answer."""


class SegmentRoute:
    """The /segment route as an ASGI application."""

    def __init__(self, *, desk: SegmentDesk, clock: Clock) -> None:
        """``desk`` decides; this route only carries."""
        self._desk = desk
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._serve(scope, receive, send, group)
        except* ClientGoneError:
            log.info("client went away", peer=peer_host(scope))

    async def _serve(self, scope: Scope, receive: Receive, send: Send, group: asyncio.TaskGroup) -> None:
        try:
            request = read_segment_request(scope, arrived=self._clock.monotonic())
        except RefusedError as error:
            self._desk.refused(error, peer_host=peer_host(scope))
            await send_error(send, error.status, error.text)
            return
        watchers: list[asyncio.Task[None]] = []

        async def accepted() -> None:
            await start(send, _OK)
            watchers.append(group.create_task(_raise_when_gone(receive)))

        try:
            result = await self._desk.handle(request, _body(receive), accepted=accepted)
        except RefusedError as error:
            await send_error(send, error.status, error.text)
        else:
            await send_body(send, encode_segment_result(result))
        for watcher in watchers:
            watcher.cancel()


def read_segment_request(scope: Scope, *, arrived: float) -> SegmentRequest:
    """Steps 1 to 5: the two headers as values; the payment header comes first.

    Raises:
        RefusedError: status and text of what cannot be read.
    """
    headers = _first_values(scope)
    payment = payment_from_header(headers.get(PAYMENT_HEADER, b""))
    metadata = segment_from_header(headers.get(SEGMENT_HEADER, b""))
    return SegmentRequest(
        payment=payment,
        metadata=metadata,
        content_type=headers.get("content-type", b"").decode("latin-1"),
        peer_host=peer_host(scope),
        arrived=arrived,
        client=headers.get("x-forwarded-for", b"").decode("latin-1").partition(",")[0].strip(),
    )


def _first_values(scope: Scope) -> dict[str, bytes]:
    """Header values by lower-case name; of a repeated header the first counts, as for peers."""
    values: dict[str, bytes] = {}
    for name, value in scope["headers"]:
        values.setdefault(name.decode("latin-1").lower(), bytes(value))
    return values


def peer_host(scope: Scope) -> str:
    """Address of the peer, or of the proxy in front of us."""
    client = scope.get("client")
    return str(client[0]) if client else ""


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    """The chunks of a request body.

    Raises:
        ClientGoneError: the peer left before the end.
    """
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        more = message.get("more_body", False)
        chunk = message.get("body", b"")
        if chunk:
            yield chunk


async def _raise_when_gone(receive: Receive) -> None:
    """Ends the request's task group when the peer goes away after its body."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
