"""What the engine refuses and in which words; gateways compare them for equality (video.md 7.11)."""

import errno
import gc
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import cast

import av
import av.error
import pytest

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import EncoderProfile, OutputFormat, VideoCodec, VideoProfile
from baton.media.engine.errors import library_error
from baton.media.job import Choice, Clip, EncoderTuning
from tests.media import judge
from tests.media.engine_samples import FAST, PLAIN, ask, decode, picture, ticks
from tests.media.samples import SAMPLES

pytestmark = pytest.mark.media

_SEGMENT = "h264_high"


def _segment() -> Path:
    return SAMPLES[_SEGMENT].segments()[0]


def _refused(path: Path, *profiles: VideoProfile, clip: Clip | None = None) -> TranscodeError:
    with pytest.raises(TranscodeError) as caught:
        ask(path, *(profiles or (PLAIN,)), clip=clip)
    return caught.value


_BAD_PROFILES = (
    (replace(PLAIN, codec=VideoCodec.VP8), "Encoder not found"),
    (replace(PLAIN, codec=VideoCodec.VP9), "Encoder not found"),
    (replace(PLAIN, gop_ms=-2), "TranscoderInvalidGOP"),
    (replace(PLAIN, gop_ms=-(2**31)), "TranscoderInvalidGOP"),
    (replace(PLAIN, bitrate_bps=-1), "Invalid argument"),
    (replace(PLAIN, bitrate_bps=2**31), "Invalid argument"),
    (replace(PLAIN, fps=-30), "Invalid argument"),
    (replace(PLAIN, fps=2**32 - 1), "Invalid argument"),
    (replace(PLAIN, fps=1, fps_den=2**32 - 1), "Invalid argument"),
    (replace(PLAIN, quality=-1), "Invalid argument"),
    (replace(PLAIN, profile=cast("EncoderProfile", 9)), "TranscoderUnrecognizedProfile"),
    (replace(PLAIN, format=cast("OutputFormat", 9)), "TranscoderUnrecognizedFormat"),
    (replace(PLAIN, codec=cast("VideoCodec", 9)), "Encoder not found"),
)


@pytest.mark.parametrize(("profile", "text"), _BAD_PROFILES)
def test_a_bad_profile_is_refused_whatever_the_others_are(profile: VideoProfile, text: str) -> None:
    assert _refused(_segment(), PLAIN, profile).text == text


def test_hevc_that_is_not_offered_is_refused_before_any_work() -> None:
    profile = replace(PLAIN, codec=VideoCodec.H265)
    with pytest.raises(TranscodeError) as refused:
        ask(Path("/nowhere"), profile, tuning=replace(FAST, hevc_encoding=Choice.OFF))
    assert refused.value.text == "Encoder not found"
    assert not refused.value.retryable
    assert ask(_segment(), profile, tuning=replace(FAST, hevc_encoding=Choice.ON)).renditions[0].frames == 60


@pytest.mark.parametrize("clip", [Clip(-1, 0), Clip(3000, 1000)])
def test_a_bad_clip_is_found_before_the_input_is_opened(clip: Clip) -> None:
    assert _refused(Path("/nowhere"), clip=clip).text == "TranscoderInvalidClipConfig"


@pytest.mark.parametrize("fps", [1000, 100_000, 2**31 - 1])
@pytest.mark.parametrize("clip", [None, Clip(from_ms=60_000, to_ms=0)])
def test_absurd_rates_run_away_at_once_and_clipping_does_not_hide_them(fps: int, clip: Clip | None) -> None:
    assert _refused(_segment(), replace(PLAIN, fps=fps), clip=clip).text == "Encoded frames runaway"


_BAD_CLIPS = (Clip(-1, 0), Clip(3000, 1000), Clip(2, 1), Clip(2**62, 0), Clip(0, 2**62))


@pytest.mark.parametrize("clip", _BAD_CLIPS)
def test_a_bad_clip_is_refused(clip: Clip) -> None:
    error = _refused(_segment(), clip=clip)
    assert error.text == "TranscoderInvalidClipConfig"
    assert error.retryable


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("audio_only", "TranscoderInvalidVideo"),
        ("video_track_without_frames", "TranscoderInvalidVideo"),
        ("no_key_frame", "No keyframes in input"),
    ],
)
def test_input_without_usable_video(name: str, text: str) -> None:
    assert _refused(SAMPLES[name].segments()[0]).text == text


def _random(seed: int) -> Random:
    return Random(seed)  # noqa: S311 -- the same damage each time


def test_what_is_no_media_is_no_video(tmp_path: Path) -> None:
    bodies = (b"", b"\x00", b"\x47", _random(1).randbytes(100_000), b"no video at all\n" * 500, b"\x47" * 188 * 50)
    for number, body in enumerate(bodies):
        path = tmp_path / str(number)
        path.write_bytes(body)
        assert _refused(path).text == "TranscoderInvalidVideo", f"body {number}"


def test_an_input_that_is_gone_is_our_fault_and_retryable(tmp_path: Path) -> None:
    error = _refused(tmp_path / "nothing")
    assert (error.text, error.retryable) == ("No such file or directory", True)


def test_playlists_open_nothing(tmp_path: Path) -> None:
    target = _segment()
    lists = {
        "hls": f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{target}'\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        f"<AdaptationSet><Representation><BaseURL>file://{target}</BaseURL></Representation></AdaptationSet>"
        "</Period></MPD>",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
    }
    for name, text in lists.items():
        path = tmp_path / name
        path.write_text(text, encoding="ascii")
        assert _refused(path).text == "TranscoderInvalidVideo", name


