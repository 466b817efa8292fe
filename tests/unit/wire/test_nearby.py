"""Which client fetches a segment: the near one for what lies in the own bucket, and for nothing else."""

from collections.abc import AsyncIterator

import pytest

from baton.wire.clients.nearby import OwnStoreFetcher


class Named:
    """A fetcher that says who it is."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    async def _fetch(self) -> AsyncIterator[bytes]:
        yield self.name

    def fetch(self, url: str, *, limit_bytes: int) -> AsyncIterator[bytes]:
        del url, limit_bytes
        return self._fetch()


async def _who(host: str, url: str) -> bytes:
    fetcher = OwnStoreFetcher(host=host, near=Named(b"near"), far=Named(b"far"))
    return b"".join([chunk async for chunk in fetcher.fetch(url, limit_bytes=1)])


def who(host: str, url: str) -> bytes:
    from tests.support import run

    return run(_who(host, url))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("http://minio:9000/buck", "http://minio:9000/buck/s/1.ts"),
        ("http://minio:80/buck", "http://minio:80/buck/s/1.ts"),
        ("http://minio:80/buck", "http://minio/buck/s/1.ts"),
        ("https://minio:443/buck", "https://minio/buck/s/1.ts"),
        ("https://buck.s3.amazonaws.com", "https://buck.s3.amazonaws.com/s/1.ts"),
    ],
)
def test_what_lies_in_the_own_bucket_is_near(host: str, url: str) -> None:
    assert who(host, url) == b"near"


@pytest.mark.parametrize(
    "url",
    [
        "http://minio:9000/buck2/s/1.ts",
        "http://minio:9001/buck/s/1.ts",
        "https://minio:9000/buck/s/1.ts",
        "http://minio:9000/buck/../secret",
        "http://minio:9000/buck/%2e%2e/secret",
        "http://minio:9000/buck/..%2fsecret",
        "http://169.254.169.254/buck/s/1.ts",
    ],
)
def test_everything_else_is_far(url: str) -> None:
    assert who("http://minio:9000/buck", url) == b"far"
