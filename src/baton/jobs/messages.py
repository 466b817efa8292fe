"""What gateways and orchestrators say to one another, as frozen values (the wire's bytes are ``wire.codec``'s affair).

Field meanings answer to video.md 2 and 4.4. Absent messages are None, never an empty stand-in, where a check depends
on the difference.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from baton.kernel.capabilities import Capabilities
from baton.kernel.crypto import keccak256
from baton.kernel.ids import (
    ZERO_ADDRESS,
    Address,
    ManifestId,
    SessionId,
    manifest_id_bytes,
)
from baton.kernel.profiles import VideoProfile
from baton.media.job import Clip

__all__ = [
    "AuthToken",
    "ObjectStoreKind",
    "ObjectStoreOffer",
    "OrchestratorInfo",
    "OrchestratorRequest",
    "Payment",
    "Price",
    "RenditionRef",
    "SegmentMetadata",
    "SegmentResult",
    "SignedNonce",
    "TicketParams",
    "flatten_segment",
]


@dataclass(frozen=True, slots=True)
class AuthToken:
    """Leave to use a session until ``expiration`` (Unix seconds); ``token`` is our HMAC over the other two."""

    token: bytes
    session_id: SessionId
    expiration: int


@dataclass(frozen=True, slots=True)
class Price:
    """``wei_per_unit / px_per_unit``; capability and model only in lists of prices."""

    wei_per_unit: int
    px_per_unit: int
    capability: int = 0
    constraint: str = ""


@dataclass(frozen=True, slots=True)
class TicketParams:
    """Terms under which tickets are accepted, as the bytes that travel. Absent off-chain."""

    recipient: bytes
    face_value: bytes
    win_prob: bytes
    recipient_rand_hash: bytes
    seed: bytes
    expiration_block: bytes
    creation_round: int
    creation_round_block_hash: bytes


@dataclass(frozen=True, slots=True)
class SignedNonce:
    """What tells one ticket of a payment from the next: its nonce, and the sender's signature over the whole."""

    sender_nonce: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Payment:
    """The payment header of a request: who pays, at which price, with which tickets.

    ``ticket_params`` None means that no new tickets come, because credit lasts; round and hash in them are the
    payment's own words on when its tickets were made, zero when it says nothing.
    """

    sender: Address = ZERO_ADDRESS
    expected_price: Price | None = None
    has_sender: bool = False
    """Whether an address came at all; none counts as the zero address in signatures."""
    ticket_params: TicketParams | None = None
    tickets: tuple[SignedNonce, ...] = ()


class ObjectStoreKind(IntEnum):
    """Where objects go, by wire number."""

    DIRECT = 0
    S3 = 1
    GOOGLE = 2


@dataclass(frozen=True, slots=True)
class ObjectStoreOffer:
    """Leave to write into somebody's object store; ``host`` is empty when the sender forgot the credentials."""

    kind: ObjectStoreKind
    host: str = ""
    key_prefix: str = ""
    policy: str = field(default="", repr=False)
    signature: str = field(default="", repr=False)
    credential: str = field(default="", repr=False)
    amz_date: str = ""


@dataclass(frozen=True, slots=True)
class SegmentMetadata:
    """What a gateway says about one segment; already converted, so every field has a usable value.

    ``content_hash`` is as received and may have any length: it is compared with the real hash, nothing else.
    """

    manifest_id: ManifestId
    seq: int
    content_hash: bytes
    profiles: tuple[VideoProfile, ...]
    signature: bytes
    duration_ms: int
    capabilities: Capabilities
    auth_token: AuthToken | None
    calc_perceptual_hash: bool = False
    storage: ObjectStoreOffer | None = None
    clip: Clip | None = None
    force_reinit: bool = False


@dataclass(frozen=True, slots=True)
class OrchestratorRequest:
    """A gateway's question for terms. ``capabilities`` None asks about the node as a whole."""

    sender: Address
    signature: bytes
    capabilities: Capabilities | None
    ignore_capacity_check: bool = False


@dataclass(frozen=True, slots=True)
class OrchestratorInfo:
    """The answer: where to send work, on what terms, with which token.

    ``capabilities`` is the empty offer where nothing but fresh terms is told.
    """

    transcoder: str
    address: Address
    capabilities: Capabilities
    auth_token: AuthToken
    nodes: tuple[str, ...] = ()
    ticket_params: TicketParams | None = None
    price: Price | None = None
    capability_prices: tuple[Price, ...] = ()
    storage: tuple[ObjectStoreOffer, ...] = ()


@dataclass(frozen=True, slots=True)
class RenditionRef:
    """Where a rendition can be fetched and how many pixels were encoded for it."""

    url: str
    pixels: int
    perceptual_hash_url: str = ""


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """The body of an answered segment: renditions and a signature over them, or an error text.

    ``info`` None: the gateway goes on with the terms it has.
    """

    seq: int
    info: OrchestratorInfo | None
    renditions: tuple[RenditionRef, ...] = ()
    signature: bytes = b""
    error: str = ""


_WORD_BYTES = 32
_NAME_ID_BYTES = 4


def flatten_segment(metadata: SegmentMetadata) -> bytes:
    """The bytes a gateway signs for a segment: manifest id, sequence, hash and profile names (video.md 4.3).

    The hash is right-aligned into 32 bytes as peers do with any length; each profile counts as the hex text of the
    first four bytes of its name's hash.
    """
    sequence = abs(metadata.seq).to_bytes(_WORD_BYTES, "big")
    content_hash = metadata.content_hash[-_WORD_BYTES:].rjust(_WORD_BYTES, b"\x00")
    names = b"".join(
        keccak256(p.name.encode("utf-8", "surrogateescape"))[:_NAME_ID_BYTES].hex().encode("ascii")
        for p in metadata.profiles
    )
    return manifest_id_bytes(metadata.manifest_id) + sequence + content_hash + names
