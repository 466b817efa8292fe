"""Buckets per caller."""

from baton.jobs.limits import CallerLimiter


def test_a_burst_then_the_rate() -> None:
    limiter = CallerLimiter(rate_per_s=2.0, burst=3)
    assert [limiter.allows("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert limiter.allows("a", 0.5)
    assert not limiter.allows("a", 0.5)
    assert limiter.allows("b", 0.5)


def test_memory_is_bounded() -> None:
    limiter = CallerLimiter(rate_per_s=0.0, burst=1, keys=2)
    assert limiter.allows("a", 0.0)
    assert limiter.allows("b", 0.0)
    assert limiter.allows("c", 0.0)
    assert limiter.allows("a", 0.0)
    assert not limiter.allows("c", 0.0)
