"""A desk with real parts where they are cheap, and scripted ones where a test must steer: payments, engine, spool."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from baton.jobs.admission import Admission, SegmentRequest
from baton.jobs.discovery import Discovery
from baton.jobs.info import InfoBuilder
from baton.jobs.intake import Intake
from baton.jobs.messages import (
    AuthToken,
    ObjectStoreOffer,
    OrchestratorRequest,
    Payment,
    Price,
    SegmentMetadata,
    SegmentResult,
)
from baton.jobs.offchain import SignatureCheck, TrustingCheck
from baton.jobs.ports import Admitted, FetchError, Quote, SpooledSegment, SpoolError, StoreError, WebhookRefusedError
from baton.jobs.segment import SegmentDesk
from baton.jobs.streams import Streams
from baton.jobs.tokens import TokenMint
from baton.jobs.work import Work
from baton.kernel.capabilities import Capabilities, Capability
from baton.kernel.clock import ManualClock
from baton.kernel.crypto import keccak256
from baton.kernel.errors import RefusedError
from baton.kernel.ids import ZERO_ADDRESS, Address, ManifestId, SessionId
from baton.kernel.metrics import Metrics, SilentMetrics
from baton.kernel.profiles import PRESETS
from baton.media.job import RenditionOutput, TranscodeOutput
from baton.video.job import SegmentJob
from baton.video.sessions import SessionTable

BODY = b"segment-bytes"
PROFILES = (PRESETS["P144p30fps16x9"], PRESETS["P240p30fps16x9"])
OFFERED = (Capability.H264, Capability.MPEGTS, Capability.AUTH_TOKEN, Capability.SEGMENT_SLICING)


class Ledger:
    """Payments that write down what they were told."""

    def __init__(self) -> None:
        self.accepted: list[int] = []
        self.settled: list[int] = []
        self.overtime: list[int] = []
        self.released = 0
        self.received: list[str] = []
        self.paid: set[str] = set()
        """Sessions that paid before."""
        self.refuse_quote: RefusedError | None = None
        self.refuse_payment: RefusedError | None = None
        self.capability_prices: tuple[Price, ...] = ()

    async def quote(
        self,
        *,
        sender: Address,
        session_id: SessionId,
        capabilities: Capabilities | None,
        price_override: Price | None = None,
    ) -> Quote:
        del sender, session_id, capabilities
        if self.refuse_quote is not None:
            raise self.refuse_quote
        return Quote(price=price_override, capability_prices=self.capability_prices)

    async def accept(
        self, *, payment: Payment, session_id: SessionId, estimated_px: int, price_override: Price | None = None
    ) -> Admitted:
        del price_override
        if self.refuse_payment is not None:
            raise self.refuse_payment
        self.accepted.append(estimated_px)
        return Admitted(sender=payment.sender, session_id=session_id)

    async def receive(
        self,
        payment: Payment,
        *,
        key: SessionId,
        capabilities: Capabilities | None = None,
        price_override: Price | None = None,
    ) -> None:
        del payment, capabilities, price_override
        if self.refuse_payment is not None:
            raise self.refuse_payment
        self.received.append(key)

    async def refresh(self, *, sender: Address, key: SessionId) -> Quote | None:
        if key not in self.paid:
            return None
        return await self.quote(sender=sender, session_id=key, capabilities=None)

    def is_paid(self, *, sender: Address, session_id: SessionId) -> bool:
        del sender
        return session_id in self.paid

    async def settle(self, admitted: Admitted, *, pixels: int, overtime_px: int = 0) -> None:
        del admitted
        self.overtime.append(overtime_px)
        self.settled.append(pixels)

    async def release(self, admitted: Admitted) -> None:
        del admitted
        self.released += 1


class Engine:
    """A transcoder that does what the test says."""

    def __init__(self) -> None:
        self.jobs: list[SegmentJob] = []
        self.deadlines_s: list[float] = []
        self.running = 0
        self.cancelled = 0
        self.error: Exception | None = None
        self.hashes = True
        """Whether it can compute perceptual hashes."""
        self.gate = asyncio.Event()
        self.gate.set()

    async def transcode(self, job: SegmentJob, *, deadline_s: float) -> TranscodeOutput:
        self.jobs.append(job)
        self.deadlines_s.append(deadline_s)
        self.running += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error
        outputs = tuple(
            RenditionOutput(
                data=p.name.encode() * 4,
                pixels=p.width * p.height,
                frames=1,
                width=p.width,
                height=p.height,
                perceptual_hash=b"hash of " + p.name.encode() if job.perceptual_hash and self.hashes else b"",
            )
            for p in job.profiles
        )
        return TranscodeOutput(renditions=outputs, decoded_px=1, decoded_frames=1, engine_ms=5)


@dataclass(slots=True)
class Spooled:
    data: bytes
    path: str = "in.tempfile"
    removed: bool = False

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    @property
    def content_hash(self) -> bytes:
        return keccak256(self.data)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.removed = True


class Spool:
    """Holds bodies in memory, and can be full."""

    def __init__(self) -> None:
        self.files: list[Spooled] = []
        self.full = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def receive(self, body: AsyncIterator[bytes], *, limit_bytes: int) -> SpooledSegment:
        del limit_bytes
        await self.gate.wait()
        if self.full:
            message = "no room"
            raise SpoolError(message)
        spooled = Spooled(b"".join([chunk async for chunk in body]))
        self.files.append(spooled)
        return spooled


class Fetcher:
    """Serves one address."""

    async def _fetch(self, url: str) -> AsyncIterator[bytes]:
        if url != "https://store.example/1.ts":
            message = "refused"
            raise FetchError(message)
        yield BODY

    def fetch(self, url: str, *, limit_bytes: int) -> AsyncIterator[bytes]:
        del limit_bytes
        return self._fetch(url)


class Store:
    """Keeps renditions until the test makes it fail."""

    def __init__(self, *, is_lent: bool = False) -> None:
        self.is_lent = is_lent
        self.saved: dict[str, bytes] = {}
        self.fail_after: int | None = None
        self.hang = False
        self.ended: list[SessionId] = []

    async def save(self, *, session_id: SessionId, name: str, data: bytes, content_type: str) -> str:
        del content_type
        if self.hang:
            await asyncio.Event().wait()
        if self.fail_after is not None and len(self.saved) >= self.fail_after:
            message = "Session ended"
            raise StoreError(message)
        self.saved[f"{session_id}/{name}"] = data
        return f"https://o.example:8935/stream/{session_id}/{name}"

    async def end_session(self, session_id: SessionId) -> None:
        self.ended.append(session_id)


class Key:
    """A signer whose signature shows what was signed."""

    def __init__(self, *, name: str = "offchain") -> None:
        self.orch_id = name
        self.address = ZERO_ADDRESS

    def sign(self, message: bytes) -> bytes:
        return b"" if self.orch_id == "offchain" else b"signed:" + message


class Webhook:
    """Says what the test wants."""

    def __init__(self) -> None:
        self.refuse: str | None = None
        self.price: Price | None = None

    async def authenticate(self, sender: Address) -> Price | None:
        del sender
        if self.refuse is not None:
            raise WebhookRefusedError(self.refuse)
        return self.price


@dataclass(slots=True)
class Gate:
    takes_sessions: bool = True
    takes_segments: bool = True


class Stores:
    """Satisfies ``RenditionStores``; ``lent`` holds a store per host that gateways lent."""

    def __init__(self, own: Store, lent: dict[str, Store] | None = None) -> None:
        self.own = own
        self.lent = {} if lent is None else lent

    def for_session(self, offer: ObjectStoreOffer | None) -> Store:
        return self.own if offer is None else self.lent.setdefault(offer.host, Store(is_lent=True))

    async def end_session(self, session_id: SessionId) -> None:
        await self.own.end_session(session_id)


class Secret:
    current = b"s" * 32

    def acceptable(self, now: float) -> tuple[bytes, ...]:
        del now
        return (self.current,)


@dataclass(slots=True)
class Rig:
    """Everything a test wants to reach, wired as ``app`` wires it."""

    max_sessions: int = 10
    verify: bool = False
    signer: Key = field(default_factory=Key)
    service_uri: str = "https://o.example:8935"
    clock: ManualClock = field(default_factory=ManualClock)
    ledger: Ledger = field(default_factory=Ledger)
    engine: Engine = field(default_factory=Engine)
    spool: Spool = field(default_factory=Spool)
    store: Store = field(default_factory=Store)
    lent: dict[str, Store] = field(default_factory=dict)
    gate: Gate = field(default_factory=Gate)
    webhook: Webhook = field(default_factory=Webhook)
    metrics: Metrics = field(default_factory=SilentMetrics)
    accepted: int = 0
    mint: TokenMint = field(init=False)
    streams: Streams = field(init=False)
    desk: SegmentDesk = field(init=False)
    discovery: Discovery = field(init=False)

    def __post_init__(self) -> None:
        metrics = self.metrics
        senders = SignatureCheck() if self.verify else TrustingCheck()
        self.mint = TokenMint(keys=Secret(), clock=self.clock)
        self.streams = Streams(
            table=SessionTable(limit=self.max_sessions),
            stores=Stores(self.store, self.lent),
            clock=self.clock,
            metrics=metrics,
        )
        info = InfoBuilder(
            service_uri=self.service_uri,
            nodes=(),
            signer=self.signer,
            payments=self.ledger,
            capabilities=lambda: Capabilities.offering(OFFERED, version="0.9.1"),
        )
        admission = Admission(
            senders=senders,
            tokens=self.mint,
            streams=self.streams,
            gate=self.gate,
            info=info,
            payments=self.ledger,
            cached_price=lambda _sender: self.webhook.price,
            clock=self.clock,
        )
        intake = Intake(spool=self.spool, fetcher=Fetcher(), clock=self.clock, metrics=metrics)
        work = Work(
            streams=self.streams,
            transcoder=self.engine,
            signer=self.signer,
            payments=self.ledger,
            clock=self.clock,
            metrics=metrics,
        )
        self.desk = SegmentDesk(admission=admission, intake=intake, work=work, clock=self.clock, metrics=metrics)
        self.discovery = Discovery(
            senders=senders,
            signer=self.signer,
            tokens=self.mint,
            info=info,
            streams=self.streams,
            gate=self.gate,
            webhook=self.webhook,
            clock=self.clock,
            metrics=metrics,
        )

    def metadata(self, *, token: AuthToken | None = None, seq: int = 1, manifest: str = "stream") -> SegmentMetadata:
        return SegmentMetadata(
            manifest_id=ManifestId(manifest),
            seq=seq,
            content_hash=keccak256(BODY),
            profiles=PROFILES,
            signature=b"",
            duration_ms=2000,
            capabilities=Capabilities(),
            auth_token=token or self.mint.issue(caller="10.0.0.1"),
        )

    def request(self, metadata: SegmentMetadata | None = None, *, content_type: str = "video/MP2T") -> SegmentRequest:
        return SegmentRequest(
            payment=Payment(),
            metadata=metadata or self.metadata(),
            content_type=content_type,
            peer_host="10.0.0.1",
            arrived=self.clock.monotonic(),
        )

    async def send(self, request: SegmentRequest | None = None, *, body: bytes = BODY) -> SegmentResult:
        async def chunks() -> AsyncIterator[bytes]:
            yield body[:3]
            yield body[3:]

        async def accepted() -> None:
            self.accepted += 1

        return await self.desk.handle(request or self.request(), chunks(), accepted=accepted)

    def question(self) -> OrchestratorRequest:
        return OrchestratorRequest(sender=ZERO_ADDRESS, signature=b"", capabilities=Capabilities())


def without_token(metadata: SegmentMetadata) -> SegmentMetadata:
    return replace(metadata, auth_token=None)


def scenario(body: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(5):
            await body()

    asyncio.run(main())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
