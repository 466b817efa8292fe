"""The exporter: names as dashboards know them, base labels, and text that Prometheus' own parser reads."""

import math
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from baton.jobs import segment, work
from baton.kernel.metrics import METRICS, OPEN_LABELS, Metric, MetricKind
from baton.kernel.version import NODE_VERSION
from baton.media.process import DeathCause
from baton.ops.metrics import PrometheusMetrics, node_id
from tests.media.pooling import make_pool


def without_suffix(name: str) -> str:
    """What Python's parser makes of a counter without ``_total``, undone; Prometheus itself leaves names alone."""
    short = name.removeprefix("livepeer_").removesuffix("_total")
    return f"livepeer_{short}" if short in METRICS else name


def samples(metrics: PrometheusMetrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (without_suffix(sample.name), tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


BASE = (("node_id", "host"), ("node_type", "orch"))


def test_gauges_and_counters_keep_their_known_names() -> None:
    metrics = PrometheusMetrics(node_id="host")
    metrics.set("current_sessions_total", 3)
    metrics.set("current_sessions_total", 2)
    metrics.add("mil_pixels_processed", 0.25, manifest_id="a")
    metrics.add("mil_pixels_processed", 0.5, manifest_id="b")
    metrics.add("segments_total", outcome="ok")
    found = samples(metrics)
    assert found["livepeer_current_sessions_total", BASE] == 2
    assert found["livepeer_mil_pixels_processed", BASE] == 0.75
    assert found["livepeer_segments_total", (*BASE, ("outcome", "ok"))] == 1
    text = metrics.exposition().decode()
    assert "# TYPE livepeer_mil_pixels_processed counter" in text
    assert 'livepeer_mil_pixels_processed{node_id="host",node_type="orch"} 0.75\n' in text
    assert "# TYPE livepeer_current_sessions_total gauge" in text


def test_histograms_are_cumulative() -> None:
    rows = {"t_seconds": Metric("t_seconds", MetricKind.HISTOGRAM, "Time", buckets=(0.5, 1.0))}
    metrics = PrometheusMetrics(node_id="host", rows=rows)
    for value in (0.1, 0.5, 0.6, 7.0):
        metrics.observe("t_seconds", value)
    found = samples(metrics)
    bounds = {bound: found["livepeer_t_seconds_bucket", (("le", bound), *BASE)] for bound in ("0.5", "1", "+Inf")}
    assert bounds == {"0.5": 2, "1": 3, "+Inf": 4}
    assert found["livepeer_t_seconds_count", BASE] == 4
    assert found["livepeer_t_seconds_sum", BASE] == pytest.approx(8.2)


def test_what_was_never_measured_is_absent() -> None:
    text = PrometheusMetrics(node_id="host").exposition().decode()
    assert "livepeer_transcode_time_seconds" not in text
    assert "livepeer_port_refusals_total" not in text
    assert "livepeer_versions" in text
    assert "process_cpu_seconds_total" in text


def test_versions_tells_the_build_without_a_node_id() -> None:
    found = samples(PrometheusMetrics(node_id="host"))
    (labels,) = [dict(labels) for name, labels in found if name == "livepeer_versions"]
    assert labels.keys() == {"node_type", "compiler", "goos", "goversion", "livepeerversion"}
    assert labels["livepeerversion"] == NODE_VERSION


@pytest.mark.parametrize("row", METRICS.values(), ids=lambda row: row.name)
def test_every_row_can_be_exported(row: Metric) -> None:
    metrics = PrometheusMetrics(node_id='ho"st\\\n')
    labels = dict.fromkeys(row.labels, 'a"b\\c\nd')
    if row.kind is MetricKind.GAUGE:
        metrics.set(row.name, 1, **labels)
    elif row.kind is MetricKind.COUNTER:
        metrics.add(row.name, 1, **labels)
    else:
        metrics.observe(row.name, 1, **labels)
    names = {name for name, _ in samples(metrics)}
    assert f"livepeer_{row.name}" in {name.removesuffix("_bucket") for name in names}


def test_the_wrong_kind_name_or_labels_are_errors() -> None:
    metrics = PrometheusMetrics(node_id="host")
    with pytest.raises(KeyError):
        metrics.set("nonsense", 1)
    with pytest.raises(KeyError, match="is a counter"):
        metrics.set("segments_total", 1, outcome="ok")
    with pytest.raises(KeyError, match="with labels"):
        metrics.add("segments_total")
    with pytest.raises(KeyError, match="with labels"):
        metrics.add("segments_total", outcome="ok", sender="0x")
    with pytest.raises(ValueError, match="cannot fall"):
        metrics.add("segments_total", -1, outcome="ok")


def test_odd_numbers_are_printed_as_prometheus_reads_them() -> None:
    metrics = PrometheusMetrics(node_id="host")
    for value in (math.nan, math.inf, -math.inf, 1e300, -0.5):
        metrics.set("readiness", value)
        found = samples(metrics)["livepeer_readiness", BASE]
        assert found == value or (math.isnan(found) and math.isnan(value))


def test_an_open_label_set_stays_bounded() -> None:
    metrics = PrometheusMetrics(node_id="host")
    for n in range(1500):
        metrics.add("segments_total", outcome=str(n))
    assert sum(1 for name, _ in samples(metrics) if name == "livepeer_segments_total") == 1000


def test_threads_lose_nothing() -> None:
    metrics = PrometheusMetrics(node_id="host")

    def work() -> None:
        for _ in range(5000):
            metrics.add("poison_refusals_total")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples(metrics)["livepeer_poison_refusals_total", BASE] == 20_000


def test_node_id_carries_the_account_when_there_is_one() -> None:
    host = node_id()
    assert host
    assert node_id("0xabc") == f"0xabc-{host}"


# Known to dashboards: label sets, bucket bounds, and what is there from the start.

REFERENCE_BOUNDS = {
    "source_segment_duration_seconds": {0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10, 15, 20},
    "download_time_seconds": {0.1, 0.15, 0.2, 0.5, 10},
    "transcode_time_seconds": {0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10},
    "transcode_score": {0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10, 15, 20, 40},
}


@pytest.mark.parametrize("row", [r for r in METRICS.values() if r.kind is MetricKind.HISTOGRAM], ids=lambda r: r.name)
def test_buckets_rise_and_hold_the_bounds_that_dashboards_know(row: Metric) -> None:
    assert list(row.buckets) == sorted(set(row.buckets))
    assert row.buckets[0] > 0
    assert set(row.buckets) >= REFERENCE_BOUNDS.get(row.name, set())


@pytest.mark.parametrize("name", ["segment_transcoded_total", "transcode_time_seconds", "transcode_score"])
def test_transcodes_carry_the_labels_of_the_reference(name: str) -> None:
    assert METRICS[name].labels == ("profiles", "trusted", "verified")


def test_a_new_node_starts_from_zero() -> None:
    found = samples(PrometheusMetrics(node_id="host"))
    for name in ("current_sessions_total", "transcoders_number", "transcoders_capacity", "transcoders_load"):
        assert found[f"livepeer_{name}", BASE] == 0
    for name in ("winning_tickets_recv", "value_redeemed"):
        assert found[f"livepeer_{name}", BASE] == 0
    assert found["livepeer_segment_refusals_total", (*BASE, ("reason", "capped"))] == 0
    assert {value for (name, _), value in found.items() if name.startswith("livepeer_")} == {0, 1}


@pytest.mark.parametrize("row", METRICS.values(), ids=lambda row: row.name)
def test_what_starts_from_zero_names_every_label(row: Metric) -> None:
    assert all(len(values) == len(row.labels) for values in row.zeros)
    assert not (row.zeros and row.kind is MetricKind.HISTOGRAM)


def test_reasons_that_start_from_zero_are_those_the_node_gives() -> None:
    def zeros(name: str) -> set[str]:
        return {value for (value,) in METRICS[name].zeros}

    assert zeros("segment_refusals_total") == {*segment._REASONS.values(), "payment"}
    assert zeros("capacity_refusals_total") == set(work._NO_PLACE.values())


def test_every_device_starts_with_a_zero_for_each_way_to_die() -> None:
    metrics = PrometheusMetrics(node_id="host")
    for device in ("nvidia-0", "nvidia-1"):
        make_pool(device=device, metrics=metrics)
    zeros = {
        (dict(labels)["device"], dict(labels)["reason"])
        for (name, labels), value in samples(metrics).items()
        if name == "livepeer_engine_restarts_total" and value == 0
    }
    causes = {cause.value for cause in DeathCause} - {"shutdown"}
    assert zeros == {(device, cause) for device in ("nvidia-0", "nvidia-1") for cause in causes}


# Streams.


def emerged(metrics: PrometheusMetrics, *streams: str) -> None:
    for stream in streams:
        metrics.add("segment_source_emerged_unprocessed_total", manifest_id=stream)
        metrics.observe("source_segment_duration_seconds", 2.0, manifest_id=stream)


def streams_of(metrics: PrometheusMetrics) -> dict[str | None, float]:
    return {
        dict(labels).get("manifest_id"): value
        for (name, labels), value in samples(metrics).items()
        if name == "livepeer_segment_source_emerged_unprocessed_total"
    }


def test_streams_are_one_series_unless_asked_for() -> None:
    metrics = PrometheusMetrics(node_id="host")
    emerged(metrics, "a", "b")
    metrics.forget_stream("a")
    assert streams_of(metrics) == {None: 2}
    assert "manifest_id" not in metrics.exposition().decode()


def test_streams_are_told_apart_until_they_end() -> None:
    metrics = PrometheusMetrics(node_id="host", per_stream=True)
    emerged(metrics, "a", "b", "b")
    assert streams_of(metrics) == {"a": 1, "b": 2}
    metrics.forget_stream("b")
    metrics.forget_stream("never seen")
    assert streams_of(metrics) == {"a": 1}
    assert 'manifest_id="b"' not in metrics.exposition().decode()


def test_streams_beyond_the_bound_are_one_and_places_come_free() -> None:
    most = OPEN_LABELS["manifest_id"]
    metrics = PrometheusMetrics(node_id="host", per_stream=True)
    emerged(metrics, *(f"s{n}" for n in range(most + 30)))
    found = streams_of(metrics)
    assert len(found) == most + 1
    assert found["other"] == 30
    metrics.forget_stream("s0")
    metrics.forget_stream("other")
    emerged(metrics, "late")
    assert streams_of(metrics)["late"] == 1
    assert streams_of(metrics)["other"] == 30


def test_a_stream_called_other_is_no_stream_of_its_own() -> None:
    metrics = PrometheusMetrics(node_id="host", per_stream=True)
    emerged(metrics, "other")
    metrics.forget_stream("other")
    assert streams_of(metrics) == {"other": 1}


def test_names_of_strangers_are_bounded_and_harmless_as_labels() -> None:
    metrics = PrometheusMetrics(node_id="host", per_stream=True)
    long = "x\x1b[2J\udcff" + "y" * 100_000
    emerged(metrics, long)
    assert len(metrics.exposition()) < 100_000
    ((shown, count),) = streams_of(metrics).items()
    assert count == 1
    assert shown is not None
    assert shown.isprintable()
    metrics.forget_stream(long)
    assert streams_of(metrics) == {}


def test_ladders_beyond_the_bound_are_one() -> None:
    metrics = PrometheusMetrics(node_id="host")
    for n in range(OPEN_LABELS["profiles"] + 5):
        metrics.add("segment_transcoded_total", profiles=f"p{n}", trusted="trusted", verified="verified")
    found = {
        dict(labels)["profiles"]: v for (name, labels), v in samples(metrics).items() if "transcoded_total" in name
    }
    assert len(found) == OPEN_LABELS["profiles"] + 1
    assert found["other"] == 5
