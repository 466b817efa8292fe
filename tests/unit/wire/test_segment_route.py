"""The /segment route under clients that leave and servers that stop, at every step of a request."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from baton.jobs.messages import Payment, Price
from baton.jobs.ports import Admitted, SpooledSegment
from baton.kernel.ids import SessionId
from baton.kernel.metrics import SilentMetrics
from baton.media.job import TranscodeOutput
from baton.storage.spool import FileSpool
from baton.video.job import SegmentJob
from baton.wire.codec import decode_segment_result
from baton.wire.headers import encode_segment_header
from baton.wire.replies import Message, Scope
from baton.wire.segment_http import SegmentRoute
from tests.support import eventually, run
from tests.unit.jobs.rig import BODY, Engine, Ledger, Rig, Spool


async def steps(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class SlowLedger(Ledger):
    """Payments that take a moment for everything, so that a request can end in the middle of each."""

    def __init__(self) -> None:
        super().__init__()
        self.held = 0

    async def accept(
        self, *, payment: Payment, session_id: SessionId, estimated_px: int, price_override: Price | None = None
    ) -> Admitted:
        await steps(2)
        admitted = await super().accept(
            payment=payment, session_id=session_id, estimated_px=estimated_px, price_override=price_override
        )
        self.held += 1
        return admitted

    async def settle(self, admitted: Admitted, *, pixels: int, overtime_px: int = 0) -> None:
        self.held -= 1
        await steps(2)
        await super().settle(admitted, pixels=pixels, overtime_px=overtime_px)

    async def release(self, admitted: Admitted) -> None:
        self.held -= 1
        await steps(2)
        await super().release(admitted)


class SlowEngine(Engine):
    """A transcoder that takes a few steps."""

    async def transcode(self, job: SegmentJob, *, deadline_s: float) -> TranscodeOutput:
        self.running += 1
        try:
            await steps(5)
        finally:
            self.running -= 1
        return await super().transcode(job, deadline_s=deadline_s)


class DiskSpool(Spool):
    """The real one, which takes threads and files."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.real = FileSpool(folder=folder, metrics=SilentMetrics())

    async def receive(self, body: AsyncIterator[bytes], *, limit_bytes: int) -> SpooledSegment:
        return await self.real.receive(body, limit_bytes=limit_bytes)


class Client:
    """One HTTP request as the application sees it: a body in two pieces, and a leave at any time."""

    def __init__(self, rig: Rig) -> None:
        self.sent: list[Message] = []
        self._left = asyncio.Event()
        self._body = [(BODY[:4], True), (BODY[4:], False)]
        self.scope: Scope = {
            "type": "http",
            "http_version": "2",
            "method": "POST",
            "path": "/segment",
            "headers": [(b"livepeer-segment", encode_segment_header(rig.metadata()).encode())],
            "client": ("10.0.0.1", 4711),
        }

    def leave(self) -> None:
        self._left.set()

    async def receive(self) -> Message:
        await asyncio.sleep(0)
        if self._body and not self._left.is_set():
            body, more = self._body.pop(0)
            return {"type": "http.request", "body": body, "more_body": more}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await asyncio.sleep(0)
        if not self._left.is_set():
            self.sent.append(message)


def is_clean(rig: Rig, ledger: SlowLedger) -> bool:
    """Whether nothing of a request is left behind."""
    return (
        rig.desk.in_hand == 0
        and ledger.held == 0
        and rig.engine.running == 0
        and rig.streams.busy == 0
        and all(file.removed for file in rig.spool.files)
    )


async def interrupted(step: int, how: str) -> bool:
    """Serve one request, interrupt it after ``step`` turns of the event loop; True when it was over by then."""
    ledger = SlowLedger()
    rig = Rig(ledger=ledger, engine=SlowEngine())
    client = Client(rig)
    route = SegmentRoute(desk=rig.desk, clock=rig.clock)
    task = asyncio.create_task(route(client.scope, client.receive, client.send))
    await steps(step)
    over = task.done()
    if how == "client leaves":
        client.leave()
    else:
        task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        assert task.exception() is None
    assert is_clean(rig, ledger), f"{how} at step {step}"
    return over


@pytest.mark.parametrize("how", ["client leaves", "server stops"])
def test_whenever_a_request_ends_nothing_of_it_is_left(how: str) -> None:
    async def main() -> int:
        step = 0
        while not await interrupted(step, how):
            step += 1
        return step

    assert run(main()) >= 20


def test_a_request_that_is_left_alone_is_answered() -> None:
    async def main() -> None:
        rig = Rig(engine=SlowEngine())
        client = Client(rig)
        await SegmentRoute(desk=rig.desk, clock=rig.clock)(client.scope, client.receive, client.send)
        assert client.sent[0] == {"type": "http.response.start", "status": 200, "headers": []}
        result = decode_segment_result(b"".join(m["body"] for m in client.sent[1:]))
        assert (result.error, len(result.renditions)) == ("", 2)

    run(main())


def test_two_values_of_a_header_count_as_the_first() -> None:
    async def main() -> None:
        rig = Rig()
        client = Client(rig)
        client.scope["headers"] += [
            (b"livepeer-segment", b"foo"),
            (b"Livepeer-Payment", b""),
            (b"livepeer-payment", b"foo"),
        ]
        await SegmentRoute(desk=rig.desk, clock=rig.clock)(client.scope, client.receive, client.send)
        assert client.sent[0]["status"] == 200

    run(main())


def test_an_answer_that_cannot_be_sent_is_an_error_of_the_request_alone() -> None:
    async def main() -> None:
        ledger = SlowLedger()
        rig = Rig(ledger=ledger)
        client = Client(rig)

        async def broken(message: Message) -> None:
            if message["type"] == "http.response.body":
                error = "out of order"
                raise RuntimeError(error)
            await client.send(message)

        with pytest.raises(ExceptionGroup) as failed:
            await SegmentRoute(desk=rig.desk, clock=rig.clock)(client.scope, client.receive, broken)
        assert failed.group_contains(RuntimeError)
        assert is_clean(rig, ledger)

    run(main())


def test_a_client_that_leaves_takes_its_file_along(tmp_path: Path) -> None:
    async def main() -> None:
        spool = DiskSpool(tmp_path)
        for step in range(0, 60, 3):
            rig = Rig(engine=SlowEngine(), spool=spool)
            client = Client(rig)
            route = SegmentRoute(desk=rig.desk, clock=rig.clock)
            task = asyncio.create_task(route(client.scope, client.receive, client.send))
            await steps(step)
            client.leave()
            await task
            assert spool.real.total_bytes == 0
            await eventually(lambda: not list(tmp_path.iterdir()), what="the file is removed")
        spool.real.close()

    run(main())
