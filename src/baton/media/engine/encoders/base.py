"""The port behind which every encoder stands, and the rate control that all of them share.

An encoder is a stateless description: which codec it makes, under which library name, with which options for a
profile. Opening and feeding it is the same for all. Settings answer to video.md 7.2.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from av.codec.context import ThreadType
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import EncoderProfile, VideoCodec, VideoProfile
from baton.media.engine.errors import library_error
from baton.media.job import EncoderTuning

__all__ = ["Encoder", "Picture", "b_frames", "check_rates", "rate_control"]

MAX_QUALITY = 63
"""Largest constant rate factor that is passed on; anything above is ignored."""
MAX_BITRATE_BPS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Picture:
    """What an encoder is fed: frames of one size on one time base, and how their colours are meant."""

    width_px: int
    height_px: int
    time_base: Fraction
    frame_rate: Fraction
    """Frames per second, nominal where timestamps pass through."""
    sample_aspect_ratio: Fraction | None = None
    color_range: int = 0
    color_primaries: int = 2
    color_trc: int = 2
    colorspace: int = 2
    lookahead_cap_frames: int | None = None
    """At most this many frames of lookahead, where frames are so large that memory matters; None is the encoder's."""


class Encoder(ABC):
    """One encoder of the codec library."""

    key: ClassVar[str]
    """Our name for it, in logs and settings."""
    codec: ClassVar[VideoCodec]
    """What it makes."""
    library_name: ClassVar[str]
    """What the codec library calls it."""
    pixel_format: ClassVar[str] = "yuv420p"
    """What it wants to be fed; output is 8-bit 4:2:0 whatever the request says."""
    max_side_px: ClassVar[int]
    """Longest side it can encode at all; the resolution rule has tighter limits of its own."""
    on_device: ClassVar[bool] = False
    """Whether it works on the device of its process."""
    stays_open: ClassVar[bool] = False
    """Whether it goes on after the end of a segment, so that the next one of the stream finds it open."""
    running_error: ClassVar[str] = ""
    """What a failure in the middle of its work means to peers; empty leaves that to the library's error."""

    @abstractmethod
    def options(self, profile: VideoProfile, picture: Picture, tuning: EncoderTuning) -> dict[str, str]:
        """Its own options for a profile, as the library spells them, without rate control."""

    def rate_control(self, profile: VideoProfile, tuning: EncoderTuning) -> dict[str, str]:
        """Bitrate, buffer and quality in its words."""
        return rate_control(profile, buffer_ms=tuning.buffer_ms)

    def b_frames(self, profile: VideoProfile) -> int:
        """Most B-frames in a row."""
        return b_frames(profile.profile)

    def lead_in_frames(
        self,
        profile: VideoProfile,  # noqa: ARG002 -- for encoders that say less than they do
        reorder_depth: int,
    ) -> int:
        """How many packets it puts before the first frame's time, given what the library says of its reordering."""
        return reorder_depth

    def finish(self, context: VideoCodecContext) -> "Sequence[Packet[VideoStream]]":
        """What it still holds back, at the end of a segment."""
        return context.encode(None)

    def rest(self, context: VideoCodecContext) -> None:
        """Make it ready for the next segment of its stream, after ``finish``."""
        context.flush_buffers()

    def configure(
        self, context: VideoCodecContext, profile: VideoProfile, picture: Picture, tuning: EncoderTuning
    ) -> None:
        """Set up and open ``context``.

        Raises:
            TranscodeError: ``Invalid argument`` when the library refuses these settings: whoever asked for them gets
                the same answer everywhere.
        """
        if max(picture.width_px, picture.height_px) > self.max_side_px:
            raise TranscodeError(Text.INVALID_RESOLUTION, detail=f"{picture.width_px}x{picture.height_px} px")
        try:
            self._fill(context, profile, picture, tuning)
            context.open()
        except (OverflowError, ValueError, OSError, RuntimeError, LookupError) as error:
            raise library_error(error, doing=f"open {self.library_name}", text=Text.INVALID_ARGUMENT) from error

    def _fill(self, context: VideoCodecContext, profile: VideoProfile, picture: Picture, tuning: EncoderTuning) -> None:
        context.width, context.height = picture.width_px, picture.height_px
        context.pix_fmt = self.pixel_format
        context.time_base = picture.time_base
        context.framerate = picture.frame_rate
        if picture.sample_aspect_ratio:
            context.sample_aspect_ratio = picture.sample_aspect_ratio
        context.color_range = picture.color_range
        context.color_primaries = picture.color_primaries
        context.color_trc = picture.color_trc
        context.colorspace = picture.colorspace
        context.max_b_frames = self.b_frames(profile)
        # Slices alone (the binding's default) cost x264 quality and speed; both kinds let it choose frames.
        context.thread_type = ThreadType.AUTO
        context.thread_count = tuning.threads
        if profile.gop_frames is not None:
            context.gop_size = min(profile.gop_frames, 2**31 - 1)
        context.options = {**self.rate_control(profile, tuning), **self.options(profile, picture, tuning)}


_B_FRAMES = {
    EncoderProfile.DEFAULT: 3,
    EncoderProfile.H264_BASELINE: 0,
    EncoderProfile.H264_MAIN: 3,
    EncoderProfile.H264_HIGH: 3,
    EncoderProfile.H264_CONSTRAINED_HIGH: 0,
}


def b_frames(profile: EncoderProfile) -> int:
    """Most B-frames in a row that a software encoder uses for a profile.

    Raises:
        TranscodeError: ``TranscoderUnrecognizedProfile``.
    """
    if profile not in _B_FRAMES:
        raise TranscodeError(Text.UNRECOGNIZED_PROFILE, detail=f"profile {profile}")
    return _B_FRAMES[profile]


def check_rates(profile: VideoProfile) -> None:
    """Refuse bitrates and frame rates that no encoder can mean.

    Raises:
        TranscodeError: ``Invalid argument``.
    """
    rate = profile.frame_rate
    fits = 0 <= profile.bitrate_bps <= MAX_BITRATE_BPS and profile.quality >= 0
    if rate is not None:
        fits = fits and rate > 0 and max(rate.numerator, rate.denominator) < 2**31
    if not fits:
        detail = f"{profile.bitrate_bps} bit/s, {profile.fps}/{profile.fps_den} fps, quality {profile.quality}"
        raise TranscodeError(Text.INVALID_ARGUMENT, detail=detail)


_LEAST_BITRATE_BPS = 1000
"""x264 and x265 count in kbit/s and take 0 for "not set"."""


def rate_control(profile: VideoProfile, *, buffer_ms: int = 1000) -> dict[str, str]:
    """Bitrate, floor and ceiling all the same, and a buffer of ``buffer_ms`` of it; a quality makes it a cap."""
    options: dict[str, str] = {}
    if profile.bitrate_bps > 0:
        bitrate_bps = max(profile.bitrate_bps, _LEAST_BITRATE_BPS)
        buffer_bits = min(max(bitrate_bps * buffer_ms // 1000, _LEAST_BITRATE_BPS), MAX_BITRATE_BPS)
        options |= dict.fromkeys(("b", "minrate", "maxrate"), str(bitrate_bps)) | {"bufsize": str(buffer_bits)}
    if 0 < profile.quality <= MAX_QUALITY:
        options["crf"] = str(profile.quality)
    return options
