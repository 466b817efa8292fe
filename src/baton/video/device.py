"""One device of this machine as the video domain sees it: its name, its engine behind a port, and what it proved."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from baton.media.job import EngineReport, TranscodeOutput, TranscodeRequest
from baton.video.health import DeviceHealth, DeviceState

__all__ = ["Device", "DeviceEngine", "DeviceView", "lacks"]


class DeviceEngine(Protocol):
    """The engine behind one device."""

    @property
    def alive(self) -> int:
        """How many of its children are up."""
        ...

    async def transcode(
        self, request: TranscodeRequest, *, deadline_s: float, content_hash: bytes, stream_key: str, tries: int = 2
    ) -> TranscodeOutput:
        """As ``video.local.SegmentEngine``; the engine is given at most ``tries`` times to lose over the segment."""
        ...

    async def probe(self, *, within_s: float) -> EngineReport:
        """Prove what it can do. Raises ``StartError`` when it cannot, ``CapacityError`` when it could not begin."""
        ...

    def release(self, session_key: str) -> None:
        """Let go of whatever is kept of a stream, soon; unknown ones are fine."""
        ...

    def renew(self, *, blameless_since_s: float, displace: bool) -> None:
        """The device is out of use: start afresh, and take what is in hand away when others can do it."""
        ...


@dataclass(slots=True)
class Device:
    """One device: its name, its engine and what is known of it."""

    name: str
    engine: DeviceEngine
    health: DeviceHealth
    proven: EngineReport | None = None
    """What it proved when it came into use; coming back it must not be less."""
    condemned: bool = False
    """Its driver calls it faulty: it is not even tried."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when somebody shall look at it now."""

    @property
    def is_well(self) -> bool:
        """Whether nothing speaks against giving it a segment."""
        return self.health.state is DeviceState.HEALTHY and self.engine.alive > 0


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One device for the operator's eyes. ``reason`` says why it is out of use."""

    name: str
    state: str
    sessions: int
    load_px_per_s: int
    reason: str = ""


def lacks(before: EngineReport | None, now: EngineReport, *, in_use: bool = False) -> str:
    """What a device proved once and does not any more; empty when nothing is missing.

    One that is ``in_use`` may have no encoder or decoder to spare, as long as it still does what it offers.
    """
    if before is None:
        return ""
    there = {*now.encoders, *now.decoders}
    missing = [
        *(name for name in (*before.encoders, *before.decoders) if name not in there and not in_use),
        *(f"capability {number}" for number in before.capability_ids if number not in now.capability_ids),
    ]
    return f"it can do less than before: {', '.join(missing)}" if missing else ""
