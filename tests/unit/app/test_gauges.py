"""Gauges at the moment of reading: queues, and every place of the engine pool whether its child lives or not."""

import os
import signal

from prometheus_client.parser import text_string_to_metric_families

from baton.app.engines import EngineDevice, EngineRules, Engines
from baton.app.gauges import Gauges
from baton.config.model import EngineSettings
from baton.jobs.streams import Streams
from baton.kernel.clock import ManualClock
from baton.ops.metrics import PrometheusMetrics
from baton.video.sessions import SessionTable
from tests.media.pooling import ODD, QUICK, CountingMetrics, make_pool, running, until
from tests.support import run
from tests.unit.jobs.rig import Store, Stores


def by_engine(metrics: PrometheusMetrics, name: str) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {s.labels["engine"]: s.value for family in families for s in family.samples if s.name == f"livepeer_{name}"}


def test_every_place_has_its_series_and_keeps_its_name() -> None:
    async def story() -> None:
        metrics = PrometheusMetrics(node_id="host")
        clock = ManualClock()
        streams = Streams(table=SessionTable(limit=1), stores=Stores(Store()), clock=clock, metrics=metrics)
        engines = Engines(
            devices=(EngineDevice("cpu", command=ODD),),
            settings=EngineSettings(children=1),
            clock=clock,
            metrics=CountingMetrics(),
            rules=EngineRules(pool=QUICK),
        )
        (pool,) = engines.pools
        gauges = Gauges(streams=streams, engines=engines, in_hand=lambda: 3, metrics=metrics)
        gauges.sample()
        assert by_engine(metrics, "engine_child_up") == {"cpu-0": 0, "cpu-1": 0}
        async with running(pool):
            await until(lambda: len(pool.children) == 2)
            gauges.sample()
            assert by_engine(metrics, "engine_child_up") == {"cpu-0": 1, "cpu-1": 1}
            await until(lambda: all(child.rss_bytes for child in pool.children))
            gauges.sample()
            assert all(value > 0 for value in by_engine(metrics, "engine_child_rss_bytes").values())
            assert by_engine(metrics, "engine_child_busy") == {"cpu-0": 0, "cpu-1": 0}
        gauges.sample()
        assert by_engine(metrics, "engine_child_up") == {"cpu-0": 0, "cpu-1": 0}
        assert by_engine(metrics, "engine_child_rss_bytes") == {"cpu-0": 0, "cpu-1": 0}
        text = metrics.exposition().decode()
        assert 'livepeer_segments_in_hand{node_id="host",node_type="orch"} 3' in text
        assert 'livepeer_segments_waiting{node_id="host",node_type="orch"} 0' in text
        assert 'livepeer_engine_jobs_waiting{node_id="host",node_type="orch",device="cpu"} 0' in text

    run(story())


def test_a_successor_takes_the_place_of_the_dead() -> None:
    async def story() -> None:
        pool = make_pool(children=1)
        async with running(pool):
            await until(lambda: len(pool.children) == 2)
            before = {child.place: child.pid for child in pool.children}
            os.kill(before[0], signal.SIGKILL)
            await until(lambda: len(pool.children) == 2 and before[0] not in pool.pids)
            after = {child.place: child.pid for child in pool.children}
            assert after.keys() == before.keys() == {0, 1}
            assert after[1] == before[1]

    run(story())
