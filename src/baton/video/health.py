"""The health of one device: what speaks against it, when it is out of use, and when it is tried again.

Pure state: no clock, times are arguments (monotonic seconds). A segment that fails says little by itself, since the
segment may be to blame. So there are two judges:

- another device: what failed here and went through there was this device's fault, and so many of those in a row,
  without a success in between, put it out of use;
- the probe: after any failure the device is asked to prove itself, not more often than every so often, and is out of
  use when it cannot. While the question is open it is spared if others can do its work.

A poisoned segment fails everywhere and passes no blame; a device that a poisoned stream made look bad proves itself.
"""

from dataclasses import dataclass
from enum import Enum

__all__ = ["DEVICE_MOVES", "DeviceHealth", "DeviceState", "HealthLimits", "QuarantineReason"]


class DeviceState(Enum):
    """Whether a device is used."""

    UNTESTED = "untested"
    """Nobody has tried it yet."""
    HEALTHY = "healthy"
    """It works."""
    SUSPECT = "suspect"
    """Something failed on it, and it is being asked to prove itself; used only when no healthy one has room."""
    QUARANTINED = "quarantined"
    """It is out of use, and tried again after a while."""


_S = DeviceState

DEVICE_MOVES: frozenset[tuple[DeviceState, DeviceState]] = frozenset(
    {
        (_S.UNTESTED, _S.HEALTHY),
        (_S.UNTESTED, _S.QUARANTINED),
        (_S.HEALTHY, _S.SUSPECT),
        (_S.HEALTHY, _S.QUARANTINED),
        (_S.SUSPECT, _S.HEALTHY),
        (_S.SUSPECT, _S.QUARANTINED),
        (_S.QUARANTINED, _S.HEALTHY),
    }
)
"""Every allowed change of state."""


class QuarantineReason(Enum):
    """Why a device is out of use; a metric label."""

    START = "start"
    """It did not work when the node started."""
    FAULTS = "faults"
    """Segments failed on it that went through on another device."""
    PROBE = "probe"
    """It was asked to prove itself and could not."""
    CARD = "card"
    """Its driver says that something is wrong with the card."""
    NO_ENGINE = "no_engine"
    """Its engine children do not come up."""


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """When a device goes out of use, and for how long."""

    faults_most: int = 3
    """Faults of its own in a row that put it out of use without a further question."""
    asked_every_s: float = 30.0
    """Least time from one proof to the next."""
    absent_s: float = 10.0
    """A device without a living engine child for this long is out of use."""
    pause_first_s: float = 5.0
    pause_most_s: float = 300.0
    """Pauses before a quarantined device is tried again: doubling from the first to the most."""
    calm_s: float = 600.0
    """A device that was well for this long has its earlier quarantines forgotten, and starts with short pauses."""


class DeviceHealth:
    """One device's state and what speaks against it."""

    def __init__(self, *, limits: HealthLimits) -> None:
        """Nobody has tried it yet."""
        self._limits = limits
        self.state = DeviceState.UNTESTED
        self.reason: QuarantineReason | None = None
        """Why it is out of use."""
        self.detail = ""
        """The same for the operator, in words."""
        self.try_again_at = 0.0
        """When a quarantined device is tried again."""
        self.well_since = 0.0
        """When it last did something right; what failed on it since then was perhaps its own fault."""
        self._faults = 0
        self._pauses = 0
        self._asked_at: float | None = None
        self._recovered_at = 0.0
        self._absent_since: float | None = None

    @property
    def usable(self) -> bool:
        """Whether segments may go there."""
        return self.state in {DeviceState.HEALTHY, DeviceState.SUSPECT}

    def works(self, now: float) -> None:
        """It passed its test: at the start, after a doubt, or after a quarantine.

        After a doubt nothing is forgotten: a test is a small thing, and work that fails all the same must count.
        """
        before = self.state
        self._move(DeviceState.HEALTHY)
        if before is DeviceState.SUSPECT:
            return
        self.reason, self.detail = None, ""
        self._faults = 0
        self._recovered_at = self.well_since = now

    def succeeded(self, now: float) -> None:
        """A segment went through."""
        self._faults = 0
        self.well_since = now
        if self._pauses and now - self._recovered_at >= self._limits.calm_s:
            self._pauses = 0

    def is_at_fault(self) -> bool:
        """A segment failed here and went through elsewhere; True when that was once too often."""
        self._faults += 1
        return self.usable and self._faults >= self._limits.faults_most

    def shall_prove_itself(self, now: float) -> bool:
        """Something failed on it; True when it is to be asked, which makes it suspect until it has answered."""
        if self.state is not DeviceState.HEALTHY:
            return False
        if self._asked_at is not None and now - self._asked_at < self._limits.asked_every_s:
            return False
        self._asked_at = now
        self._move(DeviceState.SUSPECT)
        return True

    def gave_no_answer(self) -> None:
        """It had no time to prove itself: it stays in use, and is asked again when something else fails."""
        self._move(DeviceState.HEALTHY)

    def seen(self, *, children: int, now: float) -> bool:
        """How many of its children live; True when it was without any for too long."""
        if children or not self.usable:
            self._absent_since = None
            return False
        if self._absent_since is None:
            self._absent_since = now
        return now - self._absent_since >= self._limits.absent_s

    def quarantine(self, reason: QuarantineReason, detail: str, now: float) -> None:
        """Out of use from now on."""
        self._move(DeviceState.QUARANTINED)
        self.reason, self.detail = reason, detail
        self._faults = 0
        self._absent_since = None
        self._put_off(now)

    def still_broken(self, detail: str, now: float) -> None:
        """It was tried again in vain."""
        self.detail = detail
        self._put_off(now)

    def _put_off(self, now: float) -> None:
        pause_s = self._limits.pause_first_s * 2.0 ** min(self._pauses, 32)
        self.try_again_at = now + min(pause_s, self._limits.pause_most_s)
        self._pauses += 1

    def _move(self, to: DeviceState) -> None:
        if (self.state, to) not in DEVICE_MOVES:
            message = f"no move from {self.state.value} to {to.value}"
            raise RuntimeError(message)
        self.state = to
