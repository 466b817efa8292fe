"""Frames per second through ``/segment`` against bare FFmpeg doing the same renditions on the same cores.

Three sides get the same segments and make the same ladder with the same encoder settings and priority: Baton (a real
node with a real gateway in front: upload over TLS, transcode in an engine child, answer; renditions are not
downloaded); one FFmpeg process per segment, reading from a pipe and writing files; and one FFmpeg process per stream
over the whole input. The faster bare way is the limit, and Baton shall beat a process per segment in any case. The
sides take turns, in every other round in reverse order, so that whatever else the machine does meets all; each round
gives ratios, the median counts and the spread is told. CPU time (Baton: the node and its children, TLS and hashing
included) is the second figure: it hardly depends on what else runs. Besides: what the node process alone takes of a
core for a stream in real time, and how much memory node and children hold while they work.
Run: ``scripts/bench frames``.
"""

import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from baton.selftest import segmenter
from baton.selftest.inspector import find_ffmpeg
from baton.selftest.nodeprocess import NodeProcess, running_node
from benchmarks.figures import median_ratio, ratios, with_spread
from benchmarks.ladders import PRESET, Ladder, bare_command, describe_ladder
from benchmarks.machine import load, memory_bytes, own_children_cpu_s, process_cpu_s, session_cpu_s, session_pids
from benchmarks.media import SOURCES, Material, make_source
from benchmarks.options import Options, report
from benchmarks.streams import stream_once

GOAL = 0.95
_MEMORY_POLL_S = 0.5
_PER_SEGMENT = "FFmpeg per segment"
_PER_STREAM = "FFmpeg per stream"
_BATON = "Baton"


@dataclass(slots=True)
class Worked:
    """What one side did, a value per round."""

    fps: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """One source and number of streams: every side, and what else was seen of the node."""

    source: str
    streams: int
    sides: dict[str, Worked]
    node_cpu_share: list[float] = field(default_factory=list)
    """Cores that the node process, without its children, takes for one stream in real time."""
    node_memory_bytes: int = 0
    engine_memory_bytes: int = 0

    def row(self) -> dict[str, object]:
        """As a document."""
        ours = self.sides[_BATON]
        limit = max((_PER_SEGMENT, _PER_STREAM), key=lambda name: statistics.median(self.sides[name].fps))
        return {
            "source": self.source,
            "streams": self.streams,
            "fps": {name: side.fps for name, side in self.sides.items()},
            "limit": limit,
            "ratio": median_ratio(ours.fps, self.sides[limit].fps),
            "ratios": ratios(ours.fps, self.sides[limit].fps),
            "ratio_per_segment": median_ratio(ours.fps, self.sides[_PER_SEGMENT].fps),
            "cpu_ratio": median_ratio(self.sides[limit].cpu_s, ours.cpu_s),
            "cpu_ratio_per_segment": median_ratio(self.sides[_PER_SEGMENT].cpu_s, ours.cpu_s),
            "node_cpu_share": statistics.median(self.node_cpu_share),
            "node_memory_bytes": self.node_memory_bytes,
            "engine_memory_bytes": self.engine_memory_bytes,
            "load": load(),
        }


async def _bare(command: Sequence[str], data: bytes) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    await process.communicate(data)
    if process.returncode:
        message = f"ffmpeg ended with {process.returncode}"
        raise RuntimeError(message)


async def _seconds(streams: int, one: Callable[[int], Awaitable[None]]) -> float:
    """Seconds that so many streams at once take."""

    async def run(index: int) -> None:
        await one(index)

    loop = asyncio.get_running_loop()
    started = loop.time()
    async with asyncio.TaskGroup() as group:
        for index in range(streams):
            group.create_task(run(index))
    return loop.time() - started


