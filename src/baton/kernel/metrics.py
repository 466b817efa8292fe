"""Metrics: the one table of every name we emit, and the port through which the rooms emit them.

Names carry the prefix ``livepeer_`` when exported; those that dashboards of the network know keep their known name
(video.md 9.2), ours are new names beside them. Label sets are closed: no identifiers of strangers and no error texts
become labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Protocol

__all__ = ["METRICS", "Metric", "MetricKind", "Metrics", "SilentMetrics"]


class MetricKind(Enum):
    """How a value moves."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: what it counts, in which unit, split by which labels."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


class Metrics(Protocol):
    """Where measurements go. Names and labels must be rows of ``METRICS``; anything else raises ``KeyError``."""

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        ...

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Raise a counter."""
        ...

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put a value into a histogram."""
        ...


_SECONDS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 20.0)
_SCORE = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 40.0)
_G, _C, _H = MetricKind.GAUGE, MetricKind.COUNTER, MetricKind.HISTOGRAM

_ROWS = (
    # Known to the network's dashboards.
    Metric("max_sessions_total", _G, "Sessions that may be open at once"),
    Metric("current_sessions_total", _G, "Sessions that hold a slot now"),
    Metric("segment_source_emerged_unprocessed_total", _C, "Segments that passed every check before their body"),
    Metric("source_segment_duration_seconds", _H, "Duration of source segments as stated", buckets=_SECONDS),
    Metric("segment_transcoded_downloaded_total", _C, "Segment bodies received whole"),
    Metric("download_time_seconds", _H, "Time to receive a segment body", buckets=_SECONDS),
    Metric("segment_transcoded_total", _C, "Segments transcoded"),
    Metric("transcode_time_seconds", _H, "Time a segment took from its turn to its renditions", buckets=_SECONDS),
    Metric(
        "transcode_score", _H, "Segment duration over transcode time; below 1 is slower than real time", buckets=_SCORE
    ),
    Metric("mil_pixels_processed", _C, "Encoded pixels delivered, in millions"),
    # Ours.
    Metric("discovery_requests_total", _C, "GetOrchestrator calls by outcome", ("outcome",)),
    Metric("segments_total", _C, "Requests to /segment by outcome", ("outcome",)),
    Metric("segment_refusals_total", _C, "Requests to /segment refused before work, by step", ("reason",)),
    Metric("transcode_failures_total", _C, "Segments whose transcode failed, by class", ("reason",)),
    Metric("queue_wait_seconds", _H, "Time a segment waited for its turn in its session", buckets=_SECONDS),
    Metric("engine_wait_seconds", _H, "Time a segment waited for a free engine child", buckets=_SECONDS),
    Metric("sessions_ended_total", _C, "Sessions ended, by reason", ("reason",)),
    Metric("engine_children", _G, "Engine children alive"),
    Metric("engine_children_busy", _G, "Engine children at work"),
    Metric("engine_restarts_total", _C, "Engine children replaced, by reason", ("reason",)),
    Metric("poison_refusals_total", _C, "Segments refused because they killed engines before"),
    Metric("media_store_bytes", _G, "Bytes of renditions kept for gateways"),
    Metric("media_store_objects", _G, "Renditions kept for gateways"),
    Metric("media_store_evictions_total", _C, "Renditions dropped before their time to stay within the limit"),
    Metric("object_store_failures_total", _C, "Renditions a bucket did not take, by whose bucket", ("owner",)),
    Metric("spool_bytes", _G, "Bytes of segments on disk until their work is done"),
    Metric("port_connections", _G, "Open connections on the service port"),
    Metric("port_refusals_total", _C, "Connections or streams cut on the service port, by reason", ("reason",)),
    Metric("service_restarts_total", _C, "Supervised services restarted, by service", ("service",)),
    Metric("readiness", _G, "1 when the node serves, 0 otherwise"),
)

METRICS: Mapping[str, Metric] = MappingProxyType({row.name: row for row in _ROWS})
"""Every metric of the node by name, without the exported prefix."""


class SilentMetrics:
    """Measures nothing but checks names and labels. For nodes without ``--monitor``, tools and tests."""

    def set(self, name: str, value: float, **labels: str) -> None:
        """Check the name and labels of a gauge."""
        del value
        _check(name, MetricKind.GAUGE, labels)

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Check the name and labels of a counter."""
        del amount
        _check(name, MetricKind.COUNTER, labels)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Check the name and labels of a histogram."""
        del value
        _check(name, MetricKind.HISTOGRAM, labels)


def _check(name: str, kind: MetricKind, labels: Mapping[str, str]) -> None:
    row = METRICS[name]
    if row.kind is not kind or tuple(sorted(labels)) != tuple(sorted(row.labels)):
        message = f"metric {name} is a {row.kind.value} with labels {row.labels}"
        raise KeyError(message)
