"""Metrics: the one table of every name we emit, and the port through which the rooms emit them.

Names carry the prefix ``livepeer_`` when exported; those that dashboards of the network know keep their known name
(video.md 9.2), ours are new names beside them. Label sets are closed: error texts never become labels, and of the two
labels whose values strangers choose (``OPEN_LABELS``) only so many values are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Protocol

__all__ = ["METRICS", "OPEN_LABELS", "OTHER", "STREAM_LABEL", "Metric", "MetricKind", "Metrics", "SilentMetrics"]

STREAM_LABEL = "manifest_id"
"""The label that is exported only with ``--metrics-per-stream``, and only while its stream runs."""

OPEN_LABELS: Mapping[str, int] = MappingProxyType({STREAM_LABEL: 500, "profiles": 64, "sender": 200})
"""Labels whose values come from the wire, and how many values of each are told apart."""

OTHER = "other"
"""What stands for all further values of an open label."""


class MetricKind(Enum):
    """How a value moves."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: what it counts, in which unit, split by which labels.

    ``zeros`` are the label values that are exported from the start on, so that the first event shows as a rise.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    zeros: tuple[tuple[str, ...], ...] = ()


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

    def forget_stream(self, manifest_id: str) -> None:
        """A stream is over: its series with ``STREAM_LABEL`` go. Unknown streams are fine."""
        ...


def _from_zero(*values: str) -> tuple[tuple[str, ...], ...]:
    return tuple((value,) for value in values)


# Where the reference has bucket bounds we have them too, so that its dashboards find theirs.
_SECONDS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 20.0)
_TRANSFER_S = (0.05, 0.1, 0.15, 0.2, 0.35, 0.5, 1.0, 1.5, 2.0, 5.0, 10.0)
_SEGMENT_S = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 10.0, 15.0, 20.0)
_TRANSCODE_S = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 10.0)
_COMMIT_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_SCORE = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 10.0, 15.0, 20.0, 40.0)
_G, _C, _H = MetricKind.GAUGE, MetricKind.COUNTER, MetricKind.HISTOGRAM
_M = (STREAM_LABEL,)
_WORK = ("profiles", "trusted", "verified")
_ONCE = ((),)

_KNOWN = (
    Metric("max_sessions_total", _G, "Sessions that may be open at once"),
    Metric("current_sessions_total", _G, "Sessions that hold a slot now", zeros=_ONCE),
    Metric("transcoders_number", _G, "Standalone transcoders that are connected", zeros=_ONCE),
    Metric("transcoders_capacity", _G, "Sum of their capacities", zeros=_ONCE),
    Metric("transcoders_load", _G, "Sum of their loads", zeros=_ONCE),
    Metric("segment_source_emerged_unprocessed_total", _C, "Segments that passed every check before their body", _M),
    Metric("source_segment_duration_seconds", _H, "Duration of source segments as stated", _M, _SEGMENT_S),
    Metric("segment_transcoded_downloaded_total", _C, "Segment bodies received whole", _M),
    Metric("download_time_seconds", _H, "Time to receive a segment body", _M, _TRANSFER_S),
    Metric("segment_transcoded_total", _C, "Segments transcoded", _WORK),
    Metric("transcode_time_seconds", _H, "Time a segment took from its turn to its renditions", _WORK, _TRANSCODE_S),
    Metric(
        "transcode_score", _H, "Segment duration over transcode time; below 1 is slower than real time", _WORK, _SCORE
    ),
    Metric("mil_pixels_processed", _C, "Encoded pixels delivered, in millions", _M),
    Metric("tickets_recv", _C, "Tickets accepted and credited", zeros=_ONCE),
    Metric("ticket_value_recv", _C, "Expected value of the tickets credited, in gwei", zeros=_ONCE),
    Metric(
        "payment_recv_errors",
        _C,
        "Payments or tickets refused, by check",
        ("error_code",),
        zeros=_from_zero(
            *("sender_missing", "sender_info", "sender_unlocking", "sender_exposed", "recipient_inactive"),
            *(
                "expected_price",
                "recipient",
                "sender",
                "recipient_rand",
                "signature",
                "nonce_seen",
                "nonces_too_many",
                "params_expired",
            ),
        ),
    ),
    Metric("current_round", _G, "Last initialized round"),
    Metric("suggested_gas_price", _G, "Gas price that quotes go by, in gwei"),
    Metric("transcoding_price", _G, "Price last quoted, in wei per pixel"),
    Metric("gateway_max_float", _G, "Largest face value a gateway can back, in gwei", ("sender",)),
    Metric("gateway_ticket_face_value", _G, "Face value last quoted to a gateway, in gwei", ("sender",)),
    Metric("winning_tickets_recv", _C, "Winning tickets received; none off-chain", zeros=_ONCE),
    Metric("value_redeemed", _C, "Face value of redeemed tickets in gwei; none off-chain", zeros=_ONCE),
)
"""Known to the network's dashboards."""

