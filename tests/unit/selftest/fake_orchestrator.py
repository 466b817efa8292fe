"""An orchestrator for the tests of the probe: honest unless told to lie, on one TLS port like a real one.

It transcodes nothing: its renditions were made beforehand and are looked up by the hash of the segment.
"""

import asyncio
import base64
import contextlib
import datetime as dt
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from baton.jobs.messages import AuthToken, OrchestratorInfo, RenditionRef, SegmentMetadata, SegmentResult
from baton.kernel.capabilities import Capabilities
from baton.kernel.crypto import keccak256, sign_message
from baton.kernel.ids import ZERO_ADDRESS, Address, SessionId
from baton.wire import codec

PRIVATE_KEY = bytes([0x46]) * 32
ADDRESS = Address(bytes.fromhex("9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"))


@dataclass(frozen=True, slots=True)
class Made:
    """A rendition and its real pixels."""

    data: bytes
    pixels: int


@dataclass(slots=True)
class Behaviour:
    """What the fake does; every field is a place to lie."""

    signed: bool = False
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    discovery_delay_s: float = 0.0
    info: Callable[[OrchestratorInfo], OrchestratorInfo] = lambda info: info
    discovery_bytes: Callable[[bytes], bytes] = lambda message: message
    discovery_error: str = ""
    grpc_prefix: Callable[[bytes], bytes] = lambda message: b"\x00" + len(message).to_bytes(4, "big")
    ping: Callable[[bytes], bytes] = lambda reply: reply
    segment_refusal: tuple[int, str] | None = None
    segment_silent: bool = False
    segment_path: str = "/segment"
    result: Callable[[SegmentResult], SegmentResult] = lambda result: result
    result_bytes: Callable[[bytes], bytes] = lambda message: message
    rendition: Callable[[int, int, Made], Made] = lambda _seq, _index, made: made
    stored: Callable[[bytes], bytes | None] = lambda data: data
    endless_result: bool = False


@dataclass(slots=True)
class Seen:
    """What gateways did."""

    discoveries: int = 0
    ended: list[AuthToken | None] = field(default_factory=list)
    segments: list[tuple[str, SegmentMetadata, str]] = field(default_factory=list)
    """Protocol, metadata and payment header of each segment."""


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("127.0.0.1")]), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "fake.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whatever it came over."""

    protocol: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; trailers exist on HTTP/2 only. ``silent`` never answers."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    trailers: tuple[tuple[str, str], ...] = ()
    silent: bool = False
    endless: bool = False


