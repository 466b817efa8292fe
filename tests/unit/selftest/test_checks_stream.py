"""Judgments about a stream: exact pixels and sizes, untouched audio, one frame interval at each joint."""

from dataclasses import replace

import pytest

from baton.jobs.messages import RenditionRef, SegmentResult
from baton.kernel.crypto import keccak256, sign_message
from baton.kernel.ids import ZERO_ADDRESS
from baton.kernel.profiles import PRESETS, VideoProfile
from baton.selftest.checks import Verdict
from baton.selftest.checks_stream import judge_answer, judge_joints, judge_result_signature, rendition_faults
from baton.selftest.mediafacts import MediaFacts
from tests.unit.selftest.fake_orchestrator import ADDRESS, PRIVATE_KEY
from tests.unit.selftest.test_checks import INFO

P240 = PRESETS["P240p30fps16x9"]
PASSTHROUGH = VideoProfile(name="pass", width=426, height=240, bitrate_bps=600_000)
FRAME = 3000


def facts(first: int, frames: int, *, size: tuple[int, int] = (426, 240), step: int = FRAME) -> MediaFacts:
    pts = tuple(first + step * i for i in range(frames))
    return MediaFacts(
        frame_pts=pts,
        frame_px=(size[0] * size[1],) * frames,
        width_px=size[0],
        height_px=size[1],
        packet_dts=tuple(at - 2 * step for at in pts),
        audio_hashes=("a", "b", "c"),
    )


SOURCE = facts(900_000, 60, size=(1280, 720))
GOOD = facts(900_000, 60)
GOOD_PX = 426 * 240 * 60


def faults(rendition: MediaFacts, profile: VideoProfile = P240, reported_px: int = GOOD_PX) -> tuple[str, ...]:
    return rendition_faults(profile=profile, source=SOURCE, rendition=rendition, reported_px=reported_px)


def test_good_rendition_has_no_faults() -> None:
    assert faults(GOOD) == ()
    assert faults(GOOD, PASSTHROUGH) == ()


@pytest.mark.parametrize(
    ("rendition", "words"),
    [
        (replace(GOOD, frame_px=(*GOOD.frame_px[:-1], 0)), "PixelMismatch: 6134400 reported, 6032160 decoded"),
        (replace(GOOD, width_px=424), "424x240 instead of 426x240"),
        (replace(GOOD, audio_hashes=("a", "b")), "audio differs: 2 of 3 packets are the source's, 2 found"),
        (replace(GOOD, audio_hashes=("b", "a", "c")), "audio differs"),
        (replace(GOOD, packet_dts=(*GOOD.packet_dts[:-1], GOOD.packet_dts[-2])), "decode times do not rise"),
        (replace(GOOD, complaints=("corrupt\x1b[2J macroblock",)), "decoder: corrupt\ufffd[2J macroblock"),
        (facts(900_000, 58), "58 frames instead of 59 to 61"),
        (facts(900_000, 62), "62 frames instead of 59 to 61"),
    ],
)
def test_each_fault_is_named(rendition: MediaFacts, words: str) -> None:
    assert any(words in fault for fault in faults(rendition))


def test_passthrough_keeps_every_frame_and_timestamp() -> None:
    moved = replace(GOOD, frame_pts=tuple(at + 1 for at in GOOD.frame_pts))
    assert faults(moved, PASSTHROUGH) == ("timestamps differ from the source's",)
    assert "59 frames instead of 60" in faults(facts(900_000, 59), PASSTHROUGH)
    assert faults(moved) == ()


def test_nothing_decoded_is_a_row_of_faults_not_an_exception() -> None:
    empty = MediaFacts((), (), 0, 0, (), ())
    assert any("PixelMismatch" in fault for fault in faults(empty))
    one = facts(900_000, 1, size=(1280, 720))
    assert rendition_faults(profile=P240, source=one, rendition=facts(900_000, 1), reported_px=426 * 240) == ()


