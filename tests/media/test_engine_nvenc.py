"""NVENC in the library's words: the options of every profile as literal tables, and that the library knows them all.

No card is needed here. What a card makes of them is for test_engine_contract.py, where there is one.
"""

from dataclasses import replace
from fractions import Fraction
from typing import cast

import pytest
from av.codec import CodecContext
from av.codec.codec import Capabilities, Codec
from av.codec.context import OptionType
from av.video.codeccontext import VideoCodecContext

from baton.kernel.errors import Text
from baton.kernel.profiles import INTRA_ONLY_GOP, EncoderProfile, VideoCodec, VideoProfile
from baton.media.engine.encoders.base import Encoder, Picture
from baton.media.engine.encoders.nvenc import NvencH264, NvencH265
from baton.media.engine.encoders.registry import DEVICE_ENCODERS, encoders_for
from baton.media.job import Acceleration, EncoderTuning

pytestmark = pytest.mark.media

_ASKED = VideoProfile(name="p720", width=1280, height=720, bitrate_bps=3_000_000)
_PICTURE = Picture(width_px=1280, height_px=720, time_base=Fraction(1, 90_000), frame_rate=Fraction(30))
_TUNING = EncoderTuning(preset="ultrafast", threads=3, acceleration=Acceleration.NVIDIA)
_RATES = {"b": "3000000", "minrate": "3000000", "maxrate": "3000000", "bufsize": "3000000"}
_COMMON = {"preset": "medium", "forced-idr": "1"}


def _filled(encoder: Encoder, profile: VideoProfile) -> VideoCodecContext:
    """A context with all settings, not opened."""
    context = cast("VideoCodecContext", CodecContext.create(encoder.library_name, "w"))
    encoder._fill(context, profile, _PICTURE, _TUNING)
    return context


def _options(encoder: Encoder, profile: VideoProfile) -> dict[str, str]:
    return dict(_filled(encoder, profile).options)


_H264 = {
    EncoderProfile.DEFAULT: _COMMON,
    EncoderProfile.H264_BASELINE: {**_COMMON, "profile": "baseline"},
    EncoderProfile.H264_MAIN: {**_COMMON, "profile": "main"},
    EncoderProfile.H264_HIGH: {**_COMMON, "profile": "high"},
    EncoderProfile.H264_CONSTRAINED_HIGH: {**_COMMON, "profile": "high"},
}


@pytest.mark.parametrize("profile", list(EncoderProfile))
def test_h264_options_of_every_profile(profile: EncoderProfile) -> None:
    assert _options(NvencH264(), replace(_ASKED, profile=profile)) == {**_RATES, **_H264[profile]}


@pytest.mark.parametrize("profile", list(EncoderProfile))
def test_h265_options_of_every_profile(profile: EncoderProfile) -> None:
    expected = {**_RATES, **_COMMON, "tier": "high"}
    assert _options(NvencH265(), replace(_ASKED, codec=VideoCodec.H265, profile=profile)) == expected


_QUALITIES: tuple[tuple[int, dict[str, str]], ...] = (
    (0, {}),
    (1, {"cq": "8"}),
    (23, {"cq": "30"}),
    (44, {"cq": "51"}),
    (45, {}),
    (63, {}),
)


@pytest.mark.parametrize(("quality", "expected"), _QUALITIES)
def test_quality_is_seven_higher_and_at_most_51(quality: int, expected: dict[str, str]) -> None:
    for encoder in DEVICE_ENCODERS[Acceleration.NVIDIA]:
        assert encoder.rate_control(replace(_ASKED, quality=quality), _TUNING) == {**_RATES, **expected}


def test_no_bitrate_leaves_the_library_s_default() -> None:
    for encoder in DEVICE_ENCODERS[Acceleration.NVIDIA]:
        (bitrate,) = (
            one for one in CodecContext.create(encoder.library_name, "w").supported_options.generic if one.name == "b"
        )
        options = _options(encoder, replace(_ASKED, bitrate_bps=0))
        assert options["b"] == bitrate.default
        assert not {"minrate", "maxrate", "bufsize"} & options.keys()


