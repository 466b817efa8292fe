"""The output file of one rendition, written in memory: video stream 0, audio stream 1 (video.md 7.4, 7.9).

Timestamps keep the input's time line: no offset, no mux delay. What a muxer would refuse is repaired before it gets
there.
"""

import io
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import av.error
from av.audio.stream import AudioStream
from av.container.output import OutputContainer
from av.packet import Packet
from av.rational import AVRational
from av.stream import Stream
from av.video.stream import VideoStream

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import OutputFormat
from baton.media.engine.errors import library_error
from baton.media.engine.source import AudioPacket
from baton.media.engine.timestamps import PacketClock

__all__ = ["RenditionFile", "check_format"]

_BUFFER_BYTES = 1 << 18
_TS_TIME_BASE = Fraction(1, 90_000)
_MUXERS = {
    # Without copyts the muxer moves the clock references by its own delay.
    OutputFormat.MPEGTS: ("mpegts", {"mpegts_copyts": "1"}),
    # The edit that holds the start time counts in movie units; a thousandth of a second would round it.
    OutputFormat.MP4: ("mp4", {"movflags": "+faststart", "movie_timescale": "90000"}),
}
_ERRORS = (OSError, ValueError, RuntimeError, LookupError, av.FFmpegError)


def check_format(output_format: OutputFormat) -> None:
    """Refuse a container that we have no muxer for.

    Raises:
        TranscodeError: ``TranscoderUnrecognizedFormat``.
    """
    if output_format not in _MUXERS:
        raise TranscodeError(Text.UNRECOGNIZED_FORMAT, detail=f"format {output_format}")


class RenditionFile:
    """A file being written. Owned by one thread.

    Order of calls: ``start`` with the stream of an encoder that is open, any number of writes, ``finish``. Audio may be
    written from the beginning; it waits for ``start``.
    """

    def __init__(self, output_format: OutputFormat, *, metadata: dict[str, str], audio: AudioStream | None) -> None:
        """``audio`` is the input's stream, whose parameters are copied; None for a file without sound."""
        self._name, self._options = _MUXERS[output_format]
        self._format = output_format
        self._metadata = metadata
        self._audio_template = audio
        self._buffer = io.BytesIO()
        self._container: OutputContainer | None = None
        self._video: VideoStream | None = None
        self._audio: AudioStream | None = None
        self._started = False
        self._waiting: list[AudioPacket] = []
        self._video_clock, self._audio_clock = PacketClock(), PacketClock()

    def start(self, template: VideoStream, *, time_base: Fraction, before_zero: bool) -> None:
        """Create the file and its streams, write its head and the audio that waited.

        Args:
            template: the encoder's stream, which describes what will be written.
            time_base: unit of the encoder's timestamps; MP4 keeps it, MPEG-TS always counts 1/90000 s.
            before_zero: the segment begins before zero, which only happens where the 33-bit clock of MPEG-TS wraps.
                Its times must then wrap in the output too and not be moved to zero.

        Raises:
            TranscodeError: ``Muxer not found``, or ``Invalid argument`` for audio that the container cannot hold.
        """
        options = dict(self._options)
        if before_zero and self._format is OutputFormat.MPEGTS:
            options["avoid_negative_ts"] = "disabled"
        try:
            self._container = av.open(
                self._buffer,
                mode="w",
                format=self._name,
                container_options=options,
                buffer_size=_BUFFER_BYTES,
                io_open=self._reopen,
            )
            self._container.metadata.update(self._metadata)
            video = self._container.add_stream_from_template(template)
        except _ERRORS as error:
            raise library_error(error, doing="create output") from error
        video.time_base = _TS_TIME_BASE if self._format is OutputFormat.MPEGTS else time_base
        self._video = video
        self._add_audio()
        try:
            self._container.start_encoding()
        except _ERRORS as error:
            raise library_error(error, doing="write header") from error
        self._started = True
        waiting, self._waiting = self._waiting, []
        for packet in waiting:
            self.write_audio(packet)

    @property
    def ticks_per_s(self) -> int:
        """Clock of the video stream, as the muxer chose it once the header was written."""
        unit = self._video.time_base if self._video is not None else None
        return unit.denominator // unit.numerator if unit else 0

    def write_video(self, packets: "Iterable[Packet[VideoStream]]") -> None:
        """Write coded frames in the order in which the encoder gave them."""
        for packet in packets:
            self._write(packet, self._video, self._video_clock)

    def write_audio(self, packet: AudioPacket) -> None:
        """Write a copied audio packet, its times in ticks of the input's audio stream."""
        if self._audio_template is None:
            return
        if not self._started:
            self._waiting.append(packet)
            return
        copy = Packet(packet.data)
        copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
        copy.time_base = self._audio_template.time_base or _TS_TIME_BASE
        copy.is_keyframe = True
        self._write(copy, self._audio, self._audio_clock)

    def finish(self) -> bytes:
        """Close the file and return it."""
        try:
            self._require().close()
        except _ERRORS as error:
            raise library_error(error, doing="finish output") from error
        return self._buffer.getvalue()

    def discard(self) -> None:
        """Let go of everything, finished or not.

        The container knows its streams, they know it, and it knows a method of ours: circles that closing breaks.
        """
        self._buffer.close()
        if self._container is not None:
            with suppress(*_ERRORS):
                self._container.close()
        self._container = self._video = self._audio = self._audio_template = None
        self._waiting.clear()

    def _require(self) -> OutputContainer:
        if self._container is None:
            message = "the video stream is opened first"
            raise RuntimeError(message)
        return self._container

    def _add_audio(self) -> None:
        if self._audio_template is None:
            return
        try:
            self._audio = self._require().add_stream_from_template(self._audio_template)
        except _ERRORS as error:
            raise library_error(error, doing="copy audio parameters", text=Text.INVALID_ARGUMENT) from error
        if self._format is OutputFormat.MP4:
            self._audio.time_base = Fraction(1, self._audio_template.codec_context.sample_rate)

    def _write(self, packet: "Packet[Any]", stream: Stream | None, clock: PacketClock) -> None:
        if stream is None:
            return
        packet.stream = stream
        if stream.time_base is not None:
            packet.rescale_ts(AVRational(stream.time_base))
        packet.pts, packet.dts = clock.repair(pts=packet.pts, dts=packet.dts, duration=packet.duration or 0)
        try:
            self._require().mux_one(packet)
        except (av.error.InvalidDataError, av.error.PatchWelcomeError):
            return  # a damaged audio packet that this container cannot hold; what we encoded is never that
        except _ERRORS as error:
            raise library_error(error, doing="mux") from error

    def _reopen(self, _url: str, _flags: int, _options: dict[str, str]) -> io.BytesIO:
        """For the MP4 muxer, which reads its own output back to move the index to the front."""
        return io.BytesIO(self._buffer.getbuffer())
