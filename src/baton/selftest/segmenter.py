"""Cuts a video file into MPEG-TS segments at key frames, without re-encoding, as a gateway's ingest does.

Runs as a child process (``python -m baton.selftest.segmenter FILE FOLDER``): the codec library is imported there and
nowhere else. One JSON line per segment goes to stdout as soon as it is complete, an ``error`` line when the file
cannot be sent. Timestamps run on from segment to segment on the 90 kHz clock and start at 10 s, so that no decode time
is negative and nothing needs to be shifted later.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baton.kernel.capabilities import Capability
from baton.selftest.inspector import InspectError, run_bounded
from baton.selftest.parameter_sets import with_parameter_sets

if TYPE_CHECKING:
    import av

__all__ = ["Segment", "SegmentError", "Source", "cut", "main"]

TARGET_S = 2.0
_CUT_TIMEOUT_S = 120.0
_MAX_SEGMENT_S = 60.0
_START_S = 10
_VIDEO_CODECS = {"h264": Capability.H264, "hevc": Capability.HEVC_DECODE}
_AUDIO_CODECS = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "opus"})
_MOST_UNTIMED = 16
"""No H.264 or HEVC stream reorders further than this."""
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,flv,avi,asf,h264,hevc,mpegvideo,ogg,mxf,m4v,wtv,nut,gxf,rm,ivf"
)
"""Containers that are files in themselves; playlists, scripts and pictures are none."""
_H264_DEPTHS = {
    "yuv444p": Capability.H264_DECODE_444_8BIT,
    "yuv422p": Capability.H264_DECODE_422_8BIT,
    "yuv444p10le": Capability.H264_DECODE_444_10BIT,
    "yuv422p10le": Capability.H264_DECODE_422_10BIT,
    "yuv420p10le": Capability.H264_DECODE_420_10BIT,
}


class SegmentError(Exception):
    """A file that cannot be sent; the text says why, for the person who chose it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One cut segment on disk."""

    path: Path
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Source:
    """A cut file: what it holds and its segments in order."""

    segments: tuple[Segment, ...]
    codec: str
    width_px: int
    height_px: int
    fps: float
    capability_ids: tuple[int, ...]
    """What an orchestrator must be able to decode (video.md 5.6)."""
    notes: tuple[str, ...] = ()
    """What was left out, for the person watching."""


async def cut(source: Path, folder: Path, *, limit_s: float, target_s: float = TARGET_S) -> Source:
    """Cut at most ``limit_s`` seconds of ``source`` into ``folder``.

    Raises:
        SegmentError: no such file, no video, a codec nobody takes, or damaged beyond reading.
    """
    command = _command(source, folder, limit_s, target_s)
    try:
        finished = await run_bounded(command, timeout_s=_CUT_TIMEOUT_S)
    except InspectError as error:
        raise SegmentError(str(error)) from error
    rows = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    for row in rows:
        if "error" in row:
            raise SegmentError(row["error"])
    if finished.returncode != 0 or not rows or "codec" not in rows[-1]:
        message = f"the file could not be cut: {finished.stderr.strip()[-300:] or 'no reason given'}"
        raise SegmentError(message)
    head = rows[-1]
    segments = tuple(Segment(folder / row["file"], row["duration_ms"]) for row in rows[:-1])
    if not segments:
        message = "the file holds no key frame to start from"
        raise SegmentError(message)
    return Source(
        segments=segments,
        codec=head["codec"],
        width_px=head["width"],
        height_px=head["height"],
        fps=head["fps"],
        capability_ids=tuple(head["capability_ids"]),
        notes=tuple(head["notes"]),
    )


def _command(source: Path, folder: Path, limit_s: float, target_s: float) -> tuple[str, ...]:
    try:
        found = source.is_file()
    except OSError as error:
        message = f"{error.strerror}: {source}"
        raise SegmentError(message) from error
    if not found:
        message = f"no such file: {source}"
        raise SegmentError(message)
    if source.stat().st_size == 0:
        message = f"the file is empty: {source}"
        raise SegmentError(message)
    module = (sys.executable, "-m", "baton.selftest.segmenter")
    return (*module, str(source.resolve()), str(folder.resolve()), f"{limit_s:g}", f"{target_s:g}")


# The child.


class _Cutter:
    """Writes packets into one segment after another."""

    def __init__(self, folder: Path, streams: "tuple[av.stream.Stream, ...]", *, target_s: float) -> None:
        self._folder = folder
        self._streams = streams
        self._target = Fraction(target_s)
        self._output: Any = None
        self._copies: dict[int, Any] = {}
        self._count = 0
        self._fresh = False
        self._started = Fraction(0)
        self._ends = Fraction(0)

    def key_frame(self, at: Fraction) -> None:
        """A video key frame at ``at`` seconds: begin the next segment when this one is long enough."""
        if self._output is not None and at - self._started < self._target - Fraction(1, 20):
            return
        self._finish(at)
        import av

        path = self._folder / f"{self._count:05d}.ts"
        self._output = av.open(str(path), "w", format="mpegts", options={"mpegts_copyts": "1"})
        self._output.metadata["service_provider"] = "baton selftest"
        self._copies = {s.index: self._output.add_stream_from_template(s) for s in self._streams}
        self._started = at
        self._fresh = True

    def packet(self, packet: Any, ends: Fraction) -> None:  # noqa: ANN401 -- av types exist in the child only
        """One packet, timestamps already moved; ``ends`` is when its last picture is over, in seconds."""
        if self._output is None:
            return
        if ends - self._started > _MAX_SEGMENT_S:
            message = f"key frames are more than {_MAX_SEGMENT_S:g} s apart; segments that long are not sent"
            raise SegmentError(message)
        stream = packet.stream
        if self._fresh and stream is self._streams[0]:
            self._fresh = False
            packet = _decodable(packet)
        packet.stream = self._copies[stream.index]
        self._output.mux(packet)
        self._ends = max(self._ends, ends)

    def close(self) -> None:
        """Finish the last segment."""
        self._finish(self._ends)

    def _finish(self, ends: Fraction) -> None:
        if self._output is None:
            return
        self._output.close()
        self._output = None
        duration_ms = max(1, round((ends - self._started) * 1000))
        sys.stdout.write(json.dumps({"file": f"{self._count:05d}.ts", "duration_ms": duration_ms}) + "\n")
        sys.stdout.flush()
        self._count += 1


def _decodable(packet: Any) -> Any:  # noqa: ANN401 -- av types exist in the child only
    """The first picture of a segment, as a packet that can be decoded without what came before."""
    import av

    context = packet.stream.codec_context
    if _codec_name(packet.stream) != "h264" or not context.extradata:
        return packet
    data = bytes(packet)
    whole = with_parameter_sets(data, bytes(context.extradata))
    if whole == data:
        return packet
    copy = av.Packet(whole)
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    copy.is_keyframe = True
    return copy


def _codec_name(stream: Any) -> str:  # noqa: ANN401 -- av types exist in the child only
    """The codec's name, whichever of its decoders was chosen."""
    return str(stream.codec_context.codec.canonical_name)


