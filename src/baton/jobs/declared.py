"""What a gateway declared of a segment against what came of it: frames that nobody paid ahead (video.md 4.8, 11.4).

Gateways pay ahead for the frames of the duration that they declare. A push without a duration counts as two seconds and
may really last ten or more, so such segments are made and billed in full; but not at any length. That a rendition has
more pixels than were asked for because its source has another shape is no matter here, nor is a source of up to 120
frames a second that passes through where 60 are paid ahead: its duration is true.
"""

from dataclasses import dataclass

from baton.kernel.profiles import VideoProfile, estimated_frames
from baton.media.job import RenditionOutput, TranscodeOutput

__all__ = ["MOST_TIMES_DECLARED", "Measured", "measure"]

MOST_TIMES_DECLARED = 10
"""A paid segment of more than so many times its declared frames is not delivered: a push without a duration may last
twenty seconds."""

_FASTEST_FPS = 120
"""Of a source that passes through; whoever claims more would only write other times into long segments."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Pixels of a segment's renditions, at the size they really have."""

    declared_px: int
    """Of the frames that were declared."""
    overtime_px: int
    """Of the frames beyond them."""

    @property
    def is_deliverable(self) -> bool:
        """Whether what was declared is in any relation to what came."""
        return self.overtime_px <= (MOST_TIMES_DECLARED - 1) * self.declared_px


def measure(profiles: tuple[VideoProfile, ...], output: TranscodeOutput, *, duration_ms: int) -> Measured:
    """Compare the renditions with what their gateway declared."""
    declared_px = overtime_px = 0
    for profile, rendition in zip(profiles, output.renditions, strict=True):
        frames = _declared_frames(profile, rendition, duration_ms=duration_ms, decoded_ms=output.decoded_ms)
        area_px = rendition.width * rendition.height
        declared_px += frames * area_px
        overtime_px += max(0, rendition.frames - frames) * area_px
    return Measured(declared_px, overtime_px)


def _declared_frames(profile: VideoProfile, rendition: RenditionOutput, *, duration_ms: int, decoded_ms: int) -> int:
    frames = estimated_frames(profile, duration_ms=duration_ms)
    if profile.frame_rate is not None or decoded_ms <= 0:
        return frames
    seconds = -(-max(duration_ms, 0) // 1000)
    # The share of a fast source that its gateway declared.
    true = -(-rendition.frames * min(1000 * seconds, decoded_ms) // decoded_ms)
    return max(frames, min(true, _FASTEST_FPS * seconds))
