"""Frames per second through ``/segment`` against bare FFmpeg doing the same renditions on the same cores.

Both sides get the same segments of the clip and make the same ladder with the same encoder settings. Bare FFmpeg is one
process per segment, reading from a pipe and writing files, which is the fastest plain way. Baton is a real node with a
real gateway in front: upload over TLS, transcode in an engine child, answer; the renditions are not downloaded.

Engine children step back from other programs (``nice``), so bare FFmpeg does the same: otherwise a busy machine would
compare priorities. The two sides take turns, and in every other round the other one begins, so that whatever else the
machine does meets both; each round gives a ratio, the median counts and the spread is told. CPU time of each side
(Baton: the node and its children, TLS and hashing included) is the second figure: it hardly depends on what else runs.
Run: ``scripts/bench``. ``--json`` prints one document for machines.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from baton.kernel.ids import ManifestId
from baton.kernel.profiles import PRESETS, VideoProfile
from baton.media.process import ChildCommand
from baton.selftest import segmenter
from baton.selftest.demo import CLIP
from baton.selftest.gateway import Gateway, SegmentJob
from baton.selftest.inspector import find_ffmpeg
from baton.selftest.nodeprocess import NodeProcess, running_node
from baton.selftest.parties import Endpoint
from baton.selftest.streaming import stream_capabilities

PROFILES = tuple(PRESETS[name] for name in ("P240p30fps16x9", "P360p30fps16x9", "P576p30fps16x9"))
PRESET = "veryfast"
GOAL = 0.95


@dataclass(frozen=True, slots=True)
class Outcome:
    """One number of streams, a value per round: source frames per second and CPU seconds of both sides."""

    streams: int
    bare_fps: tuple[float, ...]
    baton_fps: tuple[float, ...]
    bare_cpu_s: tuple[float, ...]
    baton_cpu_s: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Baton over bare FFmpeg, round by round."""
        return tuple(ours / bare for ours, bare in zip(self.baton_fps, self.bare_fps, strict=True))

    @property
    def ratio(self) -> float:
        """Baton over bare FFmpeg: the median of the rounds."""
        return statistics.median(self.ratios)

    @property
    def cpu_ratio(self) -> float:
        """CPU time of bare FFmpeg over Baton's for the same work: the median of the rounds."""
        return statistics.median(bare / ours for ours, bare in zip(self.baton_cpu_s, self.bare_cpu_s, strict=True))


