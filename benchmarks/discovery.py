"""GetOrchestrator while the machine has everything to do: p50 and p99 as an independent gateway measures them.

A node transcodes for 1 and for 8 streams that never stop, so that engine children keep every core busy; then uploads of
10 MB arrive flat out besides (over HTTP/2, with the hash of another body: ``upload_sides``). A second program asks for
terms meanwhile (``asker``), on a connection that it keeps and on a new one each time. Gateways drop answers that take
500 ms; the goal is 50 ms at p99. "Core wait" is the share of the time in which the node was ready to run and had no
core: what the rest of the machine adds to the answers. Engine children step back behind the node (``nice``).
Run: ``scripts/bench discovery``.
"""

import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from baton.selftest import segmenter
from baton.selftest.demonstration import CLIP
from baton.selftest.nodeprocess import NodeProcess, running_node
from benchmarks.figures import percentile
from benchmarks.ladders import LADDER_720
from benchmarks.machine import core_wait_s, load, process_cpu_s
from benchmarks.options import Options, report
from benchmarks.streams import stream_for_ever
from benchmarks.upload import Shape, client, compile_uploader, find_go, one_run
from benchmarks.upload_sides import Side, headers_of_another_body, started

GOAL_MS = 50.0
_PAUSE_S = 0.06
"""Below the rate at which a node starts to refuse one asker."""


HEAD = (
    f"{'burden':<28} {'connection':<10} {'asked':>5} {'p50 ms':>8} {'p99 ms':>8} {'most ms':>8} {'node CPU':>9} "
    f"{'core wait':>9}  goal p99 < {GOAL_MS:.0f}"
)


async def _ask(asker: asyncio.subprocess.Process, *, seconds: float, fresh: bool) -> list[float]:
    assert asker.stdin is not None  # noqa: S101 -- started with pipes
    assert asker.stdout is not None  # noqa: S101 -- started with pipes
    asker.stdin.write(f"{seconds} {_PAUSE_S} {int(fresh)}\n".encode())
    await asker.stdin.drain()
    line = await asker.stdout.readline()
    if not line:
        message = "the asker ended"
        raise RuntimeError(message)
    times_ms: list[float] = json.loads(line)
    return times_ms


@contextlib.asynccontextmanager
async def _streaming(node: NodeProcess, streams: int, folder: Path) -> AsyncIterator[None]:
    """So many streams at work while the block runs."""
    source = await segmenter.cut(CLIP, folder, limit_s=4)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(stream_for_ever(node.uri, source, LADDER_720, f"busy{streams}-{index}"))
            for index in range(streams)
        ]
        await asyncio.sleep(3)  # engines are warm and every core is taken
        yield
        for task in tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def _uploading(node: NodeProcess, uploader: Path | None, folder: Path) -> AsyncIterator[None]:
    """Uploads flat out while the block runs."""
    if uploader is None:
        yield
        return
    (folder / "body-10").write_bytes(os.urandom(10_000_000))
    headers = await asyncio.to_thread(headers_of_another_body, node.uri)
    side = Side("flood", int(node.uri.rpartition(":")[2]), headers, lambda: 0.0)
    shape = Shape(http1=False, megabytes=10, parallel=2, count=4)
    async with client(uploader, side, shape, folder) as process, asyncio.TaskGroup() as group:

        async def flood() -> None:
            while True:
                await one_run(process, folder)

        task = group.create_task(flood())
        yield
        task.cancel()


async def measure(options: Options, folder: Path, uploader: Path | None) -> list[dict[str, object]]:
    """Every burden, each with a kept and with fresh connections."""
    seconds = 3.0 if options.quick else 15.0
    rows: list[dict[str, object]] = []
    options.say(HEAD)
    burdens = [(0, False), (1, False), (8, False)] + ([(8, True)] if uploader else [])
    async with running_node(folder, "--max-sessions", "100") as node:
        command = (sys.executable, "-m", "benchmarks.asker", node.uri)
        async with started(*command, log=folder / "asker.log") as asker:
            for streams, uploads in burdens:
                async with contextlib.AsyncExitStack() as stack:
                    if streams:
                        await stack.enter_async_context(_streaming(node, streams, folder))
                    await stack.enter_async_context(_uploading(node, uploader if uploads else None, folder))
                    for fresh in (False, True):
                        cpu_s, wait_s = process_cpu_s(node.pid), core_wait_s(node.pid)
                        times_ms = await _ask(asker, seconds=seconds, fresh=fresh)
                        row: dict[str, object] = {
                            "streams": streams,
                            "uploads": uploads,
                            "connection": "new" if fresh else "kept",
                            "asked": len(times_ms),
                            "p50_ms": statistics.median(times_ms),
                            "p99_ms": percentile(times_ms, 99),
                            "most_ms": max(times_ms),
                            "node_cpu_share": (process_cpu_s(node.pid) - cpu_s) / seconds,
                            "core_wait_share": (core_wait_s(node.pid) - wait_s) / seconds,
                            "load": load(),
                        }
                        rows.append(row)
                        options.say(line_of(row))
        await node.stop()
    return rows


def line_of(row: dict[str, object]) -> str:
    """One row for people."""
    burden = f"{row['streams']} streams" + (" and uploads" if row["uploads"] else "")
    met = "met" if float(str(row["p99_ms"])) < GOAL_MS else "missed"
    return (
        f"{burden:<28} {row['connection']:<10} {row['asked']:>5} {row['p50_ms']:>8.1f} {row['p99_ms']:>8.1f} "
        f"{row['most_ms']:>8.1f} {row['node_cpu_share']:>9.2f} {row['core_wait_share']:>9.2f}  {met}"
    )


async def _main(options: Options) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as folder:
        go = find_go()
        uploader = await compile_uploader(go, Path(folder)) if go else None
        if uploader is None:
            options.say("no Go compiler: without uploads")
        return await measure(options, Path(folder), uploader)


def main() -> int:
    """Measure and print; the exit code says only whether the measurement worked."""
    options = Options.parse("GetOrchestrator on a busy machine.")
    return report(options, "discovery", rows=asyncio.run(_main(options)))


if __name__ == "__main__":
    sys.exit(main())
