"""What an engine with a device does in software when the device will not: told, never an error (video.md 11.4/39).

And what is no refusal but a lost device: the text that makes the node replace the process (video.md 7.11).
"""

import errno
import hashlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av.error
import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import VideoCodec
from baton.media.engine import hardware
from baton.media.engine.encoders.base import Picture
from baton.media.engine.encoders.opening import OpenEncoder
from baton.media.engine.encoders.registry import DEVICE_ENCODERS, ENCODERS
from baton.media.engine.hardware import Device, decode_refusal, scaling_refusal
from baton.media.engine.probe import probe
from baton.media.engine.source import DecodedFrame, Source
from baton.media.engine.transcode import transcode, transcode_in
from baton.media.engine.workshop import Workshop
from baton.media.job import Acceleration, EncoderTuning, TranscodeRequest
from tests.media.engine_samples import PLAIN, decode, picture, vector_segments
from tests.media.engines import KeptX264, Refusing, ScriptedDevice, ask_shop, no_device, shop_with
from tests.media.samples import SAMPLES, Sample, clip_segments

pytestmark = pytest.mark.media


class _Dies(KeptX264):
    """An encoder that was emptied behind the engine's back: every frame after that is an error of the library."""

    key = "dies"
    running_error = Text.UNRECOVERABLE


def test_a_card_without_an_encoder_is_asked_once_for_each_size() -> None:
    encoder = Refusing(lambda _: errno.ENOSYS)
    shop = shop_with(encoder)
    ladder = (PLAIN, replace(PLAIN, width=320, height=180))
    for segment in clip_segments(3):
        output = ask_shop(shop, segment, *ladder)
        assert output.fallbacks == ("encode H264 in software: refused: ENOSYS",)
        assert [len(decode(one.data)) for one in output.renditions] == [60, 60]
    assert encoder.attempts == 2
    assert len(shop.kept) == 0


def test_sessions_of_other_streams_make_room_and_their_next_segment_finds_a_new_one() -> None:
    def limit_of_one(_: int) -> int:
        return errno.ENOMEM if len(shop.kept) else 0

    encoder = Refusing(limit_of_one)
    shop = shop_with(encoder)
    for session in ("one", "two", "one"):
        output = ask_shop(shop, clip_segments(1)[0], PLAIN, session_key=session)
        assert output.fallbacks == ()
        assert [key.session_key for key in shop.kept._places] == [session]
    assert encoder.attempts == 5, "refused with another one open, then taken"
    shop.kept.drop_all()


def test_a_session_limit_costs_what_is_beyond_it_and_nothing_for_ever() -> None:
    script = {1: errno.ENOMEM}
    encoder = Refusing(lambda attempt: script.get(attempt, 0))
    shop = shop_with(encoder)
    ladder = (PLAIN, replace(PLAIN, width=320, height=180))
    first, second = (ask_shop(shop, segment, *ladder) for segment in clip_segments(2))
    assert first.fallbacks == ("encode H264 in software: refused: ENOMEM",)
    assert second.fallbacks == ()
    assert [one.frames for one in (*first.renditions, *second.renditions)] == [60] * 4
    assert len(shop.kept) == 2
    shop.kept.drop_all()


def test_an_unknown_error_of_an_encoder_that_never_worked_is_a_refusal() -> None:
    output = ask_shop(shop_with(Refusing(lambda _: 542_398_533)), clip_segments(1)[0], PLAIN)
    assert output.fallbacks == ("encode H264 in software: refused: unknown",)


def test_an_unknown_error_of_an_encoder_that_worked_is_a_lost_device() -> None:
    shop = shop_with(Refusing(lambda attempt: 542_398_533 if attempt else 0))
    ask_shop(shop, clip_segments(1)[0], PLAIN)
    with pytest.raises(TranscodeError) as caught:
        ask_shop(shop, clip_segments(2)[1], PLAIN, replace(PLAIN, width=320))
    assert caught.value.text == Text.UNRECOVERABLE
    assert len(shop.kept) == 0


def test_a_size_beyond_the_card_is_not_even_tried() -> None:
    class Small(Refusing):
        max_side_px = 200

    encoder = Small(lambda _: 0)
    output = ask_shop(shop_with(encoder), clip_segments(1)[0], PLAIN)
    assert output.fallbacks == ("encode H264 in software: 256x144 px is more than it takes",)
    assert encoder.attempts == 0
    assert output.renditions[0].frames == 60


def test_a_codec_that_the_card_does_not_have_needs_no_word() -> None:
    output = ask_shop(shop_with(KeptX264()), clip_segments(1)[0], replace(PLAIN, codec=VideoCodec.H265))
    assert output.renditions[0].frames == len(decode(output.renditions[0].data)) == 60


