"""The peer gateway: discovery over grpcio, segments over httpx, renditions over HTTP/1.1, verification of all of it.

Synchronous on purpose: tests that need several requests at once use threads. Certificates are never verified, as no
peer of the network does; grpcio cannot skip the check, so the certificate is fetched and pinned.
"""

import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import grpc
import httpx
from eth_utils.crypto import keccak
from google.protobuf.message import Message

from tests.peer.keys import PeerKey, recover
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import HTTP_PUSH_BITS, SegmentPost, capabilities, compose_segment

__all__ = ["Answer", "Delivered", "PeerGateway", "RpcError", "VerificationError"]

_SERVICE = "/net.Orchestrator/"
_DEFAULT_TIMEOUT_S = 45.0


class RpcError(Exception):
    """A gRPC call ended with a status other than OK."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"code {code}: {text}")
        self.code = code
        self.text = text


class VerificationError(AssertionError):
    """The node delivered something a verifying gateway refuses."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer and when its parts came (seconds after the request began)."""

    status: int
    headers: httpx.Headers
    body: bytes
    http_version: str
    headers_s: float
    total_s: float

    @property
    def text(self) -> str:
        """Body as text, line feed included."""
        return self.body.decode()

    @property
    def result(self) -> pb.TranscodeResult:
        """The body of a 200."""
        return pb.TranscodeResult.FromString(self.body)

    @property
    def error(self) -> str:
        """Error text in the result; empty on success."""
        return self.result.error


@dataclass(frozen=True, slots=True)
class Delivered:
    """One segment that came back: its answer and the downloaded renditions in profile order."""

    answer: Answer
    renditions: tuple[bytes, ...]
    pixels: tuple[int, ...]


