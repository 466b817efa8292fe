"""The search for the limit against machines that are functions from load to ratio, calm and noisy."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.selftest.bench.figures import Figures, Point
from baton.selftest.bench.search import LimitSearch


def point(sessions: int, ratio: float, *, share: float | None = None, trouble: str = "") -> Point:
    real_time = (1.0 if ratio <= 1 else 0.0) if share is None else share
    figures = Figures(segments=100, real_time_segments=round(100 * real_time), source_s=100.0, took_s=100 * ratio)
    return Point(sessions, Figures() if trouble else figures, trouble=trouble)


def searched(machine: Callable[[int], Point], *, most: int = 256) -> tuple[LimitSearch, list[int]]:
    search, asked = LimitSearch(most=most), []
    while (sessions := search.upcoming) is not None:
        asked.append(sessions)
        assert len(asked) < 100, "it does not end"
        search.record(machine(sessions))
    return search, asked


@pytest.mark.parametrize(
    ("each", "limit"), [(0.9, 0), (0.81, 0), (0.8, 1), (0.5, 1), (0.3, 2), (0.2, 4), (0.1, 8), (0.031, 25)]
)
def test_limit_is_the_largest_load_within_the_rule(each: float, limit: int) -> None:
    search, asked = searched(lambda n: point(n, n * each))
    assert search.limit == limit
    assert search.too_many == limit + 1
    assert asked[0] == 1


def test_doubling_then_halving_then_both_sides_of_the_answer_again() -> None:
    _, asked = searched(lambda n: point(n, n * 0.065))
    assert asked == [1, 2, 4, 8, 16, 12, 12, 12, 14, 13, 13, 13]


def test_far_from_the_rule_one_try_is_enough_until_the_answer() -> None:
    _, asked = searched(lambda n: point(n, 0.5 if n <= 5 else 2.0))
    assert asked == [1, 2, 4, 8, 6, 5, 5, 6]


@given(each=st.floats(0.004, 0.75), seed=st.integers(0, 1000))
def test_noise_moves_the_limit_by_no_more_than_the_noise(each: float, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 -- noise, not a secret
    search, asked = searched(lambda n: point(n, n * each * chance.uniform(0.93, 1.07)))
    assert 0.8 / 1.07 / each - 1 <= search.limit <= 0.8 / 0.93 / each
    assert len(asked) <= 45


def test_one_hiccup_does_not_decide() -> None:
    asked: list[int] = []

    def machine(sessions: int) -> Point:
        asked.append(sessions)
        hiccup = sessions == 4 and asked.count(4) == 1
        return point(sessions, 0.84 if hiccup else 0.12 * sessions)

    search, _ = searched(machine)
    assert asked.count(4) == 2
    assert search.limit == 6


def test_load_with_late_segments_does_not_fit_however_good_its_mean() -> None:
    search, asked = searched(lambda n: point(n, 0.1 * n, share=1.0 if n < 3 else 0.85))
    assert search.limit == 2
    assert asked.count(3) == 3


def test_trouble_is_a_load_that_does_not_fit() -> None:
    search, asked = searched(lambda n: point(n, 0.05 * n, trouble="No such device" if n > 5 else ""))
    assert (search.limit, search.too_many) == (5, 6)
    assert asked.count(8) == 1


def test_trouble_that_does_not_come_back_is_forgiven() -> None:
    seen: list[int] = []

    def machine(sessions: int) -> Point:
        seen.append(sessions)
        return point(
            sessions, 0.3 * sessions, trouble="Unknown error occurred" if sessions == 2 and seen.count(2) == 1 else ""
        )

    search, _ = searched(machine)
    assert search.limit == 2
    assert search.about(2).troubles == 1


def test_search_stops_at_the_most_that_may_be_tried() -> None:
    search, asked = searched(lambda n: point(n, 0.001 * n), most=20)
    assert search.limit == 20
    assert search.too_many is None
    assert max(asked) == 20
    assert asked[:6] == [1, 2, 4, 8, 16, 20]


def test_nothing_fits_on_a_machine_that_fails_at_once() -> None:
    search, asked = searched(lambda n: point(n, 0.0, trouble="Encoder not found"))
    assert (search.limit, search.too_many) == (0, 1)
    assert asked == [1, 1]


def test_a_search_that_is_broken_off_knows_what_it_has_seen() -> None:
    search = LimitSearch(most=64)
    for sessions in (1, 2, 4):
        search.record(point(sessions, 0.1 * sessions))
    assert (search.limit, search.too_many, search.upcoming) == (4, None, 8)
