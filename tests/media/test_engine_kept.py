"""Encoders that stay open between the segments of a stream: the shelf they wait on, and what comes out of them.

x264 with nothing held back goes on for real; x264 as usual cannot, which the engine must notice and mend.
"""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from av.video.codeccontext import VideoCodecContext

from baton.kernel.clock import ManualClock
from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import OutputFormat, VideoProfile
from baton.media.engine.encoders.base import Picture
from baton.media.engine.encoders.opening import OpenEncoder
from baton.media.engine.kept import IDLE_S, EncoderKey, KeptEncoders
from baton.media.engine.transcode import transcode
from baton.media.engine.workshop import release, workshop
from baton.media.job import Acceleration, EncoderTuning, TranscodeOutput, TranscodeRequest
from tests.media.engine_samples import PLAIN, decode, opened, picture, ticks, vector_segments
from tests.media.engines import KeptX264, PlainX264, ask_shop, shop_with
from tests.media.samples import SAMPLES, clip_segments

pytestmark = pytest.mark.media

_TUNING = EncoderTuning(preset="ultrafast", threads=1)
_PICTURE = Picture(width_px=256, height_px=144, time_base=Fraction(1, 90_000), frame_rate=Fraction(30))


def _key(session: str = "one", rendition: int = 0, profile: VideoProfile = PLAIN) -> EncoderKey:
    return EncoderKey(
        session_key=session,
        rendition=rendition,
        encoder="kept_x264",
        profile=profile,
        picture=_PICTURE,
        tuning=_TUNING,
        global_header=False,
    )


def _coder(last_pts: int | None = None) -> OpenEncoder:
    coder = OpenEncoder.open(KeptX264(), PLAIN, _PICTURE, _TUNING, global_header=False, device=None)
    coder.last_pts = last_pts
    return coder


def _is_closed(coder: OpenEncoder) -> bool:
    return coder._container is None


def _threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def test_an_encoder_is_taken_once_and_by_its_own_key_only() -> None:
    shelf, coder = KeptEncoders(), _coder()
    shelf.put(_key(), coder)
    assert shelf.take(_key("two"), first_pts=1) is None
    assert shelf.take(_key(rendition=1), first_pts=1) is None
    assert shelf.take(_key(profile=replace(PLAIN, bitrate_bps=1)), first_pts=1) is None
    assert shelf.take(_key(), first_pts=1) is coder
    assert shelf.take(_key(), first_pts=1) is None
    coder.close()


def test_time_that_does_not_go_on_loses_the_encoder() -> None:
    for first_pts, goes_on in ((4, False), (5, False), (6, True)):
        shelf, coder = KeptEncoders(), _coder(last_pts=5)
        shelf.put(_key(), coder)
        assert (shelf.take(_key(), first_pts=first_pts) is coder) is goes_on
        assert _is_closed(coder) is not goes_on
        assert len(shelf) == 0
        coder.close()


def test_the_longest_unused_makes_room() -> None:
    shelf = KeptEncoders(most=2)
    coders = [_coder() for _ in range(3)]
    for number, coder in enumerate(coders):
        shelf.put(_key(rendition=number), coder)
    assert [_is_closed(coder) for coder in coders] == [True, False, False]
    assert len(shelf) == 2
    assert shelf.drop_all() == 2
    assert all(map(_is_closed, coders))


def test_a_second_one_for_the_same_place_replaces_the_first() -> None:
    shelf, first, second = KeptEncoders(), _coder(), _coder()
    shelf.put(_key(), first)
    shelf.put(_key(), second)
    assert (_is_closed(first), _is_closed(second), len(shelf)) == (True, False, 1)
    shelf.drop_all()


def test_unused_for_70_seconds_is_closed() -> None:
    clock = ManualClock()
    shelf = KeptEncoders(clock=clock)
    old, young = _coder(), _coder()
    shelf.put(_key("old"), old)
    clock.advance(IDLE_S - 1)
    shelf.put(_key("young"), young)
    shelf.drop_idle()
    assert not _is_closed(old)
    clock.advance(1)
    shelf.drop_idle()
    assert (_is_closed(old), _is_closed(young)) == (True, False)
    shelf.drop_all()


