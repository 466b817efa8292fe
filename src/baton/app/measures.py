"""A node's measurements: the tally that the status reads, and behind it what ``/metrics`` exports, if anything."""

from dataclasses import dataclass

from baton.app.view import Tally
from baton.config.model import Settings
from baton.kernel.metrics import SilentMetrics
from baton.ops.metrics import PrometheusMetrics, node_id

__all__ = ["Measures"]


@dataclass(frozen=True, slots=True)
class Measures:
    """Where measurements go."""

    exported: PrometheusMetrics | None
    all: Tally

    @classmethod
    def of(cls, settings: Settings) -> "Measures":
        """Exported with ``--monitor`` only."""
        exported = None
        if settings.management.monitor:
            exported = PrometheusMetrics(
                node_id=node_id(settings.key.account_hex), per_stream=settings.management.metrics_per_stream
            )
        return cls(exported, Tally(exported or SilentMetrics()))
