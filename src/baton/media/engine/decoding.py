"""Who decodes a stream: the device where it can, the library otherwise, with the same pictures either way.

The device's refusal shows only when the first packet is there, since the library reads the stream's head then. So the
packets are kept until the first picture, and what the device refuses begins again in software from the first of them:
nothing is lost, and the fallback is told and no error (video.md 11.4 item 39).
"""

from collections.abc import Sequence
from typing import Protocol

import av
import av.error
from av.codec.context import ThreadType
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from baton.kernel.errors import Text, TranscodeError
from baton.media.engine.hardware import Hardware, decode_refusal

__all__ = ["Decoder", "DeviceDecoder", "SoftwareDecoder", "decoder_for"]

_ERRORS = (OSError, ValueError, RuntimeError, LookupError, MemoryError, av.FFmpegError)
_MOST_HELD = 256
"""Packets without one picture; far beyond the delay of any codec, and a bound for hostile input."""


class Decoder(Protocol):
    """Packets in, pictures out. Owned by one thread."""

    fallback: str
    """Why this is not done on the device although there is one; empty otherwise."""

    def decode(self, packet: "Packet[Stream] | None") -> Sequence[VideoFrame]:
        """Pictures that are ready after this packet, or after the last one (None). Raises what the library raises."""


def decoder_for(video: VideoStream, device: Hardware | None) -> Decoder:
    """The decoder to use for a stream.

    Raises:
        TranscodeError: ``Unrecoverable state, restart process`` when the device is lost.
    """
    if device is None:
        return SoftwareDecoder(video)
    codec = video.codec_context.codec.canonical_name
    refusal = decode_refusal(codec, video.codec_context.pix_fmt)
    if refusal:
        return SoftwareDecoder(video, fallback=refusal)
    context = device.decoder(video)
    if context is None:
        return SoftwareDecoder(video, fallback=f"decode {codec} in software: the codec library has it on no device")
    return DeviceDecoder(context, video)


class SoftwareDecoder:
    """The stream's own decoder, on as many threads as it likes."""

    def __init__(self, video: VideoStream, *, fallback: str = "") -> None:
        """``fallback`` is why it is not the device."""
        video.thread_type = ThreadType.AUTO
        self._context = video.codec_context
        self.fallback = fallback

    def decode(self, packet: "Packet[Stream] | None") -> Sequence[VideoFrame]:
        """Pictures that are ready after this packet."""
        return self._context.decode(packet)


class DeviceDecoder:
    """A decoder on the device, with the software one behind it until the first picture."""

    def __init__(self, context: VideoCodecContext, video: VideoStream) -> None:
        """``context`` from the device, for the packets of ``video``."""
        self.fallback = ""
        self._context = context
        self._video = video
        self._held: list[Packet[Stream] | None] = []
        self._proven = False
        self._software: SoftwareDecoder | None = None

    def decode(self, packet: "Packet[Stream] | None") -> Sequence[VideoFrame]:
        """Pictures that are ready after this packet.

        Raises:
            TranscodeError: ``Unrecoverable state, restart process`` when a device that decoded fails in the middle.
            InvalidDataError: the packet is broken.
        """
        if self._software is not None:
            return self._software.decode(packet)
        if self._proven:
            return self._go_on(packet)
        self._held.append(packet)
        try:
            pictures = self._context.decode(packet)
        except _ERRORS as error:
            return self._give_up(f"{type(error).__name__}: {error}")
        if pictures:
            self._proven = True
            self._held.clear()
        elif packet is None or len(self._held) >= _MOST_HELD:
            return self._give_up(f"no picture after {len(self._held)} packets")
        return pictures

    def _go_on(self, packet: "Packet[Stream] | None") -> Sequence[VideoFrame]:
        try:
            return self._context.decode(packet)
        except (av.error.InvalidDataError, av.error.EOFError):
            raise
        except _ERRORS as error:
            detail = f"decode on the device: {type(error).__name__}: {error}"
            raise TranscodeError(Text.UNRECOVERABLE, detail=detail) from error

    def _give_up(self, reason: str) -> Sequence[VideoFrame]:
        """Begin again in software; what cannot be decoded there either is skipped, unless nothing can be."""
        codec = self._video.codec_context.codec.canonical_name
        self._software = SoftwareDecoder(self._video, fallback=f"decode {codec} in software: {reason}")
        self.fallback = self._software.fallback
        held, self._held = self._held, []
        pictures: list[VideoFrame] = []
        trouble: BaseException | None = None
        for packet in held:
            try:
                pictures += self._software.decode(packet)
            except MemoryError:
                raise
            except _ERRORS as error:
                trouble = trouble or error
        if trouble is not None and not pictures:
            raise trouble
        return pictures