def test_a_stream_and_the_others() -> None:
    shelf = KeptEncoders()
    for session in ("one", "two", "three"):
        for rendition in range(2):
            shelf.put(_key(session, rendition), _coder())
    assert shelf.drop_stream("one") == 2
    assert shelf.drop_others("two") == 2
    assert len(shelf) == 2
    assert shelf.drop_stream("nobody") == 0
    assert shelf.drop_all() == 2


_LADDER = (
    PLAIN,
    replace(PLAIN, fps=30, gop_ms=500),
    replace(PLAIN, format=OutputFormat.MP4),
    replace(PLAIN, width=320, height=180, fps=30, format=OutputFormat.MP4),
)


def _stream(*, keep: bool, segments: tuple[Path, ...]) -> list[TranscodeOutput]:
    shop = shop_with(KeptX264())
    outputs = [ask_shop(shop, segment, *_LADDER, session_key="stream" if keep else "") for segment in segments]
    assert len(shop.kept) == (len(_LADDER) if keep else 0)
    shop.kept.drop_all()
    return outputs


def test_a_kept_encoder_makes_the_same_stream_as_a_fresh_one() -> None:
    segments = vector_segments()
    for kept, fresh in zip(_stream(keep=True, segments=segments), _stream(keep=False, segments=segments), strict=True):
        assert kept.fallbacks == fresh.fallbacks == ()
        for profile, one, other in zip(_LADDER, kept.renditions, fresh.renditions, strict=True):
            assert (one.frames, one.pixels) == (other.frames, other.pixels)
            extension = profile.format.extension
            ours = decode(one.data, extension=extension)
            assert ticks(ours) == ticks(decode(other.data, extension=extension))
            assert len(ours) == one.frames, "every segment is decodable by itself"
            with opened(one.data) as container:
                packets = [packet for packet in container.demux(video=0) if packet.size]
                parameters = container.streams.video[0].codec_context.extradata
            assert packets[0].is_keyframe
            assert parameters, "each segment brings its parameter sets"
            times = [packet.dts or 0 for packet in packets]
            assert all(later > earlier for earlier, later in pairwise(times))


def test_the_first_kept_segment_is_byte_for_byte_a_fresh_one() -> None:
    segment = vector_segments()[:1]
    (kept,), (fresh,) = _stream(keep=True, segments=segment), _stream(keep=False, segments=segment)
    assert [one.data for one in kept.renditions] == [one.data for one in fresh.renditions]


def test_the_bitrate_of_a_kept_encoder_does_not_drift() -> None:
    profile = replace(PLAIN, width=640, height=360, bitrate_bps=600_000)
    shop = shop_with(KeptX264())
    sizes = [len(ask_shop(shop, segment, profile).renditions[0].data) for segment in clip_segments(4)]
    fresh = [len(ask_shop(shop, segment, profile, session_key="").renditions[0].data) for segment in clip_segments(4)]
    shop.kept.drop_all()
    assert sum(sizes) < 1.1 * sum(fresh)
    assert all(one < 1.3 * other for one, other in zip(sizes, fresh, strict=True))


def test_what_is_kept_and_its_threads_stay_bounded() -> None:
    segments = clip_segments(2)
    shop = shop_with(KeptX264(), kept=KeptEncoders(most=3))
    threads = []
    for _ in range(3):
        for session in ("a", "b", "c"):
            for segment in segments:
                ask_shop(shop, segment, *_LADDER[:2], session_key=session)
        assert len(shop.kept) == 3
        threads.append(_threads())
    assert max(threads) < threads[0] + 4, "each round opens a dozen encoders"
    shop.kept.drop_all()


def test_a_segment_that_is_done_again_gets_a_new_encoder() -> None:
    encoder = KeptX264()
    shop = shop_with(encoder)
    first = ask_shop(shop, vector_segments()[1], PLAIN)
    again = ask_shop(shop, vector_segments()[1], PLAIN)
    earlier = ask_shop(shop, vector_segments()[0], PLAIN)
    assert again.renditions[0].data == first.renditions[0].data
    assert ticks(decode(earlier.renditions[0].data))[0] == 128_970
    shop.kept.drop_all()


def test_a_gap_between_segments_does_not_reach_back_over_it() -> None:
    shop = shop_with(KeptX264())
    ask_shop(shop, vector_segments()[0], PLAIN)
    late = ask_shop(shop, vector_segments()[3], PLAIN).renditions[0]
    with opened(late.data) as container:
        times = [packet.dts or 0 for packet in container.demux(video=0) if packet.size]
    assert times[0] >= 668_970 - 6000
    assert late.frames == len(decode(late.data)) == 120
    shop.kept.drop_all()


