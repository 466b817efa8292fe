"""Streams of gateways towards a node, as the benchmarks send them: segments one after another, answers checked."""

from collections.abc import Sequence

from baton.kernel.ids import ManifestId
from baton.selftest.gateway import Gateway, SegmentJob
from baton.selftest.parties import Endpoint
from baton.selftest.segmenter import Source
from baton.selftest.streaming import stream_capabilities
from benchmarks.ladders import Ladder

__all__ = ["stream_for_ever", "stream_once"]


PATIENT_MS = 60_000
"""How long the segments say they are. A node gives a segment up when it cannot be answered within four times that, and
what is measured here is throughput, also where a machine is far from real time."""


async def _send(gateway: Gateway, source: Source, ladder: Ladder, name: str, data: Sequence[bytes]) -> None:
    """One session: terms, every segment, the end."""
    capabilities = stream_capabilities(source, ladder)
    terms = await gateway.get_orchestrator(capabilities)
    for seq, body in enumerate(data):
        job = SegmentJob(
            manifest_id=ManifestId(name),
            seq=seq,
            data=body,
            duration_ms=PATIENT_MS,
            profiles=ladder,
            capabilities=capabilities,
        )
        answer = await gateway.post_segment(job, terms)
        if answer.result.error or len(answer.result.renditions) != len(ladder):
            message = f"segment {seq}: {answer.result.error or 'renditions are missing'}"
            raise RuntimeError(message)
    await gateway.end_session(terms.auth_token)


async def stream_once(uri: str, source: Source, ladder: Ladder, name: str, data: Sequence[bytes]) -> None:
    """One stream of one gateway, from terms to the end of its session; ``data`` are the first segments' bytes.

    Raises:
        RuntimeError: a segment came back with an error or without a rendition.
        PeerError: by the gateway, about a node that does not answer as it must.
    """
    async with Gateway(endpoint=Endpoint.parse(uri)) as gateway:
        await _send(gateway, source, ladder, name, data)


async def stream_for_ever(uri: str, source: Source, ladder: Ladder, name: str) -> None:
    """One session after another until cancelled."""
    data = [segment.path.read_bytes() for segment in source.segments]
    async with Gateway(endpoint=Endpoint.parse(uri)) as gateway:
        number = 0
        while True:
            number += 1
            await _send(gateway, source, ladder, f"{name}-{number}", data)
