"""Capabilities: what a node can do, as ids, bit strings and constraints, and when an offer meets a request.

Ids and their order are fixed by the network for ever (video.md 5.1). A bit string is a tuple of 64-bit words, bit 0
the least significant; ids below zero have no bit. Pure values and functions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

from baton.kernel.version import version_at_least

__all__ = [
    "CAPABILITY_NAMES",
    "EVERY_NODE",
    "Capabilities",
    "Capability",
    "ModelConstraint",
    "bits_from_ids",
    "capability_name",
    "ids_from_bits",
    "is_compatible",
    "is_subset",
]

_WORD_BITS = 64


class Capability(IntEnum):
    """Every capability the network has numbered. 13 (scene classification) is retired and has no name."""

    INVALID = -2
    UNUSED = -1
    H264 = 0
    MPEGTS = 1
    MP4 = 2
    FRACTIONAL_FRAMERATES = 3
    STORAGE_DIRECT = 4
    STORAGE_S3 = 5
    STORAGE_GCS = 6
    H264_BASELINE_PROFILE = 7
    H264_MAIN_PROFILE = 8
    H264_HIGH_PROFILE = 9
    H264_CONSTRAINED_HIGH_PROFILE = 10
    GOP = 11
    AUTH_TOKEN = 12
    MPEG7_SIGNATURE = 14
    HEVC_DECODE = 15
    HEVC_ENCODE = 16
    VP8_DECODE = 17
    VP9_DECODE = 18
    VP8_ENCODE = 19
    VP9_ENCODE = 20
    H264_DECODE_444_8BIT = 21
    H264_DECODE_422_8BIT = 22
    H264_DECODE_444_10BIT = 23
    H264_DECODE_422_10BIT = 24
    H264_DECODE_420_10BIT = 25
    SEGMENT_SLICING = 26
    TEXT_TO_IMAGE = 27
    IMAGE_TO_IMAGE = 28
    IMAGE_TO_VIDEO = 29
    UPSCALE = 30
    AUDIO_TO_TEXT = 31
    SEGMENT_ANYTHING_2 = 32
    LLM = 33
    IMAGE_TO_TEXT = 34
    LIVE_VIDEO_TO_VIDEO = 35
    TEXT_TO_SPEECH = 36
    BYOC = 37


CAPABILITY_NAMES: Mapping[int, str] = MappingProxyType(
    {
        Capability.INVALID: "Invalid",
        Capability.UNUSED: "Unused",
        Capability.H264: "H.264",
        Capability.MPEGTS: "MPEGTS",
        Capability.MP4: "MP4",
        Capability.FRACTIONAL_FRAMERATES: "Fractional framerates",
        Capability.STORAGE_DIRECT: "Storage direct",
        Capability.STORAGE_S3: "Storage S3",
        Capability.STORAGE_GCS: "Storage GCS",
        Capability.H264_BASELINE_PROFILE: "H264 Baseline profile",
        Capability.H264_MAIN_PROFILE: "H264 Main profile",
        Capability.H264_HIGH_PROFILE: "H264 High profile",
        Capability.H264_CONSTRAINED_HIGH_PROFILE: "H264 Constrained, Contained High profile",
        Capability.GOP: "GOP",
        Capability.AUTH_TOKEN: "Auth token",
        Capability.MPEG7_SIGNATURE: "MPEG7 signature",
        Capability.HEVC_DECODE: "HEVC decode",
        Capability.HEVC_ENCODE: "HEVC encode",
        Capability.VP8_DECODE: "VP8 decode",
        Capability.VP9_DECODE: "VP9 decode",
        Capability.VP8_ENCODE: "VP8 encode",
        Capability.VP9_ENCODE: "VP9 encode",
        Capability.H264_DECODE_444_8BIT: "H264 Decode YUV444 8-bit",
        Capability.H264_DECODE_422_8BIT: "H264 Decode YUV422 8-bit",
        Capability.H264_DECODE_444_10BIT: "H264 Decode YUV444 10-bit",
        Capability.H264_DECODE_422_10BIT: "H264 Decode YUV422 10-bit",
        Capability.H264_DECODE_420_10BIT: "H264 Decode YUV420 10-bit",
        Capability.SEGMENT_SLICING: "Segment slicing",
        Capability.TEXT_TO_IMAGE: "Text to image",
        Capability.IMAGE_TO_IMAGE: "Image to image",
        Capability.IMAGE_TO_VIDEO: "Image to video",
        Capability.UPSCALE: "Upscale",
        Capability.AUDIO_TO_TEXT: "Audio to text",
        Capability.SEGMENT_ANYTHING_2: "Segment anything 2",
        Capability.LLM: "Llm",
        Capability.IMAGE_TO_TEXT: "Image to text",
        Capability.LIVE_VIDEO_TO_VIDEO: "Live video to video",
        Capability.TEXT_TO_SPEECH: "Text to speech",
        Capability.BYOC: "byoc",
    }
)
"""Names operators know, by id."""


EVERY_NODE = frozenset(
    {
        *range(Capability.H264, Capability.AUTH_TOKEN + 1),
        Capability.MPEG7_SIGNATURE,
        Capability.SEGMENT_SLICING,
    }
)
"""The default set of video.md 5.1: what every video node must be able to do."""


def capability_name(capability_id: int) -> str:
    """The network's name of a capability; an id nobody named prints as its number."""
    return CAPABILITY_NAMES.get(capability_id, str(capability_id))


