"""A minimal gateway: asks an orchestrator for terms, sends it segments, fetches renditions, ends the session.

Protocols, timeouts and the order of things are a real gateway's (video.md 1.1, 3.2, 4.1, 4.8): gRPC and segments over
HTTP/2, renditions over HTTP/1.1, certificates never verified. It trusts nothing of what it talks to: every answer is
bounded in size and time, and whatever is wrong becomes a ``PeerError`` with the reason. It sends no tickets.
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
from baton.kernel.crypto import keccak256, public_key_to_address, sign_message
from baton.kernel.errors import RefusedError
from baton.kernel.ids import ZERO_ADDRESS, Address, ManifestId, to_checksum_hex
from baton.kernel.profiles import VideoProfile
from baton.media.job import Clip
from baton.selftest.http2 import Http2Connection, NotHttp2Error, PeerError, Response, connect_http2, reason_of
from baton.wire import codec

__all__ = [
    "DOWNLOAD_TIMEOUT_S",
    "Endpoint",
    "Gateway",
    "GatewayKey",
    "RpcError",
    "SegmentAnswer",
    "SegmentJob",
    "segment_timeouts_s",
]

DISCOVERY_TIMEOUT_S = 6.0
"""The longest a gateway waits for anybody; answers later than 500 ms are rarely used (video.md 3.2)."""
RPC_TIMEOUT_S = 8.0
DOWNLOAD_TIMEOUT_S = 4.0
MAX_MESSAGE_BYTES = 4 << 20
"""What gRPC peers of the network accept."""
MAX_RENDITION_BYTES = 128 << 20
_SERVICE = "/net.Orchestrator/"
_PREFIX_BYTES = 5
_TEXT_BYTES = 4096
_DEFAULT_PORTS = {"https": 443, "http": 80}
_STATUS_OK = 200

T = TypeVar("T")


class RpcError(PeerError):
    """The orchestrator answered a call with an error: gRPC ``code`` and its text."""

    def __init__(self, code: int, text: str) -> None:
        """``code`` is gRPC's number; 2 for everything an orchestrator refuses."""
        super().__init__(f"rpc error: code {code}: {text}")
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an orchestrator listens: ``https`` (TLS) or ``http`` (cleartext with h2c)."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, uri: str, *, default_port: int | None = None) -> "Endpoint":
        """Read ``[scheme://]host[:port]``; no scheme means TLS.

        Raises:
            ValueError: another scheme, no host, a port that is none, or a path.
        """
        full = uri if "://" in uri else f"https://{uri}"
        parts = urllib.parse.urlsplit(full)
        if parts.scheme not in _DEFAULT_PORTS:
            message = f"scheme must be http or https: {uri!r}"
            raise ValueError(message)
        if not parts.hostname or parts.username is not None or parts.path not in {"", "/"} or parts.query:
            message = f"not the address of an orchestrator: {uri!r}"
            raise ValueError(message)
        return cls(parts.scheme, parts.hostname, parts.port or default_port or _DEFAULT_PORTS[parts.scheme])

    @property
    def tls(self) -> bool:
        """Whether the endpoint speaks TLS."""
        return self.scheme == "https"

    @property
    def uri(self) -> str:
        """``scheme://host:port`` without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """The gateway's account, or none: off-chain gateways state the zero address and sign nothing."""

    address: Address = ZERO_ADDRESS
    private_key: bytes | None = None

    @classmethod
    def from_private_key(cls, private_key: bytes) -> "GatewayKey":
        """The account of a 32-byte key; raises ``ValueError`` for a key that is none."""
        import coincurve

        public = coincurve.PrivateKey(private_key).public_key
        return cls(Address(public_key_to_address(public)), private_key)

    def sign(self, message: bytes) -> bytes:
        """65 bytes, or none without a key."""
        return sign_message(self.private_key, message) if self.private_key is not None else b""


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
        answer = await self._call("GetOrchestrator", codec.encode_orchestrator_request(request), DISCOVERY_TIMEOUT_S)
        return _decode(codec.decode_orchestrator_info, answer)

    async def ping(self, value: bytes) -> bytes:
        """The orchestrator's signature over ``value``; no bytes from a node without a key."""
        answer = await self._call("Ping", codec.encode_ping(value), RPC_TIMEOUT_S)
        return _decode(codec.decode_ping, answer)

    async def end_session(self, token: AuthToken) -> None:
        """Say that the session is over."""
        await self._call("EndTranscodingSession", codec.encode_end_session(token), RPC_TIMEOUT_S)

    async def _call(self, method: str, message: bytes, timeout_s: float) -> bytes:
        """One unary call on a connection of its own, as a gateway makes it."""
        framed = b"\x00" + len(message).to_bytes(4, "big") + message
        async with connect_http2(self._endpoint.host, self._endpoint.port, tls=self._endpoint.tls) as connection:
            response = await connection.request(
                method="POST",
                path=_SERVICE + method,
                headers=(("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "baton-selftest")),
                body=framed,
                header_timeout_s=timeout_s,
                total_timeout_s=timeout_s,
                max_body_bytes=MAX_MESSAGE_BYTES + _PREFIX_BYTES,
            )
        return _unframe(response)

    # Segments.

    async def post_segment(self, job: SegmentJob, info: OrchestratorInfo, *, http1: bool = False) -> SegmentAnswer:
        """Send one segment to the orchestrator that gave ``info``.

        Over HTTP/2 where the peer chooses it; HTTP/1.1 with ``http1``, in cleartext and where the peer knows no other.

        Raises:
            PeerError: unreachable, too slow for a gateway, another status than 200, or an unreadable result.
        """
        target = _endpoint_of(info.transcoder)
        header_timeout_s, total_timeout_s = segment_timeouts_s(job.duration_ms)
        headers = self._segment_headers(job, info)
        timeouts = (header_timeout_s, total_timeout_s)
        connection = None if http1 else await self._segment_connection_to(target)
        if connection is None:
            response = await self._post_http1(target, headers, job.data, timeouts)
        else:
            response = await _post_http2(connection, headers, job.data, timeouts)
        if response.status != _STATUS_OK:
            text = response.body[:_TEXT_BYTES].decode("utf-8", "replace").strip()
            message = f"status {response.status}: {text}"
            raise PeerError(message)
        result = _decode(codec.decode_segment_result, response.body)
        return SegmentAnswer(result=result, header_s=response.header_s, total_s=response.total_s)

    def _segment_headers(self, job: SegmentJob, info: OrchestratorInfo) -> tuple[tuple[str, str], ...]:
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
        payment = b""
        if self._key.private_key is not None:
            payment = codec.encode_payment(Payment(sender=self._key.address, expected_price=info.price))
        return (
            ("content-type", "video/MP2T"),
            ("livepeer-segment", base64.b64encode(codec.encode_segment_data(metadata)).decode("ascii")),
            ("livepeer-payment", base64.b64encode(payment).decode("ascii")),
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
        target: Endpoint,
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
                    f"{target.uri}/segment",
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
            raise PeerError(waiting_for) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            message = f"broken HTTP/1.1: {reason_of(error)}"
            raise PeerError(message) from error

    async def download(self, url: str) -> bytes:
        """A rendition, as a gateway fetches it: HTTP/1.1, 200, within 4 s. Raises ``PeerError``."""
        if urllib.parse.urlsplit(url).scheme not in _DEFAULT_PORTS:
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
            raise PeerError(message) from error
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
    connection: Http2Connection, headers: tuple[tuple[str, str], ...], body: bytes, timeouts_s: tuple[float, float]
) -> Response:
    return await connection.request(
        method="POST",
        path="/segment",
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


def _endpoint_of(transcoder: str) -> Endpoint:
    try:
        return Endpoint.parse(transcoder)
    except ValueError as error:
        message = f"unusable transcoder URI: {error}"
        raise PeerError(message) from error


def _decode(decode: Callable[[bytes], T], data: bytes) -> T:
    """Decode a stranger's bytes; whatever is wrong with them is the peer's fault."""
    try:
        return decode(data)
    except (DecodeError, codec.UnreadableError, RefusedError, ValueError, OverflowError) as error:
        message = f"unreadable answer: {error}"
        raise PeerError(message) from error


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
        raise RpcError(int(stated), urllib.parse.unquote(text[:_TEXT_BYTES]))
    body = response.body
    if (
        len(body) < _PREFIX_BYTES
        or body[0] != 0
        or int.from_bytes(body[1:_PREFIX_BYTES], "big") + _PREFIX_BYTES != len(body)
    ):
        message = "gRPC answer is not one uncompressed message"
        raise PeerError(message)
    return body[_PREFIX_BYTES:]
