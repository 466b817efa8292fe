"""Who keeps what: which child keeps the encoders of which stream open, and which of them it shall let go.

Pure state. An open encoder costs its device memory and one of the sessions that its driver allows, so a stream is kept
by one child at a time: a child that takes a stream over makes the former one let go of it. Nothing is forgotten before
the child has done so or is dead.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Holdings"]

_K = TypeVar("_K", bound=Hashable)


class Holdings(Generic[_K]):
    """Streams by the child that keeps them. Children of one pool; streams by their session key."""

    def __init__(self) -> None:
        """Nobody keeps anything."""
        self._keepers: dict[str, _K] = {}
        self._due: dict[_K, dict[str, None]] = {}

    def keeper(self, session_key: str) -> _K | None:
        """The child that keeps a stream."""
        return self._keepers.get(session_key)

    def kept(self, child: _K) -> int:
        """How many streams a child keeps, those it shall let go of included."""
        return sum(1 for keeper in self._keepers.values() if keeper == child) + len(self._due.get(child, ()))

    def due(self, child: _K) -> tuple[str, ...]:
        """What a child shall let go of, oldest first."""
        return tuple(self._due.get(child, ()))

    def takes(self, session_key: str, child: _K) -> _K | None:
        """``child`` works on the stream now and keeps it; returns the former keeper, which shall let go of it."""
        self.has_let_go(session_key, child)
        before = self._keepers.get(session_key)
        self._keepers[session_key] = child
        if before is None or before == child:
            return None
        self._due.setdefault(before, {})[session_key] = None
        return before

    def shall_let_go(self, session_key: str) -> _K | None:
        """The stream is over or went elsewhere; returns the child that must be told, if one keeps it."""
        child = self._keepers.pop(session_key, None)
        if child is not None:
            self._due.setdefault(child, {})[session_key] = None
        return child

    def has_let_go(self, session_key: str, child: _K) -> None:
        """Nothing of the stream is left in the child, or it is at work on it again."""
        due = self._due.get(child)
        if due is not None:
            due.pop(session_key, None)
            if not due:
                del self._due[child]

    def forget(self, child: _K) -> None:
        """A child is dead, and with it whatever it kept."""
        self._due.pop(child, None)
        for session_key in [key for key, keeper in self._keepers.items() if keeper == child]:
            del self._keepers[session_key]
