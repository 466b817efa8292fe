"""The stages of a demo: a clip is cut and streamed through a node of its own, and everything that came back judged.

On a chain the stream is paid and the books of both sides are compared; off-chain nobody pays. Whatever is started is
gone when it ends, whichever way that is.
"""

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from baton.kernel.errors import ExitCode

if TYPE_CHECKING:
    from baton.kernel.profiles import VideoProfile
    from baton.selftest.checks import Check
    from baton.selftest.nodeprocess import NodeProcess
    from baton.selftest.paidstream import MoneyReport, PaidStream
    from baton.selftest.report import Progress
    from baton.selftest.segmenter import Source
    from baton.selftest.streaming import Judgement, StreamedSegment

__all__ = ["CLIP", "LADDER", "DemoFailedError", "DemoResult", "run_demo"]

CLIP = Path(__file__).parent / "media" / "clip.mp4"
"""The clip that comes with the package."""
LADDER = ("P240p30fps16x9", "P360p30fps16x9", "P720p30fps16x9")
"""What is asked for: presets that gateways use, small enough for two slow cores."""
_PRESET = "superfast"
_TOO_SLOW = "A gateway leaves here: this machine is too slow for this file, or too busy with other work"
_NO_CHAIN = "There is no chain to pay on. Without one: CHAIN=0 make demo, or baton demo --offchain"


class DemoFailedError(Exception):
    """The demo cannot be shown; the text is the reason."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Everything a demo found out; ``money`` is None where nobody paid."""

    engine: str
    source: str
    notes: tuple[str, ...]
    streamed: "tuple[StreamedSegment, ...]"
    judgement: "Judgement"
    money: "MoneyReport | None"
    checks: "tuple[Check, ...]"

    @property
    def ok(self) -> bool:
        """Whether everything was as it should be."""
        from baton.selftest.checks import all_passed

        return all_passed(self.checks)


async def run_demo(
    *, video: Path, limit_s: float, offchain: bool, cache: Path | None, progress: "Progress"
) -> DemoResult:
    """The whole demo; ``cache`` is where anvil is kept, None the usual place. Raises ``DemoFailedError``."""
    from baton.selftest.chainprocess import ChainFailedError
    from baton.selftest.http2 import PeerError, PeerTooSlowError
    from baton.selftest.inspector import InspectError
    from baton.selftest.nodeprocess import NodeFailedError
    from baton.selftest.noderecord import RecordError
    from baton.selftest.segmenter import SegmentError

    with tempfile.TemporaryDirectory(prefix="baton-demo-") as name:
        demo = _Demo(Path(name), limit_s=limit_s, progress=progress)
        try:
            return await demo.run(video, offchain=offchain, cache=cache)
        except PeerTooSlowError as error:
            message = f"{error}. {_TOO_SLOW}"
            raise DemoFailedError(message) from error
        except ChainFailedError as error:
            message = f"{error}\n{_NO_CHAIN}"
            raise DemoFailedError(message) from error
        except (PeerError, InspectError, NodeFailedError, RecordError, SegmentError) as error:
            raise DemoFailedError(str(error)) from error


