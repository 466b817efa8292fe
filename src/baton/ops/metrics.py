"""The Prometheus exporter: the numbers behind ``kernel.metrics`` and their text on ``/metrics``.

Names come out exactly as the table has them with the prefix ``livepeer_``, because dashboards of the network know
them; ``prometheus_client`` would add ``_total`` to counters that lack it, so the numbers are kept and printed here and
only the process collector is the library's. Safe to call from any thread.
"""

import bisect
import math
import platform
import socket
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

from baton.kernel.metrics import METRICS, OPEN_LABELS, OTHER, STREAM_LABEL, Metric, MetricKind
from baton.kernel.redaction import printable
from baton.kernel.version import NODE_VERSION

__all__ = ["CONTENT_TYPE", "PrometheusMetrics", "node_id"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "livepeer_"
_NODE_TYPE = "orch"
_MOST_SERIES = 1000
"""Label sets are closed by design; should a mistake open one, memory stays bounded all the same."""
_LONGEST_OPEN_VALUE = 256
"""Characters of a label that strangers choose; ten rendition names of the usual kind fit."""

Labels = tuple[tuple[str, str], ...]
_T = TypeVar("_T")


class _Histogram:
    """Counts per bucket, the sum and the number of observations."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class PrometheusMetrics:
    """Satisfies ``kernel.metrics.Metrics``. Names and labels outside the table raise ``KeyError``."""

    def __init__(self, *, node_id: str, per_stream: bool = False, rows: Mapping[str, Metric] = METRICS) -> None:
        """``node_id`` labels every series, as the reference does (operator.md 13.1).

        Without ``per_stream`` all streams are one series, as the reference has it without ``-metricsPerStream``.
        """
        self._rows = rows
        self._base: Labels = (("node_id", node_id), ("node_type", _NODE_TYPE))
        self._lock = threading.Lock()
        self._per_stream = per_stream
        self._open: dict[str, set[str]] = {label: set() for label in OPEN_LABELS}
        self._values: dict[str, dict[tuple[str, ...], float]] = {
            name: dict.fromkeys(row.zeros, 0.0) for name, row in rows.items()
        }
        self._histograms: dict[str, dict[tuple[str, ...], _Histogram]] = {name: {} for name in rows}
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        GCCollector(registry=self._process)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        key = self._key(name, MetricKind.GAUGE, labels)
        with self._lock:
            series = self._values[name]
            if key in series or len(series) < _MOST_SERIES:
                series[key] = float(value)

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Raise a counter; it never falls."""
        key = self._key(name, MetricKind.COUNTER, labels)
        if amount < 0:
            message = f"counter {name} cannot fall by {amount}"
            raise ValueError(message)
        with self._lock:
            series = self._values[name]
            if key in series or len(series) < _MOST_SERIES:
                series[key] = series.get(key, 0.0) + amount

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put a value into a histogram."""
        key = self._key(name, MetricKind.HISTOGRAM, labels)
        buckets = self._rows[name].buckets
        with self._lock:
            series = self._histograms[name]
            if key not in series and len(series) >= _MOST_SERIES:
                return
            histogram = series.setdefault(key, _Histogram(len(buckets)))
            histogram.counts[bisect.bisect_left(buckets, value)] += 1
            histogram.total += value

    def _key(self, name: str, kind: MetricKind, labels: Mapping[str, str]) -> tuple[str, ...]:
        row = self._rows[name]
        if row.kind is not kind or labels.keys() != set(row.labels):
            message = f"metric {name} is a {row.kind.value} with labels {row.labels}"
            raise KeyError(message)
        return tuple(self._value(label, labels[label]) for label in self._exported(row))

    def _exported(self, row: Metric) -> tuple[str, ...]:
        """The labels of a row as they are exported."""
        if self._per_stream:
            return row.labels
        return tuple(label for label in row.labels if label != STREAM_LABEL)

    def _value(self, label: str, value: str) -> str:
        """A label's value; of open labels only so many are told apart, and none is longer than people read."""
        most = OPEN_LABELS.get(label)
        if most is None:
            return value
        shown, known = printable(value, limit=_LONGEST_OPEN_VALUE), self._open[label]
        with self._lock:
            if shown == OTHER or (shown not in known and len(known) >= most):
                return OTHER
            known.add(shown)
        return shown

    def forget_stream(self, manifest_id: str) -> None:
        """Drop the series of a stream that is over, so that others get its place."""
        if not self._per_stream:
            return
        shown = printable(manifest_id, limit=_LONGEST_OPEN_VALUE)
        with self._lock:
            if shown not in self._open[STREAM_LABEL]:
                return
            self._open[STREAM_LABEL].remove(shown)
            for name, row in self._rows.items():
                if STREAM_LABEL in row.labels:
                    at = row.labels.index(STREAM_LABEL)
                    _drop(self._values[name], at, shown)
                    _drop(self._histograms[name], at, shown)

    def exposition(self) -> bytes:
        """Everything in the Prometheus text format, version 0.0.4; metrics without a value are left out.

        With many streams this is megabytes of text: a thread's work.
        """
        with self._lock:
            values = {name: series.copy() for name, series in self._values.items()}
            histograms = {
                name: {key: (histogram.counts.copy(), histogram.total) for key, histogram in series.items()}
                for name, series in self._histograms.items()
            }
        lines = [
            line for row in self._rows.values() for line in self._lines(row, values[row.name], histograms[row.name])
        ]
        lines.extend(self._version_lines())
        return "".join(f"{line}\n" for line in lines).encode() + generate_latest(self._process)

    def _lines(
        self,
        row: Metric,
        values: Mapping[tuple[str, ...], float],
        histograms: Mapping[tuple[str, ...], tuple[list[int], float]],
    ) -> Iterator[str]:
        if not values and not histograms:
            return
        name = _PREFIX + row.name
        yield f"# HELP {name} {_escape_help(row.help)}"
        yield f"# TYPE {name} {row.kind.value}"
        for key, value in values.items():
            yield f"{name}{self._labels(row, key)} {_number(value)}"
        for key, (counts, total) in histograms.items():
            running = list(accumulate(counts))
            for bound, count in zip((*row.buckets, float("inf")), running, strict=True):
                yield f"{name}_bucket{self._labels(row, key, ('le', _number(bound)))} {count}"
            yield f"{name}_sum{self._labels(row, key)} {_number(total)}"
            yield f"{name}_count{self._labels(row, key)} {running[-1]}"

    def _labels(self, row: Metric, key: tuple[str, ...], *more: tuple[str, str]) -> str:
        return _label_text((*self._base, *zip(self._exported(row), key, strict=True), *more))

    def _version_lines(self) -> Iterator[str]:
        name = f"{_PREFIX}versions"
        labels = (
            ("node_type", _NODE_TYPE),
            ("compiler", platform.python_implementation()),
            ("goos", sys.platform),
            ("goversion", f"python{platform.python_version()}"),
            ("livepeerversion", NODE_VERSION),
        )
        yield f"# HELP {name} Build information"
        yield f"# TYPE {name} gauge"
        yield f"{name}{_label_text(labels)} 1"


def node_id(account_hex: str = "") -> str:
    """What the reference calls this node in metrics: ``<account>-<host>``, or the host alone."""
    host = socket.gethostname()
    return f"{account_hex}-{host}" if account_hex else host


def _drop(series: dict[tuple[str, ...], _T], at: int, value: str) -> None:
    for key in [key for key in series if key[at] == value]:
        del series[key]


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1 << 53 else repr(value)


def _label_text(labels: Iterable[tuple[str, str]]) -> str:
    return "{" + ",".join(f'{name}="{_escape_value(value)}"' for name, value in labels) + "}"


def _escape_value(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"").encode("utf-8", "replace").decode()


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
