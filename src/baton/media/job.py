"""What an engine is asked to do with one segment and what it gives back: plain values, no codec library in sight.

These types cross the pipe between the node and an engine child, so the node process never imports a codec.
"""

from dataclasses import dataclass
from enum import IntEnum

from baton.kernel.profiles import VideoProfile

__all__ = [
    "Acceleration",
    "Choice",
    "Clip",
    "EncoderTuning",
    "EngineReport",
    "HdrTreatment",
    "RenditionOutput",
    "TranscodeOutput",
    "TranscodeRequest",
]


class Acceleration(IntEnum):
    """What kind of device an engine child works with. Its process sees one device of that kind and no other."""

    SOFTWARE = 0
    NVIDIA = 1


class HdrTreatment(IntEnum):
    """What becomes of HDR and of colours wider than BT.709."""

    TONE_MAP = 0
    """They are brought to what every player of 8-bit video shows."""
    PASS_THROUGH = 1
    """The numbers are kept and cut to 8 bits, with the source's description of them."""


class Choice(IntEnum):
    """An operator's word on a capability."""

    AUTO = 0
    """As the probe finds it worth."""
    ON = 1
    OFF = 2


@dataclass(frozen=True, slots=True)
class Clip:
    """Keep only part of the segment: milliseconds from its first frame (video.md 7.5). 0 in ``to_ms`` is no end."""

    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class EncoderTuning:
    """What the operator chose about encoding; peers never see it."""

    preset: str = "medium"
    """Speed preset of the software encoders."""
    threads: int = 0
    """Codec threads per rendition; 0 lets the codec decide."""
    acceleration: Acceleration = Acceleration.SOFTWARE
    """The device behind the engine; what it cannot do is done in software and told as a fallback."""
    buffer_ms: int = 1000
    """How much of a rendition's bitrate the encoder's rate buffer holds: how far a scene may borrow from the next."""
    hdr: HdrTreatment = HdrTreatment.TONE_MAP
    hevc_encoding: Choice = Choice.AUTO
    """Whether HEVC is made. In a request ``OFF`` refuses it; ``AUTO`` is for the probe and makes it."""
    hevc_decoding: Choice = Choice.AUTO
    """Whether HEVC is offered as input. What the probe saw fail is never offered, whatever is said here."""


@dataclass(frozen=True, slots=True)
class TranscodeRequest:
    """One segment to turn into renditions.

    ``input_path`` is a file of ours that the child may read. ``service_provider`` and ``comment`` are the container
    metadata of video.md 7.9. ``profiles`` order is the order of the output.
    """

    input_path: str
    profiles: tuple[VideoProfile, ...]
    clip: Clip | None = None
    service_provider: str = ""
    comment: str = ""
    tuning: EncoderTuning = EncoderTuning()
    perceptual_hash: bool = False
    """Whether each rendition shall come with its MPEG-7 signature (video.md 7.10)."""
    deadline_ms: int = 0
    """When the answer must be there, in milliseconds of the machine's monotonic clock, which all its processes share.
    What is not essential is left out for its sake. 0 is no deadline."""
    session_key: str = ""
    """Segments with the same key belong to one stream: an engine may keep its encoders open between them."""
    force_reinit: bool = False
    """The stream's input has changed its nature: whatever was kept of it must not be used again (video.md 7.12)."""


@dataclass(frozen=True, slots=True)
class RenditionOutput:
    """One finished rendition: its bytes and what was really encoded.

    ``pixels`` is the sum over encoded frames of encoder width times height; the gateway counts again and demands
    equality (video.md 7.6).
    """

    data: bytes
    pixels: int
    frames: int
    width: int
    height: int
    perceptual_hash: bytes = b""
    """MPEG-7 signature, when it was asked for and could be computed."""
    hash_trouble: str = ""
    """Why one that was asked for is missing, for the operator's log."""


@dataclass(frozen=True, slots=True)
class TranscodeOutput:
    """All renditions of one segment in profile order, and what was decoded for them."""

    renditions: tuple[RenditionOutput, ...]
    decoded_px: int
    decoded_frames: int
    engine_ms: int
    """Wall time inside the engine child."""
    fallbacks: tuple[str, ...] = ()
    """What was done in software although the engine has a device, and why; for log and metrics."""
    decoded_ms: int = 0
    """From the first frame of the source to the end of its last, by its own times; 0 where nobody measured."""


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What a probe found an engine to really do on this machine."""

    capability_ids: tuple[int, ...]
    """Capabilities proven by decoding and encoding samples; what is not here is not advertised."""
    refused: tuple[tuple[int, str], ...]
    """Capability ids that were tried and failed, with the reason for the operator's log."""
    engine: str
    """Library and version behind the engine, for logs and status."""
    encoders: tuple[str, ...]
    """Encoder names in use, such as ``libx264``."""
    decoders: tuple[str, ...] = ()
    """Hardware decoders in use, such as ``h264 (cuda)``; empty for a software engine."""
    encoder_sessions: int = 0
    """Encoder sessions the device was seen to run at once, as far as was tried; 0 where there is no such limit."""
    fallbacks: tuple[str, ...] = ()
    """What the device was seen not to do, so that it is done in software, with the reason of each."""
    measured: tuple[str, ...] = ()
    """Speeds that decided what is offered, in words."""