def test_reinit_error_and_release_lose_what_is_kept() -> None:
    shop = shop_with(KeptX264())
    segments = clip_segments(3)
    ask_shop(shop, segments[0], PLAIN)
    ask_shop(shop, segments[0], PLAIN, session_key="other")
    kept = next(iter(shop.kept._places.values())).coder
    ask_shop(shop, segments[1], PLAIN, force_reinit=True)
    assert _is_closed(kept)
    assert len(shop.kept) == 2
    with pytest.raises(TranscodeError) as caught:
        ask_shop(shop, SAMPLES["no_key_frame"].segments()[0], PLAIN)
    assert caught.value.text == Text.NO_KEYFRAMES
    assert [key.session_key for key in shop.kept._places] == ["other"]
    assert shop.kept.drop_stream("other") == 1


def test_release_lets_go_of_one_stream_in_this_process() -> None:
    shelf = workshop(Acceleration.NVIDIA).kept
    coders = {session: _coder() for session in ("one", "two")}
    for session, coder in coders.items():
        shelf.put(_key(session), coder)
    release("one")
    release("nobody")
    assert (_is_closed(coders["one"]), _is_closed(coders["two"])) == (True, False)
    release("two")
    assert len(shelf) == 0


def test_x264_as_usual_does_not_go_on_and_is_opened_anew() -> None:
    shop = shop_with(PlainX264())
    segments = vector_segments()
    outputs = [ask_shop(shop, segment, PLAIN, replace(PLAIN, format=OutputFormat.MP4)) for segment in segments]
    assert outputs[0].fallbacks == ()
    assert outputs[1].fallbacks == ("open plain_x264 for each segment: it did not go on after the last one",)
    assert outputs[2].fallbacks == outputs[3].fallbacks == ()
    assert len(shop.kept) == 0
    tuning = EncoderTuning(preset="veryfast", threads=1)
    for segment, output in zip(segments, outputs, strict=True):
        request = TranscodeRequest(input_path=str(segment), profiles=(PLAIN,), tuning=tuning)
        assert output.renditions[0].data == transcode(request).renditions[0].data, "as if it had never been kept"
        assert len(decode(output.renditions[1].data, extension=".mp4")) == 120


def test_software_encoders_are_not_kept() -> None:
    shelf = workshop(Acceleration.SOFTWARE).kept
    request = TranscodeRequest(
        input_path=str(clip_segments(1)[0]), profiles=(PLAIN,), tuning=_TUNING, session_key="stream"
    )
    transcode(request)
    assert len(shelf) == 0


def test_a_size_that_changes_on_the_way_keeps_both_encoders(tmp_path: Path) -> None:
    def segment(start: int) -> Path:
        first = picture(frames=30, width_px=320, height_px=180, times=f"N+{start}").read_bytes()
        second = picture(frames=30, width_px=320, height_px=240, times=f"N+{start + 30}").read_bytes()
        path = tmp_path / f"{start}.ts"
        path.write_bytes(first + second)
        return path

    shop = shop_with(KeptX264())
    for start in (0, 60):
        output = ask_shop(shop, segment(start), PLAIN)
        assert output.renditions[0].frames == len(decode(output.renditions[0].data)) == 60
        assert len(shop.kept) == 2
    shop.kept.drop_all()


class _Restless(KeptX264):
    """Cannot be made ready for another segment, although it says so."""

    def rest(self, context: VideoCodecContext) -> None:
        del context
        message = "scripted"
        raise ValueError(message)


def test_an_encoder_that_cannot_rest_is_closed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it keeps its session of the card for nobody."""
    coders = []
    open_one = OpenEncoder.open

    def noted(*args: Any, **options: Any) -> OpenEncoder:
        coders.append(open_one(*args, **options))
        return coders[-1]

    monkeypatch.setattr(OpenEncoder, "open", noted)
    with pytest.raises(TranscodeError):
        ask_shop(shop_with(_Restless()), clip_segments(1)[0], PLAIN, session_key="one")
    assert [_is_closed(coder) for coder in coders] == [True]