class PeerGateway:
    """A gateway of one account towards one orchestrator. Close it, or use it as a context manager."""

    def __init__(self, url: str, *, key: PeerKey | None = None, timeout_s: float = _DEFAULT_TIMEOUT_S) -> None:
        """``url`` is the orchestrator's base URI; its scheme decides between TLS and cleartext (h2c)."""
        self.url = url
        self.key = key or PeerKey.fresh()
        self._timeout_s = timeout_s
        self._h2 = httpx.Client(http1=False, http2=True, verify=False, timeout=timeout_s, trust_env=False)
        self._h1 = httpx.Client(http1=True, http2=False, verify=False, timeout=timeout_s, trust_env=False)
        self._channel: grpc.Channel | None = None
        self._greeted = False
        self.tokens: list[pb.AuthToken] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._h2.close()
        self._h1.close()
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    # Discovery.

    def call(self, method: str, request: Message | bytes, answer: type[Message], *, timeout_s: float = 8.0) -> Message:
        """One unary call; ``request`` may be raw bytes that are no message at all."""
        stub = self._grpc().unary_unary(
            method if method.startswith("/") else _SERVICE + method,
            request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        try:
            reply = stub(request, timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError as error:
            raise RpcError(error.code().value[0], error.details() or "") from error
        assert isinstance(reply, answer)
        return reply

    def orchestrator_request(self, *, bits: Sequence[int] | None = (HTTP_PUSH_BITS,)) -> pb.OrchestratorRequest:
        """The question of an honest gateway; ``bits`` None leaves the capabilities out."""
        return pb.OrchestratorRequest(
            address=self.key.address,
            sig=self.key.sign(self.key.checksum_hex.encode()),
            capabilities=None if bits is None else capabilities(*bits),
        )

    def get_orchestrator(
        self, request: pb.OrchestratorRequest | None = None, *, bits: Sequence[int] | None = (HTTP_PUSH_BITS,)
    ) -> pb.OrchestratorInfo:
        """Terms and a fresh token."""
        reply = self.call("GetOrchestrator", request or self.orchestrator_request(bits=bits), pb.OrchestratorInfo)
        assert isinstance(reply, pb.OrchestratorInfo)
        self.tokens.append(reply.auth_token)
        return reply

    def ping(self, value: bytes) -> bytes:
        """The node's signature over ``value``."""
        reply = self.call("Ping", pb.PingPong(value=value), pb.PingPong)
        assert isinstance(reply, pb.PingPong)
        return reply.value

    def end_session(self, token: pb.AuthToken | None) -> None:
        """Say that a session is over."""
        request = pb.EndTranscodingSessionRequest(auth_token=token)
        self.call("EndTranscodingSession", request, pb.EndTranscodingSessionResponse)

    def end_all(self) -> None:
        """End every session whose token this gateway obtained."""
        while self.tokens:
            self.end_session(self.tokens.pop())

    # Segments.

    def compose(
        self,
        body: bytes,
        *,
        info: pb.OrchestratorInfo | None,
        profiles: Sequence[pb.VideoProfile],
        seq: int = 0,
        manifest_id: bytes = b"abcdef",
        duration_ms: int = 2000,
        bits: Sequence[int] = (HTTP_PUSH_BITS,),
    ) -> SegmentPost:
        """A correct post of ``body`` under the token of ``info`` (None: without token)."""
        data = compose_segment(
            signer=self.key,
            body=body,
            token=None if info is None else info.auth_token,
            manifest_id=manifest_id,
            seq=seq,
            profiles=profiles,
            duration_ms=duration_ms,
            bits=bits,
        )
        return SegmentPost(data=data, body=body, payment=pb.Payment(sender=self.key.address), signer=self.key)

    def post(self, post: SegmentPost, *, http2: bool = True, url: str | None = None) -> Answer:
        """Send a segment and read the whole answer."""
        return self.request("POST", url or self.url + "/segment", headers=post.headers, body=post.body, http2=http2)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | Iterator[bytes] | None = None,
        http2: bool = True,
    ) -> Answer:
        """Any request; redirects are answers, not followed."""
        client = self._h2 if http2 else self._h1
        if http2 and not self._greeted:
            # A first request without body brings the server's windows in. Without them this client library pauses in
            # the middle of a body, and takes an early refusal that meets it there for an error of its own.
            client.get(self.url + "/healthz")
            self._greeted = True
        began = time.monotonic()
        with client.stream(method, url, headers=headers, content=body, follow_redirects=False) as response:
            headers_s = time.monotonic() - began
            content = response.read()
        return Answer(
            status=response.status_code,
            headers=response.headers,
            body=content,
            http_version=response.http_version,
            headers_s=headers_s,
            total_s=time.monotonic() - began,
        )

    # Results.

    def download(self, url: str) -> bytes:
        """A rendition, as gateways fetch it: HTTP/1.1, at most 4 s."""
        response = self._h1.get(url, timeout=4.0)
        if response.status_code != httpx.codes.OK:
            message = f"{response.status_code} for a rendition"
            raise VerificationError(message)
        return response.content

    def verify_signature(self, answer: Answer, renditions: Sequence[bytes], signer: bytes) -> None:
        """Demand the result's signature over the hashes of ``renditions`` by ``signer`` (20 bytes)."""
        message = b"".join(keccak(r) for r in renditions)
        if recover(message, answer.result.data.sig) != signer:
            error = "result signature does not match the orchestrator's address"
            raise VerificationError(error)

    def deliver(self, post: SegmentPost, *, http2: bool = True) -> Delivered:
        """Post a segment that must succeed and fetch its renditions."""
        answer = self.post(post, http2=http2)
        if answer.status != httpx.codes.OK or answer.error:
            message = f"segment {post.data.seq}: {answer.status} {answer.error or answer.body[:200]!r}"
            raise VerificationError(message)
        segments = answer.result.data.segments
        return Delivered(
            answer=answer,
            renditions=tuple(self.download(s.url) for s in segments),
            pixels=tuple(s.pixels for s in segments),
        )

    def stream(
        self,
        segments: Sequence[bytes],
        *,
        profiles: Sequence[pb.VideoProfile],
        manifest_id: bytes = b"abcdef",
        duration_ms: int = 2000,
        http2: bool = True,
        bits: Sequence[int] = (HTTP_PUSH_BITS,),
    ) -> Iterator[Delivered]:
        """Discover, send ``segments`` one after another, and end the session."""
        info = self.get_orchestrator(bits=bits)
        try:
            for seq, body in enumerate(segments):
                post = self.compose(
                    body,
                    info=info,
                    profiles=profiles,
                    seq=seq,
                    manifest_id=manifest_id,
                    duration_ms=duration_ms,
                    bits=bits,
                )
                yield self.deliver(post, http2=http2)
        finally:
            self.end_session(info.auth_token)

    def _grpc(self) -> grpc.Channel:
        if self._channel is None:
            parts = urlsplit(self.url)
            target = f"{parts.hostname}:{parts.port}"
            if parts.scheme == "http":
                self._channel = grpc.insecure_channel(target)
            else:
                pem = ssl.get_server_certificate((str(parts.hostname), int(parts.port or 0)), timeout=10)
                credentials = grpc.ssl_channel_credentials(pem.encode())
                options = [("grpc.ssl_target_name_override", parts.hostname)]
                self._channel = grpc.secure_channel(target, credentials, options)
        return self._channel
