"""Small helpers for tests: running a coroutine with a deadline, and waiting for a fact inside one."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["eventually", "run"]

T = TypeVar("T")
_POLL_S = 0.005


def run(coro: Coroutine[Any, Any, T], *, deadline_s: float = 20.0) -> T:
    """The result of ``coro`` in a fresh event loop; fails when it takes longer than ``deadline_s``.

    The loop runs in debug mode, so a coroutine that nobody awaited and a task that nobody looked at are errors.
    """

    async def bounded() -> T:
        async with asyncio.timeout(deadline_s):
            return await coro

    return asyncio.run(bounded(), debug=True)


async def eventually(fact: Callable[[], T | None], *, deadline_s: float = 5.0, what: str) -> T:
    """The first true value of ``fact``, looked at again and again; fails after ``deadline_s`` naming ``what``."""
    end = time.monotonic() + deadline_s
    while not (value := fact()):
        if time.monotonic() > end:
            message = f"not within {deadline_s} s: {what}"
            raise AssertionError(message)
        await asyncio.sleep(_POLL_S)
    return value
