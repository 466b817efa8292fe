"""The exporter: names as dashboards know them, base labels, and text that Prometheus' own parser reads."""

import math
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from baton.kernel.metrics import METRICS, Metric, MetricKind
from baton.kernel.version import NODE_VERSION
from baton.ops.metrics import PrometheusMetrics, node_id


def without_suffix(name: str) -> str:
    """What Python's parser makes of a counter without ``_total``, undone; Prometheus itself leaves names alone."""
    return "livepeer_mil_pixels_processed" if name == "livepeer_mil_pixels_processed_total" else name


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
    metrics.add("mil_pixels_processed", 0.25)
    metrics.add("mil_pixels_processed", 0.5)
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
    assert "livepeer_segments_total" not in text
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
            metrics.add("segment_transcoded_total")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples(metrics)["livepeer_segment_transcoded_total", BASE] == 20_000


def test_node_id_carries_the_account_when_there_is_one() -> None:
    host = node_id()
    assert host
    assert node_id("0xabc") == f"0xabc-{host}"
