"""One node per test worker for ordinary tests, gateways that clean up after themselves, and media made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clips import make_segments
from tests.node import Node, eventually, running_node
from tests.peer.gateway import PeerGateway


@pytest.fixture(scope="session")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with ordinary settings and room for every test's streams."""
    folder = tmp_path_factory.mktemp("node") / "data"
    with running_node(folder, "--max-sessions", "200") as node:
        yield node


@pytest.fixture
def node(shared_node: Node) -> Iterator[Node]:
    """The shared node; afterwards it must be alive, idle and free of errors nobody announced."""
    since = shared_node.log_size()
    yield shared_node
    assert shared_node.alive, shared_node.log_tail()
    eventually(lambda: shared_node.busy() == 0, deadline_s=20, what="the node is idle after the test")
    shared_node.check_log(since=since)


@pytest.fixture
def gateway(node: Node) -> Iterator[PeerGateway]:
    """A gateway of a fresh account towards the shared node."""
    with PeerGateway(node.url) as peer:
        yield peer
        peer.end_all()


@pytest.fixture(scope="session")
def segments(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    """Three 1 s segments of 320x180 at 30 frames per second with sound."""
    return make_segments(tmp_path_factory.mktemp("small"), count=3, seconds=1)


@pytest.fixture(scope="session")
def segment(segments: tuple[bytes, ...]) -> bytes:
    """The first of them."""
    return segments[0]


@pytest.fixture(scope="session")
def heavy_segment(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A segment that keeps an engine busy for a while: 2 s of noise at 1280x720."""
    folder: Path = tmp_path_factory.mktemp("heavy")
    return make_segments(folder, count=1, seconds=2, size="1280x720", rate=30, noise=True)[0]