def _streams(container: Any) -> "tuple[tuple[Any, ...], list[str]]":  # noqa: ANN401 -- av types exist in the child only
    """The streams that travel, video first, and what was left behind."""
    notes: list[str] = []
    pictures = [s for s in container.streams.video if not (s.disposition & s.disposition.attached_pic)]
    if not pictures:
        message = "the file has no video"
        raise SegmentError(message)
    video = pictures[0]
    codec = _codec_name(video)
    if codec not in _VIDEO_CODECS:
        message = (
            f"video codec {codec} cannot be sent to an orchestrator in MPEG-TS segments; "
            f"use a file with {' or '.join(sorted(_VIDEO_CODECS))}"
        )
        raise SegmentError(message)
    chosen = [video]
    if container.streams.audio:
        audio = container.streams.audio[0]
        if _codec_name(audio) in _AUDIO_CODECS:
            chosen.append(audio)
        else:
            notes.append(f"audio codec {_codec_name(audio)} does not fit into MPEG-TS: sent without audio")
    return tuple(chosen), notes


def _capability_ids(codec: str, pixel_format: str | None) -> list[int]:
    ids = [int(_VIDEO_CODECS[codec])]
    if codec == "h264" and pixel_format in _H264_DEPTHS:
        ids.append(int(_H264_DEPTHS[pixel_format]))
    return ids


def _with_decode_times(packets: Any, video: Any) -> Iterator[Any]:  # noqa: ANN401 -- av types exist in the child only
    """The packets, the first video ones completed: Matroska knows no decode times until the B-frame delay is over."""
    waiting: list[Any] = []
    known = False
    for packet in packets:
        if packet.pts is None:
            continue
        if packet.stream is video and not known:
            if packet.dts is None and len(waiting) < _MOST_UNTIMED:
                waiting.append(packet)
                continue
            known = True
            first = packet.pts if packet.dts is None else packet.dts
            for steps, early in zip(range(len(waiting), 0, -1), waiting, strict=True):
                early.dts = min(early.pts, first - steps * (early.duration or 1))
                yield early
        if packet.dts is not None:
            yield packet


def _cut_packets(container: Any, cutter: _Cutter, streams: "tuple[Any, ...]", *, limit_s: float) -> None:  # noqa: ANN401 -- av types exist in the child only
    """Move every packet onto the new timeline and hand it on until ``limit_s`` is reached at a key frame."""
    video = streams[0]
    origin: Fraction | None = None
    for packet in _with_decode_times(container.demux(*streams), video):
        base = Fraction(packet.time_base)
        if packet.stream is video and packet.is_keyframe:
            at = packet.pts * base
            if origin is None:
                origin = at - _START_S
            if at - origin - _START_S >= limit_s:
                break
            cutter.key_frame(at - origin)
        if origin is None:
            continue
        shift = round(origin / base)
        packet.pts -= shift
        packet.dts -= shift
        if packet.dts < 0:
            continue
        cutter.packet(packet, (packet.pts + (packet.duration or 0)) * base if packet.stream is video else Fraction(0))
    cutter.close()


def main(arguments: list[str]) -> int:
    """Cut the file; 0 when every segment is on disk."""
    import av

    source, folder, limit_s, target_s = arguments[0], Path(arguments[1]), float(arguments[2]), float(arguments[3])
    try:
        with av.open(source, options={"protocol_whitelist": "file", "format_whitelist": _FORMATS}) as container:
            streams, notes = _streams(container)
            video = streams[0]
            _cut_packets(container, _Cutter(folder, streams, target_s=target_s), streams, limit_s=limit_s)
            head = {
                "codec": _codec_name(video),
                "width": video.width,
                "height": video.height,
                "fps": float(video.average_rate or 0),
                "capability_ids": _capability_ids(_codec_name(video), video.codec_context.pix_fmt),
                "notes": notes,
            }
    except SegmentError as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    except (av.error.FFmpegError, OSError, ValueError) as error:
        unknown = isinstance(error, av.error.InvalidDataError | av.error.ArgumentError)
        reason = "damaged, or no video file" if unknown else getattr(error, "strerror", None) or error
        sys.stdout.write(json.dumps({"error": f"the file cannot be read as video: {reason}"}) + "\n")
        return 1
    sys.stdout.write(json.dumps(head) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
