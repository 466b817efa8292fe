"""Whether the chain lets the node work: a fact of its health that follows the age of the view."""

import asyncio
from typing import Protocol

from baton.node.health import Fact

__all__ = ["ChainReadiness", "SeenChain"]

_EVERY_S = 1.0


class SeenChain(Protocol):
    """A view of the chain that ages."""

    @property
    def is_fresh(self) -> bool:
        """Whether anything may be promised by it."""
        ...

    @property
    def stale_after_s(self) -> float:
        """Seconds without a good look after which it is not fresh."""
        ...


class ChainReadiness:
    """Writes the fact. A node that is blind to its chain makes no terms, so no gateway can start with it."""

    def __init__(self, *, chain: SeenChain, fact: Fact) -> None:
        """Holds nothing until ``look`` or ``run``."""
        self._chain = chain
        self._fact = fact

    def look(self) -> None:
        """Bring the fact up to date."""
        if self._chain.is_fresh:
            self._fact.hold()
        else:
            self._fact.fail(f"the chain could not be read for over {self._chain.stale_after_s:g} seconds")

    async def run(self) -> None:
        """Service body: look every second."""
        while True:
            self.look()
            await asyncio.sleep(_EVERY_S)
