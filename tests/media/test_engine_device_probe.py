"""The probe of an engine with a device: who did what, how many sessions there are, and nothing left open.

The device is scripted; the trials, their files and their judging are those of every probe.
"""

import errno

import pytest

from baton.kernel.capabilities import Capability
from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import VideoCodec
from baton.media.engine import device_probe
from baton.media.engine import probe as probing
from baton.media.engine.device_probe import MOST_SESSIONS, RENDITIONS, Told, count_sessions
from baton.media.engine.encoders.base import Encoder
from baton.media.engine.encoders.opening import OpenEncoder
from baton.media.engine.hardware import Device
from baton.media.engine.transcode import transcode_in
from baton.media.engine.workshop import Workshop
from baton.media.job import Acceleration, EncoderTuning, EngineReport, TranscodeOutput, TranscodeRequest
from tests.media.engines import KeptX264, Refusing, ScriptedDevice, shop_with

pytestmark = pytest.mark.media

_TUNING = EncoderTuning(preset="ultrafast", threads=1, acceleration=Acceleration.NVIDIA)


class _CardX264(KeptX264):
    """Stands for the card's H.264, under its name."""

    library_name = "libx264"


def _probe(
    monkeypatch: pytest.MonkeyPatch, *encoders: Encoder, device: ScriptedDevice | None = None
) -> tuple[EngineReport, Workshop, list[TranscodeRequest]]:
    """A report of a workshop with these encoders, and what was asked of it."""
    shop = shop_with(*encoders, device=device)
    asked: list[TranscodeRequest] = []

    def transcode(request: TranscodeRequest) -> TranscodeOutput:
        asked.append(request)
        return transcode_in(shop, request)

    monkeypatch.setattr(probing, "workshop", lambda _: shop)
    monkeypatch.setattr(probing, "transcode", transcode)
    monkeypatch.setattr(device_probe, "DEVICE_ENCODERS", {Acceleration.NVIDIA: encoders})
    return probing.probe(_TUNING), shop, asked


def test_a_device_that_does_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    report, shop, asked = _probe(monkeypatch, _CardX264())
    assert report.refused == ()
    assert Capability.HEVC_ENCODE in report.capability_ids
    assert report.decoders == ("h264 (cuda)", "hevc (cuda)", "vp8 (cuda)", "vp9 (cuda)")
    assert report.encoders == ("libx264", "libx265")
    assert report.encoder_sessions == MOST_SESSIONS
    assert all(len(request.profiles) == RENDITIONS for request in asked)
    assert [text for text in report.fallbacks if text.startswith("encode ")] == []
    assert report.fallbacks[-1].startswith("scale in software: ")
    assert "decode h264 in software: yuv420p10le is not 8-bit 4:2:0" in report.fallbacks
    assert len(shop.kept) == 0


def test_a_card_without_an_encoder_has_its_decoders_and_no_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _, _ = _probe(monkeypatch, Refusing(lambda _: errno.ENOSYS))
    assert report.refused == ()
    assert report.encoders == ("libx264", "libx265")
    assert report.encoder_sessions == 0
    assert report.decoders[0] == "h264 (cuda)"
    assert "encode H264 in software: refused: ENOSYS" in report.fallbacks


def test_a_driver_without_decoders_has_its_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _, _ = _probe(monkeypatch, _CardX264(), device=ScriptedDevice(fails_at=0))
    assert report.refused == ()
    assert report.decoders == ()
    assert report.encoder_sessions == MOST_SESSIONS
    assert any(text.startswith("decode h264 in software: ExternalError") for text in report.fallbacks)


def test_a_device_that_is_lost_in_a_trial_proves_nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _, _ = _probe(monkeypatch, _CardX264(), device=ScriptedDevice(fails_at=4))
    assert Capability.H264 not in report.capability_ids
    assert Text.UNRECOVERABLE in dict(report.refused)[Capability.H264]
    assert report.encoder_sessions == 0


def test_sessions_are_counted_until_the_card_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Refusing(lambda attempt: errno.ENOMEM if attempt >= 3 else 0)
    shop = shop_with(encoder)
    shop.begin(TranscodeRequest(input_path="", profiles=()))
    assert count_sessions(encoder, shop=shop, tuning=_TUNING) == (3, "refused: ENOMEM")
    assert encoder.attempts == 4
    bounded = Refusing(lambda _: 0)
    assert count_sessions(bounded, shop=shop, tuning=_TUNING) == (MOST_SESSIONS, "")
    assert bounded.attempts == MOST_SESSIONS
    closed: list[str] = []
    monkeypatch.setattr(OpenEncoder, "close", lambda coder: closed.append(coder.encoder.key))
    count_sessions(Refusing(lambda attempt: errno.ENOMEM if attempt >= 3 else 0), shop=shop, tuning=_TUNING)
    assert closed == ["refusing"] * 3, "none is left open"


def test_a_device_that_is_not_there_is_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Device:
        raise TranscodeError(Text.NO_SUCH_DEVICE, detail="Cannot load libcuda.so.1")

    monkeypatch.setattr(probing, "workshop", lambda _: Workshop(Acceleration.NVIDIA, open_device=gone))
    with pytest.raises(TranscodeError) as caught:
        probing.probe(_TUNING)
    assert (caught.value.text, caught.value.detail) == (Text.NO_SUCH_DEVICE, "Cannot load libcuda.so.1")


def test_a_part_is_the_device_s_when_nobody_spoke_of_software() -> None:
    told = Told()
    told.hear(("decode h264", f"encode {VideoCodec.H264.name}"), ["decode h264 in software: why"])
    assert told.on_device == {"decode h264": False, "encode H264": True}
    assert list(told.fallbacks) == ["decode h264 in software: why"]
