"""What a node costs before and between segments: time from start to ready, phase by phase, and memory per open session.

Start: a fresh data directory each time, from the start of the process until ``/readyz`` answers 200; the phases end
with lines of the node's own log. Memory: sessions of as many gateways are opened one after another, each by a segment
that is no video (it costs an engine nothing) over a TLS connection that stays open, as a gateway's does; the slope of
the node's memory over their number is what one more costs while nothing of it is at work. What sessions at work hold
is seen in ``scripts/bench frames``. Run: ``scripts/bench cost``.
"""

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from baton.kernel.capabilities import Capabilities, Capability, bits_from_ids
from baton.kernel.ids import ManifestId
from baton.selftest.gateway import Gateway, SegmentJob
from baton.selftest.nodeprocess import NodeProcess, free_ports, running_node
from baton.selftest.parties import Endpoint
from benchmarks.figures import slope, with_spread
from benchmarks.ladders import LADDER_720
from benchmarks.machine import memory_bytes
from benchmarks.options import Options, report
from benchmarks.upload_sides import started

_READY_TIMEOUT_S = 60.0
_POLL_S = 0.005
_PHASES = {
    "interpreter, imports, settings": "baton starts",
    "certificate, services, management port": "management listening",
    "engine started and tested": "engine tested",
    "service port opened": "node serving",
}
"""A phase, and the event of the log that ends it."""
_ASK_S = 0.06


async def start_once(folder: Path) -> dict[str, float]:
    """Seconds of each phase, and of all until ``/readyz`` answers 200."""
    folder.mkdir()  # noqa: ASYNC240 -- a moment's work, and nothing else runs
    service, management = free_ports(2)
    command = (
        *(sys.executable, "-m", "baton", "run", "--network", "offchain", "--data-dir", str(folder / "data")),
        *("--service-addr", f"https://127.0.0.1:{service}", "--http-addr", f"127.0.0.1:{service}"),
        *("--cli-addr", f"127.0.0.1:{management}", "--log-format", "json"),
    )
    log = folder / "node.log"
    began = time.time()
    async with started(*command, log=log) as process:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            while not await _is_ready(management):
                if process.returncode is not None:
                    message = f"the node ended with exit code {process.returncode}"
                    raise RuntimeError(message)
                await asyncio.sleep(_POLL_S)
        ready_s = time.time() - began
        assert process.stdout is not None  # noqa: S101 -- started with a pipe
        process.terminate()
        text = (await process.stdout.read()).decode() + log.read_text()
        await process.wait()  # a signal to one that just ended takes its exit code from the loop
    return {**phases(text, began=began), "until /readyz answers 200": ready_s}


def phases(log: str, *, began: float) -> dict[str, float]:
    """Seconds of each phase of a start at ``began`` (unix seconds), from a log in JSON lines.

    Raises:
        ValueError: a phase left no line.
    """
    at: dict[str, float] = {}
    for line in log.splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            at.setdefault(row["event"], datetime.fromisoformat(row["timestamp"]).timestamp())
    lengths, before = {}, began
    for name, event in _PHASES.items():
        if event not in at:
            message = f"the log does not say {event!r}"
            raise ValueError(message)
        lengths[name] = at[event] - before
        before = at[event]
    return lengths


async def _is_ready(port: int) -> bool:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return b" 200 " in await reader.readline()
        finally:
            writer.close()
    return False


async def open_sessions(node: NodeProcess, count: int, *, every: int) -> list[tuple[float, float]]:
    """The node's memory in bytes over the number of open sessions, seen after each ``every`` of ``count``."""
    ids = (Capability.AUTH_TOKEN, Capability.SEGMENT_SLICING, Capability.MPEGTS, Capability.H264)
    capabilities = Capabilities(bits=bits_from_ids(ids))
    points = []
    async with contextlib.AsyncExitStack() as stack:
        for number in range(count + 1):
            gateway = await stack.enter_async_context(Gateway(endpoint=Endpoint.parse(node.uri)))
            terms = await gateway.get_orchestrator(capabilities)
            job = SegmentJob(
                manifest_id=ManifestId(f"idle-{number}"),
                seq=0,
                data=b"no video" * 100,
                duration_ms=2000,
                profiles=LADDER_720,
                capabilities=capabilities,
            )
            await gateway.post_segment(job, terms)
            await asyncio.sleep(_ASK_S)  # a node refuses one address that asks faster
            if number and number % every == 0:
                points.append((float(number), float(memory_bytes(node.pid))))
    return points


async def measure(options: Options, folder: Path) -> list[dict[str, object]]:
    """Starts, then sessions."""
    starts = [await start_once(folder / f"start-{number}") for number in range(options.rounds(5) + 1)][1:]
    rows: list[dict[str, object]] = [
        {"measure": f"start: {name}", "unit": "s", "values": [start[name] for start in starts]} for name in starts[0]
    ]
    place = folder / "sessions"
    place.mkdir()
    async with running_node(place, "--max-sessions", "1000") as node:
        before = memory_bytes(node.pid)
        count, every = (20, 10) if options.quick else (200, 25)
        points = await open_sessions(node, count, every=every)
        await node.stop()
    rows += [
        {"measure": "memory of an idle node", "unit": "MB", "values": [before / 1e6]},
        {"measure": "memory of one more open session", "unit": "MB", "values": [slope(points) / 1e6]},
    ]
    for row in rows:
        options.say(line_of(row))
    return rows


def line_of(row: Mapping[str, object]) -> str:
    """One row for people."""
    values: list[float] = row["values"]  # type: ignore[assignment]  # made by measure
    shown = with_spread(values, 3) if len(values) > 1 else f"{statistics.median(values):.3f}"
    return f"{row['measure']:<48} {shown} {row['unit']}"


def main() -> int:
    """Measure and print; the exit code says only whether the measurement worked."""
    options = Options.parse("Start and memory of a node.")
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as folder:
        rows = asyncio.run(measure(options, Path(folder)))
    return report(options, "cost", rows=rows)


if __name__ == "__main__":
    sys.exit(main())
