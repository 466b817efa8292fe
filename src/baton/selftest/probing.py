"""The work of ``baton probe``: every check a gateway could make, in the order it would come to it.

Each problem becomes a row; nothing an orchestrator answers raises out of here.
"""

import asyncio
import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from baton.jobs.messages import OrchestratorInfo
from baton.kernel.capabilities import Capabilities, Capability, bits_from_ids, is_compatible
from baton.kernel.ids import ZERO_ADDRESS, ManifestId
from baton.kernel.profiles import VideoProfile
from baton.selftest import checks, checks_payment, segmenter
from baton.selftest.checks import Check
from baton.selftest.checks_stream import JudgedRendition
from baton.selftest.gateway import DOWNLOAD_TIMEOUT_S, Gateway
from baton.selftest.http2 import PeerError
from baton.selftest.inspector import InspectError, Inspector
from baton.selftest.parties import Endpoint, GatewayKey
from baton.selftest.paying import PayerView, PaymentSession
from baton.selftest.portfacts import look_at_port
from baton.selftest.report import Progress
from baton.selftest.rpc import RpcError
from baton.selftest.segmenter import Source
from baton.selftest.streaming import StreamedSegment, judge_stream, stream_capabilities, stream_segments

__all__ = ["ProbeResult", "run_probe"]

_SAMPLES = 3
_PING_BYTES = 32


