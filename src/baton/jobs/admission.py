"""Admission of a segment: every check between its headers and its body, in the order peers know (video.md 4.2).

Steps 6 to 14 of the table: signature, capabilities, token, capacity, our terms, payment. What payments hold for an
admitted segment is settled or released exactly once, whatever happens to the request.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from baton.jobs.callers import caller_name
from baton.jobs.gate import Gate
from baton.jobs.info import InfoBuilder
from baton.jobs.messages import AuthToken, OrchestratorInfo, Payment, Price, SegmentMetadata, flatten_segment
from baton.jobs.ports import Admitted, Payments, SenderCheck
from baton.jobs.streams import Streams
from baton.jobs.tokens import TokenMint
from baton.kernel.capabilities import is_compatible
from baton.kernel.clock import Clock
from baton.kernel.errors import RefusedError, Text
from baton.kernel.ids import Address
from baton.kernel.profiles import estimated_px
from baton.video.job import time_budget_s
from baton.video.sessions import Opening

__all__ = ["Admission", "AdmittedSegment", "SegmentRequest"]

log = structlog.get_logger("baton.jobs")

_FORBIDDEN = 403
_INTERNAL = 500


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """A request to /segment as far as its headers tell.

    ``arrived`` is monotonic seconds. ``client`` is whom a proxy says it speaks for: for the log only, since anybody can
    say anything there.
    """

    payment: Payment
    metadata: SegmentMetadata
    content_type: str
    peer_host: str
    arrived: float
    client: str = ""


@dataclass(slots=True)
class AdmittedSegment:
    """A segment that may send its body. ``settled`` tells whether the hold was handed over to be settled."""

    request: SegmentRequest
    opening: Opening
    info: OrchestratorInfo | None
    held: Admitted
    deadline: float
    """Monotonic second after which the gateway listens no more."""
    settled: bool = False

    @property
    def metadata(self) -> SegmentMetadata:
        """What the gateway says about the segment."""
        return self.request.metadata


class Admission:
    """Decides whether a segment may come in."""

    def __init__(
        self,
        *,
        senders: SenderCheck,
        tokens: TokenMint,
        streams: Streams,
        gate: Gate,
        info: InfoBuilder,
        payments: Payments,
        cached_price: Callable[[Address], Price | None],
        clock: Clock,
    ) -> None:
        """``cached_price`` is the price the operator's webhook gave for a sender, if it did."""
        self._senders = senders
        self._tokens = tokens
        self._streams = streams
        self._gate = gate
        self._info = info
        self._payments = payments
        self._cached_price = cached_price
        self._clock = clock

    @asynccontextmanager
    async def admit(self, request: SegmentRequest) -> AsyncIterator[AdmittedSegment]:
        """Hold a place for the segment while its work is done.

        Raises:
            RefusedError: status and text of the first check that fails.
        """
        token, opening = self.check(request)
        info = await self._terms(request, token)
        held = await self._payments.accept(
            payment=request.payment,
            session_id=token.session_id,
            estimated_px=estimated_px(request.metadata.profiles, duration_ms=request.metadata.duration_ms),
            price_override=self._cached_price(request.payment.sender),
        )
        admitted = AdmittedSegment(
            request=request,
            opening=opening,
            info=info,
            held=held,
            deadline=request.arrived + time_budget_s(request.metadata.duration_ms),
        )
        try:
            yield admitted
        finally:
            self._streams.left(request.metadata.manifest_id)
            if not admitted.settled:
                await self._payments.release(held)

    def check(self, request: SegmentRequest) -> tuple[AuthToken, Opening]:
        """Steps 6 to 11: who asks, for what, with which leave, and whether there is room.

        Raises:
            RefusedError: 403 with the text of the first that fails.
        """
        metadata, sender = request.metadata, request.payment.sender
        if not self._senders.verify(sender, flatten_segment(metadata), metadata.signature):
            raise RefusedError(_FORBIDDEN, Text.SEGMENT_SIG)
        if not is_compatible(metadata.capabilities, self._info.own_capabilities):
            raise RefusedError(_FORBIDDEN, Text.INCOMPATIBLE, detail=f"asked for bits {metadata.capabilities.bits}")
        token = self._tokens.require(metadata.auth_token)
        caller = caller_name(self._senders, sender=sender, peer_host=request.peer_host)
        opening = Opening(
            session_id=token.session_id,
            manifest_id=metadata.manifest_id,
            owner=caller if self._tokens.obtained_by(token.session_id, caller) else None,
            token_expires_at=token.expiration,
        )
        if not self._has_room(opening, metadata):
            raise RefusedError(_FORBIDDEN, Text.CAPPED)
        return token, opening

    def _has_room(self, opening: Opening, metadata: SegmentMetadata) -> bool:
        if not self._gate.takes_segments:
            return False
        if not self._gate.takes_sessions and not self._streams.table.continues(opening):
            return False
        return self._streams.admits(opening, metadata.profiles)

    async def _terms(self, request: SegmentRequest, token: AuthToken) -> OrchestratorInfo | None:
        """Step 12: the terms that go into the answer, under the token that came in.

        None for a session that paid before when no new terms can be made now: it goes on with those it has, as long as
        its credit lasts (payments.md 18 item 14).
        """
        sender = request.payment.sender
        try:
            return await self._info.build(
                sender=sender, token=token, requested=None, price_override=self._cached_price(sender)
            )
        except RefusedError as error:
            if self._payments.is_paid(sender=sender, session_id=token.session_id):
                log.warning("no new terms for a session that paid", reason=error.text, detail=error.detail)
                return None
            raise RefusedError(_INTERNAL, Text.INTERNAL, detail=error.text) from error
