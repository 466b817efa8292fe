"""What the use cases need from the outside, each need a port of a few methods. Adapters satisfy them structurally."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from baton.jobs.messages import ObjectStoreOffer, Payment, Price, TicketParams
from baton.kernel.capabilities import Capabilities
from baton.kernel.ids import Address, SessionId
from baton.kernel.profiles import VideoProfile

__all__ = [
    "Admitted",
    "AuthWebhook",
    "EngineRoom",
    "FetchError",
    "MediaStore",
    "ObjectPoster",
    "Payments",
    "Quote",
    "RenditionStores",
    "SegmentFetcher",
    "SegmentSpool",
    "SenderCheck",
    "ServedMedia",
    "ServedObject",
    "Signer",
    "SpoolError",
    "SpooledSegment",
    "StoreError",
    "StoreOffers",
    "WebhookRefusedError",
]


class Signer(Protocol):
    """The node's own key, or its absence: a node without one signs everything with nothing."""

    @property
    def address(self) -> Address:
        """The address results are signed for; 20 zero bytes without a key."""
        ...

    @property
    def orch_id(self) -> str:
        """Checksummed address, or ``offchain``: how renditions name their maker."""
        ...

    def sign(self, message: bytes) -> bytes:
        """65 bytes over ``message``, or no bytes without a key."""
        ...


class SenderCheck(Protocol):
    """Whether a gateway's signature counts. Off-chain nodes take every one."""

    @property
    def identifies_senders(self) -> bool:
        """True when a passed check proves who the sender is."""
        ...

    def verify(self, sender: Address, message: bytes, signature: bytes) -> bool:
        """Whether ``sender`` signed ``message``."""
        ...


@dataclass(frozen=True, slots=True)
class Quote:
    """Terms for one sender and session; all absent off-chain."""

    price: Price | None = None
    ticket_params: TicketParams | None = None
    capability_prices: tuple[Price, ...] = ()


@dataclass(frozen=True, slots=True)
class Admitted:
    """What payments hold for one admitted request, to be settled or released exactly once."""

    sender: Address
    session_id: SessionId
    hold_id: int = 0
    """0: nothing is held, since nothing is owed."""


class Payments(Protocol):
    """Where money stands. The order of calls for a segment: quote, accept, then settle or release.

    ``quote`` and ``accept`` may raise ``RefusedError`` with the status and text the peer shall see. The two that end a
    hold come after the peer has its 200 and have nothing to refuse; once called, the hold is theirs to end, even when
    they are cancelled.
    """

    async def quote(
        self,
        *,
        sender: Address,
        session_id: SessionId,
        capabilities: Capabilities | None,
        price_override: Price | None = None,
    ) -> Quote:
        """Terms for this sender and session; ``capabilities`` None quotes the node as a whole."""
        ...

    async def accept(
        self, *, payment: Payment, session_id: SessionId, estimated_px: int, price_override: Price | None = None
    ) -> Admitted:
        """Take the tickets of a payment, then demand a balance that covers the job; holds its estimated cost."""
        ...

    async def receive(
        self,
        payment: Payment,
        *,
        key: SessionId,
        capabilities: Capabilities | None = None,
        price_override: Price | None = None,
    ) -> None:
        """Take the tickets of a payment into an account, for work of these capabilities, and ask for nothing."""
        ...

    async def refresh(self, *, sender: Address, key: SessionId) -> Quote | None:
        """Fresh terms at the price pinned for an account; None when none is pinned."""
        ...

    def is_paid(self, *, sender: Address, session_id: SessionId) -> bool:
        """Whether the session has paid before: it is worth going on with when no new terms can be made."""
        ...

    async def settle(self, admitted: Admitted, *, pixels: int, overtime_px: int = 0) -> None:
        """Debit the work that was done and release the hold; ``overtime_px`` of it were not declared."""
        ...

    async def release(self, admitted: Admitted) -> None:
        """Give the hold back: nothing was delivered."""
        ...


class MediaStore(Protocol):
    """Where renditions wait until the gateway fetched them. Sessions are folders; names never escape them."""

    @property
    def is_lent(self) -> bool:
        """Whether it is the gateway's own: what is saved there is delivered, whatever it answers."""
        ...

    async def save(self, *, session_id: SessionId, name: str, data: bytes, content_type: str) -> str:
        """Keep ``data`` under ``name`` (may hold one ``/``) and return the URL a peer can fetch it from.

        Raises ``StoreError`` when it cannot be kept.
        """
        ...

    async def end_session(self, session_id: SessionId) -> None:
        """The session is over: its objects go after a grace period. Unknown sessions are fine."""
        ...


