"""How fast an encoder is on this machine, measured on one second of 720p at 30 frames a second.

HEVC in software is worth offering where it keeps up with a live stream and a trap where it does not: the gateway gets
every segment late and leaves. So the probe measures before the node promises (video.md 5.7).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import av.error
from av.codec.context import CodecContext
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from baton.kernel.profiles import PRESETS, VideoProfile
from baton.media.engine.encoders.base import Encoder, Picture
from baton.media.job import EncoderTuning

__all__ = ["Speed", "measure_speed"]

_RATE = 30
_FRAMES = 30
_PROFILE = PRESETS["P720p30fps16x9"]
_STAGES = ((320, 180, 2.0), (640, 360, 1.3), (_PROFILE.width, _PROFILE.height, 1.0))
"""Sizes, and the factor that each must reach before the next is worth trying: an encoder that cannot be interrupted
within a frame must never be asked for minutes of work."""
_PATIENCE_S = 1.5
"""What is not done by then, and should have taken a second, is measured by what there is."""


@dataclass(frozen=True, slots=True)
class Speed:
    """A measurement: how many seconds of video one second of work made. 1 is real time."""

    factor: float
    what: str
    least: float = 1.0
    """The factor it takes; more than 1 for a picture smaller than the one that counts."""

    @property
    def keeps_up(self) -> bool:
        """Whether a live stream could be encoded."""
        return self.factor >= self.least

    def __str__(self) -> str:
        """The figure in words, for logs and status."""
        needs = f" ({self.least:g} needed)" if self.least > 1 else ""
        return f"{self.what}: {self.factor:.2f} times real time{needs}"


def measure_speed(encoder: Encoder, tuning: EncoderTuning) -> Speed:
    """Encode a moving, slightly noisy picture with the operator's settings; takes a second or three.

    Small pictures come first; the answer is the first that is too slow, or that of the size that counts.

    Raises:
        TranscodeError: the encoder refuses the settings.
    """
    speed = Speed(factor=0.0, what=encoder.library_name)
    for width, height, least in _STAGES:
        profile = replace(_PROFILE, codec=encoder.codec, width=width, height=height)
        speed = replace(_measured(encoder, profile, tuning), least=least)
        if not speed.keeps_up:
            break
    return speed


def _measured(encoder: Encoder, profile: VideoProfile, tuning: EncoderTuning) -> Speed:
    what = f"{encoder.library_name}, {profile.width}x{profile.height} at {_RATE} frames/s, preset {tuning.preset}"
    frames = list(_frames(profile))
    context = _opened(encoder, profile, tuning)
    started_s = time.monotonic()
    made, took_s = 0, 0.0
    for frame in (*frames, None):
        for _ in context.encode_lazy(frame):
            made += 1
            if time.monotonic() - started_s > _PATIENCE_S:
                break
        took_s = time.monotonic() - started_s
        if took_s > _PATIENCE_S:
            return Speed(factor=made / _RATE / took_s, what=what)
    return Speed(factor=_FRAMES / _RATE / (time.monotonic() - started_s), what=what)


def _opened(encoder: Encoder, profile: VideoProfile, tuning: EncoderTuning) -> VideoCodecContext:
    context = CodecContext.create(encoder.library_name, "w")
    if not isinstance(context, VideoCodecContext):
        message = f"{encoder.library_name} encodes no video"
        raise TypeError(message)
    picture = Picture(
        width_px=profile.width, height_px=profile.height, time_base=Fraction(1, _RATE), frame_rate=Fraction(_RATE)
    )
    encoder.configure(context, profile, picture, tuning)
    return context


def _frames(profile: VideoProfile) -> Iterator[VideoFrame]:
    """Nothing random: the same picture on every machine."""
    graph = Graph()
    sink = graph.add("buffersink")
    graph.link_nodes(
        graph.add("testsrc2", f"size={profile.width}x{profile.height}:rate={_RATE}"),
        graph.add("noise", "alls=4:all_seed=1:allf=t"),
        graph.add("format", "pix_fmts=yuv420p"),
        sink,
    ).configure()
    for _ in range(_FRAMES):
        frame = sink.pull()
        if not isinstance(frame, VideoFrame):
            message = "a source of pictures gave something else"
            raise av.error.ArgumentError(0, message)
        yield frame
