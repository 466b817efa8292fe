"""The fixtures of every file that tests a paid port: its own port, clean for each test, and a gateway that talks to it.

A file takes them by ``served, port, gateway = PAID``: under these names it would else get those of the shared node.
"""

from collections.abc import Iterator

import pytest

from tests.integration.paid import PaidPort, paid_port
from tests.peer.gateway import PeerGateway

__all__ = ["PAID"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaidPort]:
    """One port for all tests of a file."""
    with paid_port(tmp_path_factory.mktemp("paid")) as port:
        yield port


@pytest.fixture
def port(served: PaidPort) -> PaidPort:
    """The port of the file with nothing that an earlier test told it."""
    served.reset()
    return served


@pytest.fixture
def gateway(port: PaidPort) -> Iterator[PeerGateway]:
    """A gateway of a fresh account; its sessions end with the test."""
    with PeerGateway(port.url) as peer:
        yield peer
        peer.end_all()


PAID = (served, port, gateway)
