"""What a media store keeps and for how long: the bookkeeping behind every store, without the bytes.

Pure state; times are arguments (monotonic seconds). The rules (video.md 6.2, 11.2 item 24):

- an object goes a grace period after it was first fetched, or after its session ended, or at the latest after
  ``max_age_s``, so that nothing stays for ever even when nobody ends a session;
- when room is needed, objects that were fetched or whose session ended go first, the longest in that state before the
  others; then the oldest of the rest; a session over its own count loses its own oldest;
- an object that comes after its session ended is kept for a grace period like any other. A gateway that ends a session
  may still wait for the answer of the segment that runs, and an idle session may come back under the same token;
  whether a segment is still taken is decided where turns are given, not here.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import takewhile

from baton.jobs.ports import StoreError
from baton.kernel.errors import Text
from baton.kernel.ids import SessionId

__all__ = ["Key", "Shelf", "ShelfLimits"]

Key = tuple[SessionId, str]
"""Session and object name."""


@dataclass(frozen=True, slots=True)
class ShelfLimits:
    """How much a store may hold; a session exists only while it has objects, so their number bounds it too."""

    total_bytes: int
    objects: int = 65_536
    objects_per_session: int = 2048
    grace_s: float = 60.0
    max_age_s: float = 600.0


@dataclass(slots=True, eq=False)
class _Entry:
    size_bytes: int
    since: float
    """When it was saved, or when it became spare."""

    def at(self, now: float) -> "_Entry":
        """The same entry, its time running from now."""
        self.since = now
        return self


@dataclass(slots=True)
class _SessionShelf:
    names: OrderedDict[str, None] = field(default_factory=OrderedDict)
    ended: bool = False


class Shelf:
    """The index of one store. Every method returns at once; keys returned are already forgotten."""

    def __init__(self, limits: ShelfLimits) -> None:
        """An empty shelf."""
        self._limits = limits
        self._wanted: OrderedDict[Key, _Entry] = OrderedDict()
        self._spare: OrderedDict[Key, _Entry] = OrderedDict()
        self._sessions: dict[SessionId, _SessionShelf] = {}
        self._bytes = 0

    @property
    def total_bytes(self) -> int:
        """Bytes of all objects."""
        return self._bytes

    def __len__(self) -> int:
        """Number of objects."""
        return len(self._wanted) + len(self._spare)

    def unfetched(self, *, since: float) -> int:
        """Objects of open sessions that came at ``since`` or later and that nobody has read yet."""
        return sum(1 for _ in takewhile(lambda entry: entry.since >= since, reversed(self._wanted.values())))

    def entry(self, key: Key) -> object | None:
        """Identity of what is kept under ``key``: another save makes another one."""
        return self._wanted.get(key) or self._spare.get(key)

    def put(self, key: Key, *, size_bytes: int, now: float) -> tuple[Key, ...]:
        """Take an object in, replacing one of the same name; returns the keys that had to go for it.

        Raises:
            StoreError: it is larger than all the room there is.
        """
        if size_bytes > self._limits.total_bytes:
            raise StoreError(Text.NO_MEMORY)
        self.drop(key)
        session_id, name = key
        evicted: list[Key] = []
        mine = self._sessions.get(session_id)
        if mine is not None and len(mine.names) >= self._limits.objects_per_session:
            evicted.append((session_id, next(iter(mine.names))))
            self.drop(evicted[-1])
        while len(self) >= self._limits.objects or self._bytes + size_bytes > self._limits.total_bytes:
            evicted.append(next(iter(self._spare or self._wanted)))
            self.drop(evicted[-1])
        mine = self._sessions.setdefault(session_id, _SessionShelf())
        mine.names[name] = None
        (self._spare if mine.ended else self._wanted)[key] = _Entry(size_bytes, now)
        self._bytes += size_bytes
        return tuple(evicted)

    def fetched(self, key: Key, *, now: float) -> None:
        """A peer read this object; its grace period runs from the first time."""
        entry = self._wanted.pop(key, None)
        if entry is not None:
            self._spare[key] = entry.at(now)

    def end_session(self, session_id: SessionId, *, now: float) -> None:
        """The grace period of everything in this session runs from now."""
        mine = self._sessions.get(session_id)
        if mine is None or mine.ended:
            return
        mine.ended = True
        for name in mine.names:
            key = (session_id, name)
            entry = self._wanted.pop(key, None) or self._spare.pop(key)
            self._spare[key] = entry.at(now)

    def drop(self, key: Key) -> None:
        """Forget an object, if it is there."""
        entry = self._wanted.pop(key, None) or self._spare.pop(key, None)
        if entry is None:
            return
        self._bytes -= entry.size_bytes
        session_id, name = key
        mine = self._sessions[session_id]
        del mine.names[name]
        if not mine.names:
            del self._sessions[session_id]

    def expire(self, now: float) -> tuple[Key, ...]:
        """Forget and name everything whose time is over. Both queues are in the order of their times."""
        gone: list[Key] = []
        for queue, lifetime_s in ((self._spare, self._limits.grace_s), (self._wanted, self._limits.max_age_s)):
            while queue:
                key = next(iter(queue))
                if now - queue[key].since < lifetime_s:
                    break
                gone.append(key)
                self.drop(key)
        return tuple(gone)
