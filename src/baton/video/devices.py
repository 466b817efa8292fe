"""The devices of this machine as one engine: who works where, what failed on which, and what is left when one fails.

A session works on one device until it is over (``video.balancer``). A segment that takes its engine along is tried once
more, on another device when one has room, so that a broken device costs it nothing but time; what happens there tells
whose fault it was (``video.health``). A device that is out of use leaves its sessions to the others, which take them
with their next segments as far as their limits allow; it is tried again after growing pauses and then takes its share
of new sessions (video.md 7.12, 11.2 item 18, 11.3 items 29 and 32).
"""

import asyncio
from collections.abc import Callable, Collection, Mapping

import structlog

from baton.kernel.clock import Clock
from baton.kernel.errors import CapacityError, EngineLostError, ExitCode, StartError, Text, TranscodeError
from baton.kernel.ids import SessionId, shown_session
from baton.kernel.metrics import Metrics
from baton.kernel.profiles import VideoProfile, session_cost_px_per_s
from baton.media.job import EngineReport, TranscodeOutput, TranscodeRequest
from baton.video.balancer import Balancer, DeviceLimits
from baton.video.care import DeviceCare, DeviceTimes
from baton.video.device import Device, DeviceEngine, DeviceView
from baton.video.fallbacks import Fallbacks
from baton.video.health import DeviceHealth, HealthLimits, QuarantineReason

__all__ = ["Devices"]

log = structlog.get_logger("baton.video")

_MIN_RETRY_S = 1.0
_TRIES_MOST = 2
_DEVICE_TEXTS = frozenset({Text.NO_SUCH_DEVICE, Text.INVALID_HARDWARE, Text.NO_MEMORY})
"""What an engine says in good order when its device is to blame; another one may still do the segment."""