class FakeOrchestrator:
    """One fake on a loopback port; ``uri`` is known inside ``serving``."""

    def __init__(self, renditions: Mapping[bytes, tuple[Made, ...]], behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.seen = Seen()
        self.uri = ""
        self._renditions = renditions
        self._stored: dict[str, bytes] = {}
        self._endless = 0

    @contextlib.asynccontextmanager
    async def serving(self, folder: Path) -> AsyncIterator["FakeOrchestrator"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificate(folder))
        if self.behaviour.alpn:
            context.set_alpn_protocols(list(self.behaviour.alpn))
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            with contextlib.suppress(OSError, asyncio.CancelledError, h2.exceptions.H2Error):
                tls = writer.get_extra_info("ssl_object")
                speak = self._http2 if tls.selected_alpn_protocol() == "h2" else self._http1
                await speak(reader, writer)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            tasks.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
        self.uri = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.wait_closed()

    # Protocols.

    async def _http2(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        connection.increment_flow_control_window(1 << 24)
        writer.write(connection.data_to_send())
        requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        while data := await reader.read(1 << 16):
            for event in connection.receive_data(data):
                match event:
                    case h2.events.RequestReceived():
                        headers = {str(n): str(v) for n, v in event.headers}
                        requests[event.stream_id] = (headers, bytearray())
                    case h2.events.DataReceived():
                        requests[event.stream_id][1].extend(event.data)
                        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case h2.events.StreamEnded():
                        headers, body = requests.pop(event.stream_id)
                        answer = await self._answer(Request("HTTP/2", headers[":path"], headers, bytes(body)))
                        await self._send_http2(connection, event.stream_id, answer, writer)
            if self._endless:
                while connection.local_flow_control_window(self._endless) >= 16_384:
                    connection.send_data(self._endless, bytes(16_384))
            writer.write(connection.data_to_send())
            await writer.drain()

    async def _send_http2(
        self, connection: h2.connection.H2Connection, stream_id: int, answer: Answer, writer: asyncio.StreamWriter
    ) -> None:
        if answer.silent:
            return
        connection.send_headers(stream_id, [(":status", str(answer.status)), *answer.headers])
        if answer.endless:
            self._endless = stream_id
            return
        for at in range(0, len(answer.body), 16_384):
            connection.send_data(stream_id, answer.body[at : at + 16_384])
        if answer.trailers:
            connection.send_headers(stream_id, answer.trailers, end_stream=True)
        else:
            connection.end_stream(stream_id)
        writer.write(connection.data_to_send())
        await writer.drain()

    async def _http1(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            except asyncio.IncompleteReadError:
                return
            headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            answer = await self._answer(Request("HTTP/1.1", head[0].split()[1], headers, body))
            if answer.silent:
                await asyncio.Event().wait()
            writer.write(f"HTTP/1.1 {answer.status} X\r\ncontent-length: {len(answer.body)}\r\n\r\n".encode())
            writer.write(answer.body)
            await writer.drain()

    # What it says.

    async def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/net.Orchestrator/"):
            return await self._call(request)
        if request.path == self.behaviour.segment_path:
            return self._segment(request)
        if request.path == "/healthz":
            return Answer(200)
        body = self.behaviour.stored(self._stored.get(request.path, b""))
        return Answer(200, body) if body else Answer(404)

    async def _call(self, request: Request) -> Answer:
        message = request.body[5:]
        reply = b""
        method = request.path.rpartition("/")[2]
        if method == "GetOrchestrator":
            self.seen.discoveries += 1
            await asyncio.sleep(self.behaviour.discovery_delay_s)
            if self.behaviour.discovery_error:
                return self._grpc(b"", status="2", text=self.behaviour.discovery_error)
            reply = self.behaviour.discovery_bytes(codec.encode_orchestrator_info(self.terms()))
        elif method == "Ping":
            value = codec.decode_ping(message)
            reply = codec.encode_ping(self.behaviour.ping(self._sign(value)))
        else:
            self.seen.ended.append(codec.decode_end_session(message))
        return self._grpc(reply)

    def _grpc(self, message: bytes, *, status: str = "0", text: str = "") -> Answer:
        body = b"" if status != "0" else self.behaviour.grpc_prefix(message) + message
        return Answer(
            200,
            body,
            headers=(("content-type", "application/grpc"),),
            trailers=(("grpc-status", status), ("grpc-message", text)),
        )

    def terms(self) -> OrchestratorInfo:
        honest = OrchestratorInfo(
            transcoder=self.uri,
            address=ADDRESS if self.behaviour.signed else ZERO_ADDRESS,
            capabilities=Capabilities.offering((*range(13), 14, 26), version="0.9.1"),
            auth_token=AuthToken(
                token=bytes(32),
                session_id=SessionId(f"session-{self.seen.discoveries}"),
                expiration=int(time.time()) + 1800,
            ),
        )
        return self.behaviour.info(honest)

    def _sign(self, message: bytes) -> bytes:
        return sign_message(PRIVATE_KEY, message) if self.behaviour.signed else b""

    def _segment(self, request: Request) -> Answer:
        metadata = codec.decode_segment_data(base64.b64decode(request.headers["livepeer-segment"]))
        self.seen.segments.append((request.protocol, metadata, request.headers["livepeer-payment"]))
        if self.behaviour.segment_silent:
            return Answer(200, silent=True)
        if self.behaviour.endless_result:
            return Answer(200, endless=True)
        if self.behaviour.segment_refusal is not None:
            status, text = self.behaviour.segment_refusal
            return Answer(status, f"{text}\n".encode())
        assert metadata.content_hash == keccak256(request.body)
        made = [
            self.behaviour.rendition(metadata.seq, i, one)
            for i, one in enumerate(self._renditions[metadata.content_hash])
        ]
        refs = []
        for i, one in enumerate(made):
            path = f"/stream/{metadata.seq}/{i}.ts"
            self._stored[path] = one.data
            refs.append(RenditionRef(url=f"{self.uri}{path}", pixels=one.pixels))
        result = SegmentResult(
            seq=metadata.seq,
            info=self.terms(),
            renditions=tuple(refs),
            signature=self._sign(b"".join(keccak256(one.data) for one in made)),
        )
        return Answer(200, self.behaviour.result_bytes(codec.encode_segment_result(self.behaviour.result(result))))


def with_token(**changes: object) -> Callable[[OrchestratorInfo], OrchestratorInfo]:
    """A lie about the auth token."""
    return lambda info: replace(info, auth_token=replace(info.auth_token, **changes))  # type: ignore[arg-type]  # any field
