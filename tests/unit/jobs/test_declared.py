"""Frames beyond what a gateway declared: counted where it could have known, and nowhere else."""

from dataclasses import replace

import pytest

from baton.jobs.declared import MOST_TIMES_DECLARED, Measured, measure
from baton.kernel.profiles import PRESETS, VideoProfile
from baton.media.job import RenditionOutput, TranscodeOutput

SMALL = PRESETS["P144p30fps16x9"]
PASSING = replace(SMALL, fps=0)


def output(*renditions: tuple[int, int, int], decoded_ms: int = 0) -> TranscodeOutput:
    """Renditions of so many frames, of this size."""
    made = tuple(
        RenditionOutput(data=b"", pixels=frames * width * height, frames=frames, width=width, height=height)
        for frames, width, height in renditions
    )
    return TranscodeOutput(made, decoded_px=0, decoded_frames=0, engine_ms=0, decoded_ms=decoded_ms)


@pytest.mark.parametrize(
    ("frames", "duration_ms", "beyond"),
    [(60, 2000, 0), (61, 2000, 1), (60, 1001, 0), (60, 1000, 30), (30, 1, 0), (9000, 1, 8970), (0, 2000, 0)],
)
def test_frames_beyond_the_whole_seconds_are_overtime(frames: int, duration_ms: int, beyond: int) -> None:
    measured = measure((SMALL,), output((frames, 256, 144)), duration_ms=duration_ms)
    assert measured.overtime_px == beyond * 256 * 144


def test_shape_of_the_source_is_not_overtime() -> None:
    measured = measure((SMALL,), output((60, 1024, 1024)), duration_ms=2000)
    assert measured == Measured(declared_px=60 * 1024 * 1024, overtime_px=0)


def test_one_rendition_does_not_make_up_for_another() -> None:
    measured = measure((SMALL, SMALL), output((0, 256, 144), (61, 256, 144)), duration_ms=2000)
    assert measured.overtime_px == 256 * 144


@pytest.mark.parametrize(
    ("profile", "frames", "decoded_ms", "beyond"),
    [
        (PASSING, 120, 2000, 0),
        (PASSING, 240, 2000, 0),
        (PASSING, 241, 2000, 1),
        (PASSING, 480, 2000, 240),
        (PASSING, 240, 4000, 120),
        (PASSING, 240, 8000, 120),
        (PASSING, 240, 0, 120),
        (PASSING, 120, 8000, 0),
        (SMALL, 240, 2000, 180),
    ],
)
def test_fast_source_that_passes_through_is_true_to_its_duration(
    profile: VideoProfile, frames: int, decoded_ms: int, beyond: int
) -> None:
    measured = measure((profile,), output((frames, 2, 2), decoded_ms=decoded_ms), duration_ms=2000)
    assert measured.overtime_px == beyond * 4


@pytest.mark.parametrize(("overtime_px", "deliverable"), [(0, True), (900, True), (901, False)])
def test_ten_times_what_was_declared_is_delivered(overtime_px: int, *, deliverable: bool) -> None:
    assert MOST_TIMES_DECLARED == 10
    assert Measured(100, overtime_px).is_deliverable is deliverable
