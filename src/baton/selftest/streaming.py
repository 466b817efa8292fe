"""Streams a cut clip through an orchestrator as a gateway does, and judges what came back.

Shared by ``demo``, ``probe`` and the benchmark. First everything is streamed and downloaded, one segment after
another as one stream of one gateway; only then is anything decoded, so that judging does not slow what is judged.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from baton.jobs.messages import OrchestratorInfo
from baton.kernel.capabilities import Capabilities, Capability, bits_from_ids
from baton.kernel.ids import Address, ManifestId
from baton.kernel.profiles import OutputFormat, VideoProfile
from baton.selftest.checks import Check
from baton.selftest.checks_stream import (
    JudgedRendition,
    judge_answer,
    judge_joints,
    judge_result_signature,
    rendition_faults,
)
from baton.selftest.gateway import Gateway, SegmentAnswer, SegmentJob
from baton.selftest.http2 import PeerError, PeerTooSlowError
from baton.selftest.inspector import InspectError, Inspector
from baton.selftest.mediafacts import MediaFacts
from baton.selftest.paying import PaymentSession
from baton.selftest.segmenter import Segment, Source
from baton.selftest.tickets import TermsRefusedError

__all__ = ["Judgement", "StreamedSegment", "judge_stream", "stream_capabilities", "stream_segments"]

_CONTAINERS = {OutputFormat.MPEGTS: "mpegts", OutputFormat.MP4: "mp4"}


@dataclass(frozen=True, slots=True)
class StreamedSegment:
    """One segment that came back whole: times in seconds, renditions on disk in profile order."""

    index: int
    source: Segment
    protocol: str
    header_s: float
    total_s: float
    slowest_download_s: float
    reported_px: tuple[int, ...]
    paths: tuple[Path, ...]
    signature: Check

    @property
    def realtime_factor(self) -> float:
        """Seconds of video per second of waiting."""
        return self.source.duration_ms / 1000 / self.total_s if self.total_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge found: one row per segment and rendition, one check per rendition's joints."""

    renditions: tuple[JudgedRendition, ...]
    joints: tuple[Check, ...]


def stream_capabilities(source: Source, profiles: Sequence[VideoProfile]) -> Capabilities:
    """What a gateway demands for this stream (video.md 5.6), as it sends it: bits only."""
    ids = {Capability.AUTH_TOKEN, Capability.SEGMENT_SLICING, *source.capability_ids}
    for profile in profiles:
        ids.add(Capability.MPEGTS if profile.format is OutputFormat.MPEGTS else Capability.MP4)
        ids.add(Capability.H264)
        if profile.fps_den:
            ids.add(Capability.FRACTIONAL_FRAMERATES)
        if profile.gop_ms:
            ids.add(Capability.GOP)
    return Capabilities(bits=bits_from_ids(ids))


async def stream_segments(
    *,
    gateway: Gateway,
    terms: OrchestratorInfo,
    source: Source,
    profiles: tuple[VideoProfile, ...],
    folder: Path,
    manifest_id: ManifestId,
    http1_last: bool = False,
    purse: PaymentSession | None = None,
    on_segment: Callable[[StreamedSegment], None] = lambda _: None,
) -> tuple[StreamedSegment, ...]:
    """Send every segment and fetch every rendition; ``http1_last`` sends the last one over HTTP/1.1.

    With a ``purse`` every segment is paid, and its terms are the newest that came with an answer.

    Raises:
        PeerError: named by segment; the stream ends with the first one, as a gateway would leave.
    """
    capabilities = stream_capabilities(source, profiles)
    done: list[StreamedSegment] = []
    for index, segment in enumerate(source.segments):
        http1 = http1_last and len(source.segments) > 1 and index == len(source.segments) - 1
        job = SegmentJob(
            manifest_id=manifest_id,
            seq=index,
            data=await asyncio.to_thread(segment.path.read_bytes),
            duration_ms=segment.duration_ms,
            profiles=profiles,
            capabilities=capabilities,
        )
        try:
            streamed = await _one(gateway, job, terms, segment, folder, purse=purse, http1=http1)
        except PeerError as error:
            message = f"segment {index}: {error}"
            kind = PeerTooSlowError if isinstance(error, PeerTooSlowError) else PeerError
            raise kind(message) from error
        done.append(streamed)
        on_segment(streamed)
    return tuple(done)


