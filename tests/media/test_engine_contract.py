"""What every engine owes, whoever decodes and encodes: one suite, run once for each engine that this machine has.

On a machine without the device of an engine its part is skipped with the library's reason. What only an encoder of the
card can show (its own name, its encoders going on between segments) is skipped where the card has none.
"""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from baton.kernel.capabilities import Capability
from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import INTRA_ONLY_GOP, EncoderProfile, OutputFormat, VideoCodec
from baton.media.engine.hardware import Device
from baton.media.engine.probe import probe
from baton.media.engine.workshop import release, workshop
from baton.media.job import Acceleration, Choice, Clip, EncoderTuning
from tests.media import judge
from tests.media.engine_samples import PLAIN, decode, key_frames, opened, picture, ticks, vector_segments, vector_whole
from tests.media.engines import ENGINES, ask_engine, need, need_nvenc
from tests.media.samples import SAMPLES

pytestmark = pytest.mark.media

_every_engine = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name.lower())
_CODECS = (VideoCodec.H264, VideoCodec.H265)


@_every_engine
@pytest.mark.parametrize("name", ["h264_high", "h264_10bit", "h264_422", "hevc", "hevc_10bit", "vfr", "interlaced"])
def test_frames_pixels_and_times_are_those_of_the_source(engine: Acceleration, name: str) -> None:
    need(engine)
    for segment in SAMPLES[name].segments()[:2]:
        source = judge.decoded_frames(segment)
        output = ask_engine(engine, segment, PLAIN, replace(PLAIN, format=OutputFormat.MP4))
        assert output.decoded_frames == len(source)
        apart_ms = 1000 * float(source[-1].pts_s - source[0].pts_s)
        assert apart_ms < output.decoded_ms <= apart_ms + 101, "to the end of the last frame"
        assert output.decoded_px == len(source) * SAMPLES[name].width_px * SAMPLES[name].height_px
        for rendition, extension in zip(output.renditions, (".ts", ".mp4"), strict=True):
            ours = decode(rendition.data, extension=extension)
            assert rendition.frames == len(ours) == len(source)
            assert rendition.pixels == len(ours) * rendition.width * rendition.height
            assert ticks(ours) == ticks(source)


@_every_engine
@pytest.mark.parametrize("codec", _CODECS)
@pytest.mark.parametrize("output_format", list(OutputFormat))
def test_every_segment_begins_with_a_key_frame_and_decodes_by_itself(
    engine: Acceleration, codec: VideoCodec, output_format: OutputFormat
) -> None:
    need(engine)
    profile = replace(PLAIN, codec=codec, format=output_format)
    for segment in SAMPLES["h264_high"].segments()[:2]:
        data = ask_engine(engine, segment, profile, session_key=f"{codec}-{output_format}").renditions[0].data
        with opened(data) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
            assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert packets[0].is_keyframe
        assert all((later.dts or 0) > (earlier.dts or 0) for earlier, later in pairwise(packets))
        assert len(decode(data, extension=output_format.extension)) == 60
    release(f"{codec}-{output_format}")


@_every_engine
@pytest.mark.parametrize(
    ("fps", "frames", "step", "starts"),
    [(30, 60, 3000, (129_000, 309_000, 489_000, 669_000)), (60, 120, 1500, (129_000, 309_000, 489_000, 669_000))],
)
def test_grid_of_fixed_rates(engine: Acceleration, fps: int, frames: int, step: int, starts: tuple[int, ...]) -> None:
    need(engine)
    for segment, start in zip(vector_segments(), starts, strict=True):
        rendition = ask_engine(engine, segment, replace(PLAIN, fps=fps), session_key=f"grid-{fps}").renditions[0]
        assert rendition.frames == frames
        assert ticks(decode(rendition.data)) == [start + step * number for number in range(frames)]
    release(f"grid-{fps}")


@_every_engine
def test_passthrough_keeps_every_timestamp(engine: Acceleration) -> None:
    need(engine)
    for segment in vector_segments():
        rendition = ask_engine(engine, segment, PLAIN, session_key="passthrough").renditions[0]
        assert ticks(decode(rendition.data)) == ticks(judge.decoded_frames(segment))
    release("passthrough")


