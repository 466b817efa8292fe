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
from baton.video.sessions import Opening, SessionTable
from tests.support import run
from tests.unit.jobs.rig import Store, Stores

SESSIONS = "abcdef"
ACTS = 150


class Churn:
    """Segments of six sessions, two streams and one or no owner, with clients that leave and gateways that end."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 -- a repeatable order of events
        self.clock = ManualClock()
        table = SessionTable(limit=self.dice.randint(1, 3))
        self.streams = Streams(table=table, stores=Stores(Store()), clock=self.clock, metrics=SilentMetrics())
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
