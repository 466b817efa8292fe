"""Segments that gateways left in the node's own bucket (video.md 4.1): fetched wherever that bucket lies.

The operator named its host, which may be in his own network. Everything else is fetched under the strict rules.
"""

from collections.abc import AsyncIterator

from baton.jobs.ports import SegmentFetcher
from baton.wire.clients.fetch import parse_url

__all__ = ["OwnStoreFetcher"]


class OwnStoreFetcher:
    """Chooses between two download clients by URL. Satisfies ``SegmentFetcher``."""

    def __init__(self, *, host: str, near: SegmentFetcher, far: SegmentFetcher) -> None:
        """``host`` is the URL of the bucket; ``near`` reaches every address and follows no redirect."""
        self._bucket = f"{str(parse_url(host)).rstrip('/')}/"
        self._near = near
        self._far = far

    def fetch(self, url: str, *, limit_bytes: int) -> AsyncIterator[bytes]:
        """The bytes behind ``url``; raises ``FetchError``, at once for what is no URL."""
        text = str(parse_url(url))
        # Steps up and escapes could leave the bucket again; object names of ours need neither dots nor slashes escaped.
        plain = "/." not in text and "%2e" not in text.lower() and "%2f" not in text.lower()
        chosen = self._near if text.startswith(self._bucket) and plain else self._far
        return chosen.fetch(url, limit_bytes=limit_bytes)
