"""Streams under gateways that do everything at once: whatever the order, nothing is left over when all is quiet."""

import asyncio
import random
from contextlib import suppress

import pytest

from baton.jobs.streams import Streams
from baton.kernel.clock import ManualClock
from baton.kernel.errors import CapacityError
from baton.kernel.ids import ManifestId, SessionId
from baton.kernel.metrics import SilentMetrics
from baton.kernel.profiles import VideoProfile
from baton.video.balancer import Balancer, DeviceLimits
from baton.video.sessions import Opening, SessionTable
from tests.support import run
from tests.unit.jobs.rig import Store, Stores

DEVICES = ("one", "two")
SESSIONS = "abcdef"
ACTS = 150


class Devices:
    """Satisfies ``EngineRoom``: places on two devices, and nothing behind them."""

    has_room = True

    def __init__(self) -> None:
        self.balancer = Balancer(devices=DEVICES, limits=DeviceLimits())

    def admits(self, session_id: SessionId, profiles: tuple[VideoProfile, ...]) -> bool:
        del session_id, profiles
        return True

    def continue_session(self, before: SessionId, after: SessionId) -> None:
        self.balancer.succeed(before, after)

    def end_session(self, session_id: SessionId) -> None:
        self.balancer.end(session_id)

    @property
    def counted(self) -> int:
        return sum(self.balancer.use(name).sessions for name in DEVICES)


class Churn:
    """Segments of six sessions, two streams and one or no owner, with clients that leave and gateways that end."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 -- a repeatable order of events
        self.clock = ManualClock()
        table = SessionTable(limit=self.dice.randint(1, 3))
        self.devices = Devices()
        self.streams = Streams(
            table=table,
            stores=Stores(Store()),
            clock=self.clock,
            metrics=SilentMetrics(),
            engines=self.devices,
        )
        self.tasks: list[asyncio.Task[None]] = []

    async def segment(self) -> None:
        opening = Opening(
            session_id=SessionId(self.dice.choice(SESSIONS)),
            manifest_id=ManifestId(self.dice.choice("xy")),
            owner=self.dice.choice(["gateway", "gateway", None]),
            token_expires_at=1800,
        )
        with suppress(CapacityError):
            async with self.streams.turn(opening, budget_s=8.0):
                self.devices.balancer.place(opening.session_id, cost_px_per_s=10, among=DEVICES)
                self.clock.advance(self.dice.random())
                for _ in range(self.dice.randint(0, 6)):
                    await asyncio.sleep(0)

    async def act(self) -> None:
        kind = self.dice.random()
        if kind < 0.5:
            self.tasks.append(asyncio.create_task(self.segment()))
        elif kind < 0.6 and self.tasks:
            self.dice.choice(self.tasks).cancel()
        elif kind < 0.7:
            await self.streams.end(SessionId(self.dice.choice(SESSIONS)), reason="gateway")
        else:
            await asyncio.sleep(0)

    async def settled(self) -> None:
        """Wait for every segment; a failure of one that was not cancelled is a failure of the test."""
        await asyncio.wait(self.tasks)
        assert [t.exception() for t in self.tasks if not t.cancelled() and t.exception()] == []


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_left_when_all_is_quiet(seed: int) -> None:
    async def main() -> None:
        churn = Churn(seed)
        for _ in range(ACTS):
            await churn.act()
            assert churn.streams.table.open_count <= churn.streams.table.limit
        await churn.settled()
        assert churn.streams.busy == 0
        known = [s.session_id for s in churn.streams.table.sessions()]
        seated = [session for session in SESSIONS if churn.devices.balancer.device_of(session)]
        assert set(seated) <= set(known)
        assert churn.devices.counted == len(seated)
        for session in churn.streams.table.sessions():
            assert churn.streams.waiting(session.session_id) == 0
            opening = Opening(
                session_id=session.session_id,
                manifest_id=session.manifest_id,
                owner=session.owner,
                token_expires_at=session.token_expires_at,
            )
            async with churn.streams.turn(opening, budget_s=8.0) as turn:
                assert turn.waited_s == 0.0

    run(main())


def test_a_session_that_opens_again_by_itself_counts_on_its_device() -> None:
    """Continued by another, which ended first: its place was one for its last segments only."""

    async def main() -> None:
        churn = Churn(0)
        churn.streams.set_limit(3)
        a, b = (
            Opening(session_id=SessionId(name), manifest_id=ManifestId("x"), owner="gateway", token_expires_at=1800)
            for name in "ab"
        )
        place = churn.devices.balancer.place
        async with churn.streams.turn(a, budget_s=8.0):
            place("a", cost_px_per_s=10, among=DEVICES)
            async with churn.streams.turn(b, budget_s=8.0):
                place("b", cost_px_per_s=10, among=DEVICES)
            await churn.streams.end(b.session_id, reason="gateway")
            assert churn.devices.counted == 0
            again = asyncio.ensure_future(_segment(churn, a))
            await asyncio.sleep(0)
        await again
        assert churn.streams.table.is_open(a.session_id)
        assert churn.devices.counted == 1

    run(main())


async def _segment(churn: Churn, opening: Opening) -> None:
    async with churn.streams.turn(opening, budget_s=8.0):
        churn.devices.balancer.place(opening.session_id, cost_px_per_s=10, among=DEVICES)
