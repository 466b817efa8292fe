"""The engine's self-test: a capability is claimed when a sample really went through, and not otherwise.

One row per capability in a literal table: what is decoded, what is asked, how many frames must come out. Each
rendition is decoded again and its pixels counted, as a gateway would (video.md 5.7, 7.6).
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import av

from baton.kernel.capabilities import Capability
from baton.kernel.profiles import INTRA_ONLY_GOP, EncoderProfile, OutputFormat, VideoCodec, VideoProfile
from baton.media.engine.device_probe import RENDITIONS, Told, with_device
from baton.media.engine.encoders.registry import ENCODERS, encoder_for
from baton.media.engine.samples import SAMPLE_FRAMES, Recipe, make_sample
from baton.media.engine.source import DecodedFrame, Source
from baton.media.engine.speed import measure_speed
from baton.media.engine.transcode import transcode
from baton.media.engine.workshop import workshop
from baton.media.job import (
    Acceleration,
    Choice,
    Clip,
    EncoderTuning,
    EngineReport,
    RenditionOutput,
    TranscodeRequest,
)

__all__ = ["probe"]

_H264 = Recipe("libx264")
_HEVC = Recipe("libx265", options=(("preset", "ultrafast"), ("x265-params", "log-level=none:pools=1:frame-threads=1")))
_VPX = (("deadline", "realtime"), ("cpu-used", "8"))
_VP8 = Recipe("libvpx", container="webm", options=_VPX)
_VP9 = Recipe("libvpx-vp9", container="webm", options=_VPX)

_ASKED = VideoProfile(name="probe", width=146, height=146, bitrate_bps=1_000_000)


@dataclass(frozen=True, slots=True)
class _Trial:
    """One capability, and the transcode that proves it."""

    capability: Capability
    sample: Recipe = _H264
    profile: VideoProfile = _ASKED
    clip: Clip | None = None
    frames: int = SAMPLE_FRAMES
    perceptual_hash: bool = False


_TRIALS = (
    _Trial(Capability.H264),
    _Trial(Capability.MPEGTS),
    _Trial(Capability.MP4, profile=replace(_ASKED, format=OutputFormat.MP4)),
    _Trial(Capability.FRACTIONAL_FRAMERATES, profile=replace(_ASKED, fps=25_000, fps_den=1001)),
    _Trial(Capability.H264_BASELINE_PROFILE, profile=replace(_ASKED, profile=EncoderProfile.H264_BASELINE)),
    _Trial(Capability.H264_MAIN_PROFILE, profile=replace(_ASKED, profile=EncoderProfile.H264_MAIN)),
    _Trial(Capability.H264_HIGH_PROFILE, profile=replace(_ASKED, profile=EncoderProfile.H264_HIGH)),
    _Trial(
        Capability.H264_CONSTRAINED_HIGH_PROFILE,
        profile=replace(_ASKED, profile=EncoderProfile.H264_CONSTRAINED_HIGH),
    ),
    _Trial(Capability.GOP, profile=replace(_ASKED, gop_ms=INTRA_ONLY_GOP)),
    _Trial(Capability.SEGMENT_SLICING, clip=Clip(from_ms=40, to_ms=120), frames=3),
    _Trial(Capability.MPEG7_SIGNATURE, perceptual_hash=True),
    _Trial(Capability.HEVC_DECODE, sample=_HEVC),
    _Trial(Capability.HEVC_ENCODE, profile=replace(_ASKED, codec=VideoCodec.H265)),
    _Trial(Capability.VP8_DECODE, sample=_VP8),
    _Trial(Capability.VP9_DECODE, sample=_VP9),
    _Trial(Capability.H264_DECODE_444_8BIT, sample=replace(_H264, pixel_format="yuv444p")),
    _Trial(Capability.H264_DECODE_422_8BIT, sample=replace(_H264, pixel_format="yuv422p")),
    _Trial(Capability.H264_DECODE_444_10BIT, sample=replace(_H264, pixel_format="yuv444p10le")),
    _Trial(Capability.H264_DECODE_422_10BIT, sample=replace(_H264, pixel_format="yuv422p10le")),
    _Trial(Capability.H264_DECODE_420_10BIT, sample=replace(_H264, pixel_format="yuv420p10le")),
)


def probe(tuning: EncoderTuning) -> EngineReport:
    """Try everything the engine may be asked for, with the operator's settings; takes a second or three.

    Raises:
        TranscodeError: ``No such device`` or ``Unrecoverable state, restart process`` for an engine with a device that
            is not there or does not work at all; the detail says why.
    """
    shop = workshop(tuning.acceleration)
    shop.begin(TranscodeRequest(input_path="", profiles=()))
    told = Told()
    proven: list[int] = []
    refused: list[tuple[int, str]] = []
    measured: list[str] = []
    with tempfile.TemporaryDirectory(prefix="baton-probe-") as folder:
        for trial in _TRIALS:
            reason = _unwanted(trial.capability, tuning) or _refusal(trial, tuning, Path(folder), told)
            if not reason and trial.capability is Capability.HEVC_ENCODE:
                reason = _too_slow(tuning, told, measured)
            if reason:
                refused.append((int(trial.capability), reason))
            else:
                proven.append(int(trial.capability))
    report = EngineReport(
        capability_ids=tuple(proven),
        refused=tuple(refused),
        engine=f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}",
        encoders=tuple(encoder.library_name for encoder in ENCODERS if _PROVES[encoder.codec] in proven),
        measured=tuple(measured),
    )
    if tuning.acceleration is Acceleration.SOFTWARE:
        return report
    return with_device(report, told, shop=shop, tuning=tuning)


_PROVES = {VideoCodec.H264: Capability.H264, VideoCodec.H265: Capability.HEVC_ENCODE}


def _unwanted(capability: Capability, tuning: EncoderTuning) -> str:
    """Why a capability is not tried at all; empty when it is."""
    word = {Capability.HEVC_ENCODE: tuning.hevc_encoding, Capability.HEVC_DECODE: tuning.hevc_decoding}.get(capability)
    return "the operator does not want it" if word is Choice.OFF else ""


def _too_slow(tuning: EncoderTuning, told: Told, measured: list[str]) -> str:
    """Why HEVC is not promised although it can be made: software that does not keep up, unless it is asked for."""
    if tuning.hevc_encoding is not Choice.AUTO or told.on_device.get("encode H265"):
        return ""
    speed = measure_speed(encoder_for(VideoCodec.H265), tuning)
    measured.append(str(speed))
    return "" if speed.keeps_up else f"too slow for a live stream: {speed}"


_PARTS = {
    Capability.H264: ("decode h264", "encode H264"),
    Capability.HEVC_DECODE: ("decode hevc",),
    Capability.HEVC_ENCODE: ("encode H265",),
    Capability.VP8_DECODE: ("decode vp8",),
    Capability.VP9_DECODE: ("decode vp9",),
}
"""What a trial shows a device to do when it falls back on nothing."""


def _refusal(trial: _Trial, tuning: EncoderTuning, folder: Path, told: Told) -> str:
    """Why a capability is not there; empty when it is. How a device did it goes to ``told``."""
    sample, result = folder / "sample", folder / "result"
    try:
        sample.write_bytes(make_sample(trial.sample))
        request = TranscodeRequest(
            input_path=str(sample),
            profiles=(trial.profile,) * (1 if tuning.acceleration is Acceleration.SOFTWARE else RENDITIONS),
            clip=trial.clip,
            comment="probe",
            tuning=tuning,
            perceptual_hash=trial.perceptual_hash,
        )
        output = transcode(request)
        if tuning.acceleration is not Acceleration.SOFTWARE:
            told.hear(_PARTS.get(trial.capability, ()), output.fallbacks)
        return next(filter(None, (_trouble(trial, rendition, result) for rendition in output.renditions)), "")
    except Exception as error:  # noqa: BLE001 -- whatever goes wrong, the capability is not claimed and the reason kept
        return f"{type(error).__name__}: {error} {getattr(error, 'detail', '')}".strip()


def _trouble(trial: _Trial, rendition: RenditionOutput, result: Path) -> str:
    """What is wrong with a rendition, decoded again; empty for a good one."""
    result.write_bytes(rendition.data)
    with Source(str(result)) as judged:
        frames = sum(isinstance(item, DecodedFrame) for item in judged)
        pixels = judged.pixels_px
    if (frames, pixels) != (rendition.frames, rendition.pixels) or frames != trial.frames:
        return f"{trial.frames} frames expected, {rendition.frames} encoded, {frames} decoded, {pixels} px"
    return rendition.hash_trouble
