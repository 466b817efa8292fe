"""The session table: which streams hold a slot, who took over whose, and who has been silent for too long.

Pure state: no clock, no waiting, no logging; times are arguments (monotonic seconds for use, Unix seconds for token
expiry). A session opens with its first segment and lasts until its gateway ends it or 70 s pass without one.

A gateway refreshes its token after 27 minutes and goes on under a new session id. The new session takes the slot of
the old one at once when both belong to the same caller and stream; the old one finishes what it has and closes
(video.md 11.2 item 13). Without this, every refresh would cost a second slot, and a full node would lose its streams.
"""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from baton.kernel.errors import CapacityError, Text
from baton.kernel.ids import ManifestId, SessionId

__all__ = ["IDLE_TIMEOUT_S", "SESSION_MOVES", "Opening", "Session", "SessionState", "SessionTable"]

IDLE_TIMEOUT_S = 70.0
"""A session without a segment for this long is over."""

_REFRESH_GRANT_S = 30.0


class SessionState(Enum):
    """Where a session is in its life."""

    OPEN = "open"
    """Holds a slot and takes segments."""
    SUPERSEDED = "superseded"
    """Its slot moved to the session that continues the stream; it only finishes what it has."""
    ENDED = "ended"
    """Gone from the table."""


SESSION_MOVES: frozenset[tuple[SessionState, SessionState]] = frozenset(
    {
        (SessionState.OPEN, SessionState.SUPERSEDED),
        (SessionState.OPEN, SessionState.ENDED),
        (SessionState.SUPERSEDED, SessionState.OPEN),
        (SessionState.SUPERSEDED, SessionState.ENDED),
    }
)
"""Every allowed change of state. A superseded session opens again when its gateway goes back to it."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the first segment of a session tells: ``owner`` is the caller if it also obtained the token, else None."""

    session_id: SessionId
    manifest_id: ManifestId
    owner: str | None
    token_expires_at: int


@dataclass(slots=True)
class Session:
    """One row. ``busy`` counts segments that run or wait."""

    session_id: SessionId
    manifest_id: ManifestId
    owner: str | None
    token_expires_at: int
    opened_at: float
    last_used_at: float
    state: SessionState = SessionState.OPEN
    busy: int = 0
    continues: SessionId | None = None
    """The session whose stream it went on with when it opened last."""

    def move(self, to: SessionState) -> None:
        """Change state; a move that is not in the table is a bug and raises."""
        if (self.state, to) not in SESSION_MOVES:
            message = f"session {self.session_id}: no move from {self.state.value} to {to.value}"
            raise RuntimeError(message)
        self.state = to


