"""Fixtures of the devnet suite."""

import pytest

from baton.devnet import Devnet
from tests.devnet.evm import Evm


@pytest.fixture
def evm(devnet: Devnet) -> Evm:
    """The chain by raw calls."""
    return Evm(devnet)
