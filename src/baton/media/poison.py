"""Poison: which segments and which streams have cost us engine children, and are refused for a while.

Pure state: no clock, times are arguments (monotonic seconds). Two memories, both bounded, both forgetting:

- content, by its hash: a segment that took two children is refused at once, before it takes a third. The first death
  may have had another cause (the kernel short of memory, an operator's kill), so one strike alone refuses nothing;
- streams: one whose segments keep striking, each segment anew, is sent away for a while (video.md 11.2 item 18).

A success clears what was held against the content and its stream.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["PoisonLimits", "PoisonRegister", "Verdict"]


@dataclass(frozen=True, slots=True)
class PoisonLimits:
    """When strikes become a refusal, and for how long."""

    content_strikes: int = 2
    content_memory_s: float = 3600.0
    """A content without a further strike for this long is forgotten."""
    stream_strikes: int = 3
    """Distinct segments of one stream that struck within ``stream_window_s``."""
    stream_window_s: float = 120.0
    quarantine_s: float = 120.0
    remembered: int = 4096
    """Contents, and streams, that are remembered at most; the oldest go first."""


class Verdict(Enum):
    """Whether a segment may be tried."""

    CLEAN = "clean"
    """Nothing is held against it."""
    SUSPECT = "suspect"
    """It, or its stream, struck lately: it is tried, but not twice."""
    POISON = "poison"
    """It killed often enough: refuse it."""
    QUARANTINED = "quarantined"
    """Its stream killed often enough: send it away."""


@dataclass(slots=True)
class _Content:
    strikes: int = 0
    last_at: float = 0.0


@dataclass(slots=True)
class _Stream:
    strikes: dict[bytes, float] = field(default_factory=dict)
    """When each content struck last."""
    until: float = 0.0
    """End of its quarantine; 0 is none."""


class PoisonRegister:
    """What is held against contents and streams."""

    def __init__(self, *, limits: PoisonLimits) -> None:
        """Nothing is held against anybody yet."""
        self._limits = limits
        self._contents: OrderedDict[bytes, _Content] = OrderedDict()
        self._streams: OrderedDict[str, _Stream] = OrderedDict()

    def judge(self, *, content_hash: bytes, stream_key: str, now: float) -> Verdict:
        """Whether this segment may be tried now. Content counts before its stream."""
        strikes = self._strikes(content_hash, now)
        if strikes >= self._limits.content_strikes:
            return Verdict.POISON
        stream = self._streams.get(stream_key)
        if stream is not None and now < stream.until:
            return Verdict.QUARANTINED
        if strikes or (stream is not None and self._recent(stream, now)):
            return Verdict.SUSPECT
        return Verdict.CLEAN

    def strike(self, *, content_hash: bytes, stream_key: str, now: float) -> Verdict:
        """A segment cost us a child; returns how it, and then its stream, stand after that."""
        content = self._contents.pop(content_hash, None)
        if content is None or now - content.last_at >= self._limits.content_memory_s:
            content = _Content()
        content.strikes += 1
        content.last_at = now
        self._contents[content_hash] = content
        stream = self._streams.pop(stream_key, None) or _Stream()
        stream.strikes = {**self._recent(stream, now), content_hash: now}
        if len(stream.strikes) >= self._limits.stream_strikes:
            stream.until = now + self._limits.quarantine_s
            stream.strikes.clear()
        self._streams[stream_key] = stream
        self._forget()
        return self.judge(content_hash=content_hash, stream_key=stream_key, now=now)

    def clear(self, *, content_hash: bytes, stream_key: str) -> None:
        """A segment went through: nothing is held against it, nor on its account against its stream."""
        self._contents.pop(content_hash, None)
        stream = self._streams.get(stream_key)
        if stream is None:
            return
        stream.strikes.pop(content_hash, None)
        if not stream.strikes and not stream.until:
            del self._streams[stream_key]

    def pardon(self, *, since: float) -> None:
        """What struck from ``since`` on did so because of a broken device: it is held against nobody."""
        for content in [c for c, held in self._contents.items() if held.last_at >= since]:
            del self._contents[content]
        for key, stream in list(self._streams.items()):
            stream.strikes = {c: at for c, at in stream.strikes.items() if at < since}
            if stream.until >= since + self._limits.quarantine_s:
                stream.until = 0.0
            if not stream.strikes and not stream.until:
                del self._streams[key]

    def _strikes(self, content_hash: bytes, now: float) -> int:
        content = self._contents.get(content_hash)
        if content is None or now - content.last_at >= self._limits.content_memory_s:
            return 0
        return content.strikes

    def _recent(self, stream: _Stream, now: float) -> dict[bytes, float]:
        return {c: at for c, at in stream.strikes.items() if now - at < self._limits.stream_window_s}

    def _forget(self) -> None:
        while len(self._contents) > self._limits.remembered:
            self._contents.popitem(last=False)
        while len(self._streams) > self._limits.remembered:
            self._streams.popitem(last=False)
