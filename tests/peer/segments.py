"""What a gateway says about a segment: profiles, metadata, signed text and both headers (video.md 4.1 to 4.4)."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from eth_utils.crypto import keccak
from google.protobuf.message import Message

from tests.peer.keys import PeerKey
from tests.peer.pb import lp_rpc_pb2 as pb

__all__ = [
    "BODY_TYPE",
    "HTTP_PUSH_BITS",
    "URI_TYPE",
    "SegmentPost",
    "capabilities",
    "compose_segment",
    "flatten",
    "header_value",
    "make_profile",
    "preset",
    "with_profiles",
]

BODY_TYPE = "video/MP2T"
URI_TYPE = "application/vnd+livepeer.uri"

HTTP_PUSH_BITS = 67112963
"""H.264, MPEG-TS, auth token, segment slicing: what every HTTP push stream of plain profiles demands."""

_WORD_BYTES = 32


def capabilities(*bits: int, min_version: str = "") -> pb.Capabilities:
    """A gateway's request: words of the bit string and, as gateways do, a constraints message that is always there."""
    return pb.Capabilities(bitstring=bits, constraints=pb.Capabilities.Constraints(minVersion=min_version))


def make_profile(name: str, width: int, height: int, bitrate: int, fps: int = 0, **fields: int) -> pb.VideoProfile:
    """One rendition to ask for; ``fields`` are further message fields by name."""
    made = pb.VideoProfile(name=name, width=width, height=height, bitrate=bitrate, fps=fps)
    for field_name, value in fields.items():
        setattr(made, field_name, value)
    return made


_PRESETS = {
    "P720p30fps16x9": (1280, 720, 4_000_000, 30),
    "P360p30fps16x9": (640, 360, 1_200_000, 30),
    "P240p30fps16x9": (426, 240, 600_000, 30),
    "P144p30fps16x9": (256, 144, 400_000, 30),
}


def preset(name: str) -> pb.VideoProfile:
    """A preset as gateways spell it out."""
    return make_profile(name, *_PRESETS[name])


def with_profiles(data: pb.SegData, profiles: Iterable[pb.VideoProfile]) -> None:
    """Put ``profiles`` into the field gateways choose: 35 for anything special, 34 for some MP4, else 33."""
    listed = list(profiles)
    data.ClearField("fullProfiles")
    data.ClearField("fullProfiles2")
    data.ClearField("fullProfiles3")
    if any(p.fpsDen or p.profile or p.gop for p in listed):
        data.fullProfiles3.extend(listed)
    elif any(p.format == pb.VideoProfile.MP4 for p in listed):
        data.fullProfiles2.extend(listed)
    else:
        data.fullProfiles.extend(listed)


def _profiles_of(data: pb.SegData) -> Sequence[pb.VideoProfile]:
    return data.fullProfiles3 or data.fullProfiles2 or data.fullProfiles


def flatten(data: pb.SegData) -> bytes:
    """The text a gateway signs: id, 32-byte sequence, 32-byte hash, then eight hex digits per profile name."""
    name_ids = "".join(keccak(text=p.name).hex()[:8] for p in _profiles_of(data))
    sequence = abs(data.seq).to_bytes(_WORD_BYTES, "big")
    return data.manifestId + sequence + data.hash[-_WORD_BYTES:].rjust(_WORD_BYTES, b"\0") + name_ids.encode()


def header_value(message: Message) -> str:
    """Padded standard base64 of a message, as both headers carry it."""
    return base64.b64encode(message.SerializeToString()).decode()


@dataclass(frozen=True, slots=True)
class SegmentPost:
    """One POST /segment, every part of it replaceable.

    ``segment_header`` and ``payment_header`` override what ``data`` and ``payment`` would say; None leaves them to
    these, and an empty text sends an empty header.
    """

    data: pb.SegData
    body: bytes
    payment: pb.Payment = field(default_factory=pb.Payment)
    content_type: str = BODY_TYPE
    segment_header: str | None = None
    payment_header: str | None = None
    extra_headers: tuple[tuple[str, str], ...] = ()
    signer: PeerKey | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers as sent."""
        segment, payment = self.segment_header, self.payment_header
        return {
            "Livepeer-Segment": header_value(self.data) if segment is None else segment,
            "Livepeer-Payment": header_value(self.payment) if payment is None else payment,
            "Content-Type": self.content_type,
            **dict(self.extra_headers),
        }

    def signed(self) -> "SegmentPost":
        """The same post with a fresh signature, for after a change of what the signature covers."""
        if self.signer is None:
            return self
        data = pb.SegData()
        data.CopyFrom(self.data)
        data.sig = self.signer.sign(flatten(data))
        return replace(self, data=data)


def compose_segment(
    *,
    signer: PeerKey,
    body: bytes,
    token: pb.AuthToken | None,
    manifest_id: bytes = b"abcdef",
    seq: int = 0,
    profiles: Sequence[pb.VideoProfile],
    duration_ms: int = 2000,
    bits: Sequence[int] = (HTTP_PUSH_BITS,),
) -> pb.SegData:
    """Metadata of a segment as an honest gateway sends it, signature included."""
    data = pb.SegData(
        manifestId=manifest_id,
        seq=seq,
        hash=keccak(body),
        profiles=b"invalid",
        duration=duration_ms,
        capabilities=capabilities(*bits),
        auth_token=token,
    )
    with_profiles(data, profiles)
    data.sig = signer.sign(flatten(data))
    return data
