"""The arithmetic behind the figures of docs/performance.md, and how benchmarks judge and print them."""

import json

import pytest
from benchmarks.__main__ import MODULES
from benchmarks.figures import median_ratio, percentile, ratios, slope, with_spread
from benchmarks.node_cost import phases
from benchmarks.options import Options
from benchmarks.segment_path import Outcome, Worked, segments_per_stream
from benchmarks.upload import Shape, Taken, row_of, shapes
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_percentile_is_the_nearest_rank(percent: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), percent) == expected


def test_p99_of_few_values_is_the_worst() -> None:
    assert percentile([3.0, 900.0, 4.0], 99) == 900.0


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1), percent=st.floats(0, 100))
def test_enough_values_lie_at_or_below_a_percentile(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100 - 1e-9


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_percentile_of_nothing_or_beyond_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match=r"no values|no percentage"):
        percentile(values, percent)


def test_ratios_compare_round_by_round() -> None:
    # The second round was disturbed for both: the ratio of medians would say 1.5, the median of ratios says 2.
    assert ratios([20, 2, 30], [10, 1, 20]) == (2.0, 2.0, 1.5)
    assert median_ratio([20, 2, 30], [10, 1, 20]) == 2.0


def test_sides_with_different_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_slope_is_the_price_of_one_more() -> None:
    assert slope([(10, 130.0), (20, 160.0), (30, 190.0)]) == pytest.approx(3.0)
    with pytest.raises(ValueError, match="two different places"):
        slope([(10, 1.0), (10, 2.0)])


def test_spread_shows_median_and_extremes() -> None:
    assert with_spread([3.0, 1.0, 2.0], 1) == "2.0 (1.0-3.0)"


def test_the_limit_of_frames_is_the_faster_bare_way() -> None:
    sides = {
        "FFmpeg per segment": Worked(fps=[80.0, 82.0, 84.0], cpu_s=[4.0, 4.0, 4.0]),
        "FFmpeg per stream": Worked(fps=[100.0, 100.0, 100.0], cpu_s=[3.0, 3.0, 3.0]),
        "Baton": Worked(fps=[95.0, 97.0, 96.0], cpu_s=[3.75, 3.75, 3.75]),
    }
    row = Outcome("720p", 2, sides, node_cpu_share=[0.01, 0.02, 0.03]).row()
    assert row["limit"] == "FFmpeg per stream"
    assert row["ratio"] == pytest.approx(0.96)
    assert row["ratio_per_segment"] == pytest.approx(97 / 82)
    assert row["cpu_ratio"] == pytest.approx(0.8)
    assert row["cpu_ratio_per_segment"] == pytest.approx(4 / 3.75)
    assert row["node_cpu_share"] == 0.02


@pytest.mark.parametrize(("streams", "expected"), [(1, 12), (2, 6), (4, 3), (8, 2)])
def test_streams_share_the_seconds_of_a_round(streams: int, expected: int) -> None:
    assert segments_per_stream(streams, seconds=24, quick=False) == expected


def test_uploads_are_compared_with_nginx_and_the_goal_belongs_to_their_shape() -> None:
    shape = Shape(http1=False, megabytes=10, parallel=4, count=24)
    nginx = Taken("nginx", shape, mb_per_s=[1000.0, 500.0], cpu_s_per_gb=[0.8, 0.9], each_s=[0.01])
    port = Taken("port", shape, mb_per_s=[800.0, 400.0], cpu_s_per_gb=[1.0, 1.2], each_s=[0.02, 0.04])
    row = row_of(port, nginx)
    assert (row["ratio"], row["goal"], row["cpu_s_per_gb"]) == (0.8, 0.71, 1.1)
    assert row["median_upload_s"] == pytest.approx(0.03)
    assert "ratio" not in row_of(nginx, nginx)
    assert "ratio" not in row_of(port, None)
    node = Taken("/segment", shape, mb_per_s=[300.0, 200.0], cpu_s_per_gb=[5.0], each_s=[0.1])
    assert row_of(node, nginx)["goal"] is None  # it hashes and keeps what it takes, which nginx does not


def test_every_size_protocol_and_number_is_uploaded() -> None:
    near = {(s.protocol, s.megabytes, s.parallel) for s in shapes(quick=False) if not s.round_trip_ms}
    assert near == {(p, m, n) for p in ("HTTP/2.0", "HTTP/1.1") for m in (2, 10) for n in (1, 4)}
    far = {(s.protocol, s.megabytes) for s in shapes(quick=False) if s.round_trip_ms == 50}
    assert far == {(p, m) for p in ("HTTP/2.0", "HTTP/1.1") for m in (2, 10)}


def test_a_start_is_split_where_the_log_says() -> None:
    events = {"baton starts": 1, "management listening": 1.5, "engine tested": 3, "node serving": 3.25}
    lines = [json.dumps({"timestamp": f"1970-01-01T00:00:0{at}Z", "event": event}) for event, at in events.items()]
    lengths = phases("\n".join(["not json", *lines]), began=0.5)
    assert list(lengths.values()) == [0.5, 0.5, 1.5, 0.25]
    with pytest.raises(ValueError, match="node serving"):
        phases("\n".join(lines[:3]), began=0.5)


def test_quick_means_one_round_unless_rounds_are_asked_for() -> None:
    assert Options.parse("", []).rounds(5) == 5
    assert Options.parse("", ["--quick"]).rounds(5) == 1
    assert Options.parse("", ["--quick", "--rounds", "3"]).rounds(5) == 3
    assert Options.parse("", ["--streams", "1", "8"]).streams == (1, 8)


def test_every_benchmark_has_a_name() -> None:
    assert set(MODULES) == {"upload", "discovery", "cost", "frames"}
