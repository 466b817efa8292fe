"""A minimal gateway: asks an orchestrator for terms, sends it segments, fetches renditions, ends the session.

Protocols, timeouts and the order of things are a real gateway's (video.md 1.1, 3.2, 4.1, 4.8): gRPC and segments over
HTTP/2, renditions over HTTP/1.1, certificates never verified. It trusts nothing of what it talks to: every answer is
bounded in size and time, and whatever is wrong becomes a ``PeerError`` with the reason. What it pays with
comes from ``selftest.paying``.
"""

import asyncio
import base64
import contextlib
import dataclasses
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from google.protobuf.message import DecodeError

from baton.jobs.messages import (
    AuthToken,
    OrchestratorInfo,
    OrchestratorRequest,
    Payment,
    SegmentMetadata,
    SegmentResult,
    flatten_segment,
)
from baton.kernel.capabilities import Capabilities
from baton.kernel.crypto import keccak256
from baton.kernel.errors import RefusedError
from baton.kernel.ids import Address, ManifestId, to_checksum_hex
from baton.kernel.profiles import VideoProfile
from baton.media.job import Clip
from baton.selftest.http2 import (
    Http2Connection,
    NotHttp2Error,
    PeerError,
    PeerTooSlowError,
    Response,
    connect_http2,
    reason_of,
)
from baton.selftest.parties import Endpoint, GatewayKey
from baton.selftest.rpc import MAX_MESSAGE_BYTES, call
from baton.wire import codec

__all__ = [
    "DOWNLOAD_TIMEOUT_S",
    "Gateway",
    "SegmentAnswer",
    "SegmentJob",
    "segment_timeouts_s",
]

DISCOVERY_TIMEOUT_S = 6.0
"""The longest a gateway waits for anybody; answers later than 500 ms are rarely used (video.md 3.2)."""
RPC_TIMEOUT_S = 8.0
DOWNLOAD_TIMEOUT_S = 4.0
MAX_RENDITION_BYTES = 128 << 20
_TEXT_BYTES = 4096
_SCHEMES = ("https://", "http://")
_STATUS_OK = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SegmentJob:
    """One segment to be sent: bytes and what a gateway says about them."""

    manifest_id: ManifestId
    seq: int
    data: bytes
    duration_ms: int
    profiles: tuple[VideoProfile, ...]
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class SegmentAnswer:
    """What the orchestrator made of a segment; ``header_s`` and ``total_s`` include the upload."""

    result: SegmentResult
    protocol: str
    header_s: float
    total_s: float


def segment_timeouts_s(duration_ms: int) -> tuple[float, float]:
    """How long a gateway waits for the header and for the whole answer of a segment (video.md 4.1)."""
    seconds = duration_ms / 1000
    return max(2.0, 0.5 * seconds), max(8.0, 4 * seconds)


