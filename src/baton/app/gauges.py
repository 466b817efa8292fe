"""Measurements that are true at the moment somebody asks: queues, engine children, and what an off-chain node lacks."""

from collections.abc import Callable

from baton.app.engines import Engines
from baton.jobs.streams import Streams
from baton.kernel.metrics import Metrics
from baton.media.pool import EnginePool

__all__ = ["Gauges"]


class Gauges:
    """Sets gauges when ``/metrics`` is read."""

    def __init__(
        self, *, streams: Streams, engines: Engines | None, in_hand: Callable[[], int], metrics: Metrics
    ) -> None:
        """``engines`` None on a node that transcodes nothing; ``in_hand`` counts segments before their answer."""
        self._streams = streams
        self._engines = engines
        self._in_hand = in_hand
        self._metrics = metrics
        # No standalone transcoder can connect and nobody pays; dashboards expect the numbers all the same.
        for name in ("transcoders_number", "transcoders_capacity", "transcoders_load"):
            metrics.set(name, 0)
        for name in ("winning_tickets_recv", "value_redeemed"):
            metrics.add(name, 0)

    def sample(self) -> None:
        """Bring them up to date."""
        self._metrics.set("segments_in_hand", self._in_hand())
        self._metrics.set("segments_waiting", self._streams.all_waiting)
        for pool in self._engines.pools if self._engines is not None else ():
            self._metrics.set("engine_jobs_waiting", pool.waiting, device=pool.device)
            self._sample_children(pool)

    def _sample_children(self, pool: EnginePool) -> None:
        children = {child.place: child for child in pool.children}
        for place in range(pool.places):
            engine, child = f"{pool.device}-{place}", children.get(place)
            self._metrics.set("engine_child_up", 1.0 if child is not None else 0.0, engine=engine)
            self._metrics.set("engine_child_busy", 1.0 if child and child.state == "busy" else 0.0, engine=engine)
            self._metrics.set("engine_child_jobs", child.jobs_done if child else 0, engine=engine)
            self._metrics.set("engine_child_rss_bytes", child.rss_bytes if child else 0, engine=engine)
