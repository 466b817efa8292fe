"""Renditions in buckets: the node's own (video.md 6.1) and those that gateways lend for a session (4.5, 6.3).

Both are written with a POST policy; for the own bucket the node makes the policy itself and offers it to gateways, so
that they can leave source segments there. Nothing is ever deleted: the bucket's own rules decide how long objects live.
"""

import asyncio
from collections import OrderedDict

import structlog

from baton.jobs.messages import ObjectStoreKind, ObjectStoreOffer
from baton.jobs.ports import MediaStore, ObjectPoster, ServedObject, StoreError
from baton.kernel.clock import Clock
from baton.kernel.errors import Text
from baton.kernel.ids import SessionId
from baton.kernel.metrics import Metrics
from baton.storage.memory import checked_key
from baton.storage.policy import POLICY_LIFETIME_S, StoreAccount

__all__ = ["BucketMediaStore", "LentBucket", "SessionStores"]

log = structlog.get_logger("baton.storage")

_FRESH_S = POLICY_LIFETIME_S / 2
_REMEMBERED_OFFERS = 4096


class BucketMediaStore:
    """The node's own bucket. Satisfies ``MediaStore``, ``StoreOffers`` and ``ServedMedia``."""

    def __init__(self, *, account: StoreAccount, poster: ObjectPoster, clock: Clock, metrics: Metrics) -> None:
        """``poster`` may reach every address: the operator named the host."""
        self._account = account
        self._poster = poster
        self._clock = clock
        self._metrics = metrics
        self._offers: OrderedDict[SessionId, tuple[float, ObjectStoreOffer]] = OrderedDict()
        self._failing = False

    @property
    def kept(self) -> tuple[int, int]:
        """Nothing is kept on this machine."""
        return 0, 0

    def unfetched(self, *, within_s: float) -> int:
        """None: what lies in the bucket outlives the node."""
        del within_s
        return 0

    async def offer(self, session_id: SessionId) -> ObjectStoreOffer:
        """Leave to write into the session's folder, good for at least twelve hours."""
        now = self._clock.monotonic()
        known = self._offers.get(session_id)
        if known is not None and now - known[0] < _FRESH_S:
            self._offers.move_to_end(session_id)
            return known[1]
        # An RSA signature takes about a millisecond, which is too long for the loop at the pace of discovery.
        offer = await asyncio.to_thread(self._account.offer, session_id, unix_now=self._clock.now())
        self._offers[session_id] = (now, offer)
        while len(self._offers) > _REMEMBERED_OFFERS:
            self._offers.popitem(last=False)
        return offer

    @property
    def is_lent(self) -> bool:
        """It is ours."""
        return False

    async def save(self, *, session_id: SessionId, name: str, data: bytes, content_type: str) -> str:
        """Post ``data`` and return its plain URL.

        Raises:
            StoreError: ``Invalid argument`` for a name that may not be used; ``Input/output error`` when the bucket
                does not take it. What it said goes to the log: its words may name the operator's account.
        """
        checked_key(session_id, name)
        offer = await self.offer(session_id)
        try:
            url = await _post(self._poster, offer, name, data, content_type, metrics=self._metrics, owner="own")
        except StoreError as error:
            reason = error.detail or str(error)
            self._note(failing=True, reason=reason)
            raise StoreError(Text.IO_ERROR, detail=reason) from error
        self._note(failing=False)
        return url

    async def end_session(self, session_id: SessionId) -> None:
        """The bucket's lifecycle rules remove objects; only the policy is forgotten."""
        self._offers.pop(session_id, None)

    async def read(self, *, session_id: SessionId, name: str) -> ServedObject | None:
        """None: gateways read from the bucket, not from us."""
        del session_id, name
        return None

    async def run(self) -> None:
        """Service body: nothing to sweep."""
        await asyncio.Event().wait()

    def _note(self, *, failing: bool, reason: str = "") -> None:
        """Log once when the bucket stops to take objects and once when it takes them again."""
        if failing != self._failing:
            self._failing = failing
            if failing:
                log.error("object store cannot be written", reason=reason)
            else:
                log.info("object store can be written again")


class LentBucket:
    """A gateway's bucket for the renditions of one session. Satisfies ``MediaStore``."""

    def __init__(self, *, offer: ObjectStoreOffer, poster: ObjectPoster, metrics: Metrics) -> None:
        """``poster`` must refuse addresses that strangers may not make us write to."""
        self._offer = offer
        self._poster = poster
        self._metrics = metrics

    @property
    def is_lent(self) -> bool:
        """It is its gateway's."""
        return True

    async def save(self, *, session_id: SessionId, name: str, data: bytes, content_type: str) -> str:
        """Post ``data`` and return its plain URL.

        Raises:
            StoreError: the bucket did not take it; the gateway reads why.
        """
        checked_key(session_id, name)
        return await _post(self._poster, self._offer, name, data, content_type, metrics=self._metrics, owner="gateway")

    async def end_session(self, session_id: SessionId) -> None:
        """Nothing of it is ours to end."""


class SessionStores:
    """Which store a session's renditions go to. Satisfies ``RenditionStores``."""

    def __init__(self, *, own: MediaStore, poster: ObjectPoster, metrics: Metrics) -> None:
        """``own`` is used wherever a gateway lends no bucket."""
        self._own = own
        self._poster = poster
        self._metrics = metrics

    def for_session(self, offer: ObjectStoreOffer | None) -> MediaStore:
        """The store of a session whose first segment came with ``offer``; one without host or leave says nothing."""
        if offer is None or offer.kind is ObjectStoreKind.DIRECT:
            return self._own
        if not (offer.host and offer.policy and offer.signature):
            return self._own
        return LentBucket(offer=offer, poster=self._poster, metrics=self._metrics)

    async def end_session(self, session_id: SessionId) -> None:
        """The session is over."""
        await self._own.end_session(session_id)


async def _post(
    poster: ObjectPoster,
    offer: ObjectStoreOffer,
    name: str,
    data: bytes,
    content_type: str,
    *,
    metrics: Metrics,
    owner: str,
) -> str:
    try:
        return await poster.post(offer, name=name, data=data, content_type=content_type)
    except StoreError:
        metrics.add("object_store_failures_total", owner=owner)
        raise