@_every_engine
@pytest.mark.parametrize("name", ["h264_high", "mono_44100"])
def test_audio_is_the_source_s_bit_for_bit(engine: Acceleration, name: str) -> None:
    need(engine)
    segment = SAMPLES[name].segments()[0]
    theirs = [(entry.size_bytes, entry.md5) for entry in judge.packets(segment, stream="a:0")]
    rendition = ask_engine(engine, segment, PLAIN).renditions[0]
    with opened(rendition.data) as container:
        assert len(container.streams.audio) == 1
    assert [(entry.size_bytes, entry.md5) for entry in _audio(rendition.data)] == theirs


def _audio(data: bytes) -> tuple[judge.Entry, ...]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rendition.ts"
        path.write_bytes(data)
        return judge.packets(path, stream="a:0")


@_every_engine
@pytest.mark.parametrize("codec", _CODECS)
@pytest.mark.parametrize(("gop_ms", "fps", "keys"), [(300, 30, 7), (300, 0, 7), (INTRA_ONLY_GOP, 30, 60)])
def test_key_frames_are_where_they_were_asked_for(
    engine: Acceleration, codec: VideoCodec, gop_ms: int, fps: int, keys: int
) -> None:
    need(engine)
    profile = replace(PLAIN, codec=codec, gop_ms=gop_ms, fps=fps)
    assert key_frames(ask_engine(engine, vector_segments()[0], profile).renditions[0].data) == keys


_NAMES = {
    EncoderProfile.DEFAULT: {"High", "Main"},
    EncoderProfile.H264_BASELINE: {"Constrained Baseline", "Baseline"},
    EncoderProfile.H264_MAIN: {"Main"},
    EncoderProfile.H264_HIGH: {"High"},
    EncoderProfile.H264_CONSTRAINED_HIGH: {"High", "Constrained High"},
}


@_every_engine
@pytest.mark.parametrize("profile", list(EncoderProfile))
@pytest.mark.parametrize("fps", [0, 30])
def test_profile_and_its_b_frames(engine: Acceleration, profile: EncoderProfile, fps: int) -> None:
    need(engine)
    asked = replace(PLAIN, profile=profile, fps=fps)
    output = ask_engine(engine, SAMPLES["h264_high"].segments()[0], asked, preset="medium")
    by_card = engine is Acceleration.NVIDIA and not any("encode" in text for text in output.fallbacks)
    with opened(output.renditions[0].data) as container:
        assert container.streams.video[0].codec_context.profile in _NAMES[profile]
        reordered = any(packet.pts != packet.dts for packet in container.demux(video=0) if packet.size)
    if profile in {EncoderProfile.H264_BASELINE, EncoderProfile.H264_CONSTRAINED_HIGH}:
        assert not reordered
    elif by_card:
        assert reordered is (profile is not EncoderProfile.DEFAULT and fps > 0)
    else:
        assert reordered


@_every_engine
def test_clip_keeps_what_it_names(engine: Acceleration) -> None:
    need(engine)
    source = vector_whole()
    assert ask_engine(engine, source, PLAIN, clip=Clip(1000, 3000)).renditions[0].frames == 121
    fast = ask_engine(engine, source, replace(PLAIN, fps=120), clip=Clip(1000, 6000))
    assert fast.renditions[0].frames == 601
    assert fast.decoded_frames == 480


@_every_engine
def test_bitrate_is_kept(engine: Acceleration) -> None:
    need(engine)
    profile = replace(PLAIN, width=640, height=360, bitrate_bps=800_000)
    for codec in _CODECS:
        data = ask_engine(engine, SAMPLES["h264_high"].segments()[0], replace(profile, codec=codec)).renditions[0].data
        with opened(data) as container:
            bits = 8 * sum(packet.size for packet in container.demux(video=0))
        assert bits < 2 * 800_000 * 1.5


@_every_engine
def test_a_stream_of_segments_is_one_time_line(engine: Acceleration) -> None:
    need(engine)
    ladder = (replace(PLAIN, fps=30, profile=EncoderProfile.H264_HIGH), PLAIN)
    times: list[list[int]] = [[], []]
    for segment in SAMPLES["h264_high"].segments():
        output = ask_engine(engine, segment, *ladder, session_key="line")
        for line, rendition in zip(times, output.renditions, strict=True):
            with opened(rendition.data) as container:
                line += [packet.dts or 0 for packet in container.demux(video=0) if packet.size]
    release("line")
    for line in times:
        assert len(line) == 180
        assert all(later > earlier for earlier, later in pairwise(line))


