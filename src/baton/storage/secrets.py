"""The secrets behind auth tokens: kept over restarts, changed once a day, honoured until their last token is gone.

The reference draws its secret anew at every start, so a restart turns every running stream away (video.md 3.5, 11.1
item 9). Nodes of a cluster derive theirs from the cluster secret, so a stream may go on at another of them.
"""

import asyncio
from typing import ClassVar

from baton.jobs.tokens import TOKEN_LIFETIME_S
from baton.storage.cluster import derived
from baton.storage.secret_ring import SecretRing

__all__ = ["OVERLAP_S", "ROTATE_AFTER_S", "ClusterTokenSecrets", "TokenSecrets"]

ROTATE_AFTER_S = 24 * 3600
"""A secret makes tokens for this long."""

OVERLAP_S = TOKEN_LIFETIME_S + 300
"""A retired secret is honoured for this long: the life of its last token and some room for clocks that were set."""


class TokenSecrets(SecretRing):
    """The token secrets of one node. Satisfies ``TokenKeys``."""

    WHAT: ClassVar[str] = "token secrets"
    ROTATE_AFTER_S: ClassVar[float] = ROTATE_AFTER_S
    OVERLAP_S: ClassVar[float] = OVERLAP_S


class ClusterTokenSecrets:
    """The token secrets of a cluster. Satisfies ``TokenKeys``."""

    def __init__(self, cluster_secrets: tuple[str, ...]) -> None:
        """``cluster_secrets``: the one in use first."""
        self._secrets = derived(cluster_secrets, purpose=b"auth tokens")

    @property
    def current(self) -> bytes:
        """The secret new tokens are made with (32 bytes)."""
        return self._secrets[0]

    def acceptable(self, now: float) -> tuple[bytes, ...]:
        """Both, for as long as the operator gives both."""
        del now
        return self._secrets

    async def run(self) -> None:
        """Service body: only the operator changes these."""
        await asyncio.Event().wait()
