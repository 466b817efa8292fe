"""What a gateway declared of a segment against what came of it: frames that nobody paid ahead (video.md 4.8, 11.4).

Gateways pay ahead for the frames of the duration that they declare. A push without a duration counts as two seconds and
may really last ten or more, so such segments are made and billed in full; but not at any length. That a rendition has
more pixels than were asked for because its source has another shape is no matter here.
"""

from dataclasses import dataclass

from baton.kernel.profiles import VideoProfile, estimated_frames
from baton.media.job import RenditionOutput

__all__ = ["MOST_TIMES_DECLARED", "Measured", "measure"]

MOST_TIMES_DECLARED = 10
"""A paid segment of more than so many times its declared frames is not delivered: a push without a duration may last
twenty seconds."""


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


def measure(profiles: tuple[VideoProfile, ...], outputs: tuple[RenditionOutput, ...], *, duration_ms: int) -> Measured:
    """Compare renditions, in profile order, with what their gateway declared."""
    declared_px = overtime_px = 0
    for profile, output in zip(profiles, outputs, strict=True):
        frames = estimated_frames(profile, duration_ms=duration_ms)
        area_px = output.width * output.height
        declared_px += frames * area_px
        overtime_px += max(0, output.frames - frames) * area_px
    return Measured(declared_px, overtime_px)
