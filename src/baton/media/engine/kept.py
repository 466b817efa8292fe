"""Encoders kept open between the segments of a stream, so that a card's sessions are not made anew every two seconds.

One that is kept belongs to one rendition of one stream and fits it alone: whatever shapes an encoder is part of its
key. It leaves the shelf when it is taken and comes back when its segment is done, so a failure loses it by itself.
Bounds: so many in all, the longest unused goes first, and none stays unused for longer than the network's session
timeout (video.md 7.12).
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from baton.kernel.clock import Clock, SystemClock
from baton.kernel.profiles import VideoProfile
from baton.media.engine.encoders.base import Picture
from baton.media.engine.encoders.opening import OpenEncoder
from baton.media.job import EncoderTuning

__all__ = ["IDLE_S", "MOST_KEPT", "EncoderKey", "KeptEncoders"]

IDLE_S = 70.0
"""A stream that sends nothing for so long has ended without telling (video.md 7.12)."""
MOST_KEPT = 64
"""In one process: six streams of ten renditions, more than cards have sessions for."""


@dataclass(frozen=True, slots=True)
class EncoderKey:
    """Whose an encoder is and what it was opened for."""

    session_key: str
    rendition: int
    """Index among the stream's renditions."""
    encoder: str
    """Our name of the encoder."""
    profile: VideoProfile
    picture: Picture
    tuning: EncoderTuning
    global_header: bool


@dataclass(frozen=True, slots=True)
class _Place:
    coder: OpenEncoder
    since_s: float


class KeptEncoders:
    """The shelf. Any thread."""

    def __init__(self, *, most: int = MOST_KEPT, idle_s: float = IDLE_S, clock: Clock | None = None) -> None:
        """Empty, with room for ``most``."""
        self._most = most
        self._idle_s = idle_s
        self._clock = clock or SystemClock()
        self._places: OrderedDict[EncoderKey, _Place] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._places)

    def take(self, key: EncoderKey, *, first_pts: int) -> OpenEncoder | None:
        """The encoder that fits, now the caller's; None when there is none.

        Encoders need rising times, so one that has seen a later frame than the next one is dropped: a stream whose
        clock wraps, or a segment that is done again.
        """
        with self._lock:
            place = self._places.pop(key, None)
        if place is None:
            return None
        if place.coder.last_pts is not None and place.coder.last_pts >= first_pts:
            place.coder.close()
            return None
        return place.coder

    def put(self, key: EncoderKey, coder: OpenEncoder) -> None:
        """Keep an encoder that rests; the shelf may close it whenever it likes."""
        with self._lock:
            replaced = self._places.pop(key, None)
            self._places[key] = _Place(coder, self._clock.monotonic())
            surplus = [self._places.popitem(last=False)[1] for _ in range(len(self._places) - self._most)]
        _close(surplus if replaced is None else [replaced, *surplus])

    def drop_idle(self) -> None:
        """Close those that nobody used for too long."""
        before_s = self._clock.monotonic() - self._idle_s
        self._drop(lambda _, place: place.since_s <= before_s)

    def drop_stream(self, session_key: str) -> int:
        """Close all of a stream; how many there were."""
        return self._drop(lambda key, _: key.session_key == session_key)

    def drop_encoder(self, encoder: str) -> int:
        """Close all of one kind, by our name of it; how many there were."""
        return self._drop(lambda key, _: key.encoder == encoder)

    def drop_others(self, session_key: str) -> int:
        """Close all but those of a stream, to make room on the device; how many there were."""
        return self._drop(lambda key, _: key.session_key != session_key)

    def drop_all(self) -> int:
        """Close all; how many there were."""
        return self._drop(lambda _key, _place: True)

    def _drop(self, goes: Callable[[EncoderKey, _Place], bool]) -> int:
        with self._lock:
            keys = [key for key, place in self._places.items() if goes(key, place)]
            places = [self._places.pop(key) for key in keys]
        _close(places)
        return len(places)


def _close(places: list[_Place]) -> None:
    """Outside of the lock: a driver may take its time."""
    for place in places:
        place.coder.close()
