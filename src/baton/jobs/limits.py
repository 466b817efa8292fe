"""Token buckets per caller: how often a stranger may ask before we stop listening. Bounded in memory, pure."""

from collections import OrderedDict

from baton.kernel.peers import network_of

__all__ = ["CallerLimiter"]


class CallerLimiter:
    """One bucket per network, refilled with time; those seen longest ago are forgotten first.

    Forgetting one gives it a full bucket again, so the table is large: filling it costs more than it gains. An IPv6
    caller counts as its /64, or a single customer could have any number of buckets.
    """

    def __init__(self, *, rate_per_s: float, burst: int, keys: int = 16_384) -> None:
        """Each network may act ``burst`` times at once and ``rate_per_s`` times a second from then on."""
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._keys = keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, peer_host: str, now: float) -> bool:
        """Whether ``peer_host`` may act at monotonic time ``now`` (seconds); counts the act when it may."""
        key = network_of(peer_host)
        level, at = self._buckets.pop(key, (float(self._burst), now))
        level = min(float(self._burst), level + (now - at) * self._rate_per_s)
        allowed = level >= 1
        self._buckets[key] = (level - 1 if allowed else level, now)
        while len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)
        return allowed
