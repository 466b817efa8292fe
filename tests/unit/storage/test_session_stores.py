"""Whose bucket a session's renditions go to."""

import dataclasses

import pytest

from baton.jobs.messages import ObjectStoreKind, ObjectStoreOffer
from baton.kernel.clock import ManualClock
from baton.kernel.metrics import SilentMetrics
from baton.storage.bucket import LentBucket, SessionStores
from baton.storage.memory import MemoryMediaStore
from baton.storage.shelf import ShelfLimits

WHOLE = ObjectStoreOffer(
    kind=ObjectStoreKind.S3, host="https://b.example", policy="cA==", signature="00", credential="c", amz_date="d"
)


class NoPoster:
    """Nothing is posted while a store is chosen."""

    async def post(self, offer: ObjectStoreOffer, *, name: str, data: bytes, content_type: str) -> str:
        raise AssertionError(offer, name, data, content_type)


@pytest.fixture
def own() -> MemoryMediaStore:
    return MemoryMediaStore(
        base_uri="https://o.example", limits=ShelfLimits(total_bytes=1), clock=ManualClock(), metrics=SilentMetrics()
    )


def test_a_whole_offer_is_taken(own: MemoryMediaStore) -> None:
    stores = SessionStores(own=own, poster=NoPoster(), metrics=SilentMetrics())
    assert isinstance(stores.for_session(WHOLE), LentBucket)


@pytest.mark.parametrize(
    "offer",
    [
        None,
        dataclasses.replace(WHOLE, kind=ObjectStoreKind.DIRECT),
        dataclasses.replace(WHOLE, host=""),
        dataclasses.replace(WHOLE, policy=""),
        dataclasses.replace(WHOLE, signature=""),
    ],
)
def test_an_offer_that_lacks_something_counts_as_none(own: MemoryMediaStore, offer: ObjectStoreOffer | None) -> None:
    stores = SessionStores(own=own, poster=NoPoster(), metrics=SilentMetrics())
    assert stores.for_session(offer) is own