class _Demo:
    """One demo in a folder of its own."""

    def __init__(self, folder: Path, *, limit_s: float, progress: "Progress") -> None:
        """Nothing runs yet."""
        from baton.kernel.profiles import PRESETS

        self._folder = folder
        self._limit_s = limit_s
        self._progress = progress
        self._profiles: tuple[VideoProfile, ...] = tuple(PRESETS[preset] for preset in LADDER)

    async def run(self, video: Path, *, offchain: bool, cache: Path | None) -> DemoResult:
        """Every stage."""
        from baton.selftest import segmenter

        self._progress.step(f"Cutting {video.name} into segments")
        source = await segmenter.cut(video, self._folder, limit_s=self._limit_s)
        async with self._chain(offchain=offchain, cache=cache) as paid, self._node(paid) as node:
            streamed = await self._stream(node, source, paid)
            self._progress.step("Stopping the node")
            exit_code = await node.stop()
        money = await paid.settle(self._folder / "data") if paid is not None else None
        return await self._judged(source, streamed, money, exit_code)

    @contextlib.asynccontextmanager
    async def _chain(self, *, offchain: bool, cache: Path | None) -> "AsyncIterator[PaidStream | None]":
        from baton.selftest.chainprocess import running_chain
        from baton.selftest.paidstream import PaidStream

        if offchain:
            yield None
            return
        self._progress.step("Starting a chain (the first time anvil is fetched)")
        async with running_chain(self._folder, cache=cache) as chain:
            yield PaidStream(chain)

    @contextlib.asynccontextmanager
    async def _node(self, paid: "PaidStream | None") -> "AsyncIterator[NodeProcess]":
        from baton.selftest.nodeprocess import running_node

        self._progress.step("Starting a node" if paid is None else "Starting a node on it")
        network = "offchain" if paid is None else "devnet"
        options = () if paid is None else await asyncio.to_thread(paid.node_options, self._folder)
        async with running_node(self._folder, "--encoder-preset", _PRESET, *options, network=network) as node:
            yield node

    async def _stream(
        self, node: "NodeProcess", source: "Source", paid: "PaidStream | None"
    ) -> "tuple[StreamedSegment, ...]":
        from baton.kernel.ids import ManifestId
        from baton.selftest.gateway import Gateway
        from baton.selftest.parties import Endpoint
        from baton.selftest.streaming import stream_capabilities, stream_segments

        key = paid.key if paid is not None else None
        async with Gateway(endpoint=Endpoint.parse(node.uri), key=key) as gateway:
            self._progress.step("Asking for terms")
            terms = await gateway.get_orchestrator(stream_capabilities(source, self._profiles))
            purse = paid.open_purse(terms) if paid is not None else None

            def streamed_one(segment: "StreamedSegment") -> None:
                told = f"segment {segment.index}: {segment.total_s * 1000:.0f} ms, {segment.realtime_factor:.2f}x"
                paid_so_far = f", {purse.tickets} tickets sent" if purse is not None else ""
                self._progress.advance(told + paid_so_far)

            self._progress.step("Streaming" if paid is None else "Streaming and paying", of=len(source.segments))
            streamed = await stream_segments(
                gateway=gateway,
                terms=terms,
                source=source,
                profiles=self._profiles,
                folder=self._folder,
                manifest_id=ManifestId(f"demo-{secrets.token_hex(4)}"),
                purse=purse,
                on_segment=streamed_one,
            )
            if paid is not None:
                await paid.count(node)
            await gateway.end_session(purse.terms.auth_token if purse is not None else terms.auth_token)
            return streamed

    async def _judged(
        self,
        source: "Source",
        streamed: "tuple[StreamedSegment, ...]",
        money: "MoneyReport | None",
        exit_code: int,
    ) -> DemoResult:
        from baton.selftest.checks import failed, passed
        from baton.selftest.checks_stream import JudgedRendition
        from baton.selftest.inspector import Inspector
        from baton.selftest.streaming import judge_stream

        def judged_one(rows: Sequence[JudgedRendition]) -> None:
            faults = [f"{row.profile.name}: {'; '.join(row.faults)}" for row in rows if row.faults]
            self._progress.advance(f"segment {rows[0].segment}: {', '.join(faults) or 'ok'}")

        self._progress.step("Decoding every rendition", of=len(streamed))
        inspector = Inspector.best()
        judgement = await judge_stream(
            inspector=inspector, streamed=streamed, profiles=self._profiles, on_judged=judged_one
        )
        stopped = passed if exit_code == ExitCode.OK else failed
        return DemoResult(
            engine=await inspector.engine(),
            source=f"{source.codec} {source.width_px}x{source.height_px}, {source.fps:.5g} frames per second",
            notes=source.notes,
            streamed=streamed,
            judgement=judgement,
            money=money,
            checks=(
                *_rendition_checks(judgement),
                *judgement.joints,
                *(money.checks if money is not None else ()),
                stopped("node stops", f"drained after SIGTERM, exit code {exit_code}"),
            ),
        )


def _rendition_checks(judgement: "Judgement") -> "tuple[Check, ...]":
    from baton.selftest.checks import failed, passed

    bad = [row for row in judgement.renditions if row.faults]
    if bad:
        first = bad[0]
        reason = f"{len(bad)} of {len(judgement.renditions)} wrong; segment {first.segment} {first.profile.name}: "
        return (failed("renditions", reason + "; ".join(first.faults)),)
    words = "pixels as reported, sizes and frames as asked, audio packets as sent"
    return (passed("renditions", f"{len(judgement.renditions)} decoded: {words}"),)
