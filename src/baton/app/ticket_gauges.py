"""What waits to be redeemed, as metrics: counted on the record now and then, whoever wrote it."""

import asyncio
import contextlib

from baton.kernel.errors import BatonError
from baton.kernel.metrics import Metrics
from baton.storage.winners import TicketStore

__all__ = ["TicketGauges"]

_EVERY_S = 15.0
_WEI_PER_GWEI = 10**9


class TicketGauges:
    """Number and value of pending winners. Belongs to the event loop."""

    def __init__(self, *, store: TicketStore, metrics: Metrics) -> None:
        """Measures nothing until ``sample`` or ``run``."""
        self._store = store
        self._metrics = metrics
        self.pending: tuple[int, int] | None = None
        """Number and face value in wei as last counted; None before."""

    async def sample(self) -> None:
        """Count once.

        Raises:
            DatabaseError: the record cannot be asked.
        """
        number, value_wei = self.pending = await self._store.outstanding()
        self._metrics.set("tickets_pending", number)
        self._metrics.set("tickets_pending_value", value_wei / _WEI_PER_GWEI)

    async def run(self) -> None:
        """Service body: count for ever. A record that cannot be asked has said so itself; the numbers stay."""
        while True:
            with contextlib.suppress(BatonError):
                await self.sample()
            await asyncio.sleep(_EVERY_S)