def test_sizes_are_clamped_and_never_absurd() -> None:
    small = replace(PLAIN, width=-5, height=-(2**31))
    assert ask(_segment(), small).renditions[0].frames == 60
    wide = picture(width_px=8192, height_px=16, frames=2, container="matroska", coding=("-c:v", "ffv1"))
    tall = picture(width_px=16, height_px=4096, frames=2, container="matroska", coding=("-c:v", "ffv1"))
    for source in (wide, tall):
        assert _refused(source).text == "TranscoderInvalidResolution"


def test_renditions_that_would_take_the_machine_are_refused_together() -> None:
    huge = replace(PLAIN, width=2**31 - 1, height=2**31 - 1)
    assert _refused(_segment(), *[huge] * 10).text == "TranscoderInvalidResolution"


def test_settings_of_the_operator_that_no_encoder_knows_are_an_invalid_argument() -> None:
    with pytest.raises(TranscodeError) as caught:
        ask(_segment(), PLAIN, tuning=EncoderTuning(preset="nonsense"))
    assert caught.value.text == "Invalid argument"
    assert "nonsense" in caught.value.detail


def test_a_failed_rendition_fails_the_segment_and_leaves_no_thread() -> None:
    good = replace(PLAIN, width=640, height=360)
    error = _refused(_segment(), good, replace(PLAIN, fps=1000), good)
    assert error.text == "Encoded frames runaway"
    assert ask(_segment(), good).renditions[0].frames == 60


@pytest.mark.parametrize("profile", [PLAIN, replace(PLAIN, format=OutputFormat.MP4), replace(PLAIN, fps=1000)])
def test_nothing_is_left_for_the_garbage_collector(profile: VideoProfile) -> None:
    """Codecs and frames are large: a child that waited for a collection would look as if it leaked."""
    segment = _segment()
    _outcome(segment, profile)
    gc.collect()
    gc.disable()
    try:
        _outcome(segment, profile)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        held = {type(thing).__name__ for thing in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not held & {"VideoFrame", "VideoCodecContext", "OutputContainer", "InputContainer", "Graph"}


@pytest.mark.parametrize("name", ["truncated", "corrupted"])
def test_damaged_segments_give_what_ffmpeg_decodes_of_them(name: str) -> None:
    for segment in SAMPLES[name].segments():
        output = ask(segment, PLAIN)
        assert output.renditions[0].frames == output.decoded_frames > 0
        assert ticks(decode(output.renditions[0].data)) == ticks(judge.decoded_frames(segment))


def test_any_byte_may_be_wrong(tmp_path: Path) -> None:
    """Flipped, cut and repeated: a result or one of our texts, and the engine goes on."""
    texts = {value for name, value in vars(Text).items() if name.isupper()}
    random = _random(7)
    for name in (_SEGMENT, "mp4", "hevc"):
        original = SAMPLES[name].segments()[0].read_bytes()
        for round_ in range(12):
            data = bytearray(original[: random.randrange(len(original))] if round_ % 3 == 0 else original)
            for _ in range(random.choice((1, 20, 500))):
                if data:
                    data[random.randrange(len(data))] = random.randrange(256)
            path = tmp_path / f"{name}-{round_}"
            path.write_bytes(data)
            assert _outcome(path) in texts | {"done"}


def _outcome(path: Path, profile: VideoProfile = PLAIN) -> str:
    try:
        ask(path, profile)
    except TranscodeError as error:
        return error.text
    return "done"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (av.error.InvalidDataError(1, "x"), "Invalid data found when processing input"),
        (av.error.DecoderNotFoundError(1, "x"), "Decoder not found"),
        (av.error.DemuxerNotFoundError(1, "x"), "Demuxer not found"),
        (av.error.EncoderNotFoundError(1, "x"), "Encoder not found"),
        (av.error.MuxerNotFoundError(1, "x"), "Muxer not found"),
        (av.error.OptionNotFoundError(1, "x"), "Option not found"),
        (av.error.ArgumentError(errno.EINVAL, "x"), "Invalid argument"),
        (av.error.FileNotFoundError(errno.ENOENT, "x"), "No such file or directory"),
        (av.error.MemoryError(errno.ENOMEM, "x"), "Cannot allocate memory"),
        (av.error.OSError(errno.EIO, "x"), "Input/output error"),
        (av.error.OSError(errno.ENODEV, "x"), "No such device"),
        (av.error.ExternalError(1, "x"), "Unknown error occurred"),
        (MemoryError(), "Cannot allocate memory"),
        (KeyError("x"), "Unknown error occurred"),
    ],
)
def test_the_library_speaks_in_the_words_of_the_network(error: Exception, text: str) -> None:
    mapped = library_error(error, doing="try")
    assert mapped.text == text
    assert "try" in mapped.detail
    assert library_error(mapped, doing="again") is mapped


def test_a_picture_sequence_of_one_is_no_runaway() -> None:
    still = picture(frames=1, container="image2", coding=("-c:v", "png", "-update", "1"))
    output = ask(still, PLAIN, replace(PLAIN, fps=60))
    assert output.decoded_frames == 1
    assert all(rendition.frames >= 1 for rendition in output.renditions)
    assert output.decoded_px == 320 * 180
