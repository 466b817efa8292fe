from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from baton.jobs.ports import StoreError
from baton.kernel.ids import SessionId
from baton.storage.shelf import Key, Shelf, ShelfLimits

A, B = SessionId("a"), SessionId("b")


def test_fetched_objects_go_first_then_those_of_ended_sessions_then_the_oldest() -> None:
    shelf = Shelf(ShelfLimits(total_bytes=40))
    for name in ("1", "2", "3"):
        shelf.put((A, name), size_bytes=10, now=0)
    shelf.put((B, "1"), size_bytes=10, now=0)
    shelf.fetched((A, "3"), now=1)
    shelf.end_session(B, now=2)
    assert shelf.put((A, "4"), size_bytes=10, now=3) == ((A, "3"),)
    assert shelf.put((A, "5"), size_bytes=10, now=3) == ((B, "1"),)
    assert shelf.put((A, "6"), size_bytes=15, now=3) == ((A, "1"), (A, "2"))


def test_count_of_a_session_costs_only_that_session() -> None:
    shelf = Shelf(ShelfLimits(total_bytes=100, objects_per_session=2))
    shelf.put((B, "1"), size_bytes=1, now=0)
    shelf.put((A, "1"), size_bytes=1, now=1)
    shelf.put((A, "2"), size_bytes=1, now=2)
    assert shelf.put((A, "3"), size_bytes=1, now=3) == ((A, "1"),)
    assert len(shelf) == 3


def test_count_of_the_node_is_bounded() -> None:
    shelf = Shelf(ShelfLimits(total_bytes=100, objects=2))
    shelf.put((A, "1"), size_bytes=0, now=0)
    shelf.put((B, "1"), size_bytes=0, now=0)
    assert shelf.put((SessionId("c"), "1"), size_bytes=0, now=0) == ((A, "1"),)


def test_unfetched_are_recent_objects_that_an_open_session_still_waits_for() -> None:
    shelf = Shelf(ShelfLimits(total_bytes=100))
    shelf.put((A, "old"), size_bytes=1, now=0)
    shelf.put((A, "fetched"), size_bytes=1, now=5)
    shelf.put((A, "new"), size_bytes=1, now=5)
    shelf.put((B, "given up"), size_bytes=1, now=6)
    shelf.fetched((A, "fetched"), now=6)
    shelf.end_session(B, now=6)
    assert [shelf.unfetched(since=since) for since in (0, 5, 5.5)] == [2, 1, 0]


def test_fetching_again_does_not_lengthen_the_grace() -> None:
    shelf = Shelf(ShelfLimits(total_bytes=100, grace_s=60))
    shelf.put((A, "1"), size_bytes=1, now=0)
    shelf.fetched((A, "1"), now=10)
    shelf.fetched((A, "1"), now=60)
    assert shelf.expire(69.9) == ()
    assert shelf.expire(70) == ((A, "1"),)


def test_an_object_of_an_ended_session_gets_a_whole_grace_even_when_fetched_before() -> None:
    shelf = Shelf(ShelfLimits(total_bytes=100, grace_s=60))
    shelf.put((A, "1"), size_bytes=1, now=0)
    shelf.fetched((A, "1"), now=1)
    shelf.end_session(A, now=50)
    assert shelf.expire(109) == ()
    assert shelf.expire(110) == ((A, "1"),)


def test_ending_a_session_again_does_not_lengthen_the_grace() -> None:
    shelf = Shelf(ShelfLimits(total_bytes=100, grace_s=60))
    shelf.put((A, "1"), size_bytes=1, now=0)
    shelf.end_session(A, now=10)
    shelf.end_session(A, now=60)
    assert shelf.expire(70) == ((A, "1"),)


def test_an_object_that_comes_after_the_end_has_its_own_grace() -> None:
    shelf = Shelf(ShelfLimits(total_bytes=100, grace_s=60))
    shelf.put((A, "1"), size_bytes=1, now=0)
    shelf.end_session(A, now=10)
    shelf.put((A, "2"), size_bytes=1, now=40)
    assert shelf.expire(70) == ((A, "1"),)
    assert shelf.expire(99) == ()
    assert shelf.expire(100) == ((A, "2"),)


def test_what_nobody_fetches_in_a_session_nobody_ends_goes_at_its_greatest_age() -> None:
    shelf = Shelf(ShelfLimits(total_bytes=100, max_age_s=600))
    shelf.put((A, "1"), size_bytes=1, now=0)
    assert shelf.expire(599) == ()
    assert shelf.expire(600) == ((A, "1"),)
    assert shelf.total_bytes == len(shelf) == 0


KEYS = st.tuples(st.sampled_from([A, B, SessionId("c")]), st.sampled_from(["1", "2", "3", "4"]))


class ShelfMachine(RuleBasedStateMachine):
    """Any order of events against a plain model: sizes by key."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf(ShelfLimits(total_bytes=50, objects=8, objects_per_session=3, grace_s=30, max_age_s=100))
        self.model: dict[Key, int] = {}
        self.now = 0.0

    @rule(key=KEYS, size=st.integers(0, 60))
    def put(self, key: Key, size: int) -> None:
        try:
            evicted = self.shelf.put(key, size_bytes=size, now=self.now)
        except StoreError:
            assert size > 50
            return
        assert size <= 50
        assert key not in evicted
        for other in evicted:
            del self.model[other]
        self.model[key] = size

    @rule(key=KEYS)
    def fetched(self, key: Key) -> None:
        self.shelf.fetched(key, now=self.now)

    @rule(key=KEYS)
    def drop(self, key: Key) -> None:
        self.shelf.drop(key)
        self.model.pop(key, None)

    @rule(key=KEYS)
    def end(self, key: Key) -> None:
        self.shelf.end_session(key[0], now=self.now)

    @rule(seconds=st.sampled_from([1.0, 29.0, 31.0, 99.0, 101.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for key in self.shelf.expire(self.now):
            del self.model[key]

    @invariant()
    def agrees(self) -> None:
        assert self.shelf.total_bytes == sum(self.model.values()) <= 50
        assert len(self.shelf) == len(self.model) <= 8
        assert all(self.shelf.entry(key) is not None for key in self.model)
        for session in {key[0] for key in self.model}:
            assert sum(1 for key in self.model if key[0] == session) <= 3


TestShelfMachine = ShelfMachine.TestCase
TestShelfMachine.settings = settings(max_examples=60, stateful_step_count=40)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_nothing_is_ever_evicted_without_need(sizes: list[int]) -> None:
    shelf = Shelf(ShelfLimits(total_bytes=sum(sizes)))
    assert [shelf.put((A, str(i)), size_bytes=size, now=0) for i, size in enumerate(sizes)] == [()] * len(sizes)
