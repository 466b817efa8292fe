"""Streams in progress: the session table with a line of turns per session and the storage behind it.

One object owns the three, so that a session ends in one place whatever the reason: its gateway said so, it was silent
for too long, or another session took it over.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction

import structlog

from baton.jobs.messages import ObjectStoreOffer
from baton.jobs.ports import EngineRoom, MediaStore, RenditionStores
from baton.jobs.tokens import TOKEN_REFRESH_S
from baton.kernel.clock import Clock
from baton.kernel.ids import ManifestId, SessionId, shown_session
from baton.kernel.metrics import Metrics
from baton.kernel.profiles import VideoProfile
from baton.video.sessions import Opening, SessionTable
from baton.video.turns import Turnstile

__all__ = ["Streams", "Turn"]

log = structlog.get_logger("baton.jobs")

_SWEEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A segment's turn: how long it waited, and where its renditions go."""

    waited_s: float
    store: MediaStore


class Streams:
    """Every stream the node works on. Belongs to the event loop."""

    def __init__(
        self,
        *,
        table: SessionTable,
        stores: RenditionStores,
        clock: Clock,
        metrics: Metrics,
        engines: EngineRoom | None = None,
    ) -> None:
        """``stores`` are told when a session ends, so that its renditions go after their grace period.

        ``engines`` too, so that what they keep for it goes at once; they may be full before the table is.
        """
        self._engines = engines
        self._table = table
        self._stores = stores
        self._clock = clock
        self._metrics = metrics
        self._turns: dict[SessionId, Turnstile] = {}
        self._outputs: dict[SessionId, MediaStore] = {}
        self._manifests: dict[SessionId, ManifestId] = {}
        metrics.set("max_sessions_total", table.room)
        metrics.set("current_sessions_total", 0)

    @property
    def table(self) -> SessionTable:
        """The rows, for views and admission."""
        return self._table

    @property
    def busy(self) -> int:
        """Segments that run or wait anywhere."""
        return sum(s.busy for s in self._table.sessions())

    def set_limit(self, limit: int) -> None:
        """Change how many streams may be open. Those that are open go on; no new one opens until there is room."""
        self._table.set_limit(limit)
        self._metrics.set("max_sessions_total", self._table.room)

    def set_capacity(self, *, share: Fraction, most: int | None) -> None:
        """Devices came or went: the limit shrinks with them and grows again. Open streams stay."""
        self._table.set_capacity(share=share, most=most)
        self._metrics.set("max_sessions_total", self._table.room)

    @property
    def has_room(self) -> bool:
        """Whether a stream nobody knows could open now."""
        return self._table.has_room and (self._engines is None or self._engines.has_room)

    def admits(self, opening: Opening, profiles: tuple[VideoProfile, ...]) -> bool:
        """Whether a segment of this session could be taken now, as far as slots and engines go."""
        if self._table.continues(opening):
            return True
        return self._table.admits(opening) and (
            self._engines is None or self._engines.admits(opening.session_id, profiles)
        )

    def left(self, manifest_id: ManifestId) -> None:
        """A segment of this stream is done with; without a session its series in the metrics are over too."""
        if not any(session.manifest_id == manifest_id for session in self._table.sessions()):
            self._metrics.forget_stream(manifest_id)

    @property
    def all_waiting(self) -> int:
        """Segments of all sessions that wait for their turn."""
        return sum(line.waiting for line in self._turns.values())

    def waiting(self, session_id: SessionId) -> int:
        """Segments of one session that wait for their turn."""
        line = self._turns.get(session_id)
        return line.waiting if line is not None else 0

    def may_refresh(self, caller: str) -> bool:
        """Whether a full node answers this caller because one of its streams needs a new token."""
        return self._table.may_refresh(
            caller=caller, unix_now=self._clock.now(), now=self._clock.monotonic(), refresh_s=TOKEN_REFRESH_S
        )

    def grants_refresh(self, caller: str) -> bool:
        """The same, and that answer is given: the next one has to wait."""
        return self._table.grant_refresh(
            caller=caller, unix_now=self._clock.now(), now=self._clock.monotonic(), refresh_s=TOKEN_REFRESH_S
        )

    @asynccontextmanager
    async def turn(
        self, opening: Opening, *, budget_s: float, storage: ObjectStoreOffer | None = None
    ) -> AsyncIterator[Turn]:
        """Open the session if need be and hold its turn. What ``storage`` says counts for a session's first segment.

        Raises:
            CapacityError: ``OrchestratorCapped``, ``OrchestratorBusy`` or ``Session ended``.
        """
        before = {s.session_id for s in self._table.sessions()}
        was_open = self._table.is_open(opening.session_id)
        session = self._table.open(opening, self._clock.monotonic())
        if self._engines is not None and not was_open:
            if session.continues is not None:
                self._engines.continue_session(session.continues, session.session_id)
            else:
                # One that opens again after it was continued has a place that does not count: it gets one that does.
                self._engines.end_session(session.session_id)
        row = self._table.started(session.session_id)
        line = self._turns.setdefault(session.session_id, Turnstile(clock=self._clock))
        output = self._outputs.get(session.session_id)
        if output is None:
            output = self._outputs[session.session_id] = self._stores.for_session(storage)
        self._manifests[session.session_id] = opening.manifest_id
        if opening.session_id not in before:
            log.info("session opened", session=shown_session(opening.session_id), manifest=opening.manifest_id)
        self._publish()
        try:
            await self._forget(before - {s.session_id for s in self._table.sessions()}, reason="continued")
            async with line.turn(budget_s=budget_s) as waited_s:
                yield Turn(waited_s=waited_s, store=output)
        finally:
            closed = self._table.finished(row, self._clock.monotonic())
            if self._engines is not None and self._table.get(opening.session_id) is None:
                # It ended while this segment was at work, which may have left something with the engines since.
                self._engines.end_session(opening.session_id)
            if closed is not None:
                await self._forget({closed}, reason="continued")

    async def end(self, session_id: SessionId, *, reason: str) -> None:
        """End a session now; unknown ones are fine."""
        if self._table.end(session_id) is not None:
            await self._forget({session_id}, reason=reason)

    async def run(self) -> None:
        """Service body: end the sessions that fell silent, for ever."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            await self._forget(set(self._table.expire(self._clock.monotonic())), reason="idle")

    async def _forget(self, session_ids: set[SessionId], *, reason: str) -> None:
        for session_id in session_ids:
            if self._engines is not None:
                self._engines.end_session(session_id)
            self._outputs.pop(session_id, None)
            line = self._turns.pop(session_id, None)
            if line is not None:
                line.close()
            manifest_id = self._manifests.pop(session_id, None)
            if manifest_id is not None:
                self.left(manifest_id)
            self._metrics.add("sessions_ended_total", reason=reason)
            log.info("session ended", session=shown_session(session_id), reason=reason)
        if session_ids:
            self._publish()
        for session_id in session_ids:
            await self._stores.end_session(session_id)

    def _publish(self) -> None:
        self._metrics.set("current_sessions_total", self._table.open_count)