async def _one(
    gateway: Gateway,
    job: SegmentJob,
    terms: OrchestratorInfo,
    segment: Segment,
    folder: Path,
    *,
    purse: PaymentSession | None,
    http1: bool,
) -> StreamedSegment:
    if purse is None:
        answer = await gateway.post_segment(job, terms, http1=http1)
        _demand(answer, job)
    else:
        answer = await _paid(gateway, job, purse, http1=http1)
    loop = asyncio.get_running_loop()
    bodies: list[bytes] = []
    slowest_s = 0.0
    for rendition in answer.result.renditions:
        started = loop.time()
        bodies.append(await gateway.download(rendition.url))
        slowest_s = max(slowest_s, loop.time() - started)
    address = terms.address if any(terms.address) else _recipient(terms)
    signature = await asyncio.to_thread(
        judge_result_signature, address=address, renditions=bodies, signature=answer.result.signature
    )
    paths = tuple(folder / f"{job.seq:05d}-{i}{p.format.extension}" for i, p in enumerate(job.profiles))
    for path, body in zip(paths, bodies, strict=True):
        await asyncio.to_thread(path.write_bytes, body)
    return StreamedSegment(
        index=job.seq,
        source=segment,
        protocol=answer.protocol,
        header_s=answer.header_s,
        total_s=answer.total_s,
        slowest_download_s=slowest_s,
        reported_px=tuple(rendition.pixels for rendition in answer.result.renditions),
        paths=paths,
        signature=signature,
    )


def _recipient(terms: OrchestratorInfo) -> Address:
    """Whose signature counts when no address is stated: the ticket recipient's, if there is one (video.md 4.8)."""
    if terms.ticket_params is not None and len(terms.ticket_params.recipient) == len(terms.address):
        return Address(terms.ticket_params.recipient)
    return terms.address


def _demand(answer: SegmentAnswer, job: SegmentJob) -> None:
    if fault := judge_answer(answer.result, seq=job.seq, profiles=job.profiles):
        raise PeerError(fault)


async def _paid(gateway: Gateway, job: SegmentJob, purse: PaymentSession, *, http1: bool) -> SegmentAnswer:
    """Pay for a segment, send it, and book what came back."""
    try:
        spent = await purse.pay(job.profiles, duration_ms=job.duration_ms)
    except TermsRefusedError as error:
        message = f"a gateway would not pay: {error}"
        raise PeerError(message) from error
    answer = await gateway.post_segment(job, purse.terms, payment=spent.payment, http1=http1)
    _demand(answer, job)
    purse.settle(spent, pixels=sum(rendition.pixels for rendition in answer.result.renditions))
    purse.learn(answer.result.info)
    return answer


async def judge_stream(
    *,
    inspector: Inspector,
    streamed: Sequence[StreamedSegment],
    profiles: tuple[VideoProfile, ...],
    on_judged: Callable[[Sequence[JudgedRendition]], None] = lambda _: None,
) -> Judgement:
    """Decode every source segment and every rendition and compare. Raises ``InspectError`` for a source only."""
    limit = asyncio.Semaphore(max(1, min(4, os.cpu_count() or 1)))
    rows: list[JudgedRendition] = []
    sources: list[MediaFacts] = []
    found: list[list[MediaFacts]] = [[] for _ in profiles]

    async def look(path: Path, container: str) -> MediaFacts | InspectError:
        async with limit:
            try:
                return await inspector.inspect(path, container=container)
            except InspectError as error:
                return error

    for segment in streamed:
        containers = [_CONTAINERS[profile.format] for profile in profiles]
        source, *results = await asyncio.gather(
            look(segment.source.path, "mpegts"),
            *(look(path, container) for path, container in zip(segment.paths, containers, strict=True)),
        )
        if isinstance(source, InspectError):
            raise source
        sources.append(source)
        judged = [_judge_one(segment, i, profiles[i], source, result) for i, result in enumerate(results)]
        rows.extend(judged)
        for i, row in enumerate(judged):
            if row.facts is not None:
                found[i].append(row.facts)
        on_judged(judged)
    joints = tuple(
        judge_joints(profile, sources, facts)
        for profile, facts in zip(profiles, found, strict=True)
        if len(facts) == len(sources)
    )
    return Judgement(renditions=tuple(rows), joints=joints)


def _judge_one(
    segment: StreamedSegment, index: int, profile: VideoProfile, source: MediaFacts, result: MediaFacts | InspectError
) -> JudgedRendition:
    reported_px = segment.reported_px[index]
    if isinstance(result, InspectError):
        faults: tuple[str, ...] = (f"not decodable: {result}",)
    else:
        faults = rendition_faults(profile=profile, source=source, rendition=result, reported_px=reported_px)
    return JudgedRendition(
        segment=segment.index,
        profile=profile,
        reported_px=reported_px,
        size_bytes=segment.paths[index].stat().st_size,
        facts=None if isinstance(result, InspectError) else result,
        faults=faults,
    )
