"""Unary gRPC calls over the HTTP/2 client, framed by hand so that no answer can be longer than peers allow."""

import urllib.parse

from baton.selftest.http2 import PeerError, Response, connect_http2
from baton.selftest.parties import Endpoint

__all__ = ["RpcError", "call"]

MAX_MESSAGE_BYTES = 4 << 20
"""What gRPC peers of the network accept (video.md 1.1)."""
_SERVICE = "/net.Orchestrator/"
_PREFIX_BYTES = 5
_TEXT_CHARS = 4096
_STATUS_OK = 200
_HEADERS = (("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "baton-selftest"))


class RpcError(PeerError):
    """The orchestrator answered a call with an error: gRPC ``code`` and its text."""

    def __init__(self, code: int, text: str) -> None:
        """``code`` is gRPC's number; 2 for everything an orchestrator refuses."""
        super().__init__(f"rpc error: code {code}: {text}")
        self.code = code
        self.text = text


async def call(endpoint: Endpoint, method: str, message: bytes, *, timeout_s: float) -> bytes:
    """One call of ``net.Orchestrator`` on a connection of its own, as a gateway makes it; the answered message.

    Raises:
        RpcError: refused, with the orchestrator's text.
        PeerError: no answer in time, or none that is gRPC.
    """
    async with connect_http2(endpoint.host, endpoint.port, tls=endpoint.tls) as connection:
        response = await connection.request(
            method="POST",
            path=_SERVICE + method,
            headers=_HEADERS,
            body=b"\x00" + len(message).to_bytes(4, "big") + message,
            header_timeout_s=timeout_s,
            total_timeout_s=timeout_s,
            max_body_bytes=MAX_MESSAGE_BYTES + _PREFIX_BYTES,
        )
    return _unframe(response)


def _unframe(response: Response) -> bytes:
    """The one message of a unary answer. Raises ``RpcError`` for a refusal, ``PeerError`` for anything malformed."""
    kind = response.headers.get("content-type", "")
    if response.status != _STATUS_OK or not kind.startswith("application/grpc"):
        message = f"not a gRPC answer: status {response.status}, content type {kind[:80]!r}"
        raise PeerError(message)
    stated = response.trailers.get("grpc-status", response.headers.get("grpc-status", ""))
    if not stated.isdecimal():
        message = "gRPC answer without status"
        raise PeerError(message)
    if int(stated) != 0:
        text = response.trailers.get("grpc-message", response.headers.get("grpc-message", ""))
        raise RpcError(int(stated), urllib.parse.unquote(text[:_TEXT_CHARS]))
    body = response.body
    if (
        len(body) < _PREFIX_BYTES
        or body[0] != 0
        or int.from_bytes(body[1:_PREFIX_BYTES], "big") + _PREFIX_BYTES != len(body)
    ):
        message = "gRPC answer is not one uncompressed message"
        raise PeerError(message)
    return body[_PREFIX_BYTES:]
