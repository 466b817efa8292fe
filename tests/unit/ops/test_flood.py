"""Lines under a flood: bounded per peer and altogether, counted, and told; lines of others are not lost to it."""

import logging

from baton.kernel.clock import ManualClock
from baton.ops import flood
from baton.ops.flood import LineBudget, LineLimit

LIMIT = LineLimit(peer_per_s=2, peer_burst=10, per_s=5, burst=30)


class Log:
    """A filter with its clock held still."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.budget = LineBudget(limit=LIMIT, refusals=LIMIT, now=self.clock.monotonic)

    def line(
        self, event: str = "segment refused", *, peer: object = "198.51.100.7", level: int = logging.INFO
    ) -> logging.LogRecord | None:
        """The line as it goes out, or None."""
        fields = {"event": event, **({"peer": peer} if peer is not None else {})}
        record = logging.LogRecord("baton.segments", level, "", 0, fields, (), None)
        return record if self.budget.filter(record) else None

    def count(self, lines: int, **line: object) -> int:
        return sum(self.line(**line) is not None for _ in range(lines))  # type: ignore[arg-type]  # as line takes them


def left_out(record: logging.LogRecord | None) -> object:
    assert record is not None
    assert isinstance(record.msg, dict)
    return record.msg.get("left_out")


def test_one_peer_has_its_measure_and_costs_others_nothing() -> None:
    log = Log()
    assert log.count(1000) == 10
    assert log.line(peer="203.0.113.1") is not None
    assert log.line("discovery refused") is not None
    log.clock.advance(1)
    assert log.count(1000) == 2


def test_the_next_line_says_how_many_were_left_out() -> None:
    log = Log()
    log.count(25)
    log.clock.advance(1)
    assert left_out(log.line()) == 15
    assert left_out(log.line()) is None


def test_a_flood_from_everywhere_is_bounded_too() -> None:
    log = Log()
    got = sum(log.line(peer=f"198.51.{n // 200}.{n % 200}") is not None for n in range(5000))
    assert got == 30
    log.clock.advance(1)
    assert sum(log.line(peer=f"203.0.{n // 200}.{n % 200}") is not None for n in range(5000)) == 5


def test_an_address_block_of_one_house_is_one_peer() -> None:
    log = Log()
    assert sum(log.line(peer=f"2001:db8:1:1::{n:x}") is not None for n in range(1, 500)) == 10


def test_a_flood_that_goes_on_is_told_once_a_minute_whatever_the_measure() -> None:
    log = Log()
    log.budget = LineBudget(refusals=LineLimit(0, 1, 0, 1), now=log.clock.monotonic)
    assert log.count(100) == 1
    log.clock.advance(60)
    assert left_out(log.line()) == 99
    assert log.count(50) == 0
    log.clock.advance(60)
    assert left_out(log.line()) == 50


def test_a_flood_of_an_event_that_was_rare_for_long_is_bounded_like_any_other() -> None:
    log = Log()
    assert log.line() is not None
    log.clock.advance(3600)
    # One more than the measure: the line that tells of the others.
    assert log.count(1000) == 11


def test_lines_that_are_no_fields_and_the_gravest_ones() -> None:
    log = Log()
    plain = [logging.LogRecord("aiohttp", logging.WARNING, "", 0, "bad request", (), None) for _ in range(100)]
    assert sum(log.budget.filter(record) for record in plain) == 30
    assert log.count(100, level=logging.CRITICAL) == 100


def test_what_is_remembered_is_bounded() -> None:
    log = Log()
    for n in range(5000):
        log.line(f"event {n}")
        log.line(peer=f"10.{n // 250}.{n % 250}.1")
    events = log.budget._events
    assert len(events) <= flood._MOST_EVENTS
    assert max(len(event.peers) for event in events.values()) <= flood._MOST_PEERS


def test_work_that_was_done_may_speak_more_often_than_refusals() -> None:
    log = Log()
    log.budget = LineBudget(now=log.clock.monotonic)
    assert log.count(2000, event="segment closed") == 500
    assert log.count(2000, event="segment refused") == 50
