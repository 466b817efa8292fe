"""An encoder that is open: what it makes of frames, and the description of its stream that files are given.

An encoder outlives the file it writes for when it is kept between segments, so it belongs to no file. The library
keeps a stream's description with a container only; hence one that writes nothing.
"""

from collections.abc import Sequence
from contextlib import suppress

import av
from av.codec.context import Flags
from av.codec.hwaccel import HWAccel
from av.container.output import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import VideoProfile
from baton.media.engine.encoders.base import Encoder, Picture
from baton.media.engine.errors import library_error
from baton.media.job import EncoderTuning

__all__ = ["OpenEncoder"]

_ERRORS = (OSError, ValueError, RuntimeError, LookupError, MemoryError, av.FFmpegError)


class OpenEncoder:
    """One encoder at work. Owned by one thread at a time; ``close`` it, or the card's session stays taken."""

    def __init__(
        self, encoder: Encoder, profile: VideoProfile, container: OutputContainer, stream: VideoStream
    ) -> None:
        """From ``open``."""
        self.encoder = encoder
        self.kept = False
        """Whether it comes from an earlier segment and has not shown yet that it goes on."""
        self.last_pts: int | None = None
        """Time of the last frame it was given, in ticks of its time base."""
        self._container: OutputContainer | None = container
        self._stream: VideoStream | None = stream
        self._lead_in_frames = encoder.lead_in_frames(profile, stream.codec_context.reorder_depth)

    @classmethod
    def open(
        cls,
        encoder: Encoder,
        profile: VideoProfile,
        picture: Picture,
        tuning: EncoderTuning,
        *,
        global_header: bool,
        device: HWAccel | None,
    ) -> "OpenEncoder":
        """Open ``encoder`` for frames like ``picture``.

        Args:
            encoder: the description of what to open.
            profile: what is asked.
            picture: what it will be fed.
            tuning: the operator's choice.
            global_header: the file keeps parameter sets in its head and not in the stream, as MP4 does.
            device: where an encoder of the device works.

        Raises:
            TranscodeError: ``Encoder not found``, ``Cannot allocate memory``, or ``Invalid argument`` for settings that
                the library refuses; the library's error is its cause.
        """
        container = av.open("null", mode="w", format="null")
        try:
            stream = _add_stream(container, encoder, device)
            if global_header:
                stream.codec_context.flags |= Flags.global_header
            encoder.configure(stream.codec_context, profile, picture, tuning)
            container.start_encoding()
            return cls(encoder, profile, container=container, stream=stream)
        except _ERRORS as error:
            _discard(container)
            raise library_error(error, doing=f"open {encoder.library_name}") from error
        except BaseException:
            _discard(container)
            raise

    @property
    def stream(self) -> VideoStream:
        """The description for a file; it is good as long as the encoder is open."""
        if self._stream is None:
            message = f"{self.encoder.key} is closed"
            raise RuntimeError(message)
        return self._stream

    @property
    def lead_in_frames(self) -> int:
        """Packets that it puts before the time of the first frame, at most."""
        return self._lead_in_frames

    def encode(self, picture: VideoFrame) -> "Sequence[Packet[VideoStream]]":
        """Packets that are ready after this frame.

        Raises:
            TranscodeError: the library's error as a text, or what it means when the device fails.
        """
        pts = picture.pts  # the library may rewrite the frame's own
        try:
            packets = self._context.encode(picture)
        except _ERRORS as error:
            raise self._failure(error) from error
        self.kept = False
        self.last_pts = pts
        return packets

    def finish(self) -> "Sequence[Packet[VideoStream]]":
        """What is left at the end of a segment. Raises like ``encode``."""
        try:
            return self.encoder.finish(self._context)
        except _ERRORS as error:
            raise self._failure(error) from error

    def rest(self) -> None:
        """Make ready for the next segment, after ``finish``."""
        self.encoder.rest(self._context)
        self.kept = True

    def close(self) -> None:
        """Give back all that it holds; any number of times."""
        container, self._container, self._stream = self._container, None, None
        if container is not None:
            _discard(container)

    @property
    def _context(self) -> VideoCodecContext:
        return self.stream.codec_context

    def _failure(self, error: BaseException) -> TranscodeError:
        return library_error(error, doing=f"encode with {self.encoder.key}", text=self.encoder.running_error)


def _add_stream(container: OutputContainer, encoder: Encoder, device: HWAccel | None) -> VideoStream:
    try:
        stream = container.add_stream(encoder.library_name, hwaccel=device if encoder.on_device else None)
    except (LookupError, av.codec.codec.UnknownCodecError) as error:
        raise library_error(error, doing=f"find {encoder.library_name}", text=Text.ENCODER_NOT_FOUND) from error
    if not isinstance(stream, VideoStream):
        raise TranscodeError(Text.ENCODER_NOT_FOUND, detail=f"{encoder.library_name} encodes no video")
    return stream


def _discard(container: OutputContainer) -> None:
    """The container knows its streams and they know it: a circle that closing breaks."""
    with suppress(*_ERRORS):
        container.close()
