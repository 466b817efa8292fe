"""The work on a segment that is in: its turn, its renditions, where they are kept, and what is signed for them.

Steps 19 to 21 of video.md 4.2. From here on the gateway has its 200, so every failure is a text in the result.
"""

import asyncio
from dataclasses import dataclass

import structlog

from baton.jobs.admission import AdmittedSegment
from baton.jobs.declared import MOST_TIMES_DECLARED, Measured, measure
from baton.jobs.messages import RenditionRef, SegmentResult
from baton.jobs.naming import rendition_names
from baton.jobs.ports import MediaStore, Payments, Signer, SpooledSegment, StoreError
from baton.jobs.streams import Streams
from baton.kernel.clock import Clock
from baton.kernel.crypto import keccak256
from baton.kernel.errors import CapacityError, Text, TranscodeError
from baton.kernel.ids import shown_session
from baton.kernel.metrics import Metrics
from baton.kernel.profiles import VideoProfile, estimated_px
from baton.media.job import RenditionOutput, TranscodeOutput
from baton.video.job import SegmentJob, Transcoder

__all__ = ["Report", "Work"]

log = structlog.get_logger("baton.segments")

_MEGA = 1_000_000
_HASH_EXTENSION = ".phash"
_LEAST_KEEPING_S = 1.0
"""What keeping gets although the gateway may have stopped listening: usually it takes milliseconds."""
_HASH_CONTENT_TYPE = "application/octet-stream"
_NO_PLACE = {Text.CAPPED: "capped", Text.BUSY: "busy", Text.SESSION_ENDED: "ended"}


@dataclass(frozen=True, slots=True)
class Report:
    """What the closing line says about a segment beside its result."""

    outcome: str
    """``transcoded``, or the class of what went wrong: a metric label."""
    detail: str = ""
    waited_ms: int = 0
    engine_ms: int = 0
    decoded_px: int = 0
    encoded_px: int = 0


@dataclass(slots=True)
class _Times:
    """How long a segment waited and was worked on, known even when it fails."""

    waited_ms: int = 0
    engine_ms: int = 0


class _UndeclaredError(TranscodeError):
    """A paid segment is so much longer than it said that its renditions are not given away."""

    def __init__(self, measured: Measured, duration_ms: int) -> None:
        """The text tells the gateway that the request was at fault, so that it does not suspend the node."""
        times = 1 + measured.overtime_px // max(1, measured.declared_px)
        detail = f"{times} times what {duration_ms} ms would be, and at most {MOST_TIMES_DECLARED} are delivered"
        super().__init__(Text.INVALID_ARGUMENT, detail=detail)


