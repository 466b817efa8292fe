"""The transcoder of this machine: segment jobs become engine requests, and what comes back is checked.

The engine behind the port is a pool of child processes; this domain does not know that. Checks answer to video.md 4.5
steps 6 to 8, container metadata to 7.9.
"""

from typing import Protocol

import structlog

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.ids import shown_session
from baton.kernel.version import NODE_VERSION
from baton.media.job import TranscodeOutput, TranscodeRequest
from baton.video.job import SegmentJob

__all__ = ["MIN_RENDITION_BYTES", "LocalTranscoder", "SegmentEngine"]

log = structlog.get_logger("baton.video")

MIN_RENDITION_BYTES = 25
"""A rendition shorter than this holds nothing (video.md 4.5 step 7)."""

_UNUSUAL_PX = 7_378_560_000
"""More pixels than this in one rendition are worth a look (video.md 4.5 step 8)."""


class SegmentEngine(Protocol):
    """What this domain needs to have a segment transcoded on this machine."""

    async def transcode(
        self, request: TranscodeRequest, *, deadline_s: float, content_hash: bytes, stream_key: str
    ) -> TranscodeOutput:
        """Renditions within ``deadline_s`` seconds; cancelling abandons the work.

        ``content_hash`` and ``stream_key`` say whose fault it is when a segment wrecks the engine.
        """
        ...


class LocalTranscoder:
    """Satisfies ``video.job.Transcoder`` with an engine on this machine."""

    def __init__(self, *, engine: SegmentEngine, version: str = NODE_VERSION) -> None:
        """``version`` is what renditions say about who made them."""
        self._engine = engine
        self._version = version

    async def transcode(self, job: SegmentJob, *, deadline_s: float) -> TranscodeOutput:
        """Renditions in profile order, complete and not empty.

        A stream is known to the engine by its session: manifest ids are chosen by callers, and one caller's bad
        segments must not be held against the stream of another who chose the same name.

        Raises:
            TranscodeError: the engine's text, ``MismatchedSegments`` or ``ZeroSegments``.
            CapacityError: the engine could not take the segment in time.
        """
        output = await self._engine.transcode(
            self._request(job), deadline_s=deadline_s, content_hash=job.content_hash, stream_key=job.session_id
        )
        _check(job, output)
        _tell_missing_hashes(job, output)
        return output

    def _request(self, job: SegmentJob) -> TranscodeRequest:
        made_by = f"Livepeer Transcoder {self._version} ({job.orch_id})"
        return TranscodeRequest(
            input_path=job.input_path,
            profiles=job.profiles,
            clip=job.clip,
            service_provider=made_by,
            comment=f"Processed by {made_by}",
            perceptual_hash=job.perceptual_hash,
            session_key=job.session_id,
            force_reinit=job.force_reinit,
        )


def _check(job: SegmentJob, output: TranscodeOutput) -> None:
    """Refuse an output that is not one whole rendition per profile."""
    if len(output.renditions) != len(job.profiles):
        detail = f"{len(output.renditions)} renditions for {len(job.profiles)} profiles"
        raise TranscodeError(Text.MISMATCHED_SEGMENTS, detail=detail)
    for profile, rendition in zip(job.profiles, output.renditions, strict=True):
        if len(rendition.data) < MIN_RENDITION_BYTES:
            raise TranscodeError(Text.ZERO_SEGMENTS, detail=f"{profile.name}: {len(rendition.data)} bytes")
        if rendition.pixels > _UNUSUAL_PX:
            log.warning(
                "rendition of unusual size", session=shown_session(job.session_id), seq=job.seq, pixels=rendition.pixels
            )


def _tell_missing_hashes(job: SegmentJob, output: TranscodeOutput) -> None:
    """Log what was asked for and is not there: no reason to lose a segment (video.md 4.5 step 7)."""
    missing = sum(not rendition.perceptual_hash for rendition in output.renditions)
    if job.perceptual_hash and missing:
        log.warning(
            "perceptual hash missing",
            session=shown_session(job.session_id),
            seq=job.seq,
            missing=missing,
            renditions=len(output.renditions),
            reason=next((each.hash_trouble for each in output.renditions if each.hash_trouble), ""),
        )
