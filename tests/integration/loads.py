"""Work that keeps an engine child busy while a test does something else, on small machines and on large ones."""

import os

from tests.peer.segments import make_profile

__all__ = ["LONG_MS", "SLOW"]

LONG_MS = 30_000
"""A stated duration that gives slow work on a busy machine its time."""

_FPS = 60 * max(1, min(8, len(os.sched_getaffinity(0)) // 4))
"""More cores encode faster, so they get more frames; 480 of 30 is still far from what an engine calls runaway."""

SLOW = (
    make_profile("slow", 1280, 720, 6_000_000, _FPS),
    make_profile("slower", 1280, 720, 3_000_000, _FPS),
)
"""Some seconds of work for the heavy segment, whatever the machine."""
