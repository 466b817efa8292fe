"""What a benchmark says while it runs: lines on standard error, and on a terminal a last line that moves."""

import sys
from contextlib import suppress
from typing import TextIO

from baton.selftest.bench.figures import Point

__all__ = ["LineProgress"]

_BLANK = "\r\x1b[K"


class LineProgress:
    """Says what happens, or nothing at all."""

    def __init__(self, *, wanted: bool | None, stream: TextIO | None = None) -> None:
        """``wanted`` None speaks on a terminal only."""
        self._stream = sys.stderr if stream is None else stream
        self._moves = self._stream.isatty()
        self._speaks = self._moves if wanted is None else wanted

    def step(self, text: str) -> None:
        """Something begins."""
        self._say(f"{text}\n")

    def point(self, point: Point, device: str) -> None:
        """A load is done."""
        figures = point.figures
        where = f"{device}: " if device else ""
        verdict = "fits" if point.fits else point.trouble or "does not fit"
        self._say(
            f"  {where}{point.sessions} session{'s' if point.sessions != 1 else ''}: ratio {figures.ratio:.2f}, "
            f"{100 * figures.real_time_share:.0f}% in real time, {point.wall_s:.1f} s: {verdict}\n"
        )

    def tick(self, done: int, of: int) -> None:
        """A segment of a load is done."""
        if self._moves:
            self._say(f"  {done} of {of} segments")

    def clear(self) -> None:
        """Leave no moving line behind."""
        self._say("")

    def _say(self, text: str) -> None:
        if not self._speaks:
            return
        with suppress(OSError):
            self._stream.write((_BLANK if self._moves else "") + text)
            self._stream.flush()
