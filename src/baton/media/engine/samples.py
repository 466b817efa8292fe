"""Tiny samples for the engine's self-test, encoded on the spot: 5 frames of 144x144 at 25 frames/s (video.md 5.7)."""

import io
from dataclasses import dataclass
from fractions import Fraction

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

__all__ = ["SAMPLE_FRAMES", "SAMPLE_SIDE_PX", "Recipe", "make_sample"]

SAMPLE_FRAMES = 5
SAMPLE_SIDE_PX = 144
_RATE = 25


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a sample is made."""

    encoder: str
    """The codec library's name of an encoder."""
    container: str = "mpegts"
    pixel_format: str = "yuv420p"
    options: tuple[tuple[str, str], ...] = (("preset", "ultrafast"),)


def make_sample(recipe: Recipe) -> bytes:
    """The sample as a file; raises what the library raises when it has no such encoder or format."""
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format=recipe.container) as container:
        stream = container.add_stream(recipe.encoder, rate=_RATE, options=dict(recipe.options))
        if not isinstance(stream, VideoStream):
            message = f"{recipe.encoder} encodes no video"
            raise TypeError(message)
        stream.width = stream.height = SAMPLE_SIDE_PX
        stream.codec_context.pix_fmt = recipe.pixel_format
        for number in range(SAMPLE_FRAMES):
            container.mux(stream.encode(_frame(number)))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _frame(number: int) -> VideoFrame:
    """A flat picture, a little brighter each time."""
    frame = VideoFrame(SAMPLE_SIDE_PX, SAMPLE_SIDE_PX, "yuv420p")
    for plane, level in zip(frame.planes, (128 + number, 128, 128), strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    frame.pts = number
    frame.time_base = Fraction(1, _RATE)
    return frame
