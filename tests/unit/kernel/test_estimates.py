"""Estimates from profiles of strangers: never less than nothing."""

from dataclasses import replace

import pytest

from baton.kernel.profiles import PRESETS, estimated_px, session_cost_px_per_s

HONEST = PRESETS["P144p30fps16x9"]


@pytest.mark.parametrize(
    ("width", "height"), [(-1280, 720), (1280, -720), (-1280, -720), (-(2**31), 2**31 - 1), (0, 0)]
)
def test_sides_below_zero_do_not_pay_for_other_profiles(width: int, height: int) -> None:
    absurd = replace(HONEST, width=width, height=height)
    assert estimated_px((absurd,), duration_ms=2000) == 0
    assert estimated_px((HONEST, absurd), duration_ms=2000) == estimated_px((HONEST,), duration_ms=2000)
    assert session_cost_px_per_s((HONEST, absurd)) == session_cost_px_per_s((HONEST,))
