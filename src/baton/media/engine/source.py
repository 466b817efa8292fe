"""The input of a segment: demultiplexed, its best video decoded, its best audio passed on as it is (video.md 7.1).

The file is a stranger's. Only formats that carry their own media are opened, so that a playlist cannot make us read
anything else; sizes and lengths are checked before work begins. Broken packets are skipped as any player does.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from mmap import ACCESS_READ, mmap
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from baton.kernel.errors import Text, TranscodeError
from baton.media.engine.decoding import decoder_for
from baton.media.engine.errors import library_error
from baton.media.engine.hardware import Hardware
from baton.media.engine.seifix import with_sei_first
from baton.media.engine.timestamps import FrameClock

__all__ = ["MAX_DURATION_S", "AudioPacket", "DecodedFrame", "Source", "StreamFacts"]

MAX_DURATION_S = 300
_FORMATS = "mpegts,mov,mp4,matroska,webm,flv,avi,h264,hevc,png_pipe"
_STILL_FORMAT = "png_pipe"
_MAX_FRAME_PX = 8192 * 8192
_MICROSECONDS = 1_000_000
_SLOWEST_RATE, _FASTEST_RATE = Fraction(1, 10), Fraction(300)
_USUAL_RATE = Fraction(30)
_TS_UNIT = Fraction(1, 90_000)

_UNSPECIFIED = 2
_KNOWN_COLORSPACES = frozenset({1, 2, 4, 5, 6, 7, 9})
_RESERVED = frozenset({0, 3})

_LONGEST_MS = 10**9
"""Times of a damaged file may say anything."""

_ERRORS = (OSError, ValueError, RuntimeError, LookupError, av.FFmpegError)
"""What the library raises; its own root class does not cover Python's share of it."""


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A picture on its way to all renditions. They share it and must not change it."""

    picture: VideoFrame
    number: int
    """1 for the first frame of the segment."""


@dataclass(frozen=True, slots=True)
class AudioPacket:
    """A coded audio packet; times are ticks of the audio stream's time base. Each muxer makes its own copy."""

    data: bytes
    pts: int | None
    dts: int | None
    duration: int


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What renditions need to know of the video stream before its frames come."""

    time_base: Fraction
    """Unit of the timestamps in seconds."""
    frame_rate: Fraction
    """Nominal frames per second; a guess where the stream varies or lies."""
    sample_aspect_ratio: Fraction | None
    """Shape of a pixel, or None when the stream does not say."""
    is_still: bool
    """A single picture: few frames in and many out is no runaway then."""


class Source:
    """One input file, opened. Iterate it once; counts and flags are final afterwards. Owned by one thread."""

    def __init__(self, path: str, *, device: Hardware | None = None) -> None:
        """Open and judge the file at ``path``; ``device`` decodes what it can.

        Raises:
            TranscodeError: ``TranscoderInvalidVideo`` for what is no media or has no video (video.md 7.8),
                ``TranscoderInvalidDuration``, ``Decoder not found``, the system's word when we cannot read it, or
                ``Unrecoverable state, restart process`` when the device is lost.
        """
        self.frames = 0
        self.pixels_px = 0
        self._begin: int | None = None
        self._end = -(2**62)
        self._packets = 0
        self._key_packets = 0
        self._first_error: BaseException | None = None
        self._container = _open(path)
        try:
            self._judge_duration()
            self.video = self._best_video()
            self.audio = self._best_audio()
            self.facts = self._facts()
            self._decoder = decoder_for(self.video, None if self.facts.is_still else device)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    @property
    def duration_ms(self) -> int:
        """From the first frame to the end of the last, in whole milliseconds; 0 without frames."""
        if self._begin is None:
            return 0
        return min(max(0, round((self._end - self._begin) * self.facts.time_base * 1000)), _LONGEST_MS)

    @property
    def fallback(self) -> str:
        """Why it was decoded in software although there is a device; empty otherwise."""
        return self._decoder.fallback

    @property
    def _frame_ticks(self) -> int:
        """Nominal length of a frame in ticks of the time base."""
        return max(1, round(1 / (self.facts.frame_rate * self.facts.time_base)))

    def _facts(self) -> StreamFacts:
        rate = _USUAL_RATE
        for guess in (self.video.average_rate, self.video.guessed_rate):
            if guess is not None and _SLOWEST_RATE <= guess <= _FASTEST_RATE:
                rate = Fraction(guess)
        ratio = self.video.sample_aspect_ratio
        return StreamFacts(
            time_base=Fraction(self.video.time_base or _TS_UNIT),
            frame_rate=rate,
            sample_aspect_ratio=Fraction(ratio) if ratio is not None and ratio > 0 else None,
            is_still=self._container.format.name == _STILL_FORMAT,
        )

    def __iter__(self) -> Iterator[DecodedFrame | AudioPacket]:
        """Frames in presentation order and audio packets in file order, as the file interleaves them.

        Raises:
            TranscodeError: at the end, when nothing came out: ``No keyframes in input``, ``TranscoderInvalidVideo``,
                or the decoder's first error.
        """
        clock = FrameClock(frame_ticks=self._frame_ticks)
        for packet in self._demux():
            if packet.stream_index == self.video.index:
                self._packets += 1
                self._key_packets += packet.is_keyframe
                yield from self._decode(packet, clock)
            else:
                yield AudioPacket(bytes(packet), packet.pts, packet.dts, packet.duration or 0)
        yield from self._decode(None, clock)
        self._judge_result()

    def _demux(self) -> "Iterator[Packet[Stream]]":
        streams = (self.video,) if self.audio is None else (self.video, self.audio)
        packets = self._container.demux(streams)
        try:
            for packet in packets:
                if packet.size:
                    yield packet
        except IndexError:
            return  # the binding's way to end a file in which a stream turned up late
        except _ERRORS as error:
            # A file that breaks off still holds what came before.
            self._first_error = self._first_error or error

    def _decode(self, packet: "Packet[Stream] | None", clock: FrameClock) -> Iterator[DecodedFrame]:
        try:
            pictures = self._decoder.decode(packet)
        except MemoryError:
            raise
        except _ERRORS as error:
            self._first_error = self._first_error or error
            return
        for picture in pictures:
            self.frames += 1
            self.pixels_px += picture.width * picture.height
            repaired = self._repaired(picture, clock)
            if repaired.pts is not None:
                self._begin = repaired.pts if self._begin is None else min(self._begin, repaired.pts)
                self._end = max(self._end, repaired.pts + repaired.duration)
            yield DecodedFrame(repaired, self.frames)

    def _repaired(self, picture: VideoFrame, clock: FrameClock) -> VideoFrame:
        """The picture with a usable time and with colour words that the scaler knows."""
        picture.pts = clock.repair(pts=picture.pts, dts=picture.dts)
        picture.time_base = self.facts.time_base
        if not picture.duration:
            picture.duration = self._frame_ticks
        if picture.colorspace not in _KNOWN_COLORSPACES and not picture.format.is_rgb:
            picture.colorspace = _UNSPECIFIED
        if picture.color_trc in _RESERVED:
            picture.color_trc = _UNSPECIFIED
        if picture.color_primaries in _RESERVED:
            picture.color_primaries = _UNSPECIFIED
        return picture

    def _judge_duration(self) -> None:
        duration = self._container.duration
        if duration is not None and duration > MAX_DURATION_S * _MICROSECONDS:
            raise TranscodeError(Text.TRANSCODE_DURATION, detail=f"{duration / _MICROSECONDS} s")

    def _best_video(self) -> VideoStream:
        stream = self._container.streams.best("video")
        if not isinstance(stream, VideoStream) or stream.disposition & stream.disposition.attached_pic:
            raise TranscodeError(Text.INVALID_VIDEO, detail="no video stream")
        if stream.codec_context is None:
            raise TranscodeError(Text.DECODER_NOT_FOUND, detail="no decoder for the video stream")
        stream.codec_context.options = {"max_pixels": str(_MAX_FRAME_PX)}
        return stream

    def _best_audio(self) -> AudioStream | None:
        """The audio to copy; a track that is announced without a packet in reach is no audio."""
        stream = self._container.streams.best("audio", related=self.video)
        if not isinstance(stream, AudioStream) or stream.codec_context is None:
            return None
        return stream if stream.codec_context.sample_rate > 0 else None

    def _judge_result(self) -> None:
        if self._packets and not self._key_packets:
            raise TranscodeError(Text.NO_KEYFRAMES, detail=f"{self._packets} video packets")
        if self.frames:
            return
        if self._first_error is not None:
            raise library_error(self._first_error, doing="decode")
        raise TranscodeError(Text.INVALID_VIDEO, detail=f"{self._packets} video packets, no frame")


def _open(path: str) -> InputContainer:
    try:
        known = _known_format(_head(path))
        return av.open(
            _with_sei_first(path) if known == _TS else f"file:{path}",
            mode="r",
            format=known,
            options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
            buffer_size=_READ_BYTES,
            metadata_errors="replace",
        )
    except (FileNotFoundError, PermissionError, MemoryError) as error:
        raise library_error(error, doing="open input") from error
    except _ERRORS as error:
        raise library_error(error, doing="open input", text=Text.INVALID_VIDEO) from error


_TS = "mpegts"
_TS_PACKET_BYTES = 188
_TS_SYNC = 0x47
_TS_LOOK = 3
_READ_BYTES = 1 << 18


def _head(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(_TS_PACKET_BYTES * _TS_LOOK)


def _known_format(head: bytes) -> str | None:
    """The format where the first bytes leave no doubt: the library takes very short MPEG-TS files for others."""
    marks = head[::_TS_PACKET_BYTES]
    return _TS if len(marks) == _TS_LOOK and set(marks) == {_TS_SYNC} else None


def _with_sei_first(path: str) -> str | io.BytesIO:
    """What to open for a transport stream: the file itself, or a repaired copy in memory."""
    with Path(path).open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        repaired = with_sei_first(data)
    return f"file:{path}" if repaired is None else io.BytesIO(repaired)
