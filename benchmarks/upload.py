"""Uploads of 2 and 10 MB over HTTP/2 and HTTP/1.1 against nginx, on a short line and on one with 50 ms of round trip.

The client is Go's standard library, which the network's gateways use, compiled here from ``benchmarks/uploader``. It
posts bodies one after another or four at once (over HTTP/2 on one connection), to nginx, to Baton's bare service port
and to a node's ``/segment`` in turn; ``upload_sides`` says what each does with a body. Throughput is a ratio to nginx,
round by round; CPU time is seconds per gigabyte taken. The relay adds delay and nothing else.

Needs Go and nginx. Without nginx the figures stand alone; without Go nothing is measured, and the reason is told.
Run: ``scripts/bench upload``.
"""

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from baton.selftest.inspector import run_bounded
from benchmarks.figures import median_ratio, ratios, with_spread
from benchmarks.options import Options, report
from benchmarks.upload_sides import Side, bare_port_side, find_nginx, nginx_side, relayed, segment_side, started

ROUND_TRIP_MS = 50.0
_MEGA = 1_000_000
_SOURCE = Path(__file__).parent / "uploader"
_STATUS_TAKEN = "403"
_GOALS = {("HTTP/2.0", 10, 1): 0.38, ("HTTP/2.0", 10, 4): 0.71, ("HTTP/2.0", 2, 4): 0.53}
"""What the bare port reached against nginx when it was designed: protocol, megabytes, at once."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to upload: bodies of so many megabytes, so many at once, ``count`` a round."""

    http1: bool
    megabytes: int
    parallel: int
    count: int
    round_trip_ms: float = 0.0

    @property
    def protocol(self) -> str:
        """As Go names it."""
        return "HTTP/1.1" if self.http1 else "HTTP/2.0"


@dataclass(slots=True)
class Taken:
    """What one side did in one shape, a value per round."""

    side: str
    shape: Shape
    mb_per_s: list[float] = field(default_factory=list)
    cpu_s_per_gb: list[float] = field(default_factory=list)
    each_s: list[float] = field(default_factory=list)


def find_go() -> str | None:
    """The Go compiler of this machine."""
    return shutil.which("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")


async def compile_uploader(go: str, folder: Path) -> Path:
    """Build the client; the standard library is all it needs."""
    binary = folder / "uploader"
    command = ("env", "GO111MODULE=off", "CGO_ENABLED=0", go, "build", "-o", str(binary), str(_SOURCE / "main.go"))
    finished = await run_bounded(command, timeout_s=300)
    if finished.returncode:
        message = f"the client did not compile: {finished.stderr.strip()[-300:]}"
        raise RuntimeError(message)
    return binary