class RenditionStores(Protocol):
    """Which store a session writes to: the node's own, or one that its gateway lends (video.md 4.5, 6.3)."""

    def for_session(self, offer: ObjectStoreOffer | None) -> MediaStore:
        """The store for a session whose first segment came with ``offer``; whoever asks remembers the answer."""
        ...

    async def end_session(self, session_id: SessionId) -> None:
        """The session is over, wherever its renditions went."""
        ...


class StoreOffers(Protocol):
    """Leave for gateways to write into the node's own bucket (video.md 3.3)."""

    async def offer(self, session_id: SessionId) -> ObjectStoreOffer:
        """What lets a gateway write into the folder of one session."""
        ...


class ObjectPoster(Protocol):
    """Posts an object by form into a bucket that somebody gave leave for."""

    async def post(self, offer: ObjectStoreOffer, *, name: str, data: bytes, content_type: str) -> str:
        """Write ``data`` as ``<key prefix>/<name>`` and return its URL.

        Raises ``StoreError``, its text the store's own words where it had any.
        """
        ...


class StoreError(Exception):
    """A rendition could not be kept; the text is for the peer, ``detail`` for our log alone."""

    def __init__(self, text: str, *, detail: str = "") -> None:
        """``detail`` says why where ``text`` may not."""
        super().__init__(text)
        self.detail = detail


class SpooledSegment(Protocol):
    """A received segment on our disk; leaving the context removes it."""

    @property
    def path(self) -> str:
        """The file."""
        ...

    @property
    def size_bytes(self) -> int:
        """Its length."""
        ...

    @property
    def content_hash(self) -> bytes:
        """Keccak-256 of its bytes."""
        ...

    async def __aenter__(self) -> Self:
        """The segment itself."""
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Remove the file."""
        ...


class SegmentSpool(Protocol):
    """Takes segments in without holding them in memory."""

    async def receive(self, body: AsyncIterator[bytes], *, limit_bytes: int) -> SpooledSegment:
        """Write ``body`` to a file of our own naming, hashing as it comes; closes ``body`` when it stops early.

        Raises:
            SpoolError: longer than ``limit_bytes``, or no room on disk. Nothing is left behind.
        """
        ...


class SpoolError(Exception):
    """A body could not be taken in."""


class SegmentFetcher(Protocol):
    """Downloads a segment that a gateway left in a store. Never reaches into the operator's own network."""

    def fetch(self, url: str, *, limit_bytes: int) -> AsyncIterator[bytes]:
        """The bytes behind ``url``; raises ``FetchError``."""
        ...


class FetchError(Exception):
    """A segment could not be downloaded: refused address, wrong status, too long, too slow."""


class EngineRoom(Protocol):
    """Which streams the engines of this node can take, and what they hold for those they have."""

    @property
    def has_room(self) -> bool:
        """Whether a session nobody knows could find a place."""
        ...

    def admits(self, session_id: SessionId, profiles: tuple[VideoProfile, ...]) -> bool:
        """Whether a session that asks for these profiles has a place, or would find one."""
        ...

    def continue_session(self, before: SessionId, after: SessionId) -> None:
        """Session ``after`` goes on with the stream of ``before`` and takes its place over."""
        ...

    def end_session(self, session_id: SessionId) -> None:
        """The session is over: whatever is held for it goes. Any number of times; unknown sessions are fine."""
        ...


class AuthWebhook(Protocol):
    """The operator's own say over who may ask."""

    async def authenticate(self, sender: Address) -> Price | None:
        """Price override for the sender, if any.

        Raises:
            WebhookRefusedError: its text follows ``authentication failed: ``.
        """
        ...


class WebhookRefusedError(Exception):
    """The webhook said no, or said nothing we could use."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ServedObject:
    """One stored object as it is served: its bytes and their content type."""

    data: bytes
    content_type: str


class ServedMedia(Protocol):
    """The reading side of a store that we serve ourselves under ``/stream/``."""

    async def read(self, *, session_id: SessionId, name: str) -> ServedObject | None:
        """The object, or None when session or name are unknown. ``name`` comes from the wire and is not trusted."""
        ...
