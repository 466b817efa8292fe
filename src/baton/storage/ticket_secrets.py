"""The secrets behind our commitments to ticket terms: kept over restarts, changed once a day, shared in a cluster.

The reference draws its secret anew at every start, so every payment that is on its way over a restart fails for good
and gateways leave (payments.md 18 item 12). A quote comes back for 40 L1 blocks and our grace of two. Time is not
blocks: at twelve seconds each that is 8.4 minutes, but slots are missed and our view of L1 lags, so a retired secret
counts for an hour, in which L1 makes 42 blocks even with six slots of seven empty.
"""

import asyncio
from typing import ClassVar

from baton.storage.cluster import derived
from baton.storage.secret_ring import SecretRing

__all__ = ["ClusterTicketSecrets", "TicketSecretFile"]

_HOUR_S = 3600.0


class TicketSecretFile(SecretRing):
    """The ticket secrets of one node. Satisfies ``TicketSecrets``."""

    WHAT: ClassVar[str] = "ticket secrets"
    ROTATE_AFTER_S: ClassVar[float] = 24 * _HOUR_S
    OVERLAP_S: ClassVar[float] = _HOUR_S

    @property
    def all(self) -> tuple[bytes, ...]:
        """Every secret whose quotes may still come back, the current one first."""
        return self.acceptable(self._clock.now())


class ClusterTicketSecrets:
    """The ticket secrets of a cluster: a quote of one node is good at all of them. Satisfies ``TicketSecrets``."""

    def __init__(self, cluster_secrets: tuple[str, ...]) -> None:
        """``cluster_secrets``: the one in use first, then the one before or after it."""
        self._secrets = derived(cluster_secrets, purpose=b"ticket terms")

    @property
    def current(self) -> bytes:
        """32 bytes for new quotes."""
        return self._secrets[0]

    @property
    def all(self) -> tuple[bytes, ...]:
        """Both, for as long as the operator gives both."""
        return self._secrets

    async def run(self) -> None:
        """Service body: only the operator changes these."""
        await asyncio.Event().wait()
