"""The engine claims what it has done, and nothing else."""

import time
from dataclasses import replace

import pytest

from baton.kernel.capabilities import Capability
from baton.kernel.profiles import VideoCodec, VideoProfile
from baton.media.engine import probe as probing
from baton.media.engine import speed as measuring
from baton.media.engine.encoders.base import Encoder
from baton.media.engine.encoders.registry import ENCODERS
from baton.media.engine.probe import probe
from baton.media.engine.samples import Recipe
from baton.media.engine.speed import Speed, measure_speed
from baton.media.job import Choice, EncoderTuning

pytestmark = pytest.mark.media


def test_this_machine_proves_every_capability_of_the_table() -> None:
    started_s = time.monotonic()
    report = probe(EncoderTuning(hevc_encoding=Choice.ON))
    assert time.monotonic() - started_s < 20, "about a second where nothing else runs"
    assert report.refused == ()
    assert set(report.capability_ids) == {
        *(Capability.H264, Capability.MPEGTS, Capability.MP4, Capability.FRACTIONAL_FRAMERATES),
        *(Capability.H264_BASELINE_PROFILE, Capability.H264_MAIN_PROFILE, Capability.H264_HIGH_PROFILE),
        *(Capability.H264_CONSTRAINED_HIGH_PROFILE, Capability.GOP, Capability.SEGMENT_SLICING),
        Capability.MPEG7_SIGNATURE,
        *(Capability.HEVC_DECODE, Capability.HEVC_ENCODE, Capability.VP8_DECODE, Capability.VP9_DECODE),
        *(Capability.H264_DECODE_444_8BIT, Capability.H264_DECODE_422_8BIT, Capability.H264_DECODE_444_10BIT),
        *(Capability.H264_DECODE_422_10BIT, Capability.H264_DECODE_420_10BIT),
    }
    assert report.encoders == ("libx264", "libx265")
    assert report.engine.startswith("PyAV ")


def test_settings_that_fail_are_reported_and_claim_nothing() -> None:
    report = probe(EncoderTuning(preset="nonsense"))
    assert report.capability_ids == ()
    assert report.encoders == ()
    refused = dict(report.refused)
    assert "nonsense" in refused[Capability.H264]


def test_a_sample_that_cannot_be_made_refuses_its_capability_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        probing,
        "_TRIALS",
        (probing._Trial(Capability.H264), probing._Trial(Capability.VP8_DECODE, sample=Recipe("no_such_encoder"))),
    )
    report = probe(EncoderTuning())
    assert report.capability_ids == (Capability.H264,)
    assert [number for number, _ in report.refused] == [Capability.VP8_DECODE]


def test_a_wrong_number_of_frames_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_TRIALS", (probing._Trial(Capability.SEGMENT_SLICING, frames=4),))
    report = probe(EncoderTuning())
    assert report.capability_ids == ()
    assert "4 frames expected" in report.refused[0][1]


_HEVC_ENCODE = probing._Trial(Capability.HEVC_ENCODE, profile=replace(probing._ASKED, codec=VideoCodec.H265))
_HEVC_DECODE = probing._Trial(Capability.HEVC_DECODE, sample=probing._HEVC)


@pytest.mark.parametrize(("factor", "offered"), [(0.99, False), (1.0, True), (3.5, True)])
def test_hevc_is_offered_where_software_keeps_up(
    monkeypatch: pytest.MonkeyPatch,
    factor: float,
    offered: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    asked: list[tuple[str, str]] = []

    def measured(encoder: Encoder, tuning: EncoderTuning) -> Speed:
        asked.append((encoder.library_name, tuning.preset))
        return Speed(factor=factor, what="libx265")

    monkeypatch.setattr(probing, "_TRIALS", (probing._Trial(Capability.H264), _HEVC_ENCODE))
    monkeypatch.setattr(probing, "measure_speed", measured)
    report = probe(EncoderTuning(preset="ultrafast"))
    assert asked == [("libx265", "ultrafast")]
    assert (Capability.HEVC_ENCODE in report.capability_ids) is offered
    assert ("libx265" in report.encoders) is offered
    assert report.measured == (f"libx265: {factor:.2f} times real time",)
    reasons = dict(report.refused)
    assert reasons == ({} if offered else {16: f"too slow for a live stream: {report.measured[0]}"})


def test_an_operator_s_word_on_hevc_is_kept_and_needs_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_encoder: Encoder, _tuning: EncoderTuning) -> Speed:
        raise AssertionError

    monkeypatch.setattr(probing, "measure_speed", never)
    monkeypatch.setattr(probing, "_TRIALS", (probing._Trial(Capability.H264), _HEVC_ENCODE, _HEVC_DECODE))
    wanted = probe(EncoderTuning(preset="ultrafast", hevc_encoding=Choice.ON, hevc_decoding=Choice.ON))
    assert set(wanted.capability_ids) == {Capability.H264, Capability.HEVC_ENCODE, Capability.HEVC_DECODE}
    unwanted = probe(EncoderTuning(preset="ultrafast", hevc_encoding=Choice.OFF, hevc_decoding=Choice.OFF))
    assert unwanted.capability_ids == (Capability.H264,)
    assert dict(unwanted.refused) == dict.fromkeys((16, 15), "the operator does not want it")


def test_what_the_probe_saw_fail_is_not_offered_whatever_the_operator_says(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(_HEVC_DECODE, sample=Recipe("no_such_encoder"))
    monkeypatch.setattr(probing, "_TRIALS", (probing._Trial(Capability.H264), broken))
    report = probe(EncoderTuning(preset="ultrafast", hevc_decoding=Choice.ON))
    assert report.capability_ids == (Capability.H264,)


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.key)
@pytest.mark.parametrize("preset", ["ultrafast", "veryslow"])
def test_a_measurement_ends_soon_however_slow_the_encoder_is(encoder: Encoder, preset: str) -> None:
    started_s = time.monotonic()
    speed = measure_speed(encoder, EncoderTuning(preset=preset))
    assert time.monotonic() - started_s < 20, "three seconds where nothing else runs"
    assert speed.factor > 0 or preset == "veryslow"
    assert preset in str(speed)
    assert encoder.library_name in str(speed)


def test_a_small_picture_that_is_too_slow_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def measured(_encoder: Encoder, profile: VideoProfile, _tuning: EncoderTuning) -> Speed:
        tried.append(profile.width)
        return Speed(factor={320: 4.0, 640: 1.2, 1280: 9.0}[profile.width], what="small")

    monkeypatch.setattr(measuring, "_measured", measured)
    speed = measure_speed(ENCODERS[1], EncoderTuning())
    assert tried == [320, 640]
    assert not speed.keeps_up
    assert str(speed) == "small: 1.20 times real time (1.3 needed)"
