"""The life of a node: every move of the table, and no other."""

import itertools

import pytest

from baton.jobs.gate import Gate
from baton.node.drain import MOVES, Drain, DrainState, IllegalMoveError

S = DrainState
PATHS = {
    S.STARTING: (),
    S.SERVING: (S.SERVING,),
    S.DRAINING: (S.SERVING, S.DRAINING),
    S.CLOSING: (S.CLOSING,),
    S.STOPPED: (S.STOPPED,),
}
ALLOWED = {
    (S.STARTING, S.SERVING),
    (S.STARTING, S.CLOSING),
    (S.STARTING, S.STOPPED),
    (S.SERVING, S.DRAINING),
    (S.SERVING, S.CLOSING),
    (S.SERVING, S.STOPPED),
    (S.DRAINING, S.SERVING),
    (S.DRAINING, S.CLOSING),
    (S.DRAINING, S.STOPPED),
    (S.CLOSING, S.STOPPED),
}


def drain_in(state: DrainState) -> Drain:
    drain = Drain()
    for step in PATHS[state]:
        drain.move(step)
    assert drain.state is state
    return drain


@pytest.mark.parametrize(("before", "after"), list(itertools.product(S, S)))
def test_exactly_the_moves_of_the_table_are_allowed(before: DrainState, after: DrainState) -> None:
    drain = drain_in(before)
    if (before, after) in ALLOWED:
        assert drain.may_move(after)
        drain.move(after)
        assert drain.state is after
    else:
        assert not drain.may_move(after)
        with pytest.raises(IllegalMoveError, match=f"{before.value} cannot become {after.value}"):
            drain.move(after)
        assert drain.state is before


def test_every_state_has_a_row_in_the_table() -> None:
    assert set(MOVES) == set(S)


@pytest.mark.parametrize(
    ("state", "sessions", "segments"),
    [
        (S.STARTING, False, False),
        (S.SERVING, True, True),
        (S.DRAINING, False, True),
        (S.CLOSING, False, False),
        (S.STOPPED, False, False),
    ],
)
def test_what_is_taken_in_each_state(state: DrainState, *, sessions: bool, segments: bool) -> None:
    gate: Gate = drain_in(state)
    assert (gate.takes_sessions, gate.takes_segments) == (sessions, segments)


def test_watchers_hear_each_move_and_no_refused_one() -> None:
    drain = Drain()
    heard: list[DrainState] = []
    drain.watch(heard.append)
    drain.move(S.SERVING)
    with pytest.raises(IllegalMoveError):
        drain.move(S.STARTING)
    drain.move(S.DRAINING)
    assert heard == [S.SERVING, S.DRAINING]