def test_a_perceptual_hash_does_not_depend_on_who_encodes() -> None:
    hashes = set()
    for find in (KeptX264(), Refusing(lambda _: errno.ENOSYS)):
        request = TranscodeRequest(
            input_path=str(clip_segments(1)[0]),
            profiles=(PLAIN,),
            tuning=EncoderTuning(acceleration=Acceleration.NVIDIA),
            perceptual_hash=True,
        )
        rendition = transcode_in(shop_with(find), request).renditions[0]
        assert rendition.hash_trouble == ""
        hashes.add(rendition.perceptual_hash)
    software = TranscodeRequest(input_path=str(clip_segments(1)[0]), profiles=(PLAIN,), perceptual_hash=True)
    assert hashes == {transcode(software).renditions[0].perceptual_hash}
    formats = {encoder.pixel_format for encoder in (*DEVICE_ENCODERS[Acceleration.NVIDIA], *ENCODERS)}
    assert formats == {"yuv420p"}, "frames are the same for all"


def test_an_encoder_that_fails_at_work_says_that_the_device_is_lost() -> None:
    picture_ = Picture(width_px=256, height_px=144, time_base=Fraction(1, 90_000), frame_rate=Fraction(30))
    coder = OpenEncoder.open(_Dies(), PLAIN, picture_, EncoderTuning(), global_header=False, device=None)
    frames = [item.picture for item in Source(str(clip_segments(1)[0])) if isinstance(item, DecodedFrame)][:3]
    coder.encode(frames[0])
    coder.stream.codec_context.encode(None)
    with pytest.raises(TranscodeError) as caught:
        coder.encode(frames[1])
    assert caught.value.text == Text.UNRECOVERABLE
    coder.close()
    coder.close()


_Row = tuple[int | None, int, int, int, str]


def _pictures(path: Path, device: ScriptedDevice | None) -> tuple[list[_Row], str]:
    with Source(str(path), device=device) as source:
        rows = [
            (
                *(item.picture.pts, item.picture.duration, item.picture.width, item.picture.height),
                hashlib.md5(item.picture.to_ndarray().tobytes(), usedforsecurity=False).hexdigest(),
            )
            for item in source
            if isinstance(item, DecodedFrame)
        ]
        assert source.frames == len(rows)
    return rows, source.fallback


_WHOLE = (
    "h264_high",
    "h264_main",
    "h264_baseline",
    "hevc",
    "vfr",
    "open_gop",
    "hevc_open_gop",
    "interlaced",
    "odd_size",
)


@pytest.mark.parametrize("name", _WHOLE)
def test_a_decoder_of_its_own_gives_the_stream_s_own_pictures(name: str) -> None:
    for segment in SAMPLES[name].segments()[:2]:
        device = ScriptedDevice()
        assert _pictures(segment, device) == _pictures(segment, None)
        assert device.decoders == 1


@pytest.mark.parametrize("fails_at", [0, 1, 2])
@pytest.mark.parametrize("name", ["h264_high", "hevc"])
def test_what_the_device_refuses_begins_again_in_software(name: str, fails_at: int) -> None:
    segment = SAMPLES[name].segments()[0]
    rows, fallback = _pictures(segment, ScriptedDevice(fails_at=fails_at))
    assert rows == _pictures(segment, None)[0]
    codec = "hevc" if name == "hevc" else "h264"
    assert fallback.startswith(f"decode {codec} in software: ExternalError: ")


def test_a_device_that_fails_in_the_middle_is_lost() -> None:
    shop = shop_with(KeptX264(), device=ScriptedDevice(fails_at=30))
    with pytest.raises(TranscodeError) as caught:
        ask_shop(shop, SAMPLES["h264_high"].segments()[0], PLAIN)
    assert caught.value.text == Text.UNRECOVERABLE


def test_a_broken_packet_is_no_lost_device() -> None:
    device = ScriptedDevice(fails_at=30, error=av.error.InvalidDataError)
    output = ask_shop(shop_with(KeptX264(), device=device), SAMPLES["h264_high"].segments()[0], PLAIN)
    assert 20 < output.decoded_frames < 60
    assert output.fallbacks == ()
    assert output.renditions[0].frames == output.decoded_frames


def test_packets_without_a_picture_are_not_held_for_ever() -> None:
    class Silent(ScriptedDevice):
        def decoder(self, video: VideoStream) -> VideoCodecContext | None:
            assert video.width == 64
            return cast("VideoCodecContext", _Silent())

    class _Silent:
        def decode(self, _packet: object) -> list[object]:
            return []

    segment = picture(frames=300, width_px=64, height_px=64)
    rows, fallback = _pictures(segment, Silent())
    assert len(rows) == 300
    assert rows == _pictures(segment, None)[0]
    assert fallback == "decode h264 in software: no picture after 256 packets"


_REFUSED = (
    ("h264", "yuv420p10le", "is not 8-bit 4:2:0"),
    ("h264", "yuv422p", "is not 8-bit 4:2:0"),
    ("hevc", "yuv420p10le", "is not 8-bit 4:2:0"),
    ("h264", None, "unknown pixel format"),
    ("flv1", "yuv420p", "not a codec of the device"),
    ("mpeg2video", "yuv420p", "not a codec of the device"),
)