def bare_command(ffmpeg: str, folder: Path, name: str) -> list[str]:
    """FFmpeg making the ladder from stdin as the node's encoders do it (rate control, B-frames, first frame IDR)."""
    command = ["nice", "-n", str(ChildCommand().niceness)]
    command += [ffmpeg, "-hide_banner", "-loglevel", "error", "-y", "-copyts", "-f", "mpegts", "-i", "pipe:0"]
    for index, profile in enumerate(PROFILES):
        rate = str(profile.bitrate_bps)
        command += [
            "-map",
            "0:v:0",
            "-map",
            "0:a:0?",
            "-vf",
            f"scale={profile.width}:{profile.height},fps={profile.fps}",
        ]
        command += ["-c:v", "libx264", "-preset", PRESET, "-bf", "3", "-forced-idr", "1", "-pix_fmt", "yuv420p"]
        command += ["-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate, "-c:a", "copy"]
        command += ["-muxdelay", "0", "-muxpreload", "0", "-f", "mpegts", str(folder / f"{name}-{index}.ts")]
    return command


async def bare_stream(ffmpeg: str, segments: list[bytes], folder: Path, name: str) -> None:
    """One stream: its segments one after another."""
    for data in segments:
        process = await asyncio.create_subprocess_exec(
            *bare_command(ffmpeg, folder, name), stdin=asyncio.subprocess.PIPE
        )
        await process.communicate(data)
        if process.returncode:
            message = f"ffmpeg ended with {process.returncode}"
            raise RuntimeError(message)


async def baton_stream(node: NodeProcess, source: segmenter.Source, segments: list[bytes], name: str) -> None:
    """One stream of one gateway: its segments one after another."""
    capabilities = stream_capabilities(source, PROFILES)
    async with Gateway(endpoint=Endpoint.parse(node.uri)) as gateway:
        terms = await gateway.get_orchestrator(capabilities)
        for seq, data in enumerate(segments):
            job = SegmentJob(
                manifest_id=ManifestId(name),
                seq=seq,
                data=data,
                duration_ms=source.segments[seq].duration_ms,
                profiles=PROFILES,
                capabilities=capabilities,
            )
            answer = await gateway.post_segment(job, terms)
            if answer.result.error or len(answer.result.renditions) != len(PROFILES):
                message = f"segment {seq}: {answer.result.error or 'renditions are missing'}"
                raise RuntimeError(message)
        await gateway.end_session(terms.auth_token)


def own_children_cpu_s() -> float:
    """CPU seconds of the programs we started that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def session_cpu_s(leader: int) -> float:
    """CPU seconds of all living processes of the node's session."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[3]) == leader:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def timed(streams: int, one: Callable[[int], Awaitable[None]]) -> float:
    """Seconds that so many streams at once take."""
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for index in range(streams):
            group.create_task(_await(one(index)))
    return time.perf_counter() - started


async def _await(work: Awaitable[None]) -> None:
    await work


async def measure(streams: int, *, rounds: int, seconds: float, ffmpeg: str, folder: Path) -> Outcome:
    """Both sides in turn, after a warm-up of each."""
    source = await segmenter.cut(CLIP, folder, limit_s=seconds)
    segments = [segment.path.read_bytes() for segment in source.segments]
    frames = streams * sum(segment.duration_ms for segment in source.segments) * source.fps / 1000
    rows: list[tuple[float, float, float, float]] = []
    options = ("--encoder-preset", PRESET, "--engine-children", str(streams), "--max-sessions", str(streams * 4))
    async with running_node(folder, *options) as node:

        async def bare_side(_: int) -> tuple[float, float]:
            before = own_children_cpu_s()
            wall_s = await timed(streams, lambda index: bare_stream(ffmpeg, segments, folder, f"bare{index}"))
            return frames / wall_s, own_children_cpu_s() - before

        async def baton_side(number: int) -> tuple[float, float]:
            before = session_cpu_s(node.pid)
            wall_s = await timed(streams, lambda index: baton_stream(node, source, segments, f"round{number}-{index}"))
            return frames / wall_s, session_cpu_s(node.pid) - before

        for number in range(rounds + 1):  # the first round warms both sides up and is not counted
            if number % 2:
                bare, ours = await bare_side(number), await baton_side(number)
            else:
                ours, bare = await baton_side(number), await bare_side(number)
            rows.append((bare[0], ours[0], bare[1], ours[1]))
        await node.stop()
    columns = [tuple(column) for column in zip(*rows[1:], strict=True)]
    return Outcome(
        streams=streams, bare_fps=columns[0], baton_fps=columns[1], bare_cpu_s=columns[2], baton_cpu_s=columns[3]
    )


def describe(profiles: tuple[VideoProfile, ...]) -> str:
    """The ladder in one line."""
    return ", ".join(f"{profile.width}x{profile.height}" for profile in profiles)


TABLE_HEAD = f"{'streams':>7}  {'bare fps':>16}  {'baton fps':>16}  {'ratio':>18}  {'CPU ratio':>9}  goal {GOAL}"


def with_spread(values: tuple[float, ...], digits: int) -> str:
    """Median, and in brackets the smallest and largest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def table_row(outcome: Outcome) -> str:
    """One number of streams in one line."""
    bare, ours = with_spread(outcome.bare_fps, 0), with_spread(outcome.baton_fps, 0)
    ratio = with_spread(outcome.ratios, 2)
    verdict = "met" if outcome.ratio >= GOAL else "missed"
    return f"{outcome.streams:>7}  {bare:>16}  {ours:>16}  {ratio:>18}  {outcome.cpu_ratio:>9.2f}  {verdict}"


def main() -> int:
    """Measure and print; the exit code says only whether the measurement worked."""
    parser = argparse.ArgumentParser(description="Compare Baton with bare FFmpeg.")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4], help="streams at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12.0, help="how much of the clip each stream sends")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ffmpeg = find_ffmpeg()
    if ffmpeg is None:
        print("no FFmpeg on this machine", file=sys.stderr)
        return 1
    outcomes = []
    if not options.json:
        print(TABLE_HEAD, flush=True)
    for streams in options.streams:
        with tempfile.TemporaryDirectory(prefix="baton-bench-") as folder:
            outcome = asyncio.run(
                measure(streams, rounds=options.rounds, seconds=options.seconds, ffmpeg=ffmpeg, folder=Path(folder))
            )
        outcomes.append(outcome)
        if not options.json:
            print(table_row(outcome), flush=True)
    if options.json:
        print(
            json.dumps(
                [{**asdict(outcome), "ratio": outcome.ratio, "cpu_ratio": outcome.cpu_ratio} for outcome in outcomes]
            )
        )
    else:
        print(
            f"ladder {describe(PROFILES)}, x264 {PRESET}, source frames per second; median (lowest-highest) of "
            f"{options.rounds} rounds; ratios are baton over bare, CPU time bare over baton"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
