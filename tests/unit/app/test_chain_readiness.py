"""A node that is blind to its chain is not ready, and says why."""

import asyncio
import contextlib
from dataclasses import dataclass

from baton.app.chain_readiness import ChainReadiness
from baton.kernel.metrics import SilentMetrics
from baton.node.drain import Drain, DrainState
from baton.node.health import Health, Reason
from tests.support import eventually, run


@dataclass
class Chain:
    is_fresh: bool = True
    stale_after_s: float = 120.0


def serving() -> Health:
    drain = Drain()
    drain.move(DrainState.SERVING)
    return Health(drain=drain, metrics=SilentMetrics())


def test_fact_follows_the_view() -> None:
    health, chain = serving(), Chain()
    readiness = ChainReadiness(chain=chain, fact=health.fact("chain", reason="not read yet"))
    assert health.reasons() == (Reason("chain", "not read yet"),)
    readiness.look()
    assert health.ready
    chain.is_fresh = False
    readiness.look()
    assert health.reasons() == (Reason("chain", "the chain could not be read for over 120 seconds"),)
    chain.is_fresh = True
    readiness.look()
    assert health.ready


def test_it_looks_on_its_own() -> None:
    async def story() -> None:
        health = serving()
        readiness = ChainReadiness(chain=Chain(), fact=health.fact("chain", reason="not read yet"))
        task = asyncio.create_task(readiness.run())
        await eventually(lambda: health.ready, what="the node is ready")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    run(story())
