"""Arithmetic of the benchmarks: medians with their spread, percentiles, and ratios of sides that took turns. Pure."""

import math
import statistics
from collections.abc import Sequence

__all__ = ["median_ratio", "percentile", "ratios", "slope", "with_spread"]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of ``values`` that at least ``percent`` of 100 of them do not exceed (nearest rank).

    Raises:
        ValueError: no values, or ``percent`` outside 0 to 100.
    """
    if not values:
        message = "no values"
        raise ValueError(message)
    if not 0 <= percent <= 100:
        message = f"{percent} is no percentage"
        raise ValueError(message)
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """``ours`` over ``theirs``, round by round: what disturbed a round disturbed both of its sides.

    Raises:
        ValueError: the sides had different numbers of rounds.
    """
    return tuple(mine / other for mine, other in zip(ours, theirs, strict=True))


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(ratios(ours, theirs))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """What one more of the first costs of the second: the slope of the straight line that fits best.

    Raises:
        ValueError: fewer than two different first values.
    """
    if len({x for x, _ in points}) < 2:
        message = "a slope needs two different places"
        raise ValueError(message)
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def with_spread(values: Sequence[float], digits: int) -> str:
    """Median, and in brackets the smallest and largest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
