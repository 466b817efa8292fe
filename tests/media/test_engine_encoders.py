"""The contract of every encoder behind the port, and what a profile turns into (video.md 7.2)."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from baton.kernel.profiles import EncoderProfile, OutputFormat, VideoCodec
from baton.media.engine.encoders.base import Encoder, rate_control
from baton.media.engine.encoders.registry import ENCODERS, encoder_for
from baton.media.engine.plan import ENCODER_BUDGET_BYTES, lookahead_cap_frames
from baton.media.engine.transcode import transcode
from baton.media.job import EncoderTuning, TranscodeRequest
from tests.media.engine_samples import PLAIN, ask, decode, key_frames, opened, picture
from tests.media.samples import SAMPLES

pytestmark = pytest.mark.media

_MEDIUM = EncoderTuning(preset="medium", threads=1)
_each_encoder = pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.key)


def test_registry_names_each_encoder_once_and_prefers_in_order() -> None:
    assert len({encoder.key for encoder in ENCODERS}) == len(ENCODERS)
    for encoder in ENCODERS:
        assert encoder_for(encoder.codec).codec is encoder.codec


@_each_encoder
@pytest.mark.parametrize("output_format", list(OutputFormat))
def test_encoder_makes_its_codec_in_8_bit_420(encoder: Encoder, output_format: OutputFormat) -> None:
    source = picture(pixel_format="yuv444p10le", frames=5)
    profile = replace(PLAIN, codec=encoder.codec, format=output_format)
    rendition = ask(source, profile).renditions[0]
    with opened(rendition.data) as container:
        context = container.streams.video[0].codec_context
        assert context.name == {VideoCodec.H264: "h264", VideoCodec.H265: "hevc"}[encoder.codec]
        assert context.pix_fmt == "yuv420p"
    assert len(decode(rendition.data, extension=output_format.extension)) == rendition.frames == 5


@_each_encoder
def test_encoder_forces_key_frames_where_it_is_told(encoder: Encoder) -> None:
    segment = SAMPLES["h264_high"].segments()[0]
    profile = replace(PLAIN, codec=encoder.codec)
    asked = (replace(profile, gop_ms=-1), replace(profile, gop_ms=500), replace(profile, gop_ms=500, fps=30), profile)
    counts = [key_frames(rendition.data) for rendition in ask(segment, *asked).renditions]
    assert counts[:3] == [60, 4, 4]
    assert counts[3] >= 1


@_each_encoder
def test_every_segment_begins_with_a_key_frame(encoder: Encoder) -> None:
    for segment in SAMPLES["h264_high"].segments():
        with opened(ask(segment, replace(PLAIN, codec=encoder.codec)).renditions[0].data) as container:
            first = next(container.demux(video=0))
            assert first.is_keyframe


@_each_encoder
def test_a_size_that_changes_on_the_way_is_followed(encoder: Encoder, tmp_path: Path) -> None:
    first = picture(frames=30, width_px=320, height_px=180).read_bytes()
    second = picture(frames=30, width_px=320, height_px=240, times="N+30").read_bytes()
    source = tmp_path / "changing-size"
    source.write_bytes(first + second)
    profiles = [
        replace(PLAIN, codec=encoder.codec, format=output_format, fps=fps)
        for output_format in OutputFormat
        for fps in (0, 50)
    ]
    for profile, rendition in zip(profiles, ask(source, *profiles).renditions, strict=True):
        with opened(rendition.data) as container:
            frames = [(frame.width, frame.height, Fraction(frame.time or 0)) for frame in container.decode(video=0)]
        assert {frame[:2] for frame in frames} == {(256, 144), (256, 192)}
        assert rendition.frames == len(frames) == (120 if profile.fps else 60)
        assert rendition.pixels == sum(width * height for width, height, _ in frames)
        interval_s = 1 / Fraction(profile.fps or 25)
        assert all(abs(later[2] - earlier[2] - interval_s) < Fraction(1, 10_000) for earlier, later in pairwise(frames))


_PROFILE_IDC = {
    EncoderProfile.DEFAULT: ("High", True),
    EncoderProfile.H264_BASELINE: ("Constrained Baseline", False),
    EncoderProfile.H264_MAIN: ("Main", True),
    EncoderProfile.H264_HIGH: ("High", True),
    EncoderProfile.H264_CONSTRAINED_HIGH: ("High", False),
}


@pytest.mark.parametrize("profile", list(EncoderProfile))
def test_h264_profiles_and_their_b_frames(profile: EncoderProfile) -> None:
    segment = SAMPLES["h264_high"].segments()[0]
    rendition = ask(segment, replace(PLAIN, profile=profile), tuning=_MEDIUM).renditions[0]
    name, reordered = _PROFILE_IDC[profile]
    with opened(rendition.data) as container:
        assert container.streams.video[0].codec_context.profile == name
        assert any(packet.pts != packet.dts for packet in container.demux(video=0) if packet.size) is reordered


def test_bitrate_is_kept_and_quality_makes_it_a_cap() -> None:
    segment = SAMPLES["h264_high"].segments()[0]
    sizes_bits = []
    plain = replace(PLAIN, width=640, height=360)
    for profile in (
        replace(plain, bitrate_bps=400_000),
        replace(plain, bitrate_bps=1_200_000),
        replace(plain, bitrate_bps=400_000, quality=1),
        replace(plain, bitrate_bps=4_000_000, quality=40),
    ):
        with opened(ask(segment, profile, tuning=_MEDIUM).renditions[0].data) as container:
            sizes_bits.append(8 * sum(packet.size for packet in container.demux(video=0)))
    # Two seconds of stream and a buffer of one second.
    assert 0.5 * 800_000 < sizes_bits[0] < 1.5 * 800_000
    assert 0.5 * 2_400_000 < sizes_bits[1] < 1.5 * 2_400_000
    assert sizes_bits[2] < 1.5 * 800_000
    assert sizes_bits[3] < 0.25 * 8_000_000


def test_rate_control_in_the_library_s_words() -> None:
    rates = dict.fromkeys(("b", "minrate", "maxrate", "bufsize"), "250000")
    assert rate_control(replace(PLAIN, bitrate_bps=250_000)) == rates
    assert rate_control(replace(PLAIN, bitrate_bps=250_000, quality=23)) == {**rates, "crf": "23"}
    assert rate_control(replace(PLAIN, bitrate_bps=250_000, quality=64)) == rates
    assert rate_control(replace(PLAIN, bitrate_bps=0)) == {}
    assert rate_control(replace(PLAIN, bitrate_bps=1))["b"] == "1000"


def test_a_4k_ladder_keeps_its_lookahead_and_larger_ones_get_less() -> None:
    ladder = tuple(
        replace(PLAIN, width=width, height=height)
        for width, height in ((3840, 2160), (1920, 1080), (1280, 720), (640, 360))
    )
    assert lookahead_cap_frames(ladder, source_px=(3840, 2160)) >= 40
    doubled = lookahead_cap_frames(ladder * 2, source_px=(3840, 2160))
    assert 4 <= doubled < 40
    total_px = 2 * sum(profile.width * profile.height for profile in ladder)
    assert total_px * (65 + 3 * doubled) <= ENCODER_BUDGET_BYTES


def test_metadata_is_written_where_each_container_keeps_it() -> None:
    segment = str(SAMPLES["h264_high"].segments()[0])
    request = TranscodeRequest(
        input_path=segment,
        profiles=(PLAIN, replace(PLAIN, format=OutputFormat.MP4)),
        service_provider="Livepeer Transcoder 1.2.3 (offchain)",
        comment="Processed by Livepeer Transcoder 1.2.3 (offchain)",
    )
    ts, mp4 = transcode(request).renditions
    assert b"Livepeer Transcoder 1.2.3 (offchain)" in ts.data[:1000]
    with opened(mp4.data) as container:
        assert container.metadata["comment"] == "Processed by Livepeer Transcoder 1.2.3 (offchain)"
    assert mp4.data.index(b"moov") < mp4.data.index(b"mdat"), "the index comes first"


def test_output_shape_of_pixels_keeps_the_picture_s_shape() -> None:
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-aspect", "4:3")
    anamorphic = picture(width_px=360, height_px=288, frames=2, coding=coding)
    with opened(ask(anamorphic, replace(PLAIN, width=320, height=240)).renditions[0].data) as container:
        stream = container.streams.video[0]
        shape = stream.sample_aspect_ratio
        assert shape is not None
        assert abs(shape * stream.width / stream.height - 4 / 3) < 0.02


def test_the_library_has_what_we_depend_on() -> None:
    for encoder in ENCODERS:
        assert av.codec.Codec(encoder.library_name, "w").is_encoder
