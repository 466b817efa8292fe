"""When an offer meets a request: version, mandatory bits, models, bits (video.md 5.4), and key frame intervals."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from baton.kernel.capabilities import Capabilities, ModelConstraint, is_compatible
from baton.kernel.profiles import INTRA_ONLY_GOP, PRESETS

LIVE, TEXT = 35, 27
Models = Mapping[int, Mapping[str, ModelConstraint]]

OFFERED: Models = {
    LIVE: {"noop": ModelConstraint(warm=True, runner_version="0.2.0"), "cold": ModelConstraint(warm=False)}
}


@pytest.mark.parametrize(
    ("wanted", "fine"),
    [
        ({}, True),
        ({LIVE: {}}, True),
        ({LIVE: {"noop": ModelConstraint()}}, True),
        ({LIVE: {"noop": ModelConstraint(warm=True)}}, True),
        ({LIVE: {"cold": ModelConstraint()}}, True),
        ({LIVE: {"cold": ModelConstraint(warm=True)}}, False),
        ({LIVE: {"other": ModelConstraint()}}, False),
        ({LIVE: {"noop": ModelConstraint(), "other": ModelConstraint()}}, False),
        ({LIVE: {"noop": ModelConstraint(runner_version="0.2.0")}}, True),
        ({LIVE: {"noop": ModelConstraint(runner_version="0.2.1")}}, False),
        ({LIVE: {"cold": ModelConstraint(runner_version="0.0.1")}}, False),
        ({TEXT: {"anything": ModelConstraint(warm=True)}}, True),
    ],
    ids=[
        *("nothing", "no model", "one", "warm", "cold", "cold as warm", "unknown", "one of two", "same version"),
        *("newer", "unstated version", "not constrained"),
    ],
)
def test_models_that_are_asked_for_must_be_there_as_asked(wanted: Models, *, fine: bool) -> None:
    assert is_compatible(Capabilities(models=wanted), Capabilities(models=OFFERED)) is fine


@pytest.mark.parametrize(
    ("mandatory", "asked", "fine"),
    [((), (1,), True), ((1,), (3,), True), ((2,), (1,), False), ((1, 0), (1,), False), ((0, 1), (3, 1), True)],
)
def test_what_an_offer_insists_on_must_be_asked_for(
    mandatory: tuple[int, ...], asked: tuple[int, ...], *, fine: bool
) -> None:
    offer = Capabilities(bits=(3, 1), mandatory_bits=mandatory)
    assert is_compatible(Capabilities(bits=asked), offer) is fine


@pytest.mark.parametrize(
    ("gop_ms", "fps", "fps_den", "frames"),
    [
        (2000, 30000, 1001, 60),
        (200, 30000, 1001, 6),
        (2000, 24000, 1001, 48),
        (300, 30, 0, 9),
        (1, 30, 0, 1),
        (2000, 0, 0, None),
        (0, 30, 0, None),
        (INTRA_ONLY_GOP, 30, 0, 1),
        (INTRA_ONLY_GOP, 0, 0, 1),
    ],
)
def test_key_frame_interval_in_frames_is_rounded(gop_ms: int, fps: int, fps_den: int, frames: int | None) -> None:
    profile = replace(PRESETS["P144p30fps16x9"], gop_ms=gop_ms, fps=fps, fps_den=fps_den)
    assert profile.gop_frames == frames