class Contest:
    """The three sides over the same segments."""

    def __init__(
        self, *, node: NodeProcess, ffmpeg: str, material: Material, ladder: Ladder, streams: int, folder: Path
    ) -> None:
        """``folder`` takes what FFmpeg writes."""
        self._node = node
        self._ffmpeg = ffmpeg
        self._material = material
        self._ladder = ladder
        self._streams = streams
        self._folder = folder
        self._number = 0
        names = (_PER_SEGMENT, _PER_STREAM, _BATON)
        self.outcome = Outcome(material.name, streams, {name: Worked() for name in names})

    async def round(self, segments: int, *, counted: bool) -> None:
        """Every side once, over the first ``segments`` of each stream."""
        self._number += 1
        source = self._material.source
        data = self._material.data[:segments]
        seconds = sum(segment.duration_ms for segment in source.segments[:segments]) / 1000
        sides = list(self.outcome.sides.items())
        for name, side in sides if self._number % 2 else reversed(sides):
            cpu_s = own_children_cpu_s() + session_cpu_s(self._node.pid)
            node_cpu_s = process_cpu_s(self._node.pid)
            wall_s = await self._run(name, data)
            if counted:
                side.fps.append(self._streams * seconds * source.fps / wall_s)
                side.cpu_s.append(own_children_cpu_s() + session_cpu_s(self._node.pid) - cpu_s)
                if name == _BATON:
                    share = (process_cpu_s(self._node.pid) - node_cpu_s) / (self._streams * seconds)
                    self.outcome.node_cpu_share.append(share)

    async def _run(self, name: str, data: Sequence[bytes]) -> float:
        if name == _BATON:
            watching = asyncio.create_task(self._watch_memory())
            try:
                return await _seconds(self._streams, lambda index: self._baton(index, data))
            finally:
                watching.cancel()
        whole = [b"".join(data)] if name == _PER_STREAM else data
        return await _seconds(self._streams, lambda index: self._plain(index, whole))

    async def _plain(self, index: int, data: Sequence[bytes]) -> None:
        for each in data:
            await _bare(bare_command(self._ffmpeg, self._ladder, self._folder, f"bare{index}"), each)

    async def _baton(self, index: int, data: Sequence[bytes]) -> None:
        await stream_once(self._node.uri, self._material.source, self._ladder, f"round{self._number}-{index}", data)

    async def _watch_memory(self) -> None:
        """Remember the most that the node, and its children together, held."""
        while True:
            await asyncio.sleep(_MEMORY_POLL_S)
            node = memory_bytes(self._node.pid)
            children = sum(memory_bytes(pid) for pid in session_pids(self._node.pid) if pid != self._node.pid)
            self.outcome.node_memory_bytes = max(self.outcome.node_memory_bytes, node)
            self.outcome.engine_memory_bytes = max(self.outcome.engine_memory_bytes, children)


def segments_per_stream(streams: int, *, seconds: float, quick: bool) -> int:
    """So many segments of 2 s that all streams together send about ``seconds``, two at least."""
    return 2 if quick else max(2, round(seconds / streams / segmenter.TARGET_S))


HEAD = (
    f"{'source':<6} {'streams':>7}  {'Baton fps':>15}  {'per segment':>15}  {'per stream':>15}  {'to the faster':>18}  "
    f"{'to per segment':>14}  {'CPU':>5} {'CPU p.s.':>8}  {'node cores/stream':>17}  {'node MB':>7} {'engines MB':>10}"
)


def line_of(row: dict[str, object], outcome: Outcome) -> str:
    """One row for people."""
    fps = "  ".join(f"{with_spread(outcome.sides[name].fps, 0):>15}" for name in (_BATON, _PER_SEGMENT, _PER_STREAM))
    ratio = with_spread(row["ratios"], 2)  # type: ignore[arg-type]  # made by Outcome
    return (
        f"{outcome.source:<6} {outcome.streams:>7}  {fps}  {ratio:>18}  {row['ratio_per_segment']:>14.2f}  "
        f"{row['cpu_ratio']:>5.2f} {row['cpu_ratio_per_segment']:>8.2f}  {row['node_cpu_share']:>17.4f}  "
        f"{outcome.node_memory_bytes / 1e6:>7.0f} {outcome.engine_memory_bytes / 1e6:>10.0f}"
    )


async def measure(options: Options, ffmpeg: str, folder: Path) -> list[dict[str, object]]:
    """Every source and number of streams."""
    rows = []
    options.say(HEAD)
    for name, (ladder, seconds) in SOURCES.items():
        material = await make_source(name, ffmpeg, folder / name, seconds=4 if options.quick else seconds)
        for streams in options.streams:
            place = folder / f"{name}-{streams}"
            place.mkdir()
            # As an operator would set it: more encoders at once than that get in one another's way.
            children = min(streams, (os.cpu_count() or 1) + 1)
            settings = ("--encoder-preset", PRESET, "--engine-children", str(children), "--max-sessions", "100")
            async with running_node(place, *settings) as node:
                contest = Contest(
                    node=node, ffmpeg=ffmpeg, material=material, ladder=ladder, streams=streams, folder=place
                )
                await contest.round(1, counted=False)
                segments = segments_per_stream(streams, seconds=seconds, quick=options.quick)
                for _ in range(options.rounds(3)):
                    await contest.round(segments, counted=True)
                await node.stop()
            rows.append(contest.outcome.row())
            options.say(line_of(rows[-1], contest.outcome))
    for name, (ladder, _) in SOURCES.items():
        options.say(f"{name} to {describe_ladder(ladder)}, x264 {PRESET}; goal {GOAL} of the faster bare way")
    return rows


def main() -> int:
    """Measure and print; the exit code says only whether the measurement worked."""
    options = Options.parse("Compare Baton with bare FFmpeg.")
    ffmpeg = find_ffmpeg()
    if ffmpeg is None:
        return report(options, "frames", skipped="no FFmpeg on this machine")
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as folder:
        rows = asyncio.run(measure(options, ffmpeg, Path(folder)))
    return report(options, "frames", rows=rows)


if __name__ == "__main__":
    sys.exit(main())