SOURCES = [facts(900_000 + 180_000 * k, 60, size=(1280, 720)) for k in range(3)]
RENDITIONS = [facts(900_000 + 180_000 * k, 60) for k in range(3)]


def test_joints_of_one_frame_interval_pass() -> None:
    assert judge_joints(P240, SOURCES, RENDITIONS).verdict is Verdict.PASS
    assert judge_joints(PASSTHROUGH, SOURCES, RENDITIONS).verdict is Verdict.PASS
    assert judge_joints(P240, SOURCES[:1], RENDITIONS[:1]).verdict is Verdict.INFO


@pytest.mark.parametrize("shift", [-3000, -2, 2, 3000, 90_000])
def test_joint_off_by_more_than_rounding_fails(shift: int) -> None:
    last = facts(1_260_000 + shift, 60)
    row = judge_joints(P240, SOURCES, [*RENDITIONS[:2], last])
    assert row.verdict is Verdict.FAIL
    assert "between segments 1 and 2" in row.reason


def test_rates_that_do_not_divide_may_leave_a_longer_joint_but_never_an_overlap() -> None:
    sources = [facts(900_000 + 180_180 * k, 60, size=(1280, 720), step=3003) for k in range(2)]
    aligned = [facts(900_000, 60), facts(1_080_000, 60)]
    assert judge_joints(P240, sources, aligned).verdict is Verdict.PASS
    assert judge_joints(P240, sources, [facts(900_000, 60), facts(1_083_000, 60)]).verdict is Verdict.PASS
    assert judge_joints(P240, sources, [facts(900_000, 60), facts(1_077_000, 60)]).verdict is Verdict.FAIL
    assert judge_joints(P240, sources, [facts(900_000, 60), facts(1_089_000, 60)]).verdict is Verdict.FAIL


def test_decode_times_may_overlap_at_the_start_of_a_stream_only() -> None:
    late = replace(RENDITIONS[1], packet_dts=(RENDITIONS[0].packet_dts[-1], *RENDITIONS[1].packet_dts[1:]))
    assert judge_joints(P240, SOURCES, [RENDITIONS[0], late, RENDITIONS[2]]).verdict is Verdict.PASS
    late = replace(RENDITIONS[2], packet_dts=(RENDITIONS[1].packet_dts[-1], *RENDITIONS[2].packet_dts[1:]))
    row = judge_joints(P240, SOURCES, [*RENDITIONS[:2], late])
    assert row.verdict is Verdict.FAIL
    assert "decode times go back" in row.reason


def test_segment_without_frames_breaks_the_stream() -> None:
    row = judge_joints(P240, SOURCES, [RENDITIONS[0], MediaFacts((), (), 0, 0, (), ()), RENDITIONS[2]])
    assert row.reason == "segment 1 holds no frame"


def test_answers_are_held_against_what_was_asked() -> None:
    good = SegmentResult(seq=3, info=INFO, renditions=(RenditionRef("https://x/1", 1),))
    assert judge_answer(good, seq=3, profiles=[P240]) == ""
    assert judge_answer(replace(good, error="Orch\x1bBusy"), seq=3, profiles=[P240]) == "error: Orch\ufffdBusy"
    assert "2" in judge_answer(good, seq=3, profiles=[P240, P240])
    assert "segment 3 instead of 4" in judge_answer(good, seq=4, profiles=[P240])


def test_result_signature_covers_the_renditions_in_order() -> None:
    one, two = b"asdf" * 10, b"qwer" * 10
    signature = sign_message(PRIVATE_KEY, keccak256(one) + keccak256(two))
    judge = judge_result_signature
    assert judge(address=ADDRESS, renditions=[one, two], signature=signature).verdict is Verdict.PASS
    assert judge(address=ADDRESS, renditions=[two, one], signature=signature).verdict is Verdict.FAIL
    assert judge(address=ADDRESS, renditions=[one, two], signature=b"").verdict is Verdict.FAIL
    assert judge(address=ZERO_ADDRESS, renditions=[one, two], signature=b"").verdict is Verdict.INFO
