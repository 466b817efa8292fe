"""Starting, serving, draining, closing, stopped: the life of a node as one table, and what it takes in each state.

Pure state, touched from the event loop only. Satisfies ``jobs.gate.Gate``. A draining node answers new streams as a
full one does and goes on with those it has (video.md 11.2 item 14); a closing node takes nothing and only finishes.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType

__all__ = ["MOVES", "Drain", "DrainState", "IllegalMoveError"]


class DrainState(Enum):
    """Where in its life the node is."""

    STARTING = "starting"
    """Services come up; nothing is taken yet."""
    SERVING = "serving"
    """Everything is taken."""
    DRAINING = "draining"
    """No new streams; those that run go on. The operator may turn back to serving."""
    CLOSING = "closing"
    """Nothing new at all; work in hand is finished. No way back."""
    STOPPED = "stopped"
    """Services have been told to stop."""


_S = DrainState

MOVES: Mapping[DrainState, frozenset[DrainState]] = MappingProxyType(
    {
        _S.STARTING: frozenset({_S.SERVING, _S.CLOSING, _S.STOPPED}),
        _S.SERVING: frozenset({_S.DRAINING, _S.CLOSING, _S.STOPPED}),
        _S.DRAINING: frozenset({_S.SERVING, _S.CLOSING, _S.STOPPED}),
        _S.CLOSING: frozenset({_S.STOPPED}),
        _S.STOPPED: frozenset(),
    }
)
"""Every allowed move; anything else raises."""

_TAKES_SESSIONS = frozenset({_S.SERVING})
_TAKES_SEGMENTS = frozenset({_S.SERVING, _S.DRAINING})


class IllegalMoveError(Exception):
    """A move that the table does not have."""

    def __init__(self, before: DrainState, after: DrainState) -> None:
        """Both states, for the log or the operator's answer."""
        super().__init__(f"a node that is {before.value} cannot become {after.value}")
        self.before = before
        self.after = after


class Drain:
    """The node's state and those who want to know when it changes."""

    def __init__(self) -> None:
        """A node begins by starting."""
        self._state = DrainState.STARTING
        self._watchers: list[Callable[[DrainState], None]] = []

    @property
    def state(self) -> DrainState:
        """The state now."""
        return self._state

    @property
    def takes_sessions(self) -> bool:
        """Whether a stream nobody knows may start here."""
        return self._state in _TAKES_SESSIONS

    @property
    def takes_segments(self) -> bool:
        """Whether a stream that runs here may go on."""
        return self._state in _TAKES_SEGMENTS

    def may_move(self, after: DrainState) -> bool:
        """Whether the table has the move from here."""
        return after in MOVES[self._state]

    def move(self, after: DrainState) -> None:
        """Change the state and tell the watchers.

        Raises:
            IllegalMoveError: the table has no such move.
        """
        if after not in MOVES[self._state]:
            raise IllegalMoveError(self._state, after)
        self._state = after
        for watcher in self._watchers:
            watcher(after)

    def watch(self, watcher: Callable[[DrainState], None]) -> None:
        """Call ``watcher`` after each change; it must be quick and must not raise."""
        self._watchers.append(watcher)