def shapes(*, quick: bool) -> tuple[Shape, ...]:
    """Every way that is measured."""
    volume = 80 if quick else 240
    near = [
        Shape(http1=http1, megabytes=size, parallel=parallel, count=volume // size)
        for http1 in (False, True)
        for size, parallel in ((10, 1), (10, 4), (2, 1), (2, 4))
    ]
    far = [
        Shape(http1=http1, megabytes=size, parallel=1, count=2 if quick else 5, round_trip_ms=ROUND_TRIP_MS)
        for http1 in (False, True)
        for size in (10, 2)
    ]
    return (*near, *far)


@contextlib.asynccontextmanager
async def client(uploader: Path, side: Side, shape: Shape, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Go's client, ready for ``one_run``; its connections stay open between runs."""
    body, headers = folder / f"body-{shape.megabytes}", folder / f"headers-{side.name.strip('/')}"
    headers.write_text("".join(f"{name}: {value}\n" for name, value in side.headers))
    command = [str(uploader), "-url", side.url, "-body", str(body), "-headers", str(headers)]
    command += ["-count", str(shape.count), "-parallel", str(shape.parallel)]
    if shape.http1:
        command.append("-http1")
    async with started(*command, log=folder / "client.log") as process:
        yield process


async def one_run(process: asyncio.subprocess.Process, folder: Path) -> dict[str, object]:
    """One round of a client, as it reports it."""
    assert process.stdin is not None  # noqa: S101 -- started with pipes
    assert process.stdout is not None  # noqa: S101 -- started with pipes
    process.stdin.write(b"\n")
    await process.stdin.drain()
    line = await process.stdout.readline()
    if not line:
        message = f"the client ended: {(folder / 'client.log').read_text().strip()}"
        raise RuntimeError(message)
    answer: dict[str, object] = json.loads(line)
    return answer


async def measure_shape(
    uploader: Path, sides: Sequence[Side], shape: Shape, *, rounds: int, folder: Path
) -> list[Taken]:
    """All sides in turn, ``rounds`` times after one that is not counted; in every other round in reverse order."""
    taken = {side.name: Taken(side.name, shape) for side in sides}
    async with contextlib.AsyncExitStack() as stack:
        clients = [(side, await stack.enter_async_context(client(uploader, side, shape, folder))) for side in sides]
        for number in range(rounds + 1):
            for side, process in reversed(clients) if number % 2 else clients:
                cpu_s = side.cpu_s()
                answer = await one_run(process, folder)
                cpu_s = side.cpu_s() - cpu_s
                if answer["statuses"] != {_STATUS_TAKEN: shape.count} or answer["protocol"] != shape.protocol:
                    message = f"{side.name}: {answer['statuses']} over {answer['protocol']}"
                    raise RuntimeError(message)
                if not number:
                    continue
                volume, row = shape.count * shape.megabytes, taken[side.name]
                row.mb_per_s.append(volume / float(str(answer["wall_s"])))
                row.cpu_s_per_gb.append(cpu_s / volume * 1000)
                row.each_s += answer["each_s"]  # type: ignore[arg-type]  # a list of numbers, by our own client
    return list(taken.values())


def row_of(ours: Taken, limit: Taken | None) -> dict[str, object]:
    """One side in one shape, as a document."""
    shape = ours.shape
    row: dict[str, object] = {
        "side": ours.side,
        "protocol": shape.protocol,
        "megabytes": shape.megabytes,
        "at_once": shape.parallel,
        "round_trip_ms": shape.round_trip_ms,
        "mb_per_s": ours.mb_per_s,
        "cpu_s_per_gb": statistics.median(ours.cpu_s_per_gb),
        "median_upload_s": statistics.median(ours.each_s),
    }
    if limit is not None and limit is not ours:
        row["ratio"] = median_ratio(ours.mb_per_s, limit.mb_per_s)
        row["ratios"] = ratios(ours.mb_per_s, limit.mb_per_s)
        counts = ours.side == "port" and not shape.round_trip_ms
        row["goal"] = _GOALS.get((shape.protocol, shape.megabytes, shape.parallel)) if counts else None
    return row


HEAD = (
    f"{'protocol':<9} {'body':>5} {'at once':>7} {'round trip':>10}  {'side':<9} {'MB/s':>18}  "
    f"{'to nginx':>18}  {'goal':>5}  {'CPU s/GB':>8}  {'median upload s':>15}"
)


def line_of(row: dict[str, object]) -> str:
    """One row for people."""
    rate = with_spread(row["mb_per_s"], 0)  # type: ignore[arg-type]  # made by row_of
    ratio = with_spread(row["ratios"], 2) if "ratios" in row else "-"  # type: ignore[arg-type]  # made by row_of
    goal = row.get("goal") or "-"
    return (
        f"{row['protocol']:<9} {row['megabytes']:>2} MB {row['at_once']:>7} {row['round_trip_ms']:>7.0f} ms  "
        f"{row['side']:<9} {rate:>18}  {ratio:>18}  {goal!s:>5}  {row['cpu_s_per_gb']:>8.2f}  "
        f"{row['median_upload_s']:>15.3f}"
    )


async def measure(options: Options, folder: Path, go: str) -> list[dict[str, object]]:
    """Every shape on every side."""
    uploader = await compile_uploader(go, folder)
    for size in (2, 10):
        (folder / f"body-{size}").write_bytes(os.urandom(size * _MEGA))
    rows: list[dict[str, object]] = []
    options.say(HEAD)
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(bare_port_side(folder))
        near = [port, await stack.enter_async_context(segment_side(folder))]
        nginx = find_nginx()
        if nginx is None:
            options.say("no nginx on this machine: no ratios")
        else:
            side = nginx_side(folder, uploader=uploader, nginx=nginx, certificates=folder / "port")
            near.insert(0, await stack.enter_async_context(side))
        far = [await stack.enter_async_context(relayed(side, folder, round_trip_ms=ROUND_TRIP_MS)) for side in near]
        for shape in shapes(quick=options.quick):
            sides = far if shape.round_trip_ms else near
            taken = await measure_shape(uploader, sides, shape, rounds=options.rounds(5), folder=folder)
            limit = taken[0] if taken[0].side == "nginx" else None
            for each in taken:
                rows.append(row_of(each, limit))
                options.say(line_of(rows[-1]))
    return rows


def main() -> int:
    """Measure and print; the exit code says only whether the measurement worked."""
    options = Options.parse("Uploads against nginx.")
    go = find_go()
    if go is None:
        return report(options, "upload", skipped="no Go compiler on this machine, which builds the client")
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as folder:
        rows = asyncio.run(measure(options, Path(folder), go))
    return report(options, "upload", rows=rows)


if __name__ == "__main__":
    sys.exit(main())
