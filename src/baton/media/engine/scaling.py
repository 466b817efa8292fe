"""Scaling to a rendition's size, its colours, then its frame rate: one filter graph per kind of frame (video.md 7.1).

The rate filter stands behind the scaler and lays frames on the absolute grid ``k x den / num``, so that segments which
are transcoded apart line up. Colours stay what the source says they are, unless they are HDR or wider than BT.709 and
the operator wants them brought to what every player shows.
"""

import tempfile
from collections.abc import Iterator
from fractions import Fraction

import av.error
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame

from baton.kernel.errors import Text
from baton.media.engine.colors import input_matrix, source_colors
from baton.media.engine.errors import library_error
from baton.media.engine.tonemapping import Colors, cube_text

__all__ = ["Geometry", "Scaler", "geometry_of"]

Geometry = tuple[int, int, str, int, int, int, int]
"""Width and height in pixels, pixel format, and the colours' matrix, range, transfer and primaries."""

_THREADS = 2
"""Per graph; renditions run beside one another already."""


def geometry_of(picture: VideoFrame) -> Geometry:
    """What decides whether a graph fits a frame."""
    return (
        picture.width,
        picture.height,
        picture.format.name,
        int(picture.colorspace),
        int(picture.color_range),
        int(picture.color_trc),
        int(picture.color_primaries),
    )


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
        tone_map: bool = False,
    ) -> None:
        """Build the graph for frames like ``first``; ``tone_map`` brings HDR and wide colours to BT.709.

        Raises:
            TranscodeError: ``Error initializing filtergraph``.
        """
        self.size_px = size_px
        self.colors = source_colors(first) if tone_map else None
        try:
            self._graph = Graph()
            self._graph.threads = _THREADS
            chain = [self._graph.add("buffer", _buffer_arguments(first, time_base))]
            size = f"w={size_px[0]}:h={size_px[1]}:flags=bicubic"
            if self.colors is None:
                chain.append(self._graph.add("scale", size))
            else:
                chain += self._mapped(f"{size}:in_color_matrix={input_matrix(first)}", self.colors)
            chain.append(self._graph.add("format", f"pix_fmts={pixel_format}"))
            if frame_rate is not None:
                chain.append(self._graph.add("fps", f"fps={frame_rate.numerator}/{frame_rate.denominator}"))
            chain.append(self._graph.add("buffersink"))
            self._graph.link_nodes(*chain).configure()
        except (av.FFmpegError, ValueError, RuntimeError, OverflowError, OSError) as error:
            raise library_error(error, doing="build filter graph", text=Text.FILTERGRAPH) from error
        self._input, self._output = chain[0], chain[-1]

    def _mapped(self, scale: str, colors: Colors) -> list[FilterContext]:
        """Scale into deep RGB, look the colours up, and say what they are now.

        16 bits a colour because the library's fast paths begin there; from there to 8 bits it dithers.
        """
        with tempfile.NamedTemporaryFile("w", suffix=".cube", encoding="ascii") as file:
            file.write(cube_text(colors))
            file.flush()
            return [
                self._graph.add("scale", scale),
                self._graph.add("format", "pix_fmts=gbrp16le"),
                self._graph.add("lut3d", f"file='{file.name}'"),
                self._graph.add("scale", "out_color_matrix=bt709:out_range=tv:flags=bicubic"),
                self._graph.add("setparams", "color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"),
            ]

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
