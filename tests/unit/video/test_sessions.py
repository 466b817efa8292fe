"""The session table: admission, takeover after a token refresh, idle end, and what can never happen."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from baton.kernel.errors import CapacityError, Text
from baton.kernel.ids import ManifestId, SessionId
from baton.video.sessions import IDLE_TIMEOUT_S, SESSION_MOVES, Opening, Session, SessionState, SessionTable


def opening(session: str, *, manifest: str = "stream", owner: str | None = "gateway", expires: int = 1800) -> Opening:
    return Opening(
        session_id=SessionId(session), manifest_id=ManifestId(manifest), owner=owner, token_expires_at=expires
    )


def test_open_beyond_the_limit_is_capped_but_known_sessions_go_on() -> None:
    table = SessionTable(limit=1)
    table.open(opening("a"), 0.0)
    with pytest.raises(CapacityError) as refused:
        table.open(opening("b", manifest="other"), 0.0)
    assert refused.value.text == Text.CAPPED
    assert table.open(opening("a"), 1.0).session_id == "a"
    assert table.admits(opening("a"))
    assert not table.admits(opening("b", manifest="other"))


def test_a_limit_of_zero_admits_nobody() -> None:
    table = SessionTable(limit=0)
    assert not table.admits(opening("a"))
    with pytest.raises(CapacityError):
        table.open(opening("a"), 0.0)


def test_a_lower_limit_ends_nobody_and_opens_nobody() -> None:
    table = SessionTable(limit=2)
    table.open(opening("a"), 0.0)
    table.open(opening("b", manifest="other"), 0.0)
    table.set_limit(1)
    assert table.open_count == 2
    assert table.admits(opening("a"))
    assert table.continues(opening("c"))
    table.end(SessionId("a"))
    assert not table.admits(opening("d", manifest="new"))
    table.set_limit(2)
    assert table.admits(opening("d", manifest="new"))


def test_the_same_stream_under_a_new_token_takes_the_slot_of_the_old() -> None:
    table = SessionTable(limit=1)
    table.open(opening("old"), 0.0)
    table.open(opening("new"), 1.0)
    assert table.open_count == 1
    assert table.get(SessionId("old")) is None


def test_an_old_session_at_work_finishes_before_it_goes() -> None:
    table = SessionTable(limit=1)
    table.open(opening("old"), 0.0)
    working = table.started(SessionId("old"))
    table.open(opening("new"), 1.0)
    old = table.get(SessionId("old"))
    assert old is not None
    assert old.state is SessionState.SUPERSEDED
    assert table.open_count == 1
    assert table.finished(working, 2.0) == "old"
    assert table.get(SessionId("old")) is None


@pytest.mark.parametrize(
    "stranger",
    [
        opening("new", owner="somebody else"),
        opening("new", owner=None),
        opening("new", manifest="another stream"),
    ],
)
def test_nobody_takes_the_slot_of_a_stream_that_is_not_theirs(stranger: Opening) -> None:
    table = SessionTable(limit=1)
    table.open(opening("old"), 0.0)
    assert not table.admits(stranger)
    assert not table.continues(stranger)
    with pytest.raises(CapacityError):
        table.open(stranger, 1.0)


def test_alternating_tokens_never_hold_more_than_one_slot_and_one_finishing_session() -> None:
    table = SessionTable(limit=1)
    table.open(opening("a"), 0.0)
    table.started(SessionId("a"))
    table.open(opening("b"), 0.0)
    table.started(SessionId("b"))
    with pytest.raises(CapacityError):
        table.open(opening("c"), 0.0)


def test_idle_sessions_end_after_seventy_seconds_and_busy_ones_do_not() -> None:
    table = SessionTable(limit=2)
    table.open(opening("idle", manifest="1"), 0.0)
    table.open(opening("busy", manifest="2"), 0.0)
    table.started(SessionId("busy"))
    assert table.expire(IDLE_TIMEOUT_S - 0.1) == ()
    assert table.expire(IDLE_TIMEOUT_S) == ("idle",)
    assert table.get(SessionId("busy")) is not None


def test_a_full_node_answers_only_callers_whose_token_runs_out_and_once_per_stream() -> None:
    table = SessionTable(limit=1)
    table.open(opening("a", expires=1000), 0.0)
    assert not table.grant_refresh(caller="gateway", unix_now=500.0, now=0.0, refresh_s=180)
    assert not table.grant_refresh(caller="stranger", unix_now=900.0, now=0.0, refresh_s=180)
    assert table.grant_refresh(caller="gateway", unix_now=900.0, now=0.0, refresh_s=180)
    assert not table.grant_refresh(caller="gateway", unix_now=900.0, now=1.0, refresh_s=180)
    assert table.grant_refresh(caller="gateway", unix_now=900.0, now=31.0, refresh_s=180)


def test_a_refresh_that_led_to_its_session_leaves_the_next_stream_its_own() -> None:
    table = SessionTable(limit=2)
    table.open(opening("a", manifest="1", expires=1000), 0.0)
    table.open(opening("b", manifest="2", expires=1010), 0.0)
    assert table.grant_refresh(caller="gateway", unix_now=825.0, now=0.0, refresh_s=180)
    table.open(opening("a2", manifest="1", expires=2625), 1.0)
    assert table.grant_refresh(caller="gateway", unix_now=835.0, now=10.0, refresh_s=180)


def test_an_old_session_goes_with_the_last_of_its_segments_not_with_the_first() -> None:
    table = SessionTable(limit=1)
    table.open(opening("a"), 0.0)
    first, second = table.started(SessionId("a")), table.started(SessionId("a"))
    table.open(opening("b"), 1.0)
    assert table.finished(first, 2.0) is None
    assert table.get(SessionId("a")) is second
    assert table.finished(second, 3.0) == "a"
    assert table.get(SessionId("a")) is None


def test_seventy_seconds_run_from_the_end_of_the_last_segment() -> None:
    table = SessionTable(limit=1)
    table.open(opening("a"), 0.0)
    table.finished(table.started(SessionId("a")), 60.0)
    assert table.expire(60.0 + IDLE_TIMEOUT_S - 0.1) == ()
    assert table.expire(60.0 + IDLE_TIMEOUT_S) == ("a",)


def test_a_session_opened_again_does_not_count_the_work_of_its_former_life() -> None:
    table = SessionTable(limit=1)
    table.open(opening("a"), 0.0)
    former = table.started(SessionId("a"))
    table.end(SessionId("a"))
    again = table.open(opening("a"), 1.0)
    table.started(SessionId("a"))
    assert table.finished(former, 2.0) is None
    assert again.busy == 1


def test_moves_outside_the_table_raise() -> None:
    for state in SessionState:
        for to in SessionState:
            session = Session(
                session_id=SessionId("s"),
                manifest_id=ManifestId("m"),
                owner=None,
                token_expires_at=0,
                opened_at=0.0,
                last_used_at=0.0,
                state=state,
            )
            if (state, to) in SESSION_MOVES:
                session.move(to)
                assert session.state is to
            else:
                with pytest.raises(RuntimeError):
                    session.move(to)


class TableMachine(RuleBasedStateMachine):
    """Whatever gateways do in whatever order, the table keeps its promises."""

    LIMIT = 3

    def __init__(self) -> None:
        super().__init__()
        self.table = SessionTable(limit=self.LIMIT)
        self.now = 0.0
        self.running: list[Session] = []

    @rule(session=st.sampled_from("abcdefgh"), manifest=st.sampled_from("xy"), owner=st.sampled_from(["p", "q", None]))
    def segment(self, session: str, manifest: str, owner: str | None) -> None:
        row = opening(session, manifest=manifest, owner=owner)
        admitted = self.table.admits(row)
        try:
            self.table.open(row, self.now)
        except CapacityError:
            assert not admitted
            return
        assert admitted
        self.running.append(self.table.started(row.session_id))

    @rule()
    def finish(self) -> None:
        if self.running:
            self.table.finished(self.running.pop(0), self.now)

    @rule(session=st.sampled_from("abcdefgh"))
    def end(self, session: str) -> None:
        self.table.end(SessionId(session))

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.table.expire(self.now)

    @invariant()
    def never_more_open_than_the_limit(self) -> None:
        assert self.table.open_count <= self.LIMIT

    @invariant()
    def finishing_sessions_are_at_work_and_bounded(self) -> None:
        finishing = [s for s in self.table.sessions() if s.state is SessionState.SUPERSEDED]
        assert all(s.busy > 0 for s in finishing)
        assert all(s.busy >= 0 for s in self.table.sessions())


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
