"""What is held against contents and streams, under a clock that stands still."""

import pytest

from baton.kernel.clock import ManualClock
from baton.media.poison import PoisonLimits, PoisonRegister, Verdict

_LIMITS = PoisonLimits(
    content_strikes=2,
    content_memory_s=600,
    stream_strikes=3,
    stream_window_s=60,
    quarantine_s=120,
    remembered=4,
)


class _Court:
    """A register with its clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.register = PoisonRegister(limits=_LIMITS)

    def judge(self, content: bytes, stream: str = "s") -> Verdict:
        return self.register.judge(content_hash=content, stream_key=stream, now=self.clock.monotonic())

    def strike(self, content: bytes, stream: str = "s") -> Verdict:
        return self.register.strike(content_hash=content, stream_key=stream, now=self.clock.monotonic())

    def clear(self, content: bytes, stream: str = "s") -> None:
        self.register.clear(content_hash=content, stream_key=stream)


@pytest.fixture
def court() -> _Court:
    return _Court()


def test_the_unknown_are_clean(court: _Court) -> None:
    assert court.judge(b"a") is Verdict.CLEAN


def test_one_strike_is_a_suspicion_and_a_second_one_poison(court: _Court) -> None:
    assert court.strike(b"a") is Verdict.SUSPECT
    assert court.judge(b"a") is Verdict.SUSPECT
    assert court.strike(b"a") is Verdict.POISON
    assert court.judge(b"a") is Verdict.POISON


def test_poison_is_poison_in_every_stream(court: _Court) -> None:
    court.strike(b"a", "one")
    court.strike(b"a", "one")
    assert court.judge(b"a", "two") is Verdict.POISON


def test_another_segment_of_a_stream_that_struck_is_suspect_and_of_another_stream_is_not(court: _Court) -> None:
    court.strike(b"a", "one")
    assert court.judge(b"b", "one") is Verdict.SUSPECT
    assert court.judge(b"b", "two") is Verdict.CLEAN


def test_poison_is_forgotten_after_its_time(court: _Court) -> None:
    court.strike(b"a", "one")
    court.strike(b"a", "one")
    court.clock.advance(599)
    assert court.judge(b"a", "two") is Verdict.POISON
    court.clock.advance(1)
    assert court.judge(b"a", "two") is Verdict.CLEAN
    assert court.strike(b"a", "two") is Verdict.SUSPECT


def test_three_distinct_segments_put_a_stream_into_quarantine_until_it_ends(court: _Court) -> None:
    court.strike(b"a")
    court.strike(b"b")
    assert court.judge(b"new") is Verdict.SUSPECT
    assert court.strike(b"c") is Verdict.QUARANTINED
    assert court.judge(b"new") is Verdict.QUARANTINED
    assert court.judge(b"new", "other") is Verdict.CLEAN
    court.clock.advance(119.9)
    assert court.judge(b"new") is Verdict.QUARANTINED
    court.clock.advance(0.1)
    assert court.judge(b"new") is Verdict.CLEAN


def test_a_segment_that_was_in_hand_when_its_stream_was_sent_away_does_not_lengthen_that(court: _Court) -> None:
    for content in (b"a", b"b", b"c"):
        court.strike(content)
    court.clock.advance(30)
    assert court.strike(b"d") is Verdict.QUARANTINED
    court.clock.advance(90)
    assert court.judge(b"new") is Verdict.CLEAN


def test_the_same_segment_again_and_again_is_one_offence_of_its_stream(court: _Court) -> None:
    for _ in range(5):
        court.strike(b"a")
    assert court.judge(b"new") is Verdict.SUSPECT


def test_strikes_far_apart_are_no_quarantine(court: _Court) -> None:
    for content in (b"a", b"b", b"c", b"d"):
        assert court.strike(content) is Verdict.SUSPECT
        court.clock.advance(31)


def test_a_success_clears_its_content_and_what_its_stream_had_on_account_of_it(court: _Court) -> None:
    court.strike(b"a")
    court.strike(b"b")
    court.clear(b"a")
    assert court.judge(b"a", "other") is Verdict.CLEAN
    assert court.judge(b"new") is Verdict.SUSPECT
    court.clear(b"b")
    assert court.judge(b"new") is Verdict.CLEAN


def test_a_success_does_not_end_a_quarantine(court: _Court) -> None:
    for content in (b"a", b"b", b"c"):
        court.strike(content)
    court.clear(b"c")
    assert court.judge(b"new") is Verdict.QUARANTINED


def test_clearing_the_unknown_is_fine(court: _Court) -> None:
    court.clear(b"a", "nobody")
    assert court.judge(b"a", "nobody") is Verdict.CLEAN


def test_memory_is_bounded_and_the_oldest_go_first(court: _Court) -> None:
    for number in range(100):
        content, stream = b"%d" % number, f"s{number}"
        court.strike(content, stream)
        court.strike(content, stream)
    assert [court.judge(b"%d" % n, "other") for n in (95, 96, 99)] == [Verdict.CLEAN, Verdict.POISON, Verdict.POISON]
    assert [court.judge(b"new", f"s{n}") for n in (95, 96, 99)] == [Verdict.CLEAN, Verdict.SUSPECT, Verdict.SUSPECT]