class Gateway:
    """One gateway talking to one orchestrator; use as an async context manager. Not for concurrent segments."""

    def __init__(self, *, endpoint: Endpoint, key: GatewayKey | None = None) -> None:
        """Nothing is opened before the first call."""
        self._endpoint = endpoint
        self._key = key or GatewayKey()
        self._exit = contextlib.AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None
        self._segment_connection: Http2Connection | None = None
        self._segment_stack = contextlib.AsyncExitStack()
        self._segment_endpoint: Endpoint | None = None

    async def __aenter__(self) -> Self:
        """Open the HTTP/1.1 client."""
        timeout = aiohttp.ClientTimeout(total=DOWNLOAD_TIMEOUT_S)
        self._http = await self._exit.enter_async_context(
            aiohttp.ClientSession(
                timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self._segment_stack.aclose()
        await self._exit.aclose()

    @property
    def address(self) -> Address:
        """The account this gateway acts for."""
        return self._key.address

    # Discovery.

    async def get_orchestrator(self, capabilities: Capabilities | None) -> OrchestratorInfo:
        """Ask for terms; ``capabilities`` None asks about the node as a whole.

        Raises:
            RpcError: refused, with the orchestrator's text.
            PeerError: no answer, or one that is not an OrchestratorInfo.
        """
        text = to_checksum_hex(self._key.address).encode("ascii")
        request = OrchestratorRequest(
            sender=self._key.address, signature=self._key.sign(text), capabilities=capabilities
        )
        answer = await call(
            self._endpoint, "GetOrchestrator", codec.encode_orchestrator_request(request), timeout_s=DISCOVERY_TIMEOUT_S
        )
        return _decode(codec.decode_orchestrator_info, answer)

    async def ping(self, value: bytes) -> bytes:
        """The orchestrator's signature over ``value``; no bytes from a node without a key."""
        answer = await call(self._endpoint, "Ping", codec.encode_ping(value), timeout_s=RPC_TIMEOUT_S)
        return _decode(codec.decode_ping, answer)

    async def end_session(self, token: AuthToken) -> None:
        """Say that the session is over."""
        message = codec.encode_end_session(token)
        await call(self._endpoint, "EndTranscodingSession", message, timeout_s=RPC_TIMEOUT_S)

    # Segments.

    async def post_segment(
        self, job: SegmentJob, info: OrchestratorInfo, *, payment: Payment | None = None, http1: bool = False
    ) -> SegmentAnswer:
        """Send one segment to the orchestrator that gave ``info``; without ``payment`` no tickets go along.

        Over HTTP/2 where the peer chooses it; HTTP/1.1 with ``http1``, in cleartext and where the peer knows no other.

        Raises:
            PeerError: unreachable, too slow for a gateway, another status than 200, or an unreadable result.
        """
        target, path = _segment_target(info.transcoder)
        header_timeout_s, total_timeout_s = segment_timeouts_s(job.duration_ms)
        headers = self._segment_headers(job, info, payment)
        timeouts = (header_timeout_s, total_timeout_s)
        connection = None if http1 else await self._segment_connection_to(target)
        if connection is None:
            response = await self._post_http1(target.uri + path, headers, job.data, timeouts)
        else:
            response = await _post_http2(connection, path, headers, job.data, timeouts)
        if response.status != _STATUS_OK:
            text = response.body[:_TEXT_BYTES].decode("utf-8", "replace").strip()
            message = f"status {response.status}: {text}"
            raise PeerError(message)
        result = _decode(codec.decode_segment_result, response.body)
        return SegmentAnswer(
            result=result,
            protocol="HTTP/1.1" if connection is None else "HTTP/2",
            header_s=response.header_s,
            total_s=response.total_s,
        )

    def _segment_headers(
        self, job: SegmentJob, info: OrchestratorInfo, payment: Payment | None
    ) -> tuple[tuple[str, str], ...]:
        unsigned = SegmentMetadata(
            manifest_id=job.manifest_id,
            seq=job.seq,
            content_hash=keccak256(job.data),
            profiles=job.profiles,
            signature=b"",
            duration_ms=job.duration_ms,
            capabilities=job.capabilities,
            auth_token=info.auth_token,
            clip=Clip(from_ms=0, to_ms=0),
        )
        metadata = dataclasses.replace(unsigned, signature=self._key.sign(flatten_segment(unsigned)))
        told = b""
        if payment is None and self._key.private_key is not None:
            payment = Payment(sender=self._key.address, expected_price=info.price)
        if payment is not None:
            told = codec.encode_payment(payment)
        return (
            ("content-type", "video/MP2T"),
            ("livepeer-segment", base64.b64encode(codec.encode_segment_data(metadata)).decode("ascii")),
            ("livepeer-payment", base64.b64encode(told).decode("ascii")),
        )

    async def _segment_connection_to(self, target: Endpoint) -> Http2Connection | None:
        """The kept connection, a new one when it is gone or points elsewhere; None when it must be HTTP/1.1."""
        if not target.tls:
            return None
        connection = self._segment_connection
        if connection is not None and connection.usable and self._segment_endpoint == target:
            return connection
        await self._segment_stack.aclose()
        try:
            self._segment_connection = await self._segment_stack.enter_async_context(
                connect_http2(target.host, target.port, tls=True)
            )
        except NotHttp2Error:
            return None
        self._segment_endpoint = target
        return self._segment_connection

    async def _post_http1(
        self,
        url: str,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
        timeouts_s: tuple[float, float],
    ) -> Response:
        header_timeout_s, total_timeout_s = timeouts_s
        loop = asyncio.get_running_loop()
        started = loop.time()
        waiting_for = f"header timeout: no answer within {header_timeout_s:g} s"
        try:
            async with asyncio.timeout(header_timeout_s) as deadline:
                async with self._client.post(
                    url,
                    data=body,
                    headers=dict(headers),
                    ssl=False,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as response:
                    header_s = loop.time() - started
                    waiting_for = f"body timeout: no end of the answer within {total_timeout_s:g} s"
                    deadline.reschedule(started + total_timeout_s)
                    answer = await _read_bounded(response, MAX_MESSAGE_BYTES)
                    return Response(response.status, {}, answer, header_s, loop.time() - started)
        except TimeoutError as error:
            raise PeerTooSlowError(waiting_for) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            message = f"broken HTTP/1.1: {reason_of(error)}"
            raise PeerError(message) from error

    async def download(self, url: str) -> bytes:
        """A rendition, as a gateway fetches it: HTTP/1.1, 200, within 4 s. Raises ``PeerError``."""
        if not url[:8].lower().startswith(_SCHEMES):
            message = "rendition URL is not http or https"
            raise PeerError(message)
        try:
            async with self._client.get(url, ssl=False, max_redirects=3) as response:
                if response.status != _STATUS_OK:
                    message = f"rendition answered {response.status}"
                    raise PeerError(message)
                return await _read_bounded(response, MAX_RENDITION_BYTES)
        except TimeoutError as error:
            message = f"rendition not fetched within {DOWNLOAD_TIMEOUT_S:g} s"
            raise PeerTooSlowError(message) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            message = f"rendition not fetched: {reason_of(error)}"
            raise PeerError(message) from error

    async def status_of(self, path: str) -> int:
        """Status of a plain GET over HTTP/1.1. Raises ``PeerError``."""
        try:
            async with self._client.get(f"{self._endpoint.uri}{path}", ssl=False, allow_redirects=False) as response:
                return response.status
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            message = f"no answer over HTTP/1.1: {reason_of(error)}"
            raise PeerError(message) from error

    @property
    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            message = "a Gateway is used inside its context"
            raise RuntimeError(message)
        return self._http


async def _post_http2(
    connection: Http2Connection,
    path: str,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
    timeouts_s: tuple[float, float],
) -> Response:
    return await connection.request(
        method="POST",
        path=path,
        headers=(*headers, ("content-length", str(len(body)))),
        body=body,
        header_timeout_s=timeouts_s[0],
        total_timeout_s=timeouts_s[1],
        max_body_bytes=MAX_MESSAGE_BYTES,
    )


async def _read_bounded(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > limit_bytes:
            message = f"answer longer than {limit_bytes} bytes"
            raise PeerError(message)
    return bytes(body)


def _segment_target(transcoder: str) -> tuple[Endpoint, str]:
    """Where and under which path segments go: ``/segment`` behind whatever path the URI has, as gateways append it."""
    try:
        parts = urllib.parse.urlsplit(transcoder)
        endpoint = Endpoint.parse(f"{parts.scheme}://{parts.netloc}")
    except ValueError as error:
        message = f"unusable transcoder URI: {error}"
        raise PeerError(message) from error
    return endpoint, f"{urllib.parse.quote(parts.path, safe='/%')}/segment"


def _decode(decode: Callable[[bytes], T], data: bytes) -> T:
    """Decode a stranger's bytes; whatever is wrong with them is the peer's fault."""
    try:
        return decode(data)
    except (DecodeError, codec.UnreadableError, RefusedError, ValueError, OverflowError) as error:
        message = f"unreadable answer: {error}"
        raise PeerError(message) from error
