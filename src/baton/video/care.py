"""The care of devices: tested when the node starts, asked when in doubt, put out of use, and tried again.

Decides nothing by itself: ``video.health`` does. One task per device does all its waiting, so that a device that hangs
in its test holds up no other (video.md 11.3 item 32).
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog

from baton.kernel.clock import Clock
from baton.kernel.errors import CapacityError, StartError
from baton.kernel.metrics import Metrics
from baton.media.job import EngineReport
from baton.video.device import Device, lacks
from baton.video.health import DeviceState, QuarantineReason

__all__ = ["DeviceCare", "DeviceTimes"]

log = structlog.get_logger("baton.video")


@dataclass(frozen=True, slots=True)
class DeviceTimes:
    """How long a device may take to prove itself, and how often somebody looks."""

    first_proof_s: float = 100.0
    """At the start of the node."""
    proof_s: float = 60.0
    """Later, when nothing else could do its work: a machine in trouble is slow."""
    proof_with_others_s: float = 15.0
    """Later, when others can."""
    look_every_s: float = 0.5


class DeviceCare:
    """Keeps all devices of a node in use, or out of it. Belongs to the event loop."""

    def __init__(
        self,
        *,
        devices: tuple[Device, ...],
        others_for: Callable[[Device], bool],
        in_use: Callable[[Device], bool],
        gone: Callable[[Device], tuple[str, ...]],
        changed: Callable[[], None],
        times: DeviceTimes,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """``others_for``: whether others could do a device's work. ``in_use``: whether it has sessions now.

        ``gone`` takes its sessions away and names them.
        """
        self._devices = devices
        self._others_for = others_for
        self._in_use = in_use
        self._gone = gone
        self._changed = changed
        self._times = times
        self._clock = clock
        self._metrics = metrics
        for device in devices:
            metrics.set("device_healthy", 0, device=device.name)
            for reason in QuarantineReason:
                metrics.add("device_quarantines_total", 0, device=device.name, reason=reason.value)

    def doubt(self, device: Device) -> None:
        """Something failed on it: have it prove itself."""
        if device.health.shall_prove_itself(self._clock.monotonic()):
            device.news.set()

    def condemn(self, device: Device, detail: str) -> None:
        """Its driver calls it faulty: out of use until it is acquitted, and not tried before."""
        device.condemned = True
        if device.health.state is not DeviceState.QUARANTINED:
            self.quarantine(device, QuarantineReason.CARD, detail)

    def acquit(self, device: Device) -> None:
        """Its driver finds it well again: it is tried when its pause is over."""
        device.condemned = False
        device.news.set()

    async def test(self, *, broken: Mapping[str, str]) -> None:
        """Try all devices at the same time, before the node takes work. ``broken`` did not even start, by reason."""
        async with asyncio.TaskGroup() as group:
            for device in self._devices:
                if device.condemned:
                    continue
                if device.name in broken:
                    self.quarantine(device, QuarantineReason.START, broken[device.name])
                else:
                    group.create_task(self._test_one(device))
        self._changed()

    async def _test_one(self, device: Device) -> None:
        try:
            report = await device.engine.probe(within_s=self._times.first_proof_s)
        except (StartError, CapacityError) as error:
            if not device.condemned:
                self.quarantine(device, QuarantineReason.START, str(error))
        else:
            if not device.condemned:
                self._welcome(device, report)

    async def run(self) -> None:
        """Service body: have suspects prove themselves and try again what is out of use, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for device in self._devices:
                group.create_task(self._watch(device))

    async def _watch(self, device: Device) -> None:
        health = device.health
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._times.look_every_s):
                    await device.news.wait()
            device.news.clear()
            now = self._clock.monotonic()
            if health.state is DeviceState.SUSPECT:
                await self._judge(device)
            elif health.state is DeviceState.QUARANTINED:
                if now >= health.try_again_at and not device.condemned:
                    await self._try_again(device)
            elif health.seen(children=device.engine.alive, now=now):
                self.quarantine(device, QuarantineReason.NO_ENGINE, "its engine children do not come up")

    async def _judge(self, device: Device) -> None:
        """A suspect proves itself, or goes out of use."""
        try:
            report = await device.engine.probe(within_s=self._proof_s(device))
            # Streams may have taken all the encoders that the card gives: what is left to software then works.
            failure: str | None = lacks(device.proven, report, in_use=self._in_use(device))
        except StartError as error:
            failure = str(error)
        except CapacityError:
            failure = None
        if device.health.state is not DeviceState.SUSPECT:
            return  # another judge was faster
        if failure is None:
            device.health.gave_no_answer()
        elif failure:
            self.quarantine(device, QuarantineReason.PROBE, failure)
        else:
            device.health.works(self._clock.monotonic())
            log.info("device proved itself", device=device.name)

    async def _try_again(self, device: Device) -> None:
        """A device out of use comes back when it can do what it could before."""
        try:
            if not device.engine.alive:
                failure = "no engine child is alive"
            else:
                report = await device.engine.probe(within_s=self._proof_s(device))
                failure = lacks(device.proven, report)
        except (StartError, CapacityError) as error:
            failure = str(error)
        if device.condemned:
            return
        if failure:
            device.health.still_broken(failure, self._clock.monotonic())
            log.debug("device still does not work", device=device.name, detail=failure)
            return
        self._welcome(device, report)
        self._changed()

    def _proof_s(self, device: Device) -> float:
        return self._times.proof_with_others_s if self._others_for(device) else self._times.proof_s

    def _welcome(self, device: Device, report: EngineReport) -> None:
        """A device comes into use."""
        device.proven = device.proven or report
        device.health.works(self._clock.monotonic())
        self._metrics.set("device_healthy", 1, device=device.name)
        log.info(
            "device in use",
            device=device.name,
            engine=report.engine,
            encoders=report.encoders,
            decoders=report.decoders,
            encoder_sessions=report.encoder_sessions,
            fallbacks=report.fallbacks,
        )

    def quarantine(self, device: Device, reason: QuarantineReason, detail: str) -> None:
        """A device goes out of use: its sessions have none until their next segments."""
        now = self._clock.monotonic()
        if device.health.state is DeviceState.QUARANTINED:
            device.health.still_broken(detail, now)  # its driver was faster
            return
        blameless_since_s = device.health.well_since
        device.health.quarantine(reason, detail, now)
        lost = self._gone(device)
        device.engine.renew(blameless_since_s=blameless_since_s, displace=self._others_for(device))
        for session in lost:
            device.engine.release(session)
        self._metrics.set("device_healthy", 0, device=device.name)
        self._metrics.add("device_quarantines_total", device=device.name, reason=reason.value)
        log.error(
            "device out of use",
            device=device.name,
            reason=reason.value,
            detail=detail,
            sessions=len(lost),
            left=sum(other.health.usable for other in self._devices),
            again_in_s=round(device.health.try_again_at - now, 1),
        )
        self._changed()
