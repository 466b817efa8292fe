"""What a request asks for, checked before any work: the cheap refusals (video.md 7.2, 7.5, 7.11).

Pure apart from the registry of encoders.
"""

from dataclasses import dataclass

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import VideoCodec, VideoProfile, output_size
from baton.media.engine.clipping import check_clip
from baton.media.engine.encoders.base import Encoder, b_frames, check_rates
from baton.media.engine.encoders.registry import FindEncoders, encoders_for
from baton.media.engine.keyframes import check_gop
from baton.media.engine.muxing import check_format
from baton.media.job import Choice, EncoderTuning, TranscodeRequest

__all__ = ["ENCODER_BUDGET_BYTES", "MAX_RENDITIONS", "Wish", "lookahead_cap_frames", "plan"]

MAX_RENDITIONS = 10
"""Most renditions of one segment (video.md 9.1)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One rendition that can be made: what is asked and who encodes it."""

    profile: VideoProfile
    encoders: tuple[Encoder, ...]
    """Who may encode it, the preferred one first; the last one works on any machine."""

    @property
    def max_side_px(self) -> int:
        """Longest side that any of them takes."""
        return max(encoder.max_side_px for encoder in self.encoders)

    @property
    def pixel_format(self) -> str:
        """What the preferred one wants to be fed; the others take it too, by way of a copy."""
        return self.encoders[0].pixel_format


def plan(request: TranscodeRequest, *, find: FindEncoders = encoders_for) -> tuple[Wish, ...]:
    """The renditions of a request in its order; ``find`` names who may encode them.

    Raises:
        TranscodeError: with the text of what cannot be.
    """
    if len(request.profiles) > MAX_RENDITIONS:
        raise TranscodeError(Text.TOO_MANY_OUTPUTS, detail=f"{len(request.profiles)} renditions")
    check_clip(request.clip)
    return tuple(_wish(profile, request.tuning, find) for profile in request.profiles)


def _wish(profile: VideoProfile, tuning: EncoderTuning, find: FindEncoders) -> Wish:
    check_format(profile.format)
    b_frames(profile.profile)
    check_gop(profile)
    check_rates(profile)
    if profile.codec is VideoCodec.H265 and tuning.hevc_encoding is Choice.OFF:
        raise TranscodeError(Text.ENCODER_NOT_FOUND, detail="this node does not offer HEVC encoding")
    return Wish(profile, find(profile.codec, tuning.acceleration))


ENCODER_BUDGET_BYTES = 2_400_000_000
"""What all encoders of one segment together may take; a 4K ladder needs 2.2 GB and stays as it is."""
_BYTES_PER_PX = 65
"""Measured with x264: references, frames in flight and their side tables."""
_LOOKAHEAD_BYTES_PER_PX = 3
"""Measured with x264, for each frame of lookahead."""
_LEAST_LOOKAHEAD_FRAMES = 4


def lookahead_cap_frames(profiles: tuple[VideoProfile, ...], *, source_px: tuple[int, int]) -> int:
    """Most frames each encoder may look ahead, so that huge renditions do not take the machine's memory.

    Raises:
        TranscodeError: ``TranscoderInvalidResolution`` for renditions that are too large together whatever we do.
    """
    sizes = [
        output_size(source=source_px, requested=(profile.width, profile.height), codec=profile.codec)
        for profile in profiles
    ]
    total_px = sum(width * height for width, height in sizes)
    frames = (ENCODER_BUDGET_BYTES // max(1, total_px) - _BYTES_PER_PX) // _LOOKAHEAD_BYTES_PER_PX
    if frames < _LEAST_LOOKAHEAD_FRAMES:
        raise TranscodeError(Text.INVALID_RESOLUTION, detail=f"{total_px} px per frame in all renditions")
    return frames
