"""The operator's settings in the engine's words, and what is told of its test."""

import dataclasses

import pytest
import structlog

from baton.app.engine import told, tuning_of
from baton.config.model import EngineSettings
from baton.media.job import Choice, EncoderTuning, EngineReport, HdrTreatment

_REPORT = EngineReport(
    capability_ids=(0,),
    refused=((15, "no decoder"), (16, "too slow"), (17, "odd")),
    engine="PyAV 1",
    encoders=("libx264",),
)


def test_defaults_of_settings_and_engine_are_the_same() -> None:
    assert tuning_of(EngineSettings()) == EncoderTuning()


@pytest.mark.parametrize(("word", "choice"), [("auto", Choice.AUTO), ("true", Choice.ON), ("false", Choice.OFF)])
def test_words_become_choices(word: str, choice: Choice) -> None:
    settings = EngineSettings(hevc_encoding=word, hevc_decoding=word, hdr="passthrough", buffer_s=0.25, preset="fast")
    assert tuning_of(settings) == EncoderTuning(
        preset="fast", buffer_ms=250, hdr=HdrTreatment.PASS_THROUGH, hevc_encoding=choice, hevc_decoding=choice
    )


@pytest.mark.parametrize("word", ["auto", "true", "false"])
def test_what_was_asked_for_in_vain_is_a_warning(word: str) -> None:
    with structlog.testing.capture_logs() as lines:
        test = told("cpu", _REPORT, dataclasses.replace(EngineSettings(), hevc_decoding=word))
    levels = {line["capability"]: line["log_level"] for line in lines if line["event"] == "not offered"}
    expected = "warning" if word == "true" else "info"
    assert levels == {"HEVC decode": expected, "HEVC encode": "info", "VP8 decode": "info"}
    assert test.not_offered == (("HEVC decode", "no decoder"), ("HEVC encode", "too slow"), ("VP8 decode", "odd"))
    assert test.encoders == ("libx264",)
