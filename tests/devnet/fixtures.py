"""The fixture ``devnet``: one real chain per test process, put back to its beginning after each test.

A plugin of the whole suite: any test that names ``devnet`` gets it. Its handle is used from the test's own event loop
(``run(devnet.next_round())``); the chain itself is kept by a loop in a thread that lives as long as the session.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import run

if TYPE_CHECKING:  # a plugin of every test process: what it needs is imported where a test needs it
    from baton.devnet import Devnet, DevnetOptions

__all__ = ["CACHE", "devnet", "devnet_session", "need_npm"]

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "baton"
"""Where ``scripts/setup --tests`` puts anvil and solc."""
_START_S = 320.0
"""Longer than npm may take."""


def need_npm() -> None:
    """Skip the test where no npm is to be had."""
    from baton.devnet.tools import DevnetError, node_command

    try:
        node_command()
    except DevnetError:
        pytest.skip("npm is not installed")


class Keeper(threading.Thread):
    """Holds a devnet in an event loop of its own."""

    def __init__(self, options: "DevnetOptions") -> None:
        super().__init__(name="devnet", daemon=True)
        self._options = options
        self._ready: Future[Devnet] = Future()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._hold())

    async def _hold(self) -> None:
        from baton.devnet import running_devnet

        try:
            async with running_devnet(self._options, cache=CACHE) as devnet:
                self._ready.set_result(devnet)
                await self._over.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
                return
            raise

    def __enter__(self) -> "Devnet":
        self.start()
        return self._ready.result(_START_S)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self.join(_START_S)


@pytest.fixture(scope="session")
def devnet_session() -> "Iterator[Devnet]":
    """The chain of this test process, in whatever state tests left it. Tests take ``devnet``."""
    from baton.devnet import DevnetOptions

    need_npm()
    with Keeper(DevnetOptions()) as chain:
        yield chain


@pytest.fixture
def devnet(devnet_session: "Devnet") -> "Iterator[Devnet]":
    """A chain as ``running_devnet`` makes it: one active orchestrator, two gateways, an initialized round."""
    snapshot = run(devnet_session.snapshot())
    yield devnet_session
    run(_reset(devnet_session, snapshot))


async def _reset(chain: "Devnet", snapshot: str) -> None:
    from baton.devnet import Faults

    await chain.misbehave(Faults())
    await chain.set_gas_price(chain.options.gas_price_wei)
    await chain.revert(snapshot)