class Work:
    """Turns segments into answers."""

    def __init__(
        self,
        *,
        streams: Streams,
        transcoder: Transcoder | None,
        signer: Signer,
        payments: Payments,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """``transcoder`` None is a node that transcodes nothing itself."""
        self._streams = streams
        self._transcoder = transcoder
        self._signer = signer
        self._payments = payments
        self._clock = clock
        self._metrics = metrics

    async def perform(self, admitted: AdmittedSegment, spooled: SpooledSegment) -> tuple[SegmentResult, Report]:
        """The answer for one segment. Cancelling it cancels the work; what was held is then released by admission."""
        times = _Times()
        try:
            output, renditions = await self._produce(admitted, spooled, times)
        except CapacityError as error:
            self._metrics.add("capacity_refusals_total", reason=_NO_PLACE.get(error.text, "busy"))
            return self._failed(admitted, error.text, "capacity", error.detail, times)
        except TranscodeError as error:
            if isinstance(error, _UndeclaredError):
                await self._settle_declared(admitted)
            self._metrics.add("transcode_failures_total", reason="permanent" if not error.retryable else "retryable")
            return self._failed(admitted, error.text, "transcode", error.detail, times)
        except StoreError as error:
            return self._failed(admitted, str(error), "store", error.detail, times)
        if not admitted.settled:
            # They can be fetched by now: who leaves while they are signed has them all the same.
            await self._settle(admitted, output)
        signature = await asyncio.to_thread(self._sign, output.renditions)
        pixels = _pixels(output)
        self._metrics.add("mil_pixels_processed", pixels / _MEGA, manifest_id=admitted.metadata.manifest_id)
        report = Report(
            outcome="transcoded",
            waited_ms=times.waited_ms,
            engine_ms=output.engine_ms,
            decoded_px=output.decoded_px,
            encoded_px=pixels,
        )
        result = SegmentResult(
            seq=admitted.metadata.seq, info=admitted.info, renditions=renditions, signature=signature
        )
        return result, report

    async def _settle(self, admitted: AdmittedSegment, output: TranscodeOutput) -> None:
        # Before the wait: the hold is payments' affair now, even if this request ends meanwhile.
        admitted.settled = True
        overtime_px = self._measured(admitted, output).overtime_px
        await self._payments.settle(admitted.held, pixels=_pixels(output), overtime_px=overtime_px)

    async def _settle_declared(self, admitted: AdmittedSegment) -> None:
        """The work was done and is not delivered: it costs what was declared."""
        metadata = admitted.metadata
        admitted.settled = True
        await self._payments.settle(
            admitted.held, pixels=estimated_px(metadata.profiles, duration_ms=metadata.duration_ms)
        )

    @staticmethod
    def _measured(admitted: AdmittedSegment, output: TranscodeOutput) -> Measured:
        metadata = admitted.metadata
        return measure(metadata.profiles, output, duration_ms=metadata.duration_ms)

    async def _produce(
        self, admitted: AdmittedSegment, spooled: SpooledSegment, times: "_Times"
    ) -> tuple[TranscodeOutput, tuple[RenditionRef, ...]]:
        """Renditions made and kept within one turn: a slow store holds its own session up and no memory beyond that.

        Who asks for no rendition gets none, and for that nobody decodes: it would be work that has no price.
        """
        if not admitted.metadata.profiles and self._transcoder is not None:
            return TranscodeOutput(renditions=(), decoded_px=0, decoded_frames=0, engine_ms=0), ()
        remaining_s = admitted.deadline - self._clock.monotonic()
        storage = admitted.metadata.storage
        async with self._streams.turn(admitted.opening, budget_s=remaining_s, storage=storage) as turn:
            if self._transcoder is None:
                raise TranscodeError(Text.NO_TRANSCODER)
            self._metrics.observe("queue_wait_seconds", turn.waited_s)
            times.waited_ms = round(turn.waited_s * 1000)
            started = self._clock.monotonic()
            try:
                output = await self._transcode(self._transcoder, admitted, spooled)
            finally:
                times.engine_ms = round((self._clock.monotonic() - started) * 1000)
            measured = self._measured(admitted, output)
            if admitted.held.hold_id and not measured.is_deliverable:
                raise _UndeclaredError(measured, admitted.metadata.duration_ms)
            if turn.store.is_lent:
                # Else it would take all and say that it took nothing.
                await self._settle(admitted, output)
            transcoded_at = self._clock.monotonic()
            renditions = await self._keep_in_time(admitted, output.renditions, turn.store)
        self._metrics.observe("rendition_save_time_seconds", self._clock.monotonic() - transcoded_at)
        self._metrics.add("rendition_bytes_total", sum(len(r.data) for r in output.renditions))
        return output, renditions

    async def _transcode(
        self, transcoder: Transcoder, admitted: AdmittedSegment, spooled: SpooledSegment
    ) -> TranscodeOutput:
        started = self._clock.monotonic()
        output = await transcoder.transcode(
            self._job(admitted, spooled), deadline_s=max(0.0, admitted.deadline - started)
        )
        took_s = self._clock.monotonic() - started
        duration_s = admitted.metadata.duration_ms / 1000
        # The two words are what the reference says about every segment of an orchestrator (video.md 9.2).
        labels = {
            "profiles": ",".join(sorted(p.name for p in admitted.metadata.profiles)),
            "trusted": "trusted",
            "verified": "verified",
        }
        self._metrics.add("segment_transcoded_total", 1, **labels)
        self._metrics.observe("transcode_time_seconds", took_s, **labels)
        self._metrics.observe("transcode_score", duration_s / max(took_s, 1e-3), **labels)
        return output

    def _job(self, admitted: AdmittedSegment, spooled: SpooledSegment) -> SegmentJob:
        metadata = admitted.metadata
        return SegmentJob(
            session_id=admitted.opening.session_id,
            manifest_id=metadata.manifest_id,
            seq=metadata.seq,
            content_hash=spooled.content_hash,
            input_path=spooled.path,
            size_bytes=spooled.size_bytes,
            duration_ms=metadata.duration_ms,
            profiles=metadata.profiles,
            clip=metadata.clip,
            orch_id=self._signer.orch_id,
            force_reinit=metadata.force_reinit,
            perceptual_hash=metadata.calc_perceptual_hash,
        )

    async def _keep_in_time(
        self, admitted: AdmittedSegment, outputs: tuple[RenditionOutput, ...], store: MediaStore
    ) -> tuple[RenditionRef, ...]:
        """Keep every rendition while the gateway still listens: a slow store must not hold the turn for longer."""
        left_s = admitted.deadline - self._clock.monotonic()
        try:
            async with asyncio.timeout(max(_LEAST_KEEPING_S, left_s)):
                return await self._keep(admitted, outputs, store)
        except TimeoutError as error:
            raise StoreError(Text.IO_ERROR) from error

    async def _keep(
        self, admitted: AdmittedSegment, outputs: tuple[RenditionOutput, ...], store: MediaStore
    ) -> tuple[RenditionRef, ...]:
        """Store all renditions at once; one that cannot be kept fails the whole segment (video.md 11.2 item 20)."""
        metadata = admitted.metadata
        names = rendition_names(metadata.profiles, seq=metadata.seq)
        try:
            async with asyncio.TaskGroup() as group:
                kept = [
                    group.create_task(self._keep_one(admitted, name, profile, output, store))
                    for name, profile, output in zip(names, metadata.profiles, outputs, strict=True)
                ]
        except ExceptionGroup as failures:
            # The first that failed speaks for all; anything that is no StoreError goes on as it is.
            refused, other = failures.split(StoreError)
            if refused is None or other is not None:
                raise
            raise refused.exceptions[0] from None
        return tuple(one.result() for one in kept)

    async def _keep_one(
        self,
        admitted: AdmittedSegment,
        name: str,
        profile: VideoProfile,
        output: RenditionOutput,
        store: MediaStore,
    ) -> RenditionRef:
        url = await store.save(
            session_id=admitted.opening.session_id,
            name=name,
            data=output.data,
            content_type=profile.format.mime_type,
        )
        hash_url = await self._keep_hash(admitted, f"{name}{_HASH_EXTENSION}", output.perceptual_hash, store)
        return RenditionRef(url=url, pixels=output.pixels, perceptual_hash_url=hash_url)

    async def _keep_hash(self, admitted: AdmittedSegment, name: str, data: bytes, store: MediaStore) -> str:
        """Where a rendition's perceptual hash can be fetched; empty without one, or when it cannot be kept.

        A gateway takes a rendition without a hash; losing the segment over it would help nobody.
        """
        if not data:
            return ""
        session_id = admitted.opening.session_id
        left_s = admitted.deadline - self._clock.monotonic()
        try:
            async with asyncio.timeout(max(_LEAST_KEEPING_S, left_s) / 2):
                return await store.save(session_id=session_id, name=name, data=data, content_type=_HASH_CONTENT_TYPE)
        except StoreError as error:
            reason = error.detail or str(error)
        except TimeoutError:
            reason = "the store took too long"
        log.warning(
            "perceptual hash not kept", session=shown_session(session_id), seq=admitted.metadata.seq, reason=reason
        )
        return ""

    def _sign(self, outputs: tuple[RenditionOutput, ...]) -> bytes:
        """Our signature over the hashes of all renditions in profile order; hashing megabytes is a thread's work."""
        if self._signer.orch_id == "offchain":
            return b""
        return self._signer.sign(b"".join(keccak256(output.data) for output in outputs))

    @staticmethod
    def _failed(
        admitted: AdmittedSegment, text: str, outcome: str, detail: str, times: "_Times"
    ) -> tuple[SegmentResult, Report]:
        result = SegmentResult(seq=admitted.metadata.seq, info=admitted.info, error=text)
        report = Report(outcome=outcome, detail=detail or text, waited_ms=times.waited_ms, engine_ms=times.engine_ms)
        return result, report


def _pixels(output: TranscodeOutput) -> int:
    """What is billed: encoded pixels of all renditions."""
    return sum(r.pixels for r in output.renditions)