@pytest.mark.parametrize(("codec", "pixel_format", "words"), _REFUSED)
def test_what_is_not_given_to_the_device(codec: str, pixel_format: str | None, words: str) -> None:
    assert words in decode_refusal(codec, pixel_format)
    assert decode_refusal("h264", "yuv420p") == decode_refusal("vp9", "yuvj420p") == ""


_DECODED_IN_SOFTWARE = (
    (SAMPLES["h264_422"], "decode h264 in software: yuv422p is not 8-bit 4:2:0"),
    (SAMPLES["h264_10bit"], "decode h264 in software: yuv420p10le is not 8-bit 4:2:0"),
    (SAMPLES["mpeg2"], "decode mpeg2video in software: not a codec of the device"),
)


@pytest.mark.parametrize(("sample", "fallback"), _DECODED_IN_SOFTWARE, ids=lambda value: getattr(value, "name", ""))
def test_other_inputs_are_decoded_in_software_and_encoded_by_the_device(sample: Sample, fallback: str) -> None:
    device = ScriptedDevice()
    shop = shop_with(KeptX264(), device=device)
    output = ask_shop(shop, sample.segments()[0], PLAIN)
    assert output.fallbacks == (fallback,)
    assert output.renditions[0].frames == output.decoded_frames == 60
    assert device.decoders == 0
    assert len(shop.kept) == 1, "the device's encoder did it"
    shop.kept.drop_all()


def test_flv1_is_decoded_in_software() -> None:
    """The reference answers ``Unsupported input codec`` (video.md 10.8)."""
    flv = picture(frames=20, container="flv", coding=("-c:v", "flv1"))
    output = ask_shop(shop_with(KeptX264()), flv, PLAIN)
    assert output.fallbacks == ("decode flv1 in software: not a codec of the device",)
    assert output.renditions[0].frames == 20


def test_a_device_that_cannot_be_opened_is_an_answer_with_its_reason() -> None:
    def gone() -> Device:
        raise TranscodeError(Text.NO_SUCH_DEVICE, detail="Cannot load libcuda.so.1")

    shop = Workshop(Acceleration.NVIDIA, open_device=gone)
    with pytest.raises(TranscodeError) as caught:
        ask_shop(shop, vector_segments()[0], PLAIN)
    assert (caught.value.text, caught.value.detail) == ("No such device", "Cannot load libcuda.so.1")


def test_a_segment_that_nobody_can_do_is_refused_before_the_device_is_opened() -> None:
    def never() -> Device:
        raise AssertionError

    with pytest.raises(TranscodeError) as caught:
        ask_shop(Workshop(Acceleration.NVIDIA, open_device=never), vector_segments()[0], *[PLAIN] * 11)
    assert caught.value.text == Text.TOO_MANY_OUTPUTS


_OPENING = (
    ("Cannot load libcuda.so.1", Text.NO_SUCH_DEVICE),
    ("cuInit(0) failed -> CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected", Text.NO_SUCH_DEVICE),
    ("cuDeviceGet() failed -> CUDA_ERROR_INVALID_DEVICE: invalid device ordinal", Text.NO_SUCH_DEVICE),
    ("cuDevicePrimaryCtxRetain() failed -> CUDA_ERROR_UNKNOWN: unknown error", Text.UNRECOVERABLE),
    ("", Text.UNRECOVERABLE),
)


@pytest.mark.parametrize(("words", "text"), _OPENING)
def test_the_library_s_words_tell_no_device_from_one_in_trouble(
    words: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Settings:
        def __init__(self, *_: object, **__: object) -> None: ...

        def create(self, _codec: object) -> object:
            raise av.error.UnknownError(1_313_558_101, words or "Unknown error occurred")

    monkeypatch.setattr(hardware, "HWAccel", Settings)
    with pytest.raises(TranscodeError) as caught:
        Device.open()
    assert caught.value.text == text


def test_pictures_are_scaled_in_software_and_it_is_told_why() -> None:
    assert scaling_refusal().startswith("scale in software: ")


def test_a_machine_without_a_device_says_so_in_the_library_s_words() -> None:
    reason = no_device()
    if not reason:
        pytest.skip("an NVIDIA device is here")
    assert "CUDA" in reason or "cuda" in reason
    tuning = EncoderTuning(acceleration=Acceleration.NVIDIA)
    with pytest.raises(TranscodeError) as caught:
        transcode(TranscodeRequest(input_path=str(vector_segments()[0]), profiles=(PLAIN,), tuning=tuning))
    assert caught.value.text in {Text.NO_SUCH_DEVICE, Text.UNRECOVERABLE}
    with pytest.raises(TranscodeError) as caught:
        probe(tuning)
    assert caught.value.detail in reason
