"""The gRPC service of an orchestrator: bytes to values, the story in ``jobs``, values to bytes (video.md 1.4, 3).

Errors leave as code 2 with the exact text, because that is what peers compare.
"""

from collections.abc import Mapping

from baton.jobs.discovery import Discovery
from baton.kernel.errors import RefusedError
from baton.wire.codec import (
    UnreadableError,
    decode_end_session,
    decode_orchestrator_request,
    decode_ping,
    encode_orchestrator_info,
    encode_ping,
)
from baton.wire.grpc import GrpcContext, RpcError, StatusCode, UnaryHandler

__all__ = ["OrchestratorService"]

_SERVICE = "/net.Orchestrator/"
_LARGEST_REQUEST_BYTES = 64 * 1024
"""Honest requests have a few hundred bytes. gRPC would take 4 MiB, and a map of that size takes seconds to parse."""


class OrchestratorService:
    """``net.Orchestrator``."""

    def __init__(self, *, discovery: Discovery) -> None:
        """``discovery`` decides."""
        self._discovery = discovery

    @property
    def handlers(self) -> Mapping[str, UnaryHandler]:
        """Handlers by full method path."""
        return {
            _SERVICE + "GetOrchestrator": self._get_orchestrator,
            _SERVICE + "EndTranscodingSession": self._end_session,
            _SERVICE + "Ping": self._ping,
        }

    async def _get_orchestrator(self, data: bytes, context: GrpcContext) -> bytes:
        _require_small(data)
        try:
            request = decode_orchestrator_request(data)
            info = await self._discovery.get_orchestrator(request, peer_host=context.peer_host)
        except UnreadableError as error:
            raise _unreadable(error) from error
        except RefusedError as error:
            raise RpcError(StatusCode.UNKNOWN, error.text) from error
        return encode_orchestrator_info(info)

    async def _end_session(self, data: bytes, context: GrpcContext) -> bytes:
        del context
        _require_small(data)
        try:
            await self._discovery.end_session(decode_end_session(data))
        except UnreadableError as error:
            raise _unreadable(error) from error
        except RefusedError as error:
            raise RpcError(StatusCode.UNKNOWN, error.text) from error
        return b""

    async def _ping(self, data: bytes, context: GrpcContext) -> bytes:
        del context
        _require_small(data)
        try:
            return encode_ping(self._discovery.ping(decode_ping(data)))
        except UnreadableError as error:
            raise _unreadable(error) from error
        except RefusedError as error:
            raise RpcError(StatusCode.UNKNOWN, error.text) from error


def _require_small(data: bytes) -> None:
    if len(data) > _LARGEST_REQUEST_BYTES:
        text = f"grpc: received message larger than max ({len(data)} vs. {_LARGEST_REQUEST_BYTES})"
        raise RpcError(StatusCode.RESOURCE_EXHAUSTED, text)


def _unreadable(error: UnreadableError) -> RpcError:
    """A request that is no message: the answer grpc-go gives before any handler runs."""
    return RpcError(StatusCode.INTERNAL, f"grpc: error unmarshalling request: {error.text}")
