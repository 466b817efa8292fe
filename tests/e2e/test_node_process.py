"""The node that the demo starts for itself: a start that fails is told with the node's own words."""

import asyncio
from pathlib import Path

import pytest

from baton.selftest.nodeprocess import NodeFailedError, running_node

pytestmark = pytest.mark.node


async def start(folder: Path, *options: str) -> None:
    async with running_node(folder, *options):
        pass


def test_node_with_wrong_settings_says_why(tmp_path: Path) -> None:
    with pytest.raises(NodeFailedError) as caught:
        asyncio.run(start(tmp_path, "--encoder-preset", "warp"))
    assert "exit code 2" in str(caught.value)
    assert "encoder-preset" in str(caught.value)


def test_node_that_dies_is_noticed_when_it_is_stopped(tmp_path: Path) -> None:
    async def work() -> None:
        import os
        import signal

        async with running_node(tmp_path) as node:
            os.kill(node.pid, signal.SIGKILL)
            assert await asyncio.wait_for(node.ended(), timeout=10) == -signal.SIGKILL
            with pytest.raises(NodeFailedError, match="exit code -9"):
                await node.stop()

    asyncio.run(work())