@dataclass(slots=True)
class ProbeResult:
    """Rows as they are found; ``streamed`` and ``judged`` stay empty without a file."""

    checks: list[Check] = field(default_factory=list)
    streamed: tuple[StreamedSegment, ...] = ()
    judged: tuple[JudgedRendition, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return checks.all_passed(self.checks)


async def run_probe(
    *,
    endpoint: Endpoint,
    key: GatewayKey,
    video: Path | None,
    profiles: tuple[VideoProfile, ...],
    limit_s: float,
    progress: Progress,
    payer: PayerView | None = None,
) -> ProbeResult:
    """Every check, in the order a gateway would come to it; what cannot be reached any more is left out.

    With a ``payer`` the stream is paid by the account of ``key``.
    """
    result = ProbeResult()
    progress.step(f"Looking at {endpoint.uri}")
    rows, reachable = await look_at_port(endpoint)
    result.checks.extend(rows)
    if not reachable:
        return result
    async with Gateway(endpoint=endpoint, key=key) as gateway:
        progress.step("Asking for terms")
        terms = await _discover(gateway, result)
        if terms is None:
            return result
        await _ping(gateway, terms, result)
        await _http1(gateway, result)
        if video is not None:
            purse = _purse(key, terms, payer, result) if payer is not None else None
            if payer is None or purse is not None:
                with tempfile.TemporaryDirectory(prefix="baton-probe-") as folder:
                    await _stream(gateway, terms, video, profiles, Path(folder), limit_s, progress, result, purse=purse)
        await _end(gateway, terms, result)
    return result


async def _discover(gateway: Gateway, result: ProbeResult) -> OrchestratorInfo | None:
    """Ask three times, as three gateways would; judge the last answer."""
    wanted = Capabilities(
        bits=bits_from_ids((Capability.H264, Capability.MPEGTS, Capability.AUTH_TOKEN, Capability.SEGMENT_SLICING))
    )
    loop = asyncio.get_running_loop()
    samples_ms: list[float] = []
    sessions: list[str] = []
    try:
        for _ in range(_SAMPLES):
            started = loop.time()
            terms = await gateway.get_orchestrator(wanted)
            samples_ms.append((loop.time() - started) * 1000)
            sessions.append(terms.auth_token.session_id)
    except PeerError as error:
        # The remedy is ours; only what the orchestrator said must be made printable.
        remedy = (
            checks.remedy_for(error.text, anonymous=gateway.address == ZERO_ADDRESS)
            if isinstance(error, RpcError)
            else ""
        )
        result.checks.append(checks.failed("discovery", f"{checks.printable(str(error))}{remedy}"))
        return None
    token = checks.judge_token(terms.auth_token, now=time.time())
    uri = checks.judge_transcoder_uri(terms.transcoder)
    result.checks.extend(
        (
            checks.passed("discovery", f"GetOrchestrator answered {_SAMPLES} times"),
            checks.judge_discovery_latency(samples_ms),
            uri,
            checks.judge_address(terms.address),
            checks.judge_price(terms),
            token,
            checks.judge_sessions(sessions),
            checks.judge_version(terms.capabilities.version),
            *checks.judge_capabilities(terms.capabilities),
            checks.judge_nodes(terms.nodes),
            checks.judge_storage(terms),
        )
    )
    return terms if checks.all_passed((token, uri)) else None


async def _ping(gateway: Gateway, terms: OrchestratorInfo, result: ProbeResult) -> None:

    value = secrets.token_bytes(_PING_BYTES)
    try:
        reply = await gateway.ping(value)
    except PeerError as error:
        result.checks.append(checks.failed("ping", checks.printable(str(error))))
    else:
        result.checks.append(checks.judge_ping(address=terms.address, value=value, reply=reply))


async def _http1(gateway: Gateway, result: ProbeResult) -> None:
    """Renditions are fetched over HTTP/1.1, so the port must speak it; any status proves that."""
    try:
        status = await gateway.status_of("/healthz")
    except PeerError as error:
        result.checks.append(checks.failed("HTTP/1.1", checks.printable(str(error))))
    else:
        result.checks.append(checks.passed("HTTP/1.1", f"/healthz answers {status}"))


async def _end(gateway: Gateway, terms: OrchestratorInfo, result: ProbeResult) -> None:

    try:
        await gateway.end_session(terms.auth_token)
    except PeerError as error:
        result.checks.append(checks.failed("end of session", checks.printable(str(error))))
    else:
        result.checks.append(checks.passed("end of session", "accepted"))


async def _stream(
    gateway: Gateway,
    terms: OrchestratorInfo,
    video: Path,
    profiles: tuple[VideoProfile, ...],
    folder: Path,
    limit_s: float,
    progress: Progress,
    result: ProbeResult,
    *,
    purse: PaymentSession | None,
) -> None:
    """Stream the file and judge it; every problem is a row, never an exception."""
    progress.step(f"Cutting {video.name} into segments")
    try:
        source = await segmenter.cut(video, folder, limit_s=limit_s)
    except segmenter.SegmentError as error:
        result.checks.append(checks.failed("file", str(error)))
        return
    streamed = await _send(gateway, terms, source, profiles, folder, progress, result, purse=purse)
    if not streamed:
        return
    inspector = Inspector.best()

    def judged_one(rows: Sequence[JudgedRendition]) -> None:
        progress.advance(f"segment {rows[0].segment}")

    progress.step("Decoding every rendition", of=len(streamed))
    try:
        judgement = await judge_stream(inspector=inspector, streamed=streamed, profiles=profiles, on_judged=judged_one)
    except InspectError as error:
        result.checks.append(checks.failed("file", f"the source cannot be judged: {error}"))
        return
    result.streamed, result.judged = streamed, judgement.renditions
    result.checks.extend((*_stream_checks(streamed, judgement.renditions), *judgement.joints))
    result.checks.append(checks.info("judge", await inspector.engine()))


async def _send(
    gateway: Gateway,
    terms: OrchestratorInfo,
    source: Source,
    profiles: tuple[VideoProfile, ...],
    folder: Path,
    progress: Progress,
    result: ProbeResult,
    *,
    purse: PaymentSession | None,
) -> tuple[StreamedSegment, ...]:
    wanted = stream_capabilities(source, profiles)
    if not is_compatible(wanted, terms.capabilities):
        result.checks.append(checks.judge_capabilities(terms.capabilities, wanted)[-1])
        return ()
    sent: list[StreamedSegment] = []

    def one(segment: StreamedSegment) -> None:
        sent.append(segment)
        progress.advance(f"segment {segment.index}: {segment.total_s * 1000:.0f} ms")

    progress.step("Streaming", of=len(source.segments))
    try:
        await stream_segments(
            gateway=gateway,
            terms=terms,
            source=source,
            profiles=profiles,
            folder=folder,
            manifest_id=ManifestId(f"probe-{secrets.token_hex(4)}"),
            http1_last=True,
            purse=purse,
            on_segment=one,
        )
    except PeerError as error:
        unpaid = " (nothing was paid: --pay)" if terms.ticket_params is not None and purse is None else ""
        result.checks.append(checks.failed("segments", checks.printable(f"{error}{unpaid}")))
    else:
        result.checks.append(checks.passed("segments", f"{len(sent)} of {len(source.segments)} came back whole"))
    if purse is not None:
        result.checks.append(checks_payment.judge_books(purse))
    return tuple(sent)


def _purse(key: GatewayKey, terms: OrchestratorInfo, payer: PayerView, result: ProbeResult) -> PaymentSession | None:
    """The money of the session, or None when nobody would pay under such terms."""
    row = checks_payment.judge_terms_for_sale(terms)
    result.checks.append(row)
    return PaymentSession(key=key, terms=terms, view=payer) if checks.all_passed((row,)) else None


def _stream_checks(streamed: tuple[StreamedSegment, ...], judged: tuple[JudgedRendition, ...]) -> tuple[Check, ...]:

    protocols = sorted({segment.protocol for segment in streamed})
    faults = [f"segment {row.segment} {row.profile.name}: {'; '.join(row.faults)}" for row in judged if row.faults]
    unsigned = [segment.signature for segment in streamed if segment.signature.verdict is checks.Verdict.FAIL]
    slow = [segment for segment in streamed if segment.realtime_factor < 1]
    slowest = max(streamed, key=lambda segment: segment.total_s)
    download_s = max(segment.slowest_download_s for segment in streamed)
    header_s = max(segment.header_s for segment in streamed)
    speed = f"slowest answer {slowest.total_s:.2f} s for {slowest.source.duration_ms / 1000:.2f} s of video"
    return (
        checks.passed("protocols", " and ".join(protocols)),
        checks.passed("answer header", f"within {header_s * 1000:.0f} ms of the start of the upload"),
        checks.failed("speed", f"{speed}: {len(slow)} segments slower than real time, gateways swap")
        if len(slow) * 2 > len(streamed)
        else checks.passed("speed", speed),
        checks.passed("downloads", f"slowest {download_s * 1000:.0f} ms (limit {DOWNLOAD_TIMEOUT_S:g} s)"),
        unsigned[0] if unsigned else streamed[0].signature,
        checks.failed("renditions", checks.printable(f"{len(faults)} of {len(judged)} wrong; {faults[0]}", 400))
        if faults
        else checks.passed(
            "renditions", f"{len(judged)} decoded: pixels as reported, sizes and frames as asked, audio packets as sent"
        ),
    )
