"""Ends a long command on a signal so that its clean-up runs to the end."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import TypeVar

__all__ = ["InterruptedBySignal", "run_until_signal"]

T = TypeVar("T")


class InterruptedBySignal(Exception):  # noqa: N818 -- not an error: somebody pressed Ctrl-C
    """A signal ended the command; everything it started is gone already."""

    def __init__(self, number: int) -> None:
        """``number`` is the signal's."""
        super().__init__(signal.Signals(number).name)
        self.number = number


def run_until_signal(work: Coroutine[None, None, T]) -> T:
    """Run ``work`` to its end; SIGINT, SIGTERM and SIGHUP cancel it once, and its clean-up is never cut short.

    Raises:
        InterruptedBySignal: a signal came.
    """

    async def watched() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        caught: list[int] = []

        def on_signal(number: int) -> None:
            if not caught:
                caught.append(number)
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, on_signal, number)
        try:
            return await task
        except asyncio.CancelledError:
            if caught:
                raise InterruptedBySignal(caught[0]) from None
            raise

    return asyncio.run(watched())