@_every_engine
def test_four_by_two_two_and_flv1_are_done_by_whoever_can(engine: Acceleration) -> None:
    """On a device the reference refuses both (video.md 10.8)."""
    need(engine)
    flv = picture(frames=20, container="flv", coding=("-c:v", "flv1"))
    for source, frames in ((flv, 20), (SAMPLES["h264_422"].segments()[0], 60)):
        output = ask_engine(engine, source, PLAIN)
        assert output.renditions[0].frames == output.decoded_frames == frames
        decoded = [text for text in output.fallbacks if text.startswith("decode ")]
        assert len(decoded) == (0 if engine is Acceleration.SOFTWARE else 1)


@_every_engine
def test_an_absurd_rate_runs_away(engine: Acceleration) -> None:
    need(engine)
    with pytest.raises(TranscodeError) as caught:
        ask_engine(engine, picture(rate=Fraction(1, 10), frames=5), replace(PLAIN, fps=5))
    assert caught.value.text == Text.RUNAWAY


@_every_engine
def test_perceptual_hash_comes_with_every_engine(engine: Acceleration) -> None:
    need(engine)
    report = probe(EncoderTuning(acceleration=engine))
    assert Capability.MPEG7_SIGNATURE in report.capability_ids


@_every_engine
def test_probe_proves_what_an_engine_must_do(engine: Acceleration) -> None:
    need(engine)
    report = probe(EncoderTuning(acceleration=engine, hevc_encoding=Choice.ON))
    assert report.refused == ()
    assert {Capability.H264, Capability.MP4, Capability.GOP, Capability.HEVC_ENCODE} <= set(report.capability_ids)
    assert len(report.encoders) == 2
    assert bool(report.fallbacks) is (engine is not Acceleration.SOFTWARE)
    assert len(workshop(engine).kept) == 0


def test_no_such_device() -> None:
    need(Acceleration.NVIDIA)
    with pytest.raises(TranscodeError) as caught:
        Device.open("9999")
    assert caught.value.text == "No such device"


def test_the_device_decodes_what_it_says() -> None:
    need(Acceleration.NVIDIA)
    output = ask_engine(Acceleration.NVIDIA, SAMPLES["h264_high"].segments()[0], PLAIN)
    assert not any(text.startswith("decode ") for text in output.fallbacks)
    report = probe(EncoderTuning(acceleration=Acceleration.NVIDIA))
    assert "h264 (cuda)" in report.decoders


@pytest.mark.parametrize("codec", _CODECS)
@pytest.mark.parametrize("output_format", list(OutputFormat))
def test_the_card_s_encoder_goes_on_from_segment_to_segment(codec: VideoCodec, output_format: OutputFormat) -> None:
    need_nvenc(codec)
    asked = replace(PLAIN, codec=codec, format=output_format, fps=30, profile=EncoderProfile.H264_HIGH)
    shelf = workshop(Acceleration.NVIDIA).kept
    kept, fresh = [], []
    for segment in vector_segments():
        output = ask_engine(Acceleration.NVIDIA, segment, asked, session_key="on")
        assert output.fallbacks == (), "neither software nor a new encoder"
        assert len(shelf) == 1
        kept.append(output.renditions[0].data)
        fresh.append(ask_engine(Acceleration.NVIDIA, segment, asked).renditions[0].data)
    release("on")
    assert len(shelf) == 0
    for one, other in zip(kept, fresh, strict=True):
        ours = decode(one, extension=output_format.extension)
        assert ticks(ours) == ticks(decode(other, extension=output_format.extension))
        with opened(one) as container:
            assert next(container.demux(video=0)).is_keyframe
            assert container.streams.video[0].codec_context.extradata
    assert sum(map(len, kept)) < 1.3 * sum(map(len, fresh)), "rate control does not drift"


def test_encoder_sessions_are_counted_and_given_back() -> None:
    need_nvenc(VideoCodec.H264)
    tuning = EncoderTuning(acceleration=Acceleration.NVIDIA)
    first, second = probe(tuning), probe(tuning)
    assert first.encoders == second.encoders
    assert first.encoder_sessions >= 1
    assert second.encoder_sessions == first.encoder_sessions, "none was left open"
