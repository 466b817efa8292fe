"""The engine's pure rules: timestamps, clips, key frames, the channel between threads."""

from dataclasses import replace
from fractions import Fraction
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.kernel.errors import TranscodeError
from baton.media.engine.channel import Channel, ChannelAborted
from baton.media.engine.clipping import ClipGate, check_clip
from baton.media.engine.keyframes import KeyFrames, check_gop
from baton.media.engine.plan import plan
from baton.media.engine.timestamps import FrameClock, LeadIn, PacketClock
from baton.media.job import Clip, TranscodeRequest
from tests.media.engine_samples import PLAIN

_MAYBE_TICKS = st.none() | st.integers(-(2**33), 2**34)


def test_missing_frame_times_are_filled_and_late_ones_moved() -> None:
    clock = FrameClock(frame_ticks=3000)
    given_times = [(9000, 1), (None, 12_500), (None, None), (15_500, None), (100, None), (None, 3)]
    assert [clock.repair(pts=pts, dts=dts) for pts, dts in given_times] == [
        9000,
        12_500,
        15_500,
        15_501,
        15_502,
        15_503,
    ]
    assert FrameClock(frame_ticks=0).repair(pts=None, dts=None) == 0


@given(st.lists(st.tuples(_MAYBE_TICKS, _MAYBE_TICKS)), st.integers(0, 10_000))
def test_frame_times_always_rise(times: list[tuple[int | None, int | None]], frame_ticks: int) -> None:
    clock = FrameClock(frame_ticks=frame_ticks)
    repaired = [clock.repair(pts=pts, dts=dts) for pts, dts in times]
    assert repaired == sorted(set(repaired))


def test_packet_times_are_repaired_as_the_muxers_want_them() -> None:
    clock = PacketClock()
    assert clock.repair(pts=100, dts=90, duration=10) == (100, 90)
    assert clock.repair(pts=95, dts=110, duration=10) == (95, 95)
    assert clock.repair(pts=80, dts=120, duration=10) == (96, 96)
    assert clock.repair(pts=200, dts=50, duration=10) == (200, 97)
    assert clock.repair(pts=None, dts=None, duration=10) == (107, 107)
    assert clock.repair(pts=None, dts=130, duration=0) == (130, 130)


@given(st.lists(st.tuples(_MAYBE_TICKS, _MAYBE_TICKS, st.integers(0, 90_000))))
def test_packets_always_fit_a_muxer(times: list[tuple[int | None, int | None, int]]) -> None:
    clock = PacketClock()
    last: int | None = None
    for pts, dts, duration in times:
        shown, decoded = clock.repair(pts=pts, dts=dts, duration=duration)
        assert decoded <= shown
        assert last is None or decoded > last
        last = decoded


def test_lead_in_takes_the_shortest_distance_and_never_moves_times_back() -> None:
    lead_in = LeadIn()
    for pts in (9000, 99_000, 102_000, 105_000):
        lead_in.shown(pts)
    times = [-84_000, 6000, 9000, 99_000]
    assert [lead_in.decode_time(dts, depth=2) for dts in times] == [3000, 6000, 9000, 99_000]
    steady = LeadIn()
    for pts in (9000, 12_000, 15_000):
        steady.shown(pts)
    assert [steady.decode_time(dts, depth=2) for dts in (3000, 6000, 9000)] == [3000, 6000, 9000]
    film = LeadIn()
    for pts in (9000, 12_754, 16_507):
        film.shown(pts)
    assert [film.decode_time(dts, depth=2) for dts in (1493, 5247, 9000)] == [1493, 5247, 9000], (
        "rounding is left alone"
    )
    for dts, used in ((1500, 1500), (1499, 3000)):
        late = LeadIn()
        for pts in (9000, 12_000, 15_000):
            late.shown(pts)
        assert late.decode_time(dts, depth=2) == used, "a quarter more than there is room for is still rounding"
    alone = LeadIn()
    alone.shown(9000)
    assert alone.decode_time(3000, depth=2) == 3000


@given(st.lists(st.integers(-(2**33), 2**33), unique=True).map(sorted))
def test_good_packet_times_are_left_alone(times: list[int]) -> None:
    clock = PacketClock()
    for time in times:
        assert clock.repair(pts=time + 6000, dts=time, duration=3000) == (time + 6000, time)