_B_FRAMES = (
    (EncoderProfile.DEFAULT, 0, 0),
    (EncoderProfile.DEFAULT, 30, 0),
    (EncoderProfile.H264_BASELINE, 0, 0),
    (EncoderProfile.H264_BASELINE, 30, 0),
    (EncoderProfile.H264_MAIN, 0, 0),
    (EncoderProfile.H264_MAIN, 30, 3),
    (EncoderProfile.H264_HIGH, 0, 0),
    (EncoderProfile.H264_HIGH, 30, 3),
    (EncoderProfile.H264_CONSTRAINED_HIGH, 0, 0),
    (EncoderProfile.H264_CONSTRAINED_HIGH, 30, 0),
)


@pytest.mark.parametrize(("profile", "fps", "expected"), _B_FRAMES)
def test_b_frames_need_a_profile_and_a_fixed_rate(profile: EncoderProfile, fps: int, expected: int) -> None:
    for encoder in DEVICE_ENCODERS[Acceleration.NVIDIA]:
        asked = replace(_ASKED, codec=encoder.codec, profile=profile, fps=fps)
        assert _filled(encoder, asked).max_b_frames == expected


_GOPS = (
    (0, 0, -1),
    (0, 30, -1),
    (INTRA_ONLY_GOP, 0, 1),
    (INTRA_ONLY_GOP, 30, 1),
    (2000, 0, -1),
    (2000, 30, 60),
    (300, 30, 9),
)


@pytest.mark.parametrize(("gop_ms", "fps", "expected"), _GOPS)
def test_key_frame_interval_is_the_encoder_s_at_a_fixed_rate_only(gop_ms: int, fps: int, expected: int) -> None:
    for encoder in DEVICE_ENCODERS[Acceleration.NVIDIA]:
        asked = replace(_ASKED, codec=encoder.codec, gop_ms=gop_ms, fps=fps)
        assert _filled(encoder, asked).gop_size == expected


@pytest.mark.parametrize("encoder", DEVICE_ENCODERS[Acceleration.NVIDIA], ids=lambda encoder: encoder.key)
def test_the_library_knows_every_option_and_value(encoder: Encoder) -> None:
    offered = CodecContext.create(encoder.library_name, "w").supported_options
    known = {option.name: option for option in (*offered.generic, *offered.private)}
    for profile in EncoderProfile:
        for quality in (0, 1, 44):
            asked = replace(_ASKED, codec=encoder.codec, profile=profile, quality=quality)
            for name, value in _options(encoder, asked).items():
                option = known[name]
                names = {choice.name for choice in option.choices}
                if names and not value.isdecimal():
                    assert value in names, f"{name}={value} is none of {sorted(names)}"
                else:
                    assert option.type in {OptionType.INT, OptionType.INT64, OptionType.BOOL, OptionType.FLOAT}
                    assert option.min <= int(value) <= option.max


def test_the_library_can_do_what_the_engine_builds_on() -> None:
    for encoder in DEVICE_ENCODERS[Acceleration.NVIDIA]:
        codec = Codec(encoder.library_name, "w")
        assert codec.capabilities & Capabilities.encoder_flush, "kept encoders are flushed at a segment's end"
        assert "cuda" in {config.device_type.name for config in codec.hardware_configs}
        assert encoder.pixel_format in {pixel_format.name for pixel_format in codec.video_formats or ()}


def test_a_device_s_encoders_come_first_and_software_last() -> None:
    names = [encoder.library_name for encoder in encoders_for(VideoCodec.H264, Acceleration.NVIDIA)]
    assert names == ["h264_nvenc", "libx264"]
    names = [encoder.library_name for encoder in encoders_for(VideoCodec.H265, Acceleration.NVIDIA)]
    assert names == ["hevc_nvenc", "libx265"]
    for codec in (VideoCodec.H264, VideoCodec.H265):
        assert not any(encoder.on_device for encoder in encoders_for(codec, Acceleration.SOFTWARE))


def test_a_card_that_fails_at_work_is_a_lost_one() -> None:
    for encoder in DEVICE_ENCODERS[Acceleration.NVIDIA]:
        assert encoder.running_error == Text.UNRECOVERABLE
        assert encoder.on_device
        assert encoder.stays_open
        assert encoder.lead_in_frames(replace(_ASKED, fps=30, profile=EncoderProfile.H264_HIGH), 2) == 3
        assert encoder.lead_in_frames(_ASKED, 0) == 0
