"""One rendition being made: frames are scaled, timed, clipped, encoded and written in a thread of its own.

The thread reads the frames that all renditions share from its channel and owns everything behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf

from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import output_size
from baton.media.engine.channel import Channel
from baton.media.engine.clipping import ClipGate
from baton.media.engine.encoders.base import Picture
from baton.media.engine.encoders.opening import OpenEncoder
from baton.media.engine.keyframes import KeyFrames
from baton.media.engine.muxing import RenditionFile
from baton.media.engine.plan import Wish, lookahead_cap_frames
from baton.media.engine.scaling import Geometry, Scaler, geometry_of
from baton.media.engine.signatures import PerceptualHash
from baton.media.engine.source import AudioPacket, DecodedFrame, StreamFacts
from baton.media.engine.timestamps import LeadIn
from baton.media.engine.workshop import EncoderDesk
from baton.media.job import HdrTreatment, RenditionOutput, TranscodeRequest

__all__ = ["RUNAWAY_FACTOR", "Item", "Rendition"]

Item = DecodedFrame | AudioPacket
"""What the decoding thread hands over."""

RUNAWAY_FACTOR = 25
"""More output frames than this for each decoded one is a lying stream or an absurd rate (video.md 7.4)."""


@dataclass(slots=True)
class _Counts:
    """What is known when the rendition is done."""

    produced: int = 0
    """Frames that came out of the scaler, kept or clipped away."""
    frames: int = 0
    pixels: int = 0


class Rendition:
    """The whole way of one rendition. Built by the decoding thread, then run and owned by its own."""

    def __init__(
        self,
        wish: Wish,
        *,
        request: TranscodeRequest,
        facts: StreamFacts,
        audio: AudioStream | None,
        desk: EncoderDesk,
    ) -> None:
        """``audio`` is the input's audio stream: only its parameters are read, never its packets.

        Encoders come from ``desk`` and go back there.
        """
        self._wish = wish
        self._desk = desk
        self._request = request
        self._facts = facts
        metadata = {"service_provider": request.service_provider, "comment": request.comment}
        self._file = RenditionFile(wish.profile.format, metadata=metadata, audio=audio)
        self._audio_unit_s = audio.time_base or Fraction(1, 90_000) if audio is not None else Fraction(1)
        self._video_gate, self._audio_gate = ClipGate(request.clip), ClipGate(request.clip)
        self._key_frames = KeyFrames(wish.profile)
        self._lead_in = LeadIn()
        self._counts = _Counts()
        self._geometry: Geometry | None = None
        self._scaler: Scaler | None = None
        self._picture: Picture | None = None
        self._opened_for: Picture | None = None
        """What the encoder at work was opened for; ``_picture`` may be ahead of it by a new graph."""
        self._coder: OpenEncoder | None = None
        self._last_s: Fraction | None = None
        self._decoded = 0
        self._hash: PerceptualHash | None = None
        if request.perceptual_hash:
            self._hash = PerceptualHash(deadline_s=request.deadline_ms / 1000 if request.deadline_ms else inf)

    def run(self, channel: Channel[Item]) -> RenditionOutput:
        """Make the rendition from what ``channel`` brings.

        Raises:
            TranscodeError: with the text for the gateway.
            ChannelAborted: the decoding thread gave up.
        """
        try:
            for item in channel:
                if isinstance(item, DecodedFrame):
                    self._take_frame(item)
                else:
                    self._take_audio(item)
            return self._finish()
        finally:
            channel.hang_up()
            self._file.discard()
            if self._coder is not None:
                self._coder.close()
            if self._hash is not None:
                self._hash.discard()

    def _take_frame(self, item: DecodedFrame) -> None:
        self._decoded = item.number
        geometry = geometry_of(item.picture)
        if self._scaler is None or geometry != self._geometry:
            self._drain_scaler()
            self._scaler = self._build_scaler(item.picture)
            self._geometry = geometry
        for picture in self._scaler.push(item.picture):
            self._emit(picture)

    def _build_scaler(self, picture: VideoFrame) -> Scaler:
        """A graph for frames like this one, and the picture that its encoder will see."""
        profile = self._wish.profile
        source_px = (picture.width, picture.height)
        width_px, height_px = output_size(
            source=source_px, requested=(profile.width, profile.height), codec=profile.codec
        )
        if max(width_px, height_px) > self._wish.max_side_px:
            detail = f"{source_px[0]}x{source_px[1]} px would become {width_px}x{height_px} px"
            raise TranscodeError(Text.INVALID_RESOLUTION, detail=detail)
        rate = profile.frame_rate
        shape = self._facts.sample_aspect_ratio
        self._picture = Picture(
            width_px=width_px,
            height_px=height_px,
            time_base=self._facts.time_base if rate is None else 1 / rate,
            frame_rate=rate or self._facts.frame_rate,
            sample_aspect_ratio=shape and shape * Fraction(source_px[0] * height_px, source_px[1] * width_px),
            lookahead_cap_frames=lookahead_cap_frames(self._request.profiles, source_px=source_px),
        )
        return Scaler(
            picture,
            size_px=(width_px, height_px),
            pixel_format=self._wish.pixel_format,
            frame_rate=rate,
            time_base=self._facts.time_base,
            tone_map=self._request.tuning.hdr is HdrTreatment.TONE_MAP,
        )

    def _drain_scaler(self) -> None:
        if self._scaler is not None:
            for picture in self._scaler.push(None):
                self._emit(picture)

    def _emit(self, picture: VideoFrame) -> None:
        """Encode a scaled frame unless the clip or the grid has no place for it."""
        self._counts.produced += 1
        if self._counts.produced > RUNAWAY_FACTOR * self._decoded and not self._facts.is_still:
            raise TranscodeError(Text.RUNAWAY, detail=f"{self._counts.produced} frames from {self._decoded}")
        unit_s = picture.time_base or self._facts.time_base
        time_s = (picture.pts or 0) * unit_s
        if self._last_s is not None and time_s <= self._last_s:
            return  # a graph that was rebuilt in mid-segment may land on a grid place that is taken
        self._last_s = time_s
        if not self._video_gate.passes(time_s):
            return
        picture.pts = round((time_s - self._video_gate.shift_s) / unit_s)
        forced = self._key_frames.forces(time_s)
        # Else the encoder would repeat the source's picture types.
        picture.pict_type = PictureType.I if forced else PictureType.NONE
        self._encode(picture)
        self._counts.frames += 1
        self._counts.pixels += picture.width * picture.height

    def _encode(self, picture: VideoFrame) -> None:
        coder = self._coder
        if coder is None or self._opened_for is None or not _suits(self._opened_for, picture):
            coder = self._open_encoder(picture)
        if self._hash is not None:
            self._hash.take(picture)
        self._lead_in.shown(picture.pts or 0)
        try:
            packets = coder.encode(picture)
        except TranscodeError:
            if not coder.kept:
                raise
            coder = self._renew_encoder(coder, picture)
            packets = coder.encode(picture)
        self._write(coder, packets)

    def _write(self, coder: OpenEncoder, packets: "Sequence[Packet[VideoStream]]") -> None:
        for packet in packets:
            if packet.dts is not None:
                packet.dts = self._lead_in.decode_time(packet.dts, depth=coder.lead_in_frames)
        self._file.write_video(packets)

    def _bring_back(self) -> None:
        """The encoder's work for this segment is done."""
        coder = self._coder
        if coder is not None:
            self._write(coder, coder.finish())
            self._desk.bring_back(coder)
            self._coder = None  # until then it is ours to close

    def _open_encoder(self, picture: VideoFrame) -> OpenEncoder:
        """The encoder for frames like this: the file's own first, a new one when size or colours change on the way."""
        if self._picture is None:
            message = "there is a scaler before there are frames"
            raise RuntimeError(message)
        self._picture = replace(
            self._picture,
            width_px=picture.width,
            height_px=picture.height,
            color_range=picture.color_range,
            color_primaries=picture.color_primaries,
            color_trc=picture.color_trc,
            colorspace=picture.colorspace,
        )
        self._opened_for = self._picture
        if self._coder is None:
            return self._start_file(self._picture, first_pts=picture.pts or 0)
        self._bring_back()
        coder = self._desk.open(self._picture, first_pts=picture.pts or 0, first_of_file=False)
        self._coder = coder
        return coder

    def _start_file(self, picture: Picture, *, first_pts: int) -> OpenEncoder:
        coder = self._desk.open(picture, first_pts=first_pts, first_of_file=True)
        self._coder = coder
        self._file.start(coder.stream, time_base=picture.time_base, before_zero=first_pts < 0)
        return coder

    def _renew_encoder(self, coder: OpenEncoder, picture: VideoFrame) -> OpenEncoder:
        """A kept encoder did not take its first frame of this segment: one like it, which the file cannot tell."""
        if self._picture is None:
            message = "there is a scaler before there are frames"
            raise RuntimeError(message)
        self._coder = None
        renewed = self._desk.renew(coder, self._picture, first_pts=picture.pts or 0)
        self._coder = renewed
        return renewed

    def _take_audio(self, packet: AudioPacket) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            self._file.write_audio(packet)
            return
        if not self._audio_gate.passes(stamp * self._audio_unit_s):
            return
        shift = round(self._audio_gate.shift_s / self._audio_unit_s)
        if shift:
            packet = replace(
                packet,
                pts=None if packet.pts is None else packet.pts - shift,
                dts=None if packet.dts is None else packet.dts - shift,
            )
        self._file.write_audio(packet)

    def _finish(self) -> RenditionOutput:
        self._drain_scaler()
        if self._hash is not None:
            self._hash.end()
        if self._coder is None and self._picture is not None:
            # A rate so low or a clip so short that no frame of this segment is due: an empty file is right then.
            self._start_file(self._picture, first_pts=0)
        self._bring_back()
        if self._picture is None:
            raise TranscodeError(Text.INVALID_VIDEO, detail="no frame reached the rendition")
        ticks_per_s = self._file.ticks_per_s
        return RenditionOutput(
            data=self._file.finish(),
            pixels=self._counts.pixels,
            frames=self._counts.frames,
            width=self._picture.width_px,
            height=self._picture.height_px,
            perceptual_hash=self._hash.result(ticks_per_s=ticks_per_s) if self._hash is not None else b"",
            hash_trouble=self._hash.trouble if self._hash is not None else "",
        )


def _suits(opened_for: Picture, picture: VideoFrame) -> bool:
    """Whether an encoder that was opened for one picture can say truly what another is."""
    return (picture.width, picture.height, picture.color_range, picture.colorspace) == (
        opened_for.width_px,
        opened_for.height_px,
        opened_for.color_range,
        opened_for.colorspace,
    ) and (picture.color_trc, picture.color_primaries) == (opened_for.color_trc, opened_for.color_primaries)