def _kept(clip: Clip | None, times_ms: range) -> tuple[list[int], float]:
    gate = ClipGate(clip)
    return [time for time in times_ms if gate.passes(Fraction(time, 1000))], float(gate.shift_s)


def test_clip_bounds_are_relative_to_the_first_frame_and_both_kept() -> None:
    times = range(5000, 9000, 500)
    assert _kept(None, times) == (list(times), 0)
    assert _kept(Clip(0, 0), times) == (list(times), 0)
    assert _kept(Clip(1000, 2000), times) == ([6000, 6500, 7000], 6)
    assert _kept(Clip(0, 1000), times) == ([5000, 5500, 6000], 0)
    assert _kept(Clip(3000, 0), times) == ([8000, 8500], 8)
    assert _kept(Clip(60_000, 0), times) == ([], 65)


def test_key_frames_by_time_only_where_timestamps_pass_through() -> None:
    times = [Fraction(number, 10) for number in range(10)]

    def forced(gop_ms: int, fps: int) -> list[int]:
        keys = KeyFrames(replace(PLAIN, gop_ms=gop_ms, fps=fps))
        return [index for index, time_s in enumerate(times) if keys.forces(time_s)]

    assert forced(0, 0) == [0]
    assert forced(300, 0) == [0, 3, 6, 9]
    assert forced(250, 0) == [0, 3, 6, 9]
    assert forced(300, 10) == [0], "the encoder counts frames itself"
    assert forced(-1, 0) == forced(-1, 10) == list(range(10))


@pytest.mark.parametrize(("gop_ms", "fine"), [(0, True), (2000, True), (-1, True), (-2, False), (-(2**31), False)])
def test_no_interval_below_intra_only(gop_ms: int, *, fine: bool) -> None:
    if fine:
        check_gop(replace(PLAIN, gop_ms=gop_ms))
        return
    with pytest.raises(TranscodeError) as refused:
        check_gop(replace(PLAIN, gop_ms=gop_ms))
    assert refused.value.text == "TranscoderInvalidGOP"


@pytest.mark.parametrize(
    "clip", [None, Clip(0, 0), Clip(1000, 1000), Clip(1000, 0), Clip(1000, -5), Clip(0, 1), Clip(2**53, 0)]
)
def test_clips_that_can_be(clip: Clip | None) -> None:
    check_clip(clip)


@pytest.mark.parametrize("clip", [Clip(-1, 0), Clip(1001, 1000), Clip(2**53 + 1, 0), Clip(0, 2**53 + 1)])
def test_clips_that_cannot_be(clip: Clip) -> None:
    with pytest.raises(TranscodeError) as refused:
        check_clip(clip)
    assert refused.value.text == "TranscoderInvalidClipConfig"


def _asked(count: int, *, clip: Clip | None = None) -> TranscodeRequest:
    return TranscodeRequest(input_path="nothing is opened", profiles=(PLAIN,) * count, clip=clip)


def test_ten_renditions_are_planned_in_order_and_eleven_are_too_many_whatever_else_is_wrong() -> None:
    assert [wish.profile for wish in plan(_asked(10))] == [PLAIN] * 10
    for clip, count, text in ((Clip(-1, 0), 11, "Too many outputs"), (Clip(-1, 0), 10, "TranscoderInvalidClipConfig")):
        with pytest.raises(TranscodeError) as refused:
            plan(_asked(count, clip=clip))
        assert refused.value.text == text


def test_channel_delivers_in_order_and_holds_the_writer_back() -> None:
    channel: Channel[int] = Channel(limit=2)
    taken: list[int] = []
    reader = Thread(target=lambda: taken.extend(channel))
    assert channel.put(0)
    assert channel.put(1)
    reader.start()
    assert all(channel.put(number) for number in range(2, 100))
    channel.end()
    channel.abort()  # too late to matter
    reader.join(timeout=10)
    assert taken == list(range(100))


def test_channel_frees_the_writer_when_the_reader_leaves() -> None:
    channel: Channel[int] = Channel(limit=1)
    assert channel.put(0)
    answers: list[bool] = []
    writer = Thread(target=lambda: answers.append(channel.put(1)))
    writer.start()
    channel.hang_up()
    writer.join(timeout=10)
    assert answers == [False]


def test_channel_tells_the_reader_that_the_work_is_not_wanted() -> None:
    channel: Channel[int] = Channel(limit=4)
    assert channel.put(0)
    channel.abort()
    with pytest.raises(ChannelAborted):
        next(iter(channel))
