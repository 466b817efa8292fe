"""The engine pool in a storm: jobs of every kind, callers that leave and children that are killed, all at once.

Whatever the order of events, afterwards the pool is whole: every job ended with an answer or a known text, all places
are filled, nobody waits, and the next job is done.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from baton.kernel.errors import CapacityError, Text, TranscodeError
from baton.media.pool import EnginePool
from tests.media.pooling import count, folder_for, make_pool, order, running, until

_ORDERS = (
    *["fine 1000"] * 6,
    "fine 2000000",
    f"refuse {Text.NO_KEYFRAMES}",
    "crash",
    "first crash",
    "exit 1",
    "hang",
    "say noise",
    "say half",
    "close",
    "first stop",
)
_ANSWERS = {Text.NO_KEYFRAMES, Text.UNRECOVERABLE, Text.TRANSCODER_STOPPED, Text.BUSY, Text.NO_TRANSCODER}


async def _one(pool: EnginePool, tmp_path: Path, chance: random.Random) -> str:
    job = order(
        pool,
        chance.choice(_ORDERS),
        folder_for(tmp_path),
        deadline_s=chance.uniform(0.5, 3.0),
        stream=f"stream {chance.randrange(40)}",
    )
    patience_s = chance.choice((0.01, 0.05, 0.3, 10.0, 10.0, 10.0))
    try:
        async with asyncio.timeout(patience_s):
            await job
    except TimeoutError:
        return "left"
    except (TranscodeError, CapacityError) as error:
        return error.text
    return "done"


async def _killer(pool: EnginePool, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0.05, 0.3))
        pids = pool.pids
        if pids:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(pids), chance.choice((signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP)))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(3))
def test_after_the_storm_the_pool_is_whole(tmp_path: Path, seed: int) -> None:
    async def story() -> None:
        chance = random.Random(seed)  # noqa: S311 -- a storm that can be repeated
        async with running(make_pool(children=3)) as pool:
            async with asyncio.TaskGroup() as group:
                killer = group.create_task(_killer(pool, chance))
                jobs = [group.create_task(_one(pool, tmp_path, chance)) for _ in range(80)]
                await asyncio.wait(jobs)
                killer.cancel()
            outcomes = Counter(job.result() for job in jobs)
            assert set(outcomes) <= _ANSWERS | {"done", "left"}
            assert outcomes["done"] > 0
            assert pool.waiting == 0
            await until(lambda: [view.state for view in pool.children] == ["idle"] * 4)
            assert await count(order(pool, "fine 1000", folder_for(tmp_path), stream="after")) == 1

    asyncio.run(story())
