"""What the story of a segment measures: labels, sizes, refusals, and series of streams that end with them."""

from collections import Counter
from dataclasses import replace

import pytest

from baton.jobs.streams import Streams
from baton.kernel.errors import CapacityError, RefusedError, Text, TranscodeError
from baton.kernel.metrics import SilentMetrics
from baton.video.sessions import IDLE_TIMEOUT_S
from tests.unit.jobs.rig import BODY, PROFILES, Rig, scenario


class Recorder(SilentMetrics):
    """Checks rows as ever and keeps what came, with its labels."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.labels: dict[str, dict[str, str]] = {}
        self.streams: set[str] = set()

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        super().add(name, amount, **labels)
        self.counted[" ".join((name, labels.get("reason", ""))).strip()] += int(amount)
        self._note(name, labels)

    def observe(self, name: str, value: float, **labels: str) -> None:
        super().observe(name, value, **labels)
        self.counted[name] += 1
        self._note(name, labels)

    def forget_stream(self, manifest_id: str) -> None:
        self.streams.discard(manifest_id)

    def _note(self, name: str, labels: dict[str, str]) -> None:
        self.labels[name] = labels
        if "manifest_id" in labels:
            self.streams.add(labels["manifest_id"])


def make() -> tuple[Rig, Recorder]:
    recorder = Recorder()
    return Rig(metrics=recorder), recorder


def test_a_transcoded_segment_is_counted_under_the_labels_dashboards_know() -> None:
    async def body() -> None:
        rig, seen = make()
        assert (await rig.send()).error == ""
        work = {"profiles": ",".join(sorted(p.name for p in PROFILES)), "trusted": "trusted", "verified": "verified"}
        for name in ("segment_transcoded_total", "transcode_time_seconds", "transcode_score"):
            assert (seen.counted[name], seen.labels[name]) == (1, work)
        for name in (
            *("segment_source_emerged_unprocessed_total", "source_segment_duration_seconds"),
            *("segment_transcoded_downloaded_total", "download_time_seconds", "mil_pixels_processed"),
        ):
            assert seen.labels[name] == {"manifest_id": "stream"}
        assert seen.counted["segment_bytes_total"] == len(BODY)
        assert seen.counted["rendition_bytes_total"] == sum(len(p.name) * 4 for p in PROFILES)
        assert seen.counted["rendition_save_time_seconds"] == 1

    scenario(body)


def test_series_of_a_stream_end_with_its_last_session() -> None:
    async def body() -> None:
        rig, seen = make()
        first, second = rig.metadata(manifest="one"), rig.metadata(manifest="two")
        await rig.send(rig.request(first))
        await rig.send(rig.request(second))
        assert seen.streams == {"one", "two"}
        assert first.auth_token is not None
        await rig.streams.end(first.auth_token.session_id, reason="gateway")
        assert seen.streams == {"two"}
        rig.clock.advance(IDLE_TIMEOUT_S)
        await expire(rig.streams, rig)
        assert seen.streams == set()

    scenario(body)


async def expire(streams: Streams, rig: Rig) -> None:
    await streams._forget(set(streams.table.expire(rig.clock.monotonic())), reason="idle")


def test_a_stream_that_two_sessions_carry_ends_with_the_second() -> None:
    async def body() -> None:
        rig, seen = make()
        sent = [rig.metadata(token=rig.mint.issue(caller=f"10.0.0.{n}")) for n in range(2)]
        for metadata in sent:
            await rig.send(rig.request(metadata))
        for metadata, left in zip(sent, ({"stream"}, set()), strict=True):
            assert metadata.auth_token is not None
            await rig.streams.end(metadata.auth_token.session_id, reason="gateway")
            assert seen.streams == left

    scenario(body)


def test_a_stream_that_never_opened_leaves_no_series() -> None:
    async def body() -> None:
        rig, seen = make()
        wrong = replace(rig.metadata(manifest="stranger"), content_hash=b"x" * 32)
        with pytest.raises(RefusedError):
            await rig.send(rig.request(wrong))
        assert seen.counted["segment_transcoded_downloaded_total"] == 1
        assert seen.streams == set()
        assert seen.counted["segment_refusals_total hash"] == 1

    scenario(body)


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (CapacityError(Text.BUSY), "capacity_refusals_total busy"),
        (CapacityError(Text.CAPPED), "capacity_refusals_total capped"),
        (CapacityError(Text.SESSION_ENDED), "capacity_refusals_total ended"),
        (TranscodeError(Text.INVALID_ARGUMENT), "transcode_failures_total permanent"),
        (TranscodeError(Text.TRANSCODER_STOPPED), "transcode_failures_total retryable"),
    ],
)
def test_failures_are_counted_by_reason(error: Exception, counted: str) -> None:
    async def body() -> None:
        rig, seen = make()
        rig.engine.error = error
        assert (await rig.send()).error != ""
        assert seen.counted[counted] == 1
        assert seen.counted["segment_transcoded_total"] == 0

    scenario(body)
