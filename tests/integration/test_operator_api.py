"""An operator's day with a real node: what /metrics says of a stream, and a limit that outlives a restart."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from baton.kernel.metrics import METRICS
from tests.node import Node, eventually
from tests.peer.gateway import PeerGateway, RpcError
from tests.peer.segments import preset

pytestmark = [pytest.mark.node, pytest.mark.media]

LADDER = (preset("P240p30fps16x9"), preset("P144p30fps16x9"))
WORK = {"profiles": "P144p30fps16x9,P240p30fps16x9", "trusted": "trusted", "verified": "verified"}


class Scrape:
    """One reading of /metrics."""

    def __init__(self, node: Node) -> None:
        answer = node.manage("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        self.text = answer.text
        self._samples = [s for family in text_string_to_metric_families(answer.text) for s in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the series with exactly these labels beside the base ones."""
        # Python's parser adds the suffix to counters that lack it; Prometheus does not.
        names = {f"livepeer_{name}", f"livepeer_{name}_total"}
        for sample in self._samples:
            found = {k: v for k, v in sample.labels.items() if k not in {"node_id", "node_type"}}
            if sample.name in names and found == labels:
                assert sample.labels["node_type"] == "orch"
                assert sample.labels["node_id"]
                return float(sample.value)
        return None

    def streams(self) -> set[str]:
        """Streams that have series of their own."""
        return {s.labels["manifest_id"] for s in self._samples if "manifest_id" in s.labels}


def test_stream_is_measured_under_known_names_and_gone_when_it_ends(tmp_path: Path, segment: bytes) -> None:
    node = Node(tmp_path / "data", "--monitor", "--metrics-per-stream", "--engine-children", "1")
    try:
        node.start()
        fresh = Scrape(node)
        assert fresh.value("segments_total", outcome="transcoded") == 0
        assert fresh.value("max_sessions_total") == 10
        assert fresh.value("winning_tickets_recv") == 0
        assert fresh.value("engine_child_up", engine="cpu-0") == 1
        assert "livepeer_versions{" in fresh.text
        with PeerGateway(node.url) as gateway:
            info = gateway.get_orchestrator()
            delivered = gateway.deliver(
                gateway.compose(segment, info=info, profiles=LADDER, manifest_id=b"show", duration_ms=1000)
            )
            during = Scrape(node)
            assert during.streams() == {"show"}
            for name in ("segment_source_emerged_unprocessed_total", "segment_transcoded_downloaded_total"):
                assert during.value(name, manifest_id="show") == 1
            assert during.value("mil_pixels_processed", manifest_id="show") == sum(delivered.pixels) / 1e6
            assert during.value("source_segment_duration_seconds_bucket", manifest_id="show", le="1") == 1
            assert during.value("source_segment_duration_seconds_bucket", manifest_id="show", le="0.5") == 0
            for name in ("segment_transcoded_total", "transcode_time_seconds_count", "transcode_score_count"):
                assert during.value(name, **WORK) == 1
            assert during.value("current_sessions_total") == 1
            assert during.value("segment_bytes_total") == len(segment)
            assert during.value("rendition_bytes_total") == sum(len(r) for r in delivered.renditions)
            gateway.end_all()
        eventually(lambda: not Scrape(node).streams(), what="the stream's series are gone")
        after = Scrape(node)
        assert after.value("current_sessions_total") == 0
        assert after.value("segment_transcoded_total", **WORK) == 1
        assert {
            line.split()[2].removeprefix("livepeer_") for line in after.text.splitlines() if "# TYPE livep" in line
        } <= {
            *METRICS,
            "versions",
        }
        node.stop()
        node.check_log()
    finally:
        node.kill()


def test_session_limit_changes_at_once_and_outlives_a_restart(tmp_path: Path, segment: bytes) -> None:
    node = Node(tmp_path / "data", "--max-sessions", "1", "--engine-children", "1")
    try:
        node.start()
        with PeerGateway(node.url) as first, PeerGateway(node.url) as second:
            first.deliver(first.compose(segment, info=first.get_orchestrator(), profiles=LADDER[:1], duration_ms=1000))
            with pytest.raises(RpcError, match="OrchestratorCapped"):
                second.get_orchestrator()
            assert node.manage("/setMaxSessions?maxSessions=2").status_code == 405
            assert node.manage("/setMaxSessions?maxSessions=2", method="POST").status_code == 401
            changed = node.manage("/setMaxSessions", method="POST", operator=True, form={"maxSessions": "2"})
            assert (changed.status_code, changed.text) == (200, "Max sessions set to 2\n")
            second.get_orchestrator()
        assert node.manage("/currentRound").text == "missing ETH client\n"
        assert node.manage("/setLogLevel", method="POST", operator=True, form={"loglevel": "5"}).status_code == 200
        eventually(
            lambda: any(line.fields.get("level") == "debug" for line in node.log()) or asks(node), what="debug lines"
        )
        node.stop()
        node.start()
        assert node.manage("/getLogLevel").text == "3"
        status = node.status()
        assert status["max_sessions"] == 2
        (row,) = [row for row in status["settings"] if row["name"] == "max-sessions"]
        assert (row["value"], row["source"]) == ("2", "set at run time")
        node.stop()
        node.check_log()
    finally:
        node.kill()


def asks(node: Node) -> bool:
    """Ask for terms once more: the answer is a debug line."""
    with PeerGateway(node.url) as gateway:
        gateway.get_orchestrator()
    return False