class Devices:
    """Satisfies ``video.local.SegmentEngine`` and ``jobs.ports.EngineRoom``. Belongs to the event loop."""

    def __init__(
        self,
        *,
        engines: Mapping[str, DeviceEngine],
        limits: DeviceLimits,
        clock: Clock,
        metrics: Metrics,
        health: HealthLimits | None = None,
        times: DeviceTimes | None = None,
    ) -> None:
        """``engines`` by the names of their devices, in the order in which sessions are dealt out."""
        rules = health or HealthLimits()
        self._devices = {name: Device(name, engine, DeviceHealth(limits=rules)) for name, engine in engines.items()}
        self._balancer = Balancer(devices=tuple(engines), limits=limits)
        self._clock = clock
        self._metrics = metrics
        self._fallbacks = Fallbacks(metrics=metrics)
        self._watchers: list[Callable[[], None]] = []
        self._care = DeviceCare(
            devices=tuple(self._devices.values()),
            others_for=lambda device: self._somebody_else(0, {device.name}),
            in_use=lambda device: self._balancer.use(device.name).sessions > 0,
            gone=self._gone,
            changed=self._changed,
            times=times or DeviceTimes(),
            clock=clock,
            metrics=metrics,
        )
        self._publish()

    # What the operator and the rest of the node see.

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` whenever a device comes into use or goes out of it; it must be quick and must not raise."""
        self._watchers.append(watcher)

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self._devices)

    @property
    def usable(self) -> tuple[str, ...]:
        """Those that take segments."""
        return tuple(device.name for device in self._devices.values() if device.health.usable)

    @property
    def most_sessions(self) -> int | None:
        """Sessions that the limits of the usable devices allow; None without a limit by number."""
        each = self._balancer.limits.sessions
        return each * len(self.usable) if each else None

    @property
    def proven(self) -> Mapping[str, EngineReport]:
        """What each device that was ever in use proved when it came into it."""
        return {device.name: device.proven for device in self._devices.values() if device.proven is not None}

    @property
    def offer(self) -> tuple[int, ...]:
        """Capabilities that every usable device proved; empty while there is none."""
        sets = [frozenset(d.proven.capability_ids) for d in self._devices.values() if d.health.usable and d.proven]
        return tuple(sorted(frozenset.intersection(*sets))) if sets else ()

    @property
    def views(self) -> tuple[DeviceView, ...]:
        """Each of them."""
        return tuple(
            DeviceView(
                device.name,
                device.health.state.value,
                self._balancer.use(device.name).sessions,
                self._balancer.use(device.name).load_px_per_s,
                f"{device.health.reason.value}: {device.health.detail}" if device.health.reason else "",
            )
            for device in self._devices.values()
        )

    def condemn(self, name: str, detail: str) -> None:
        """The driver of a device calls it faulty; unknown names are fine."""
        if name in self._devices:
            self._care.condemn(self._devices[name], detail)

    def acquit(self, name: str) -> None:
        """The driver of a device finds it well again; unknown names are fine."""
        if name in self._devices:
            self._care.acquit(self._devices[name])

    # Sessions.

    @property
    def has_room(self) -> bool:
        """Whether a session nobody knows could find a device."""
        return self._balancer.has_room(self.usable)

    def admits(self, session_id: SessionId, profiles: tuple[VideoProfile, ...]) -> bool:
        """Whether a session with these profiles has a device, or would find one."""
        usable = self.usable
        return self._balancer.device_of(session_id) in usable or self._balancer.fits(
            session_cost_px_per_s(profiles), usable
        )

    def continue_session(self, before: SessionId, after: SessionId) -> None:
        """Session ``after`` goes on with the stream of ``before``, on its device."""
        self._balancer.succeed(before, after)
        self._publish()

    def end_session(self, session_id: SessionId) -> None:
        """A session is over: its load is released, and with it what its device kept for it (video.md 11.2 item 21)."""
        self._unseat(session_id)

    # Segments.

    async def transcode(
        self, request: TranscodeRequest, *, deadline_s: float, content_hash: bytes, stream_key: str
    ) -> TranscodeOutput:
        """Renditions from the session's device, or from another one when that one is lost over the segment.

        Raises:
            TranscodeError: the engine's text; ``ErrTranscoderUnavailable`` when every device is out of use.
            CapacityError: ``OrchestratorCapped`` when no device has room for the session; ``OrchestratorBusy``.
        """
        loop = asyncio.get_running_loop()
        deadline_at = loop.time() + deadline_s
        session = request.session_key or stream_key
        cost_px_per_s = session_cost_px_per_s(request.profiles)
        failed: dict[str, bool] = {}
        while True:
            reinit = request.force_reinit and not failed
            device = self._place(session, cost_px_per_s, reinit=reinit, without=failed)
            may_move = self._somebody_else(cost_px_per_s, {device.name, *failed})
            try:
                output = await device.engine.transcode(
                    request,
                    deadline_s=deadline_at - loop.time(),
                    content_hash=content_hash,
                    stream_key=stream_key,
                    tries=1 if may_move else _TRIES_MOST,
                )
            except TranscodeError as error:
                self._unseat(session)
                if not isinstance(error, EngineLostError) and error.text not in _DEVICE_TEXTS:
                    raise
                displaced = isinstance(error, EngineLostError) and error.displaced
                failed[device.name] = not displaced
                if not displaced:
                    self._care.doubt(device)
                left_s = deadline_at - loop.time()
                again = self._somebody_else(cost_px_per_s, set(failed))
                if len(failed) >= _TRIES_MOST or left_s < _MIN_RETRY_S or not again:
                    raise
                log.warning(
                    "segment goes to another device",
                    session=shown_session(SessionId(session)),
                    device=device.name,
                    reason=error.text,
                    detail=error.detail,
                    left_s=round(left_s, 1),
                )
            else:
                self._went_well(device, output, blamed=[name for name, at_fault in failed.items() if at_fault])
                return output

    def _place(self, session: str, cost_px_per_s: int, *, reinit: bool, without: Collection[str]) -> Device:
        """The device for a segment: one that is well, or one that is only suspected when those have no room."""
        usable = [name for name in self.usable if name not in without]
        if not usable:
            raise TranscodeError(Text.NO_TRANSCODER, detail=self.what_is_wrong)
        well = [name for name in usable if self._devices[name].is_well]
        seat = self._balancer.device_of(session)
        stays = seat in well and not reinit
        among = well if stays or self._balancer.fits(cost_px_per_s, well) else usable
        placement = self._balancer.place(session, cost_px_per_s=cost_px_per_s, among=among, reinit=reinit)
        if placement.left is not None:
            self._devices[placement.left].engine.release(session)
        self._publish()
        if placement.device is None:
            raise CapacityError(Text.CAPPED, detail=f"none of {len(among)} devices has room for {cost_px_per_s} px/s")
        return self._devices[placement.device]

    def _somebody_else(self, cost_px_per_s: int, without: Collection[str]) -> bool:
        """Whether a device beside these could take a segment now."""
        others = [name for name in self.usable if name not in without and self._devices[name].engine.alive]
        return self._balancer.fits(cost_px_per_s, others)

    def _unseat(self, session: str) -> None:
        """The session has no device any more; whatever one keeps of it goes."""
        device = self._balancer.end(session)
        if device is not None:
            self._devices[device].engine.release(session)
            self._publish()

    def _went_well(self, device: Device, output: TranscodeOutput, *, blamed: list[str]) -> None:
        """A segment went through; those on which it failed before are to blame for that."""
        device.health.succeeded(self._clock.monotonic())
        self._fallbacks.note(device.name, output.fallbacks)
        for name in blamed:
            other = self._devices[name]
            if other.health.is_at_fault():
                detail = f"segments failed in a row that went through on {device.name}"
                self._care.quarantine(other, QuarantineReason.FAULTS, detail)

    # Health.

    async def test(self, *, broken: Mapping[str, str]) -> None:
        """Try all devices at the same time, before the node takes work. ``broken`` did not even start, by reason.

        Raises:
            StartError: exit code ``ENGINE``: none works; the message has the reason of each.
        """
        await self._care.test(broken=broken)
        if not self.usable:
            raise StartError(self.what_is_wrong, exit_code=ExitCode.ENGINE)

    async def run(self) -> None:
        """Service body: look after the devices, until cancelled."""
        await self._care.run()

    def _gone(self, device: Device) -> tuple[str, ...]:
        lost = self._balancer.lose(device.name)
        self._publish()
        return lost

    @property
    def what_is_wrong(self) -> str:
        """Why nothing can be done, in the words of each device."""
        reasons = {d.name: d.health.detail for d in self._devices.values() if d.health.reason is not None}
        if self.total == 1:
            return next(iter(reasons.values()), "the engine is being given up")
        return "; ".join(f"{name}: {detail}" for name, detail in reasons.items()) or "every device failed on it"

    def _changed(self) -> None:
        for watcher in self._watchers:
            watcher()

    def _publish(self) -> None:
        for name in self._devices:
            use = self._balancer.use(name)
            self._metrics.set("device_sessions", use.sessions, device=name)
            self._metrics.set("device_load_px_per_s", use.load_px_per_s, device=name)
