"""Video profiles: what one rendition shall look like, and the arithmetic that follows from it.

Pure values and functions. Sizes in pixels, bitrates in bit/s, times in milliseconds, frame rates as exact fractions.
The resolution rule answers to video.md 7.3, presets to 7.14, the session cost to 7.12.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from types import MappingProxyType

__all__ = [
    "INTRA_ONLY_GOP",
    "PRESETS",
    "EncoderProfile",
    "OutputFormat",
    "SizeLimits",
    "VideoCodec",
    "VideoProfile",
    "estimated_frames",
    "estimated_px",
    "output_size",
    "session_cost_px_per_s",
    "size_limits",
]

INTRA_ONLY_GOP = -1
"""The gop value that makes every frame a key frame; anything below is invalid."""


class OutputFormat(IntEnum):
    """Container of a rendition, by wire number."""

    MPEGTS = 0
    MP4 = 1

    @property
    def extension(self) -> str:
        """File name ending of a rendition, with its dot."""
        return ".ts" if self is OutputFormat.MPEGTS else ".mp4"

    @property
    def mime_type(self) -> str:
        """Content type a rendition is served with."""
        return "video/mp2t" if self is OutputFormat.MPEGTS else "video/mp4"


class EncoderProfile(IntEnum):
    """H.264 encoder profile, by wire number."""

    DEFAULT = 0
    H264_BASELINE = 1
    H264_MAIN = 2
    H264_HIGH = 3
    H264_CONSTRAINED_HIGH = 4


class VideoCodec(IntEnum):
    """Codec of a rendition, by wire number."""

    H264 = 0
    H265 = 1
    VP8 = 2
    VP9 = 3


@dataclass(frozen=True, slots=True)
class VideoProfile:
    """One rendition as a gateway asks for it.

    ``width`` and ``height`` are a request, not the result (see ``output_size``). ``fps`` 0 keeps the source's frames;
    otherwise the rate is ``fps / (fps_den or 1)``. ``gop_ms`` 0 leaves key frames to the encoder, ``INTRA_ONLY_GOP``
    makes every frame one. ``quality`` 0 is unset, else a constant rate factor with ``bitrate_bps`` as its cap.
    """

    name: str
    width: int
    height: int
    bitrate_bps: int
    fps: int = 0
    fps_den: int = 0
    format: OutputFormat = OutputFormat.MPEGTS
    profile: EncoderProfile = EncoderProfile.DEFAULT
    gop_ms: int = 0
    codec: VideoCodec = VideoCodec.H264
    quality: int = 0

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second, or None when the source's timestamps pass through."""
        return Fraction(self.fps, self.fps_den or 1) if self.fps else None

    @property
    def gop_frames(self) -> int | None:
        """Key frame interval in frames at a fixed rate: at least 1; None when the encoder or timestamps decide.

        The interval is ``round(seconds * num / den)``: a fractional rate keeps its denominator, unlike the reference
        (video.md 11.4 item 33).
        """
        if self.gop_ms == INTRA_ONLY_GOP:
            return 1
        rate = self.frame_rate
        if self.gop_ms <= 0 or rate is None:
            return None
        return max(1, round(Fraction(self.gop_ms, 1000) * rate))


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """Smallest and largest output of an encoder family, in pixels per side."""

    min_width_px: int
    max_width_px: int
    min_height_px: int
    max_height_px: int


_LIMITS = {
    VideoCodec.H264: SizeLimits(146, 4096, 50, 4096),
    VideoCodec.H265: SizeLimits(132, 8192, 40, 8192),
    # The reference has no row for these and clamps them to nothing; the H.264 row makes their output usable.
    VideoCodec.VP8: SizeLimits(146, 4096, 50, 4096),
    VideoCodec.VP9: SizeLimits(146, 4096, 50, 4096),
}


def size_limits(codec: VideoCodec) -> SizeLimits:
    """Size limits that apply to a codec, in software too: gateways predict sizes from them."""
    return _LIMITS[codec]


