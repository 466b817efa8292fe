"""A bounded channel between the decoding thread and one rendition's thread.

Either side can end it at any moment without the other hanging: the reader by failing, the writer by giving up.
"""

from collections import deque
from collections.abc import Iterator
from threading import Condition
from typing import Generic, TypeVar

__all__ = ["Channel", "ChannelAborted"]

_T = TypeVar("_T")


class ChannelAborted(Exception):  # noqa: N818 -- not an error: the work is simply not wanted any more
    """The writer gave up; what was read so far is worth nothing."""


class Channel(Generic[_T]):
    """First in, first out, at most ``limit`` items at a time; one writer, one reader."""

    def __init__(self, *, limit: int) -> None:
        """``limit`` is at least 1."""
        self._limit = limit
        self._items: deque[_T] = deque()
        self._changed = Condition()
        self._ended = False
        self._aborted = False
        self._deaf = False

    def put(self, item: _T) -> bool:
        """Wait for room and hand over ``item``; False when the reader is gone."""
        with self._changed:
            while len(self._items) >= self._limit and not self._deaf:
                self._changed.wait()
            if self._deaf:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def end(self) -> None:
        """No more items will come; the reader finishes what is there."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Nothing is wanted any more: the reader's next read raises ``ChannelAborted``. Too late after ``end``."""
        with self._changed:
            if not self._ended:
                self._aborted = True
                self._items.clear()
            self._changed.notify_all()

    def hang_up(self) -> None:
        """The reader is done, in whatever way; the writer never waits for it again."""
        with self._changed:
            self._deaf = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[_T]:
        """Items until the end; raises ``ChannelAborted``."""
        while True:
            with self._changed:
                while not (self._items or self._ended or self._aborted):
                    self._changed.wait()
                if self._aborted:
                    raise ChannelAborted
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
