"""What devices leave to software: counted by step, and said once per device and reason."""

from collections import OrderedDict

import structlog

from baton.kernel.metrics import Metrics

__all__ = ["STEPS", "Fallbacks"]

log = structlog.get_logger("baton.video")

STEPS = ("decode", "scale", "encode", "open", "other")
"""The steps of a transcode that are told apart; a closed set, because reasons are an engine's own words."""

_REMEMBERED = 256
_LONGEST = 300


class Fallbacks:
    """Keeps count of fallbacks, and remembers which were told; the oldest are forgotten first."""

    def __init__(self, *, metrics: Metrics) -> None:
        """Nothing was told yet."""
        self._metrics = metrics
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()

    def note(self, device: str, fallbacks: tuple[str, ...]) -> None:
        """A segment was done on ``device`` with these steps in software, each as the engine words it."""
        for fallback in fallbacks:
            step = next((known for known in STEPS if fallback.lower().startswith(known)), "other")
            self._metrics.add("engine_fallbacks_total", device=device, step=step)
            told = (device, fallback[:_LONGEST])
            if told not in self._told:
                log.warning("done in software", device=device, step=step, what=told[1])
            self._told[told] = None
            self._told.move_to_end(told)
            while len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
