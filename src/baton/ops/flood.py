"""How many log lines strangers can cause: so many of one event from one peer, and so many from all, in any second.

Every line of the process passes here on its way out. What is over the measure is left out and counted, and the next
line that a minute brings says how many. Lines about the node itself are never that many. Counters in the metrics go on.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from baton.kernel.peers import network_of

__all__ = ["LineBudget", "LineLimit"]

_MOST_PEERS = 2048
_MOST_EVENTS = 512
_LONGEST_NAME = 200
_TELL_EVERY_S = 60.0
_NEVER_LIMITED = logging.CRITICAL


@dataclass(frozen=True, slots=True)
class LineLimit:
    """Lines of one event: ``burst`` at once, ``per_s`` in the long run; from one peer's network and from all."""

    peer_per_s: float = 100.0
    peer_burst: float = 500.0
    per_s: float = 500.0
    burst: float = 5000.0


_REFUSALS = frozenset({"segment refused", "discovery refused", "client went away"})
"""Lines that cost whoever causes them next to nothing."""
_REFUSAL_LIMIT = LineLimit(peer_per_s=5.0, peer_burst=50.0, per_s=50.0, burst=500.0)


@dataclass(slots=True)
class _Bucket:
    """Tokens left at a moment."""

    tokens: float
    at: float

    def take(self, now: float, *, per_s: float, burst: float) -> bool:
        self.tokens = min(burst, self.tokens + max(0.0, now - self.at) * per_s)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class _Event:
    """What is kept of one event."""

    bucket: _Bucket
    peers: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)
    left_out: int = 0
    told_at: float = 0.0


class LineBudget(logging.Filter):
    """A filter for the handler: True for lines that go out. Any thread may log."""

    def __init__(
        self,
        *,
        limit: LineLimit = LineLimit(),
        refusals: LineLimit = _REFUSAL_LIMIT,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``refusals`` is the measure of lines that say no to somebody; ``now`` is monotonic seconds."""
        super().__init__()
        self._limit = limit
        self._refusals = refusals
        self._now = now
        self._one_at_a_time = threading.Lock()
        self._events: OrderedDict[tuple[str, str], _Event] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line goes out; its field ``left_out`` then says how many like it did not."""
        if record.levelno >= _NEVER_LIMITED:
            return True
        fields = record.msg if isinstance(record.msg, dict) else {}
        name = str(fields.get("event", record.msg))[:_LONGEST_NAME]
        limit = self._refusals if name in _REFUSALS else self._limit
        with self._one_at_a_time:
            left_out = self._measure((record.name, name), fields.get("peer"), limit)
        if left_out and fields:
            record.msg = {**fields, "left_out": left_out}
        return left_out is not None

    def _measure(self, key: tuple[str, str], peer: object, limit: LineLimit) -> int | None:
        """How many lines like this one were left out and not told yet; None when it is left out as well."""
        now = self._now()
        event = self._event(key, now, limit)
        allowed = _peer_may(event, peer, now, limit) and event.bucket.take(now, per_s=limit.per_s, burst=limit.burst)
        if not allowed and (not event.left_out or now - event.told_at < _TELL_EVERY_S):
            event.left_out += 1
            return None
        left_out, event.left_out = event.left_out, 0
        if left_out:
            event.told_at = now
        return left_out

    def _event(self, key: tuple[str, str], now: float, limit: LineLimit) -> _Event:
        event = self._events.get(key)
        if event is None:
            event = self._events[key] = _Event(_Bucket(limit.burst, now), told_at=now)
            if len(self._events) > _MOST_EVENTS:
                self._events.popitem(last=False)
        self._events.move_to_end(key)
        return event


def _peer_may(event: _Event, peer: object, now: float, limit: LineLimit) -> bool:
    if not isinstance(peer, str) or not peer:
        return True
    network = network_of(peer)
    bucket = event.peers.pop(network, None) or _Bucket(limit.peer_burst, now)
    event.peers[network] = bucket
    if len(event.peers) > _MOST_PEERS:
        event.peers.popitem(last=False)
    return bucket.take(now, per_s=limit.peer_per_s, burst=limit.peer_burst)
