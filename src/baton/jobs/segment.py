"""A video segment, top to bottom: admitted, received, answered 200, transcoded, kept, signed, reported.

The order is the reference's (video.md 4.2), because peers see which error comes first. ``wire`` calls ``handle`` and
sends the 200 when told to; everything a gateway can observe is decided here.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog

from baton.jobs.admission import Admission, AdmittedSegment, SegmentRequest
from baton.jobs.intake import Intake
from baton.jobs.messages import SegmentMetadata, SegmentResult
from baton.jobs.ports import SpooledSegment
from baton.jobs.work import Report, Work
from baton.kernel.clock import Clock
from baton.kernel.errors import RefusedError, Text
from baton.kernel.ids import shown_session
from baton.kernel.metrics import Metrics
from baton.kernel.peers import network_of

__all__ = ["SegmentDesk"]

log = structlog.get_logger("baton.segments")

_REASONS = {
    Text.SEGMENT_ENCODING: "encoding",
    Text.OUTPUT_FORMAT: "profile",
    Text.ENCODER_PROFILE: "profile",
    Text.VIDEO_CODEC: "profile",
    Text.TOO_MANY_OUTPUTS: "profile",
    Text.INVALID_DURATION: "duration",
    Text.SEGMENT_SIG: "signature",
    Text.INCOMPATIBLE: "capabilities",
    Text.MISSING_AUTH_TOKEN: "token",
    Text.INVALID_AUTH_TOKEN: "token",
    Text.EXPIRED_AUTH_TOKEN: "token",
    Text.CAPPED: "capped",
    Text.INSUFFICIENT_BALANCE: "balance",
    Text.INTERNAL: "internal",
    Text.BAD_REQUEST: "fetch",
    Text.FORBIDDEN: "hash",
}
_PAYMENT_STATUSES = frozenset({400, 402})
_FORBIDDEN = 403
_MOST_IN_HAND_PER_PEER = 256
"""Segments that one network may have between headers and answer: fifty streams with their usual five each."""


class SegmentDesk:
    """Where requests to /segment are dealt with."""

    def __init__(self, *, admission: Admission, intake: Intake, work: Work, clock: Clock, metrics: Metrics) -> None:
        """The three parts of the story, each with its own collaborators."""
        self._admission = admission
        self._intake = intake
        self._work = work
        self._clock = clock
        self._metrics = metrics
        self._in_hand: Counter[str] = Counter()

    @property
    def in_hand(self) -> int:
        """Segments between their headers and their answer: what a draining node waits for."""
        return self._in_hand.total()

    async def handle(
        self, request: SegmentRequest, body: AsyncIterator[bytes], *, accepted: Callable[[], Awaitable[None]]
    ) -> SegmentResult:
        """The result for one segment; ``accepted`` is awaited when the gateway shall read its 200.

        Raises:
            RefusedError: before ``accepted``; the gateway reads status and text instead.
        """
        outcome = Report(outcome="abandoned")
        try:
            with self._counted(network_of(request.peer_host)):
                async with self._admission.admit(request) as admitted:
                    self._count_source(request.metadata)
                    async with self._intake.receive(admitted, body) as spooled:
                        await accepted()
                        result, outcome = await self._perform(admitted, spooled)
        except RefusedError as error:
            self.refused(error, peer_host=request.peer_host, request=request)
            raise
        except BaseException:
            self._close(request, outcome)
            raise
        self._close(request, outcome, admitted=admitted, error=result.error)
        return result

    def _count_source(self, metadata: SegmentMetadata) -> None:
        duration_s, manifest_id = metadata.duration_ms / 1000, metadata.manifest_id
        self._metrics.add("segment_source_emerged_unprocessed_total", manifest_id=manifest_id)
        self._metrics.observe("source_segment_duration_seconds", duration_s, manifest_id=manifest_id)

    @contextmanager
    def _counted(self, network: str) -> Iterator[None]:
        """Keep a place among the segments in hand; nobody may take all the places uploads have."""
        if self._in_hand[network] >= _MOST_IN_HAND_PER_PEER:
            raise RefusedError(_FORBIDDEN, Text.CAPPED, detail=f"{_MOST_IN_HAND_PER_PEER} segments in hand from here")
        self._in_hand[network] += 1
        try:
            yield
        finally:
            self._in_hand[network] -= 1
            if not self._in_hand[network]:
                del self._in_hand[network]

    async def _perform(self, admitted: AdmittedSegment, spooled: SpooledSegment) -> tuple[SegmentResult, Report]:
        """The work, with its last line of defence: a bug of ours still ends in an answer the gateway can read."""
        try:
            return await self._work.perform(admitted, spooled)
        except Exception as error:
            log.exception("segment failed unexpectedly", session=shown_session(admitted.opening.session_id))
            failed = SegmentResult(seq=admitted.metadata.seq, info=admitted.info, error=Text.UNKNOWN)
            return failed, Report(outcome="crashed", detail=repr(error))

    def refused(self, error: RefusedError, *, peer_host: str, request: SegmentRequest | None = None) -> None:
        """Count and log a refusal; ``request`` None when its headers could not even be read."""
        fallback = "payment" if error.status in _PAYMENT_STATUSES else "encoding"
        self._metrics.add("segment_refusals_total", reason=_REASONS.get(error.text, fallback))
        self._metrics.add("segments_total", outcome="refused")
        named = {} if request is None else {"manifest": request.metadata.manifest_id, "seq": request.metadata.seq}
        log.info(
            "segment refused", peer=peer_host, status=error.status, reason=error.text, detail=error.detail, **named
        )

    def _close(
        self, request: SegmentRequest, report: Report, *, admitted: AdmittedSegment | None = None, error: str = ""
    ) -> None:
        """One line per segment, with its cause."""
        self._metrics.add("segments_total", outcome=report.outcome)
        metadata = request.metadata
        token = metadata.auth_token
        log.info(
            "segment closed",
            outcome=report.outcome,
            error=error,
            detail=report.detail,
            manifest=metadata.manifest_id,
            seq=metadata.seq,
            session=shown_session(token.session_id) if token is not None else "",
            peer=request.peer_host,
            client=request.client,
            profiles=len(metadata.profiles),
            duration_ms=metadata.duration_ms,
            total_ms=round((self._clock.monotonic() - request.arrived) * 1000),
            waited_ms=report.waited_ms,
            engine_ms=report.engine_ms,
            decoded_px=report.decoded_px,
            encoded_px=report.encoded_px,
            settled=admitted.settled if admitted is not None else False,
        )
