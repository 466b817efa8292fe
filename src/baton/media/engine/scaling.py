"""Scaling to a rendition's size, then to its frame rate: one filter graph per input geometry (video.md 7.1).

The rate filter stands behind the scaler and lays frames on the absolute grid ``k x den / num``, so that segments which
are transcoded apart line up.
"""

from collections.abc import Iterator
from fractions import Fraction

import av.error
from av.filter import Graph
from av.video.frame import VideoFrame

from baton.kernel.errors import Text
from baton.media.engine.errors import library_error

__all__ = ["Geometry", "Scaler", "geometry_of"]

Geometry = tuple[int, int, str]
"""Width and height in pixels and the pixel format: what a graph is built for."""

_THREADS = 2
"""Per graph; renditions run beside one another already."""


def geometry_of(picture: VideoFrame) -> Geometry:
    """What decides whether a graph fits a frame."""
    return picture.width, picture.height, picture.format.name


class Scaler:
    """Turns decoded frames of one geometry into frames for an encoder. Owned by one thread."""

    def __init__(
        self,
        first: VideoFrame,
        *,
        size_px: tuple[int, int],
        pixel_format: str,
        frame_rate: Fraction | None,
        time_base: Fraction,
    ) -> None:
        """Build the graph for frames like ``first``.

        Raises:
            TranscodeError: ``Error initializing filtergraph``.
        """
        self.size_px = size_px
        try:
            self._graph = Graph()
            self._graph.threads = _THREADS
            chain = [
                self._graph.add("buffer", _buffer_arguments(first, time_base)),
                self._graph.add("scale", f"w={size_px[0]}:h={size_px[1]}:flags=bicubic"),
                self._graph.add("format", f"pix_fmts={pixel_format}"),
            ]
            if frame_rate is not None:
                chain.append(self._graph.add("fps", f"fps={frame_rate.numerator}/{frame_rate.denominator}"))
            chain.append(self._graph.add("buffersink"))
            self._graph.link_nodes(*chain).configure()
        except (av.FFmpegError, ValueError, RuntimeError, OverflowError) as error:
            raise library_error(error, doing="build filter graph", text=Text.FILTERGRAPH) from error
        self._input, self._output = chain[0], chain[-1]

    def push(self, picture: VideoFrame | None) -> Iterator[VideoFrame]:
        """Feed a frame, or None for the end, and take what is ready: none, one, or any number when rates differ."""
        try:
            self._input.push(picture)
            while True:
                scaled = self._output.pull()
                if isinstance(scaled, VideoFrame):  # a video sink gives nothing else
                    yield scaled
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        except (av.FFmpegError, ValueError) as error:
            raise library_error(error, doing="filter") from error


def _buffer_arguments(picture: VideoFrame, time_base: Fraction) -> str:
    return (
        f"video_size={picture.width}x{picture.height}:pix_fmt={picture.format.name}"
        f":time_base={time_base.numerator}/{time_base.denominator}:pixel_aspect=1/1"
        f":colorspace={picture.colorspace}:range={picture.color_range}"
    )
