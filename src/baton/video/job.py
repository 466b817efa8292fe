"""One segment as the video domain sees it, and the port behind which a transcoder stands.

Pure values. A job is immutable and complete: whoever takes it needs nothing else, which is what lets a transcoder be a
child process here or another machine later.
"""

from dataclasses import dataclass
from typing import Protocol

from baton.kernel.ids import ManifestId, SessionId
from baton.kernel.profiles import VideoProfile
from baton.media.job import Clip, TranscodeOutput

__all__ = ["MAX_SEGMENT_BYTES", "SegmentJob", "Transcoder", "time_budget_s"]

MAX_SEGMENT_BYTES = 300_000_000
"""Largest segment or rendition anywhere in the network: 300 s at 8 Mbit/s."""

_BUDGET_FLOOR_S = 8.0
_BUDGET_FACTOR = 4


@dataclass(frozen=True, slots=True)
class SegmentJob:
    """A segment that was admitted, received and found intact, ready to be transcoded.

    ``input_path`` is a file of ours holding ``size_bytes`` bytes whose Keccak-256 is ``content_hash``. ``orch_id`` is
    the recipient's checksummed address or ``offchain`` and ends up in container metadata.
    """

    session_id: SessionId
    manifest_id: ManifestId
    seq: int
    content_hash: bytes
    input_path: str
    size_bytes: int
    duration_ms: int
    profiles: tuple[VideoProfile, ...]
    clip: Clip | None = None
    orch_id: str = "offchain"
    force_reinit: bool = False
    perceptual_hash: bool = False
    """Whether the gateway wants each rendition's MPEG-7 signature too."""


class Transcoder(Protocol):
    """Whatever turns a segment into renditions.

    Cancelling the call cancels the work. Raises ``TranscodeError`` or ``CapacityError`` with the exact text the
    gateway shall read.
    """

    async def transcode(self, job: SegmentJob, *, deadline_s: float) -> TranscodeOutput:
        """Renditions in profile order, one per profile, none of them empty.

        ``deadline_s`` is what is left of the segment's time budget (``time_budget_s`` less what receiving and waiting
        took); it covers every wait inside, and the work is abandoned when it has passed.
        """
        ...


def time_budget_s(duration_ms: int) -> float:
    """Seconds a gateway waits for a whole answer: ``max(8 s, 4 x duration)``; later answers help nobody."""
    return max(_BUDGET_FLOOR_S, _BUDGET_FACTOR * duration_ms / 1000)
