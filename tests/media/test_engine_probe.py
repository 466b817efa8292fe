"""The engine claims what it has done, and nothing else."""

import time

import pytest

from baton.kernel.capabilities import Capability
from baton.media.engine import probe as probing
from baton.media.engine.probe import probe
from baton.media.engine.samples import Recipe
from baton.media.job import EncoderTuning

pytestmark = pytest.mark.media


def test_this_machine_proves_every_capability_of_the_table() -> None:
    started_s = time.monotonic()
    report = probe(EncoderTuning())
    assert time.monotonic() - started_s < 20, "about a second where nothing else runs"
    assert report.refused == ()
    assert set(report.capability_ids) == {
        *(Capability.H264, Capability.MPEGTS, Capability.MP4, Capability.FRACTIONAL_FRAMERATES),
        *(Capability.H264_BASELINE_PROFILE, Capability.H264_MAIN_PROFILE, Capability.H264_HIGH_PROFILE),
        *(Capability.H264_CONSTRAINED_HIGH_PROFILE, Capability.GOP, Capability.SEGMENT_SLICING),
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