_OURS = (
    Metric("chain_l1_block", _G, "L1 block of the newest block seen"),
    Metric("chain_view_age_seconds", _G, "Seconds since the chain was last read"),
    Metric("price_feed_age_seconds", _G, "Seconds since the price feed's last answer that is believed; reset by each"),
    Metric("price_feed_rate", _G, "Exchange rate in force, as the price feed counts it"),
    Metric(
        "price_feed_failures_total",
        _C,
        "Looks at the price feed that gave no price, by reason",
        ("reason",),
        zeros=_from_zero("unreachable", "pair", "not_positive", "decimals", "stale", "future", "jump"),
    ),
    Metric("recipient_active", _G, "1 while the ticket recipient is in the active set"),
    Metric(
        "quote_failures_total",
        _C,
        "Quotes that could not be made, by reason",
        ("reason",),
        zeros=_from_zero("insufficient_reserve", "price", "no_chain_state", "other"),
    ),
    Metric(
        "discovery_requests_total",
        _C,
        "GetOrchestrator calls by outcome",
        ("outcome",),
        zeros=_from_zero("answered", "capped", "rate", "signature", "terms", "webhook"),
    ),
    Metric(
        "segments_total",
        _C,
        "Requests to /segment by outcome",
        ("outcome",),
        zeros=_from_zero("transcoded", "refused", "capacity", "transcode", "store", "abandoned", "crashed"),
    ),
    Metric(
        "segment_refusals_total",
        _C,
        "Requests to /segment refused before work, by step",
        ("reason",),
        zeros=_from_zero(
            *("payment", "encoding", "profile", "duration", "signature", "capabilities", "token", "capped"),
            *("balance", "internal", "fetch", "hash"),
        ),
    ),
    Metric(
        "capacity_refusals_total",
        _C,
        "Segments that were in and found no place for work, by reason",
        ("reason",),
        zeros=_from_zero("capped", "busy", "ended"),
    ),
    Metric(
        "transcode_failures_total",
        _C,
        "Segments whose transcode failed, by class",
        ("reason",),
        zeros=_from_zero("permanent", "retryable"),
    ),
    Metric("segments_in_hand", _G, "Segments between their headers and their answer"),
    Metric("segments_waiting", _G, "Segments that wait for their turn in their session"),
    Metric("segment_bytes_total", _C, "Bytes of segments received whole", zeros=_ONCE),
    Metric("rendition_bytes_total", _C, "Bytes of renditions kept for gateways", zeros=_ONCE),
    Metric(
        "rendition_save_time_seconds", _H, "Time to keep the renditions of a segment in their store", (), _TRANSFER_S
    ),
    Metric("queue_wait_seconds", _H, "Time a segment waited for its turn in its session", buckets=_SECONDS),
    Metric("engine_wait_seconds", _H, "Time a segment waited for a free engine child", ("device",), _SECONDS),
    Metric("engine_jobs_waiting", _G, "Segments that wait for a free engine child", ("device",)),
    Metric(
        "sessions_ended_total",
        _C,
        "Sessions ended, by reason",
        ("reason",),
        zeros=_from_zero("gateway", "idle", "continued"),
    ),
    Metric("engine_children", _G, "Engine children alive", ("device",)),
    Metric("engine_children_busy", _G, "Engine children at work", ("device",)),
    Metric("engine_child_up", _G, "1 while the engine child of this place is up", ("engine",)),
    Metric("engine_child_busy", _G, "1 while it works on a segment", ("engine",)),
    Metric("engine_child_jobs", _G, "Segments that the present child did since it started", ("engine",)),
    Metric("engine_child_rss_bytes", _G, "Resident memory of the present child", ("engine",)),
    # Devices are known only at the start; each begins with a zero for every reason.
    Metric("engine_restarts_total", _C, "Engine children replaced, by reason", ("device", "reason")),
    Metric("engine_fallbacks_total", _C, "Steps done in software although there is a device", ("device", "step")),
    Metric("device_healthy", _G, "1 while segments may go to this device, 0 while it is out of use", ("device",)),
    Metric("device_sessions", _G, "Sessions that work on this device", ("device",)),
    Metric("device_load_px_per_s", _G, "Sum of their costs in requested pixels per second", ("device",)),
    Metric("device_quarantines_total", _C, "Times a device was put out of use, by reason", ("device", "reason")),
    Metric(
        "device_info",
        _G,
        "1 for each card in use, with what the driver says about it",
        ("device", "uuid", "model", "driver", "cuda"),
    ),
    Metric("device_faulty", _G, "1 while the driver tells that something is wrong with the card", ("device",)),
    Metric("device_memory_bytes", _G, "Memory of the card", ("device",)),
    Metric("device_memory_used_bytes", _G, "Memory in use, by other programs too; NaN when not told", ("device",)),
    Metric("device_busy_percent", _G, "How busy a unit of the card is; NaN when not told", ("device", "unit")),
    Metric("device_temperature_celsius", _G, "Temperature of the card; NaN when not told", ("device",)),
    Metric(
        "device_encoder_sessions", _G, "Encoder sessions open, of other programs too; NaN when not told", ("device",)
    ),
    Metric("device_power_watts", _G, "Power the card draws; NaN when not told", ("device",)),
    Metric("device_throttled", _G, "1 while the card is slowed by heat or power; NaN when not told", ("device",)),
    Metric(
        "device_ecc_errors", _G, "Uncorrected memory errors since the driver was loaded; NaN when not told", ("device",)
    ),
    Metric(
        "device_faults_total", _C, "Times the card went from fine to faulty, by what was wrong", ("device", "fault")
    ),
    Metric("poison_refusals_total", _C, "Segments refused because they killed engines before", zeros=_ONCE),
    Metric("media_store_bytes", _G, "Bytes of renditions kept for gateways"),
    Metric("media_store_objects", _G, "Renditions kept for gateways"),
    Metric(
        "media_store_evictions_total",
        _C,
        "Renditions dropped before their time to stay within the limit",
        zeros=_ONCE,
    ),
    Metric(
        "object_store_failures_total",
        _C,
        "Renditions a bucket did not take, by whose bucket",
        ("owner",),
        zeros=_from_zero("own", "gateway"),
    ),
    Metric("tickets_pending", _G, "Winning tickets on record that are neither paid nor given up"),
    Metric("tickets_pending_value", _G, "Face value of the winning tickets that wait, in gwei"),
    Metric("database_waiting", _G, "Changes of money that are not on record yet", zeros=_ONCE),
    Metric("database_commit_time_seconds", _H, "Time to put changes that waited together on record", (), _COMMIT_S),
    Metric("database_failures_total", _C, "Commits that could not be put on record", zeros=_ONCE),
    Metric("spool_bytes", _G, "Bytes of segments on disk until their work is done"),
    Metric("port_connections", _G, "Open connections on the service port"),
    Metric("port_refusals_total", _C, "Connections or streams cut on the service port, by reason", ("reason",)),
    Metric("service_restarts_total", _C, "Supervised services restarted, by service", ("service",)),
    Metric("readiness", _G, "1 when the node serves, 0 otherwise"),
)
"""Names of our own."""

METRICS: Mapping[str, Metric] = MappingProxyType({row.name: row for row in (*_KNOWN, *_OURS)})
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

    def forget_stream(self, manifest_id: str) -> None:
        """Nothing was kept."""


def _check(name: str, kind: MetricKind, labels: Mapping[str, str]) -> None:
    row = METRICS[name]
    if row.kind is not kind or tuple(sorted(labels)) != tuple(sorted(row.labels)):
        message = f"metric {name} is a {row.kind.value} with labels {row.labels}"
        raise KeyError(message)
