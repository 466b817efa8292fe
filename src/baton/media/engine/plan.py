"""What a request asks for, checked before any work: the cheap refusals (video.md 7.2, 7.5, 7.11).

Pure apart from the registry of encoders.
"""

from dataclasses import dataclass

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import VideoProfile, output_size
from baton.media.engine.clipping import check_clip
from baton.media.engine.encoders.base import Encoder, b_frames, check_rates
from baton.media.engine.encoders.registry import encoder_for
from baton.media.engine.keyframes import check_gop
from baton.media.engine.muxing import check_format
from baton.media.job import TranscodeRequest

__all__ = ["MAX_RENDITIONS", "Wish", "lookahead_cap_frames", "plan"]

MAX_RENDITIONS = 10
"""Most renditions of one segment (video.md 9.1)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One rendition that can be made: what is asked and who encodes it."""

    profile: VideoProfile
    encoder: Encoder


def plan(request: TranscodeRequest) -> tuple[Wish, ...]:
    """The renditions of a request in its order.

    Raises:
        TranscodeError: with the text of what cannot be.
    """
    if len(request.profiles) > MAX_RENDITIONS:
        raise TranscodeError(Text.TOO_MANY_OUTPUTS, detail=f"{len(request.profiles)} renditions")
    check_clip(request.clip)
    return tuple(_wish(profile) for profile in request.profiles)


def _wish(profile: VideoProfile) -> Wish:
    check_format(profile.format)
    b_frames(profile.profile)
    check_gop(profile)
    check_rates(profile)
    return Wish(profile, encoder_for(profile.codec))


_LOOKAHEAD_BUDGET_PX = 600_000_000
"""Pixels that all encoders of a segment together may hold for lookahead: about 1 GB. A ladder below 4K stays free."""
_LEAST_LOOKAHEAD_FRAMES = 4


def lookahead_cap_frames(profiles: tuple[VideoProfile, ...], *, source_px: tuple[int, int]) -> int:
    """Most frames each encoder may look ahead, so that ten huge renditions do not take the machine's memory."""
    sizes = [
        output_size(source=source_px, requested=(profile.width, profile.height), codec=profile.codec)
        for profile in profiles
    ]
    total_px = sum(width * height for width, height in sizes)
    return max(_LEAST_LOOKAHEAD_FRAMES, _LOOKAHEAD_BUDGET_PX // max(1, total_px))