class SessionTable:
    """All sessions of the node, at most ``limit`` of them open."""

    def __init__(self, *, limit: int, idle_timeout_s: float = IDLE_TIMEOUT_S) -> None:
        """``limit`` counts open sessions; superseded ones that still work come on top, one per open session."""
        self._limit = limit
        self._share = Fraction(1)
        self._most: int | None = None
        self._idle_timeout_s = idle_timeout_s
        self._sessions: dict[SessionId, Session] = {}
        self._grants: dict[str, list[float]] = {}

    @property
    def limit(self) -> int:
        """Most sessions that may be open at once."""
        return self._limit

    def set_limit(self, limit: int) -> None:
        """Change the limit. Open sessions stay; while more are open than it allows, no further one opens."""
        self._limit = limit

    def set_capacity(self, *, share: Fraction, most: int | None) -> None:
        """How much of the machine works, and how many sessions that part takes at most; None is no such limit."""
        self._share = share
        self._most = most

    @property
    def room(self) -> int:
        """The limit in force: the operator's, scaled to what works. A part that works takes one session at least."""
        if self._share <= 0:
            return 0
        scaled = max(1, int(self._limit * self._share)) if self._limit else 0
        return scaled if self._most is None else min(scaled, self._most)

    @property
    def open_count(self) -> int:
        """Sessions that hold a slot."""
        return sum(1 for s in self._sessions.values() if s.state is SessionState.OPEN)

    def sessions(self) -> tuple[Session, ...]:
        """Every row, open or finishing."""
        return tuple(self._sessions.values())

    def get(self, session_id: SessionId) -> Session | None:
        """The row of a session, if it is in the table."""
        return self._sessions.get(session_id)

    def is_open(self, session_id: SessionId) -> bool:
        """Whether this session holds a slot."""
        session = self._sessions.get(session_id)
        return session is not None and session.state is SessionState.OPEN

    @property
    def has_room(self) -> bool:
        """Whether a session nobody knows could open now."""
        return self.open_count < self.room

    def admits(self, opening: Opening) -> bool:
        """Whether a segment of this session could be taken now: it is open, there is room, or it continues a stream."""
        return self.has_room or self.continues(opening)

    def continues(self, opening: Opening) -> bool:
        """Whether this session goes on with a stream that already runs here: the only kind a node in drain takes."""
        known = self._sessions.get(opening.session_id)
        if known is not None and known.state is SessionState.OPEN:
            return True
        return self._predecessor(opening) is not None

    def open(self, opening: Opening, now: float) -> Session:
        """The row for a segment's session, opened or re-opened when need be.

        Raises:
            CapacityError: the table is full and the session continues no stream of its caller.
        """
        known = self._sessions.get(opening.session_id)
        if known is not None and known.state is SessionState.OPEN:
            known.last_used_at = now
            return known
        predecessor = self._predecessor(opening)
        if predecessor is None and not self.has_room:
            raise CapacityError(Text.CAPPED, detail=f"{self.open_count} of {self.room} sessions open")
        if predecessor is not None:
            self._supersede(predecessor)
        if known is not None:
            known.move(SessionState.OPEN)
            known.last_used_at = now
            known.continues = predecessor.session_id if predecessor is not None else None
            return known
        session = Session(
            continues=predecessor.session_id if predecessor is not None else None,
            session_id=opening.session_id,
            manifest_id=opening.manifest_id,
            owner=opening.owner,
            token_expires_at=opening.token_expires_at,
            opened_at=now,
            last_used_at=now,
        )
        self._sessions[opening.session_id] = session
        if opening.owner is not None and self._grants.get(opening.owner):
            self._grants[opening.owner].pop(0)
        return session

    def started(self, session_id: SessionId) -> Session:
        """A segment of this session waits or runs; the row it belongs to is what ``finished`` wants back."""
        session = self._sessions[session_id]
        session.busy += 1
        return session

    def finished(self, session: Session, now: float) -> SessionId | None:
        """A segment is done; returns the session's id when that closed it (it had been superseded and is now idle).

        ``session`` is the very row that ``started`` gave: a session may have been ended and opened again meanwhile,
        and the new row must not count the old row's work.
        """
        session.busy -= 1
        session.last_used_at = now
        if session.state is SessionState.SUPERSEDED and session.busy == 0:
            return self.end(session.session_id)
        return None

    def end(self, session_id: SessionId) -> SessionId | None:
        """Remove a session; returns its id, or None when nobody knew it."""
        session = self._sessions.pop(session_id, None)
        if session is None:
            return None
        session.move(SessionState.ENDED)
        return session_id

    def expire(self, now: float) -> tuple[SessionId, ...]:
        """Remove and name the sessions that have been idle for too long. A session at work is never idle."""
        idle = [
            s.session_id
            for s in self._sessions.values()
            if s.busy == 0 and now - s.last_used_at >= self._idle_timeout_s
        ]
        for session_id in idle:
            self.end(session_id)
        for owner in [o for o, grants in self._grants.items() if not self._live_grants(grants, now)]:
            del self._grants[owner]
        return tuple(idle)

    def may_refresh(self, *, caller: str, unix_now: float, now: float, refresh_s: int) -> bool:
        """Whether a full node still answers this caller, because one of its streams needs a new token.

        As many answers are granted as the caller has open sessions with less than ``refresh_s`` seconds of token
        left; a grant that leads to no session lapses after 30 s, so that a lost answer can be asked for again.
        """
        due = sum(
            1
            for s in self._sessions.values()
            if s.state is SessionState.OPEN and s.owner == caller and s.token_expires_at - unix_now < refresh_s
        )
        return len(self._live_grants(self._grants.get(caller, []), now)) < due

    def grant_refresh(self, *, caller: str, unix_now: float, now: float, refresh_s: int) -> bool:
        """Take one of the grants that ``may_refresh`` speaks of; False when there is none."""
        if not self.may_refresh(caller=caller, unix_now=unix_now, now=now, refresh_s=refresh_s):
            return False
        self._grants[caller] = [*self._live_grants(self._grants.get(caller, []), now), now]
        return True

    @staticmethod
    def _live_grants(grants: list[float], now: float) -> list[float]:
        return [at for at in grants if now - at < _REFRESH_GRANT_S]

    def _predecessor(self, opening: Opening) -> Session | None:
        """The open session of the same caller and stream that this one would continue.

        None as well when an older one still works on its last segments: a stream never holds more than one slot and
        one finishing session, so alternating between tokens gains nobody capacity.
        """
        if opening.owner is None:
            return None
        same = [
            s
            for s in self._sessions.values()
            if s.owner == opening.owner and s.manifest_id == opening.manifest_id and s.session_id != opening.session_id
        ]
        if any(s.state is SessionState.SUPERSEDED and s.busy for s in same):
            return None
        return next((s for s in same if s.state is SessionState.OPEN), None)

    def _supersede(self, session: Session) -> None:
        session.move(SessionState.SUPERSEDED)
        if session.busy == 0:
            self.end(session.session_id)
