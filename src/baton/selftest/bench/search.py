"""The search for the session limit: how many streams a device carries before it falls behind.

Pure: says which number of sessions to try next and is told what came of it. Doubles until a load does not fit, then
halves the gap. A number close to the rule of thumb is tried again, and both sides of the answer are, since one hiccup
of the machine would otherwise decide it; what counts is the sum of a number's tries.
"""

from dataclasses import dataclass, field

from baton.selftest.bench.figures import LEAST_REAL_TIME_SHARE, RULE_OF_THUMB, Figures, Point

__all__ = ["LimitSearch", "Tried"]

_TRIES_MOST = 3
_TRIES_OF_THE_ANSWER = 2
_CLOSE = 0.1
"""Part of the rule of thumb within which a single try decides nothing."""


@dataclass(frozen=True, slots=True)
class Tried:
    """Everything known about one number of sessions."""

    sessions: int
    tries: int = 0
    figures: Figures = field(default_factory=Figures)
    troubles: int = 0
    """Tries in which the engine gave a segment up."""

    def with_point(self, point: Point) -> "Tried":
        """The same with one more try."""
        return Tried(
            sessions=self.sessions,
            tries=self.tries + 1,
            figures=self.figures + point.figures,
            troubles=self.troubles + bool(point.trouble),
        )

    @property
    def fits(self) -> bool:
        """The verdict so far: most tries went through, and the sum of all is within the rule."""
        return 2 * self.troubles < self.tries and self.figures.fits

    def as_point(self, trouble: str) -> Point:
        """All tries as one load; ``trouble`` is what one of them met, and counts only where most did."""
        return Point(self.sessions, self.figures, trouble=trouble if 2 * self.troubles >= self.tries else "")

    @property
    def is_doubtful(self) -> bool:
        """Whether another try may change the verdict."""
        if self.tries >= _TRIES_MOST or self.troubles == self.tries:
            return False
        if self.troubles:
            return True
        slow = self.figures.ratio > RULE_OF_THUMB
        late = self.figures.real_time_share < LEAST_REAL_TIME_SHARE
        return abs(self.figures.ratio - RULE_OF_THUMB) <= _CLOSE * RULE_OF_THUMB or (late and not slow)


class LimitSearch:
    """One device's search. ``upcoming`` and ``record`` in turn until ``upcoming`` is None."""

    def __init__(self, *, most: int) -> None:
        """Tries at most ``most`` sessions."""
        self._most = most
        self._tried: dict[int, Tried] = {}

    @property
    def limit(self) -> int:
        """The largest number that is known to fit with all smaller ones that were tried; 0 when none is."""
        return max((n for n, tried in self._tried.items() if tried.fits and n < self._least_failed), default=0)

    @property
    def too_many(self) -> int | None:
        """The smallest number that is known not to fit, None when none is."""
        least = self._least_failed
        return least if least <= self._most else None

    @property
    def upcoming(self) -> int | None:
        """The number of sessions to try next; None when the answer is found."""
        for tried in self._tried.values():
            if tried.is_doubtful:
                return tried.sessions
        low, high = self.limit, self._least_failed
        if high > self._most:
            if low < self._most:
                return min(max(1, 2 * low), self._most)
        elif high - low > 1:
            return (low + high) // 2
        for sessions in (low, high):
            tried_one = self._tried.get(sessions)
            if tried_one is not None and tried_one.tries < _TRIES_OF_THE_ANSWER:
                return sessions
        return None

    @property
    def tried(self) -> tuple[Tried, ...]:
        """Everything tried, by number of sessions."""
        return tuple(self._tried[n] for n in sorted(self._tried))

    def about(self, sessions: int) -> Tried:
        """What is known about a number of sessions."""
        return self._tried.get(sessions, Tried(sessions))

    def record(self, point: Point) -> None:
        """Take note of what came of a load."""
        self._tried[point.sessions] = self.about(point.sessions).with_point(point)

    @property
    def _least_failed(self) -> int:
        return min((n for n, tried in self._tried.items() if not tried.fits), default=self._most + 1)