def _even_nearest(other_px: int, numerator: int, denominator: int) -> int:
    """``2 * round(other * numerator / (2 * denominator))``, halves rounded up: the scaler's "auto, even" side."""
    return 2 * ((other_px * numerator + denominator) // (2 * denominator))


def output_size(*, source: tuple[int, int], requested: tuple[int, int], codec: VideoCodec) -> tuple[int, int]:
    """Width and height of the rendition for a source of ``source`` pixels: the source's aspect ratio wins.

    The larger requested side is laid along the larger source side; the other follows the ratio and is even. When the
    smaller side would fall below the encoder's minimum it is set to that minimum instead and the larger one follows.

    Raises:
        ValueError: a source without pixels.
    """
    iw, ih = source
    if iw <= 0 or ih <= 0:
        message = f"source has no pixels: {iw}x{ih}"
        raise ValueError(message)
    limits = size_limits(codec)
    w = min(max(requested[0], limits.min_width_px), limits.max_width_px)
    h = min(max(requested[1], limits.min_height_px), limits.max_height_px)
    larger = max(w, h)
    if iw >= ih:
        wanted, least = larger * ih, limits.min_height_px * iw
        if wanted > least:
            width = larger & ~1
            return width, _even_nearest(width, ih, iw)
        height = limits.min_height_px & ~1
        return (larger & ~1, height) if wanted == least else (_even_nearest(height, iw, ih), height)
    wanted, least = larger * iw, limits.min_width_px * ih
    if wanted > least:
        height = larger & ~1
        return _even_nearest(height, iw, ih), height
    width = limits.min_width_px & ~1
    return (width, larger & ~1) if wanted == least else (width, _even_nearest(width, ih, iw))


_PASSTHROUGH_COST_FPS = 30


def session_cost_px_per_s(profiles: tuple[VideoProfile, ...]) -> int:
    """Load of a session in requested pixels per second: the unit in which capacity is compared (video.md 7.12)."""
    total = 0
    for profile in profiles:
        fps = profile.fps or _PASSTHROUGH_COST_FPS
        total += _area_px(profile) * (fps // (profile.fps_den or 1))
    return total


def _area_px(profile: VideoProfile) -> int:
    """Pixels of one frame as asked for. Negative sides are no pixels: they must not make up for other profiles'."""
    return max(profile.width, 0) * max(profile.height, 0)


_PASSTHROUGH_ESTIMATE_FPS = 60


def estimated_frames(profile: VideoProfile, *, duration_ms: int) -> int:
    """Frames that a gateway expects of a rendition: ``ceil(fps) x ceil(seconds)``, passthrough as 60 fps."""
    rate = profile.frame_rate
    fps = -(-rate.numerator // rate.denominator) if rate is not None else _PASSTHROUGH_ESTIMATE_FPS
    return fps * -(-max(duration_ms, 0) // 1000)


def estimated_px(profiles: tuple[VideoProfile, ...], *, duration_ms: int) -> int:
    """Pixels a gateway expects to pay for: ``w x h x ceil(fps) x ceil(seconds)`` per profile, passthrough as 60 fps.

    The gateway's own formula (video.md 4.8), so that an estimate made here never exceeds what it funded.
    """
    return sum(_area_px(profile) * estimated_frames(profile, duration_ms=duration_ms) for profile in profiles)


def _preset(name: str, width: int, height: int, bitrate_kbps: int, fps: int) -> VideoProfile:
    return VideoProfile(name=name, width=width, height=height, bitrate_bps=bitrate_kbps * 1000, fps=fps)


PRESETS: Mapping[str, VideoProfile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            _preset("P720p60fps16x9", 1280, 720, 6000, 60),
            _preset("P720p30fps16x9", 1280, 720, 4000, 30),
            _preset("P720p25fps16x9", 1280, 720, 3500, 25),
            _preset("P720p30fps4x3", 960, 720, 3500, 30),
            _preset("P576p30fps16x9", 1024, 576, 1500, 30),
            _preset("P576p25fps16x9", 1024, 576, 1500, 25),
            _preset("P360p30fps16x9", 640, 360, 1200, 30),
            _preset("P360p25fps16x9", 640, 360, 1000, 25),
            _preset("P360p30fps4x3", 480, 360, 1000, 30),
            _preset("P240p30fps16x9", 426, 240, 600, 30),
            _preset("P240p25fps16x9", 426, 240, 600, 25),
            _preset("P240p30fps4x3", 320, 240, 600, 30),
            _preset("P144p30fps16x9", 256, 144, 400, 30),
            _preset("P144p25fps16x9", 256, 144, 400, 25),
        )
    }
)
"""The presets operators and gateways name."""
