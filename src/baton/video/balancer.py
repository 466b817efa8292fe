"""The balancer: which device of this machine a session works on (video.md 7.12).

Pure state: devices by name in a fixed order, a load for each in requested pixels per second, a map of sessions. A new
session goes to the device with the strictly smallest load, looked for from a starting point that moves on by one with
every choice, and stays there. Its cost is fixed when it is placed. Whoever asks says which devices may be used now;
limits per device are kept whatever happens, so that a lost device never drowns the others.
"""

from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["Balancer", "DeviceLimits", "DeviceUse", "Placement"]


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """What one device takes at most; 0 is no limit."""

    sessions: int = 0
    px_per_s: int = 0
    """Sum of the costs of its sessions, in requested pixels per second."""


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """What a device carries now."""

    sessions: int = 0
    load_px_per_s: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a session is now; ``device`` None means that no device has room for it."""

    device: str | None
    left: str | None = None
    """The device that it was moved away from, which may let go of what it kept."""


@dataclass(frozen=True, slots=True)
class _Seat:
    device: str
    cost_px_per_s: int
    counted: bool = True
    """False for a session that only finishes what it has, after another took its seat over."""


class Balancer:
    """Sessions on devices."""

    def __init__(self, *, devices: tuple[str, ...], limits: DeviceLimits) -> None:
        """``devices`` are names in the order in which they are scanned, at least one."""
        self._devices = devices
        self._limits = limits
        self._seats: dict[str, _Seat] = {}
        self._uses = dict.fromkeys(devices, DeviceUse())
        self._start = 0

    @property
    def limits(self) -> DeviceLimits:
        """What every device takes."""
        return self._limits

    def use(self, device: str) -> DeviceUse:
        """What a device carries."""
        return self._uses[device]

    def device_of(self, session: str) -> str | None:
        """Where a session is, if anywhere."""
        seat = self._seats.get(session)
        return seat.device if seat is not None else None

    def place(self, session: str, *, cost_px_per_s: int, among: Collection[str], reinit: bool = False) -> Placement:
        """The device for the next segment of a session; ``among`` may be used.

        A session that has a place keeps it, and with it the cost it came with, unless its device may not be used or
        ``reinit`` asks for a fresh start: then it moves to the device with the least load, its own load left out of
        the comparison and moved along.
        """
        seat = self._seats.get(session)
        if seat is not None and seat.device in among and not reinit:
            return Placement(seat.device)
        if seat is None:
            device = self._choose(cost_px_per_s, among)
            if device is not None:
                self._sit(session, _Seat(device, cost_px_per_s))
            return Placement(device)
        self._rise(session)
        device = self._choose(seat.cost_px_per_s, among, counted=seat.counted)
        if device is None:
            return Placement(None, left=seat.device)
        self._sit(session, _Seat(device, seat.cost_px_per_s, counted=seat.counted))
        return Placement(device, left=seat.device if seat.device != device else None)

    def end(self, session: str) -> str | None:
        """A session is over, or failed: its load is released. Returns where it was; unknown ones are fine."""
        return self._rise(session)

    def lose(self, device: str) -> tuple[str, ...]:
        """A device is gone: its sessions have no place any more. Returns them."""
        lost = tuple(session for session, seat in self._seats.items() if seat.device == device)
        for session in lost:
            self._rise(session)
        return lost

    def succeed(self, before: str, after: str) -> None:
        """Session ``after`` continues the stream of ``before`` and takes its place, cost included.

        ``before`` may still finish on the same device what it has, without counting (video.md 11.2 item 13).
        """
        seat = self._seats.get(before)
        if seat is None or before == after:
            return
        self._rise(before)
        self._rise(after)
        self._sit(after, seat)
        self._sit(before, _Seat(seat.device, 0, counted=False))

    def has_room(self, among: Collection[str]) -> bool:
        """Whether a session could find a place, were it small enough."""
        return self.fits(0, among)

    def fits(self, cost_px_per_s: int, among: Collection[str]) -> bool:
        """Whether a session of this cost would find a place."""
        return any(self._takes(device, cost_px_per_s) for device in among)

    def _choose(self, cost_px_per_s: int, among: Collection[str], *, counted: bool = True) -> str | None:
        """The first device with strictly the smallest load, from the moving start; None when none has room."""
        chosen: str | None = None
        for step in range(len(self._devices)):
            device = self._devices[(self._start + step) % len(self._devices)]
            if device not in among or (counted and not self._takes(device, cost_px_per_s)):
                continue
            if chosen is None or self._uses[device].load_px_per_s < self._uses[chosen].load_px_per_s:
                chosen = device
        if chosen is not None:
            self._start = (self._start + 1) % len(self._devices)
        return chosen

    def _takes(self, device: str, cost_px_per_s: int) -> bool:
        use, limits = self._uses[device], self._limits
        if limits.sessions and use.sessions >= limits.sessions:
            return False
        if not limits.px_per_s:
            return True
        # A session without a cost is let in only while there is room for one that has some.
        return use.load_px_per_s + max(cost_px_per_s, 1) <= limits.px_per_s

    def _sit(self, session: str, seat: _Seat) -> None:
        self._seats[session] = seat
        if seat.counted:
            use = self._uses[seat.device]
            self._uses[seat.device] = DeviceUse(use.sessions + 1, use.load_px_per_s + seat.cost_px_per_s)

    def _rise(self, session: str) -> str | None:
        seat = self._seats.pop(session, None)
        if seat is None:
            return None
        if seat.counted:
            use = self._uses[seat.device]
            self._uses[seat.device] = DeviceUse(use.sessions - 1, use.load_px_per_s - seat.cost_px_per_s)
        return seat.device
