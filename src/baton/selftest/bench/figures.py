"""What a benchmark measures: the time of each segment, and the ratios that operators judge a load by.

Pure. A ratio is transcode time over segment duration, both in seconds: 1.0 is just as fast as the stream plays. Times
count from the moment a segment is handed over until its renditions are back, waiting for an engine included
(video.md 7.13).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["LEAST_REAL_TIME_SHARE", "RULE_OF_THUMB", "Figures", "Point", "Timing"]

RULE_OF_THUMB = 0.8
"""Operators load a machine until this duration ratio (operator.md 9.2)."""

LEAST_REAL_TIME_SHARE = 0.9
"""A load that fits leaves no more than a few segments late: a mean below the rule must not hide a slow stream."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One segment of one session."""

    session: int
    segment: int
    """Place in its session, from 0."""
    duration_s: float
    took_s: float
    frames: int
    """Of the first rendition."""
    ended_at_s: float
    """Unix time."""
    input_bytes: int
    output_bytes: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over segments; add two up with ``+``."""

    segments: int = 0
    real_time_segments: int = 0
    """Those whose renditions were back within the segment's own duration."""
    source_s: float = 0.0
    took_s: float = 0.0
    frames: int = 0
    input_bytes: int = 0
    output_bytes: int = 0

    @classmethod
    def of(cls, timings: Iterable[Timing]) -> "Figures":
        """The sums of these segments."""
        rows = tuple(timings)
        return cls(
            segments=len(rows),
            real_time_segments=sum(row.took_s <= row.duration_s for row in rows),
            source_s=sum(row.duration_s for row in rows),
            took_s=sum(row.took_s for row in rows),
            frames=sum(row.frames for row in rows),
            input_bytes=sum(row.input_bytes for row in rows),
            output_bytes=sum(row.output_bytes for row in rows),
        )

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            segments=self.segments + other.segments,
            real_time_segments=self.real_time_segments + other.real_time_segments,
            source_s=self.source_s + other.source_s,
            took_s=self.took_s + other.took_s,
            frames=self.frames + other.frames,
            input_bytes=self.input_bytes + other.input_bytes,
            output_bytes=self.output_bytes + other.output_bytes,
        )

    @property
    def ratio(self) -> float:
        """Transcode time over source duration; 0 when nothing was measured."""
        return self.took_s / self.source_s if self.source_s else 0.0

    @property
    def real_time_share(self) -> float:
        """Part of the segments that were done in real time, 0 to 1."""
        return self.real_time_segments / self.segments if self.segments else 0.0

    @property
    def fits(self) -> bool:
        """Whether a load with these figures is one to live with."""
        return self.segments > 0 and self.ratio <= RULE_OF_THUMB and self.real_time_share >= LEAST_REAL_TIME_SHARE


@dataclass(frozen=True, slots=True)
class Point:
    """One load that was tried, and what it came to."""

    sessions: int
    figures: Figures = field(default_factory=Figures)
    live: bool = False
    wall_s: float = 0.0
    trouble: str = ""
    """Why it ended early: what the engine said of a segment. Such a load does not fit."""
    cut_short: bool = False
    """Ended before its last segment because it could not fit any more."""

    @property
    def fits(self) -> bool:
        """Whether this load is one to live with."""
        return not self.trouble and self.figures.fits
