"""What an operator asked of a benchmark, and what is known of its answer while it runs."""

from dataclasses import dataclass, field
from pathlib import Path

from baton.media.job import EngineReport
from baton.selftest.bench.course import Found
from baton.selftest.bench.ladder import Ladder
from baton.selftest.bench.machine import Machine
from baton.selftest.bench.source import BenchSource

__all__ = ["BenchError", "BenchPlan", "DeviceFacts", "Findings"]


class BenchError(Exception):
    """A benchmark that cannot be done or went wrong; the text is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPlan:
    """Everything that was asked for."""

    source: Path
    transcoding_options: str
    ladder: Ladder
    sessions: int | None = None
    """The load to try; None searches for the limit."""
    live: bool = False
    session_delay_s: float = 0.0
    repeat: int = 1
    most_segments: int = 0
    """Of the source; 0 for all."""
    out_prefix: str = ""
    """Where renditions are written to; empty leaves them nowhere."""
    perceptual_hash: bool = False
    time_limit_s: float = 120.0
    """Of the search."""
    most_sessions: int = 256
    """The search goes no further."""


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device and what its engine was seen to do."""

    name: str
    at_once: int
    """Segments it works on at the same time."""
    report: EngineReport


@dataclass(slots=True)
class Findings:
    """Everything known about a benchmark; grows while it runs, so that an interrupted one can still be told."""

    plan: BenchPlan
    machine: Machine
    settings: tuple[tuple[str, str], ...] = ()
    """Settings of the engine in force, by name."""
    source: BenchSource | None = None
    devices: tuple[DeviceFacts, ...] = ()
    found: Found = field(default_factory=Found)
    failure: str = ""
    """Why there is no answer, or only part of one."""
    interrupted: bool = False

    @property
    def fits(self) -> bool:
        """Whether the load that was asked for fits, or in a search whether any does."""
        if self.plan.sessions is not None:
            return self.found.asked is not None and self.found.asked.fits
        return self.found.suggested > 0

    @property
    def ok(self) -> bool:
        """Whether the answer is a yes, found without trouble and to the end."""
        return self.fits and not self.failure and not self.interrupted
