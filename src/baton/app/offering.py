"""What a node advertises: what its engine proved, and what the node itself provides."""

from baton.kernel.capabilities import Capabilities, Capability
from baton.kernel.version import NODE_VERSION

__all__ = ["offering"]

_NODE_CAPABILITIES = (
    Capability.STORAGE_DIRECT,
    Capability.STORAGE_S3,
    Capability.STORAGE_GCS,
    Capability.AUTH_TOKEN,
)
"""What the node itself provides, whatever its engine can do."""


def offering(engine_ids: tuple[int, ...]) -> Capabilities:
    """The node's offer: its own version is also the least it asks of others (video.md 5.5)."""
    ids = sorted({*engine_ids, *_NODE_CAPABILITIES})
    return Capabilities.offering(ids, version=NODE_VERSION, min_version=NODE_VERSION)
