"""A picture that cannot be brought into the shape an encoder wants: the network has a text for it (video.md 7.11)."""

from fractions import Fraction

import pytest
from av.video.frame import VideoFrame

from baton.kernel.errors import TranscodeError
from baton.media.engine.scaling import Scaler


@pytest.mark.parametrize(("size_px", "pixel_format"), [((256, 144), "nonsense"), ((1 << 20, 1 << 20), "yuv420p")])
def test_graph_that_cannot_be_built_has_its_text(size_px: tuple[int, int], pixel_format: str) -> None:
    with pytest.raises(TranscodeError) as refused:
        Scaler(
            VideoFrame(320, 180, "yuv420p"),
            size_px=size_px,
            pixel_format=pixel_format,
            frame_rate=None,
            time_base=Fraction(1, 90_000),
        )
    assert refused.value.text == "Error initializing filtergraph"
    assert not refused.value.retryable
