"""Engines under one contract, and encoders and devices that do what a test says: refuse, fail, or go on for ever.

What is scripted stands behind the ports of the engine; frames, packets and files are real.
"""

import errno
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import cast

import av.error
import pytest
from av.codec.hwaccel import HWAccel
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import VideoCodec, VideoProfile
from baton.media.engine.encoders.base import Encoder, Picture
from baton.media.engine.encoders.opening import OpenEncoder
from baton.media.engine.encoders.registry import DEVICE_ENCODERS, encoder_for
from baton.media.engine.encoders.software_h264 import SoftwareH264
from baton.media.engine.hardware import Device, decoder_like
from baton.media.engine.kept import KeptEncoders
from baton.media.engine.transcode import transcode, transcode_in
from baton.media.engine.workshop import Workshop
from baton.media.job import Acceleration, Clip, EncoderTuning, TranscodeOutput, TranscodeRequest

__all__ = [
    "ENGINES",
    "KeptX264",
    "PlainX264",
    "Refusing",
    "ScriptedDevice",
    "ask_engine",
    "ask_shop",
    "need",
    "no_device",
    "need_nvenc",
    "shop_with",
]

ENGINES = tuple(Acceleration)
"""Every engine; a test of the contract runs once for each."""


@cache
def no_device() -> str:
    """Why there is no NVIDIA device here; empty where there is one."""
    try:
        Device.open()
    except TranscodeError as error:
        return f"no NVIDIA device: {error.detail}"
    return ""


@cache
def _no_nvenc(codec: VideoCodec) -> str:
    try:
        device = Device.open()
        profile = VideoProfile(name="probe", width=256, height=144, bitrate_bps=200_000, codec=codec, fps=25)
        picture = Picture(width_px=256, height_px=144, time_base=Fraction(1, 25), frame_rate=Fraction(25))
        (encoder,) = (one for one in DEVICE_ENCODERS[Acceleration.NVIDIA] if one.codec == codec)
        OpenEncoder.open(
            encoder, profile, picture, EncoderTuning(), global_header=False, device=device.settings
        ).close()
    except TranscodeError as error:
        return f"no NVENC for {codec.name}: {error.detail}"
    return ""


def need(engine: Acceleration) -> None:
    """Skip where the engine has nothing to work with."""
    if engine is Acceleration.NVIDIA and (reason := no_device()):
        pytest.skip(reason)


def need_nvenc(codec: VideoCodec) -> None:
    """Skip where no card encodes this codec."""
    need(Acceleration.NVIDIA)
    if reason := _no_nvenc(codec):
        pytest.skip(reason)


def ask_engine(
    engine: Acceleration,
    path: Path,
    *profiles: VideoProfile,
    clip: Clip | None = None,
    preset: str = "ultrafast",
    session_key: str = "",
) -> TranscodeOutput:
    """Transcode as a child of that engine would."""
    tuning = EncoderTuning(preset=preset, threads=1, acceleration=engine)
    return transcode(
        TranscodeRequest(input_path=str(path), profiles=profiles, clip=clip, tuning=tuning, session_key=session_key)
    )


def shop_with(*encoders: Encoder, device: "ScriptedDevice | None" = None, kept: KeptEncoders | None = None) -> Workshop:
    """A workshop whose device has these encoders and decodes as ``device`` does."""
    there = device or ScriptedDevice()

    def find(codec: VideoCodec, _acceleration: Acceleration) -> tuple[Encoder, ...]:
        return (*(encoder for encoder in encoders if encoder.codec == codec), encoder_for(codec))

    return Workshop(Acceleration.NVIDIA, open_device=lambda: there, find_encoders=find, kept=kept)


def ask_shop(
    shop: Workshop, path: Path, *profiles: VideoProfile, session_key: str = "stream", force_reinit: bool = False
) -> TranscodeOutput:
    """Transcode a segment of a stream in that workshop."""
    tuning = EncoderTuning(preset="veryfast", threads=1, acceleration=Acceleration.NVIDIA)
    request = TranscodeRequest(
        input_path=str(path), profiles=profiles, tuning=tuning, session_key=session_key, force_reinit=force_reinit
    )
    return transcode_in(shop, request)


class PlainX264(SoftwareH264):
    """x264 as it is, offered as an encoder that stays open: it is not able to go on after it was emptied."""

    key = "plain_x264"
    stays_open = True


class KeptX264(SoftwareH264):
    """x264 without lookahead and B-frames: it holds nothing back, so it can really go on with the next segment."""

    key = "kept_x264"
    stays_open = True

    def options(self, profile: VideoProfile, picture: Picture, tuning: EncoderTuning) -> dict[str, str]:
        """With nothing that waits."""
        return super().options(profile, picture, tuning) | {"tune": "zerolatency"}

    def b_frames(self, profile: VideoProfile) -> int:  # noqa: ARG002 -- none for any
        """None."""
        return 0

    def finish(self, context: VideoCodecContext) -> "Sequence[Packet[VideoStream]]":
        """Nothing waits: emptying x264 would end it."""
        assert context.is_open
        return ()

    def rest(self, context: VideoCodecContext) -> None:
        """Nothing to forget: emptying x264 would end it."""
        assert context.is_open


class Refusing(KeptX264):
    """An encoder of a card that refuses as its script says; each entry is an error number, 0 opens it."""

    key = "refusing"

    def __init__(self, script: Callable[[int], int]) -> None:
        """``script`` gets the number of the attempt, from 0."""
        self.attempts = 0
        self._script = script

    def configure(
        self, context: VideoCodecContext, profile: VideoProfile, picture: Picture, tuning: EncoderTuning
    ) -> None:
        """Open or refuse."""
        number = self._script(self.attempts)
        self.attempts += 1
        if number:
            raise TranscodeError(
                Text.INVALID_ARGUMENT, detail=f"refused: {errno.errorcode.get(number, 'unknown')}"
            ) from (OSError(number, "scripted"))
        super().configure(context, profile, picture, tuning)


class ScriptedDevice:
    """A device whose decoder is a software one that fails when told to."""

    settings: HWAccel | None = None

    def __init__(self, *, fails_at: int | None = None, error: type[av.FFmpegError] = av.error.ExternalError) -> None:
        """``fails_at`` is the packet, from 0, at which decoding fails from then on; None never."""
        self.decoders = 0
        self._fails_at = fails_at
        self._error = error

    def decoder(self, video: VideoStream) -> VideoCodecContext | None:
        """A decoder as the device would have it."""
        self.decoders += 1
        context = decoder_like(video, settings=None)
        if self._fails_at is None:
            return context
        return cast("VideoCodecContext", _FailingDecoder(context, fails_at=self._fails_at, error=self._error))


class _FailingDecoder:
    def __init__(self, context: VideoCodecContext, *, fails_at: int, error: type[av.FFmpegError]) -> None:
        self._context = context
        self._left = fails_at
        self._error = error

    def decode(self, packet: "Packet[Stream] | None") -> list[VideoFrame]:
        self._left -= 1
        if self._left < 0:
            raise self._error(542_398_533, "scripted")
        return self._context.decode(packet)
