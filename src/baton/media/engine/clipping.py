"""Segment slicing: which frames and audio packets of a segment a clip keeps, and what time they get (video.md 7.5).

Pure. Times are exact fractions of a second on the segment's time line.
"""

from fractions import Fraction

from baton.kernel.errors import Text, TranscodeError
from baton.media.job import Clip

__all__ = ["ClipGate", "check_clip"]

_MAX_MS = 2**53
"""Larger bounds mean nothing and only stress the arithmetic of others."""


def check_clip(clip: Clip | None) -> None:
    """Refuse a clip that cannot be: a negative start, or an end before its start. An end of 0 or less is no end.

    Raises:
        TranscodeError: ``TranscoderInvalidClipConfig``.
    """
    if clip is None:
        return
    reversed_bounds = clip.to_ms > 0 and clip.from_ms > 0 and clip.to_ms < clip.from_ms
    if clip.from_ms < 0 or reversed_bounds or max(clip.from_ms, clip.to_ms) > _MAX_MS:
        raise TranscodeError(Text.INVALID_CLIP, detail=f"from {clip.from_ms} ms to {clip.to_ms} ms")


class ClipGate:
    """Decides for one stream of the segment: feed it times in order, it answers with the output time or None.

    Both bounds are relative to the first time it sees and both are kept. With a start the output begins at zero;
    without one times stay as they are.
    """

    def __init__(self, clip: Clip | None) -> None:
        """``clip`` None keeps everything."""
        self._from_s = Fraction(clip.from_ms, 1000) if clip and clip.from_ms > 0 else None
        self._to_s = Fraction(clip.to_ms, 1000) if clip and clip.to_ms > 0 else None
        self._first_s: Fraction | None = None

    def passes(self, time_s: Fraction) -> bool:
        """Whether what lies at ``time_s`` is kept."""
        if self._first_s is None:
            self._first_s = time_s
        since_s = time_s - self._first_s
        if self._to_s is not None and since_s > self._to_s:
            return False
        return self._from_s is None or since_s >= self._from_s

    @property
    def shift_s(self) -> Fraction:
        """What to take off the time of everything that passed."""
        if self._from_s is None or self._first_s is None:
            return Fraction(0)
        return self._first_s + self._from_s