def bits_from_ids(ids: Iterable[int]) -> tuple[int, ...]:
    """The bit string of a set of ids; negative ids are skipped, an empty set is an empty string."""
    words: list[int] = []
    for capability_id in ids:
        if capability_id < 0:
            continue
        index, bit = divmod(capability_id, _WORD_BITS)
        words.extend([0] * (index + 1 - len(words)))
        words[index] |= 1 << bit
    return tuple(words)


def ids_from_bits(bits: Iterable[int]) -> tuple[int, ...]:
    """The ids whose bits are set, ascending."""
    return tuple(
        index * _WORD_BITS + bit for index, word in enumerate(bits) for bit in range(_WORD_BITS) if word >> bit & 1
    )


def is_subset(wanted: tuple[int, ...], offered: tuple[int, ...]) -> bool:
    """Whether every wanted bit is offered. More words than the offer has is a no, even when they are zero."""
    if len(wanted) > len(offered):
        return False
    return all(w & o == w for w, o in zip(wanted, offered, strict=False))


@dataclass(frozen=True, slots=True)
class ModelConstraint:
    """What is asked of, or offered for, one model of one capability."""

    warm: bool = False
    capacity: int = 0
    runner_version: str = ""
    capacity_in_use: int = 0


_NO_CAPACITIES: Mapping[int, int] = MappingProxyType({})
_NO_MODELS: Mapping[int, Mapping[str, ModelConstraint]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Capabilities:
    """An offer or a request: bit strings, capacities by id, software version and constraints."""

    bits: tuple[int, ...] = ()
    mandatory_bits: tuple[int, ...] = ()
    capacities: Mapping[int, int] = field(default_factory=lambda: _NO_CAPACITIES)
    version: str = ""
    min_version: str = ""
    models: Mapping[int, Mapping[str, ModelConstraint]] = field(default_factory=lambda: _NO_MODELS)

    @classmethod
    def offering(cls, ids: Iterable[int], *, version: str, min_version: str = "") -> "Capabilities":
        """An offer of ``ids`` with capacity 1 each."""
        listed = tuple(ids)
        return cls(
            bits=bits_from_ids(listed),
            capacities=MappingProxyType({i: 1 for i in sorted(listed) if i >= 0}),
            version=version,
            min_version=min_version,
        )

    def adding(self, capacities: Mapping[int, int]) -> "Capabilities":
        """This offer with ``capacities`` on top; ids that were missing appear."""
        merged = dict(self.capacities)
        for capability_id, n in capacities.items():
            merged[capability_id] = merged.get(capability_id, 0) + n
        return self._with_capacities(merged)

    def removing(self, capacities: Mapping[int, int]) -> "Capabilities":
        """This offer less ``capacities``; ids at zero or below vanish with their bits, unknown ids are ignored."""
        merged = dict(self.capacities)
        for capability_id, n in capacities.items():
            if capability_id in merged:
                merged[capability_id] -= n
        return self._with_capacities({i: n for i, n in merged.items() if n > 0})

    def _with_capacities(self, merged: dict[int, int]) -> "Capabilities":
        gone = self.capacities.keys() - merged.keys()
        words = list(self.bits)
        for capability_id in gone:
            index, bit = divmod(capability_id, _WORD_BITS)
            if 0 <= index < len(words):
                words[index] &= ~(1 << bit)
        added = bits_from_ids(merged)
        words.extend([0] * (len(added) - len(words)))
        for index, word in enumerate(added):
            words[index] |= word
        return Capabilities(
            bits=tuple(words),
            mandatory_bits=self.mandatory_bits,
            capacities=MappingProxyType(dict(sorted(merged.items()))),
            version=self.version,
            min_version=self.min_version,
            models=self.models,
        )


def _models_compatible(
    wanted: Mapping[int, Mapping[str, ModelConstraint]], offered: Mapping[int, Mapping[str, ModelConstraint]]
) -> bool:
    for capability_id, models in wanted.items():
        constrained = offered.get(capability_id)
        if constrained is None:
            continue
        for model_id, want in models.items():
            have = constrained.get(model_id)
            if have is None or (want.warm and not have.warm):
                return False
            if not version_at_least(have.runner_version, want.runner_version):
                return False
    return True


def is_compatible(request: Capabilities | None, offer: Capabilities) -> bool:
    """Whether ``offer`` can serve ``request`` (video.md 5.4): version, mandatory bits, models, then bits."""
    if request is None:
        return False
    return (
        version_at_least(offer.version, request.min_version)
        and is_subset(offer.mandatory_bits, request.bits)
        and _models_compatible(request.models, offer.models)
        and is_subset(request.bits, offer.bits)
    )
