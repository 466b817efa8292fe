"""The NVIDIA device of this process: opened once, shared by its decoders and encoders.

A child of a device sees that device alone, so inside it is always "0". Every codec context gets the device's primary
CUDA context, and one reference is held for the life of the process: contexts cost a tenth of a second to make and
hundreds of megabytes to have, and the library would make one for each decoder of each segment.
"""

from typing import Final, Protocol

import av
import av.error
import av.filter
import av.logging
from av.codec import Codec, CodecContext
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from baton.kernel.errors import Text, TranscodeError

__all__ = ["DECODERS", "PIXEL_FORMATS", "Device", "Hardware", "decode_refusal", "decoder_like", "scaling_refusal"]

DECODERS: Final = ("h264", "hevc", "vp8", "vp9")
"""Codecs that are decoded on the device; each is still asked for by its own decoder, and the device may refuse it."""
PIXEL_FORMATS: Final = ("yuv420p", "yuvj420p")
"""What the device decodes everywhere; anything else differs from one generation of cards to the next."""

_KIND = "cuda"
_NUMBER = "0"
_ERRORS = (OSError, ValueError, RuntimeError, MemoryError, NotImplementedError, av.FFmpegError)
_NOT_THERE = (
    *("Cannot load", "Could not dynamically load", "CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_INVALID_DEVICE"),
    *("CUDA_ERROR_STUB_LIBRARY", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"),
)
"""The library's words where there is no device for us; anything else that opening it meets is a device in trouble."""


class Hardware(Protocol):
    """A device as its users see it."""

    @property
    def settings(self) -> HWAccel | None:
        """What the library wants to hear from whoever opens a codec on the device."""

    def decoder(self, video: VideoStream) -> VideoCodecContext | None:
        """A decoder for a stream, None where there is none for its codec. Raises ``TranscodeError``."""


class Device:
    """The device, open. Belongs to its process; decoders and encoders take ``settings`` and share its context."""

    def __init__(self, settings: HWAccel, anchor: HWAccel) -> None:
        """From ``open``."""
        self.settings = settings
        """What the library wants to hear from whoever opens a codec on the device."""
        self._anchor = anchor
        """Holds the primary context."""

    @classmethod
    def open(cls, number: str = _NUMBER) -> "Device":
        """Open the device.

        Raises:
            TranscodeError: ``No such device`` where there is none, with the library's words, such as "Cannot load
                libcuda.so.1"; ``Unrecoverable state, restart process`` where there is one that cannot be opened
                (video.md 7.11).
        """
        if _KIND not in hwdevices_available():
            raise TranscodeError(Text.NO_SUCH_DEVICE, detail="the codec library was built without CUDA")
        settings = HWAccel(
            _KIND, device=number, allow_software_fallback=False, options={"primary_ctx": "1"}, is_hw_owned=False
        )
        level = av.logging.get_level()
        # Nothing else runs in this moment, and without its log the library says no more than "not permitted".
        av.logging.set_level(av.logging.ERROR)
        try:
            with av.logging.Capture() as words:
                anchor = settings.create(Codec(DECODERS[0], "r"))
        except _ERRORS as error:
            said = "; ".join(message.strip() for _, _, message in words) or f"{type(error).__name__}: {error}"
            there_is_none = any(word in said for word in _NOT_THERE)
            raise TranscodeError(Text.NO_SUCH_DEVICE if there_is_none else Text.UNRECOVERABLE, detail=said) from error
        finally:
            av.logging.set_level(level)
        return cls(settings, anchor)

    def decoder(self, video: VideoStream) -> VideoCodecContext | None:
        """A decoder on the device for the packets of ``video``, or None where the library has none for its codec.

        Pictures come down into ordinary memory. It never decodes in software: what the device refuses is an error of
        the first packet, and the caller's to judge.

        Raises:
            TranscodeError: ``Unrecoverable state, restart process``: the device worked once and cannot be opened now.
        """
        try:
            context = decoder_like(video, settings=self.settings)
        except _ERRORS as error:
            detail = f"open decoder on the device: {type(error).__name__}: {error}"
            raise TranscodeError(Text.UNRECOVERABLE, detail=detail) from error
        return context if context.is_hwaccel else None


def decoder_like(video: VideoStream, *, settings: HWAccel | None) -> VideoCodecContext:
    """A decoder of its own for the packets of ``video``, with all that the stream's own knows before the first one.

    ``settings`` None decodes in software, picture for picture like the stream's own decoder. Raises what the library
    raises.
    """
    source = video.codec_context
    context = CodecContext.create(Codec(source.codec.name, "r"), hwaccel=settings)
    if not isinstance(context, VideoCodecContext):
        message = f"{source.codec.name} decodes no video"
        raise TypeError(message)
    context.width, context.height = source.width, source.height
    if source.extradata:
        context.extradata = source.extradata
    context.reorder_depth = source.reorder_depth
    context.options = dict(source.options)
    context.thread_count = 1  # the device is the one that works
    return context


def decode_refusal(codec: str, pixel_format: str | None) -> str:
    """Why a stream is not decoded on the device; empty when it is tried (video.md 11.4 item 39)."""
    if codec not in DECODERS:
        return f"decode {codec} in software: not a codec of the device"
    if pixel_format not in PIXEL_FORMATS:
        return f"decode {codec} in software: {pixel_format or 'unknown pixel format'} is not 8-bit 4:2:0"
    return ""


def scaling_refusal() -> str:
    """Why pictures are scaled in software, told by the probe; empty where they need not be.

    A filter graph takes pictures of the device only together with their frames context, and the binding has no way to
    hand one over; so it is tried, and not only whether the filter is there.
    """
    if "scale_cuda" not in av.filter.filters_available:
        return "scale in software: the codec library has no scale_cuda"
    try:
        av.filter.Graph().add("buffer", f"video_size=64x64:pix_fmt={_KIND}:time_base=1/25")
    except (av.FFmpegError, ValueError):
        return "scale in software: the binding hands no pictures of the device to filters"
    return "scale in software: pictures of the device are not passed on by this engine"
