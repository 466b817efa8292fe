"""What an engine is asked to do with one segment and what it gives back: plain values, no codec library in sight.

These types cross the pipe between the node and an engine child, so the node process never imports a codec.
"""

from dataclasses import dataclass

from baton.kernel.profiles import VideoProfile

__all__ = ["Clip", "EncoderTuning", "EngineReport", "RenditionOutput", "TranscodeOutput", "TranscodeRequest"]


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
