"""Timestamps made usable: what decoders leave out is filled in, what muxers refuse is moved (video.md 7.4).

Pure. All values are ticks of one time base that the caller keeps.
"""

__all__ = ["FrameClock", "LeadIn", "PacketClock"]


class FrameClock:
    """Gives every decoded frame a timestamp, each later than the one before."""

    def __init__(self, *, frame_ticks: int) -> None:
        """``frame_ticks`` is the nominal length of a frame in ticks, at least 1."""
        self._frame_ticks = max(1, frame_ticks)
        self._last: int | None = None

    def repair(self, *, pts: int | None, dts: int | None) -> int:
        """The timestamp to use: ``pts``, else ``dts``, else the previous plus a frame; never before the previous."""
        best = pts if pts is not None else dts
        if best is None:
            best = 0 if self._last is None else self._last + self._frame_ticks
        if self._last is not None and best <= self._last:
            best = self._last + 1
        self._last = best
        return best


class LeadIn:
    """Decode times of the packets that an encoder with B-frames puts before the first frame's time.

    The encoder takes as much room there as its first frames last, so a segment that begins with a pause would reach far
    into the one before. The shortest distance between frames is room enough.
    """

    def __init__(self) -> None:
        """Nothing encoded yet."""
        self._first: int | None = None
        self._last: int | None = None
        self._least_ticks: int | None = None
        self._packets = 0

    def shown(self, pts: int) -> None:
        """A frame goes into the encoder, in presentation order."""
        if self._first is None:
            self._first = pts
        if self._last is not None:
            distance = pts - self._last
            self._least_ticks = distance if self._least_ticks is None else min(self._least_ticks, distance)
        self._last = pts

    def decode_time(self, dts: int, *, depth: int) -> int:
        """The decode time to use for the next packet; ``depth`` frames are reordered at most."""
        left = depth - self._packets
        self._packets += 1
        if left <= 0 or self._first is None or self._least_ticks is None or dts >= self._first:
            return dts
        room = left * self._least_ticks
        # Rounded timestamps jitter by a little; only real pauses are corrected.
        return dts if (self._first - dts) * 4 <= room * 5 else self._first - room


class PacketClock:
    """Gives every packet of one output stream timestamps that a muxer takes: rising dts, none after its pts."""

    def __init__(self) -> None:
        """Nothing written yet."""
        self._last_dts: int | None = None
        self._next_dts: int | None = None

    def repair(self, *, pts: int | None, dts: int | None, duration: int) -> tuple[int, int]:
        """Usable ``(pts, dts)``: missing ones filled in, crossed ones set to the middle value, late ones raised."""
        if dts is None:
            dts = pts if pts is not None else self._next_dts or 0
        if pts is None:
            pts = dts
        least = None if self._last_dts is None else self._last_dts + 1
        if dts > pts:
            pts = dts = sorted((pts, dts, least if least is not None else pts))[1]
        if least is not None and dts < least:
            pts, dts = max(pts, least), least
        self._last_dts, self._next_dts = dts, dts + max(1, duration)
        return pts, dts
