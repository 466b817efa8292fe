"""The outgoing side: what the node asks of others over HTTP, each client with its limits."""

from baton.wire.clients.fetch import HttpSegmentFetcher
from baton.wire.clients.webhook import HttpAuthWebhook

__all__ = ["HttpAuthWebhook", "HttpSegmentFetcher"]
