"""Requests that were answered before they ended: which of them to stop, and when. Pure.

A server may stop such a request with RST_STREAM(NO_ERROR) (RFC 9113 8.1), and must when much is still to come. Some
clients take the reset for a failure of the answer, so the last bytes of a small body are waited for.
"""

from typing import Final

__all__ = ["LateBodies"]

_MOST_BYTES: Final = 1 << 20
_MOST_S: Final = 0.2
_MOST_STREAMS: Final = 64


class LateBodies:
    """The answered requests of one connection whose bodies are still coming in."""

    def __init__(self) -> None:
        """None yet."""
        self._streams: dict[int, tuple[float, int]] = {}

    def answered(self, stream_id: int, now: float) -> int | None:
        """A request was answered early at ``now`` monotonic seconds; a stream to stop because there are too many."""
        self._streams[stream_id] = (now, 0)
        if len(self._streams) <= _MOST_STREAMS:
            return None
        oldest = next(iter(self._streams))
        del self._streams[oldest]
        return oldest

    def arrived(self, stream_id: int, size: int) -> bool:
        """``size`` bytes came on a stream; whether to stop it for having sent too much."""
        if stream_id not in self._streams:
            return False
        since, sent = self._streams[stream_id]
        self._streams[stream_id] = (since, sent + size)
        if sent + size <= _MOST_BYTES:
            return False
        del self._streams[stream_id]
        return True

    def ended(self, stream_id: int) -> None:
        """The request ended by itself."""
        self._streams.pop(stream_id, None)

    def overdue(self, now: float) -> tuple[int, ...]:
        """The streams to stop at ``now`` because their time is over."""
        found = tuple(stream_id for stream_id, (since, _) in self._streams.items() if now - since > _MOST_S)
        for stream_id in found:
            del self._streams[stream_id]
        return found
