"""The arithmetic of profiles against the network's vectors: sizes, session cost, fee estimates (10.6, 10.7)."""

from dataclasses import replace

import pytest

from baton.kernel.profiles import PRESETS, VideoCodec, VideoProfile, estimated_px, output_size, session_cost_px_per_s

P144, P240 = PRESETS["P144p30fps16x9"], PRESETS["P240p30fps16x9"]
NTSC_144 = replace(P144, fps=30000, fps_den=1001)


@pytest.mark.parametrize(
    ("source", "requested", "made"),
    [
        ((150, 200), (0, 250), (188, 250)),
        ((200, 300), (0, 427), (284, 426)),
        ((200, 300), (426, 0), (284, 426)),
        ((123, 456), (0, 426), (146, 542)),
        ((400, 456), (0, 40), (146, 166)),
        ((200, 300), (0, 428), (286, 428)),
        ((456, 123), (426, 0), (426, 114)),
        ((456, 123), (0, 301), (300, 80)),
        ((456, 400), (100, 0), (146, 128)),
        ((500, 100), (0, 200), (250, 50)),
        ((456, 120), (0, 400), (400, 106)),
        ((123, 123), (426, 0), (426, 426)),
        ((1280, 720), (0, 123), (146, 82)),
        ((56, 100), (256, 144), (146, 260)),
        ((100, 56), (256, 144), (256, 144)),
        ((640, 480), (1280, 720), (1280, 960)),
        ((1080, 1920), (1280, 720), (720, 1280)),
        ((1920, 800), (854, 480), (854, 356)),
    ],
)
def test_output_size_matches_vector(source: tuple[int, int], requested: tuple[int, int], made: tuple[int, int]) -> None:
    assert output_size(source=source, requested=requested, codec=VideoCodec.H264) == made


def test_session_cost_matches_vector() -> None:
    profiles = (replace(P144, fps=1), replace(P144, fps=0), NTSC_144)
    assert session_cost_px_per_s(profiles) == 2_211_840


@pytest.mark.parametrize(
    ("profiles", "duration_ms", "px"),
    [
        ((P144,), 2000, 2_211_840),
        ((P144, P240), 2000, 8_346_240),
        ((P144, P240), 2200, 12_519_360),
        ((replace(P144, fps=0), P240), 3000, 15_837_120),
        ((NTSC_144, P240), 3000, 12_519_360),
    ],
)
def test_fee_estimate_matches_vector(profiles: tuple[VideoProfile, ...], duration_ms: int, px: int) -> None:
    assert estimated_px(profiles, duration_ms=duration_ms) == px
