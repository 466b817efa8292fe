"""Which frames the engine forces to be key frames; the rest is the encoder's interval (video.md 7.2).

Pure. The first frame of every segment is one. At a fixed frame rate the encoder counts frames itself; where timestamps
pass through, only time can tell.
"""

from fractions import Fraction

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import INTRA_ONLY_GOP, VideoProfile

__all__ = ["KeyFrames", "check_gop"]


def check_gop(profile: VideoProfile) -> None:
    """Refuse intervals below zero other than "intra only".

    Raises:
        TranscodeError: ``TranscoderInvalidGOP``.
    """
    if profile.gop_ms < INTRA_ONLY_GOP:
        raise TranscodeError(Text.INVALID_GOP, detail=f"gop {profile.gop_ms} ms")


class KeyFrames:
    """Decides frame by frame for one rendition of one segment."""

    def __init__(self, profile: VideoProfile) -> None:
        """The interval is the profile's."""
        self._every = profile.gop_ms == INTRA_ONLY_GOP
        timed = profile.gop_ms > 0 and profile.frame_rate is None
        self._interval_s = Fraction(profile.gop_ms, 1000) if timed else None
        self._next_s: Fraction | None = None
        self._begun = False

    def forces(self, time_s: Fraction) -> bool:
        """Whether the frame at ``time_s`` must be a key frame."""
        forced = self._every or not self._begun or (self._next_s is not None and time_s >= self._next_s)
        self._begun = True
        if forced and self._interval_s is not None:
            self._next_s = time_s + self._interval_s
        return forced
