"""The operator's webhook: asked at every GetOrchestrator call who may come in, and at which price (video.md 3.4).

The reference asks each time without a time limit and remembers answers only for the price. Ours asks each time too, so
that a revocation counts at once, but not for longer than its timeout; and while the webhook gives no answer at all, a
gateway that it let in within the last 30 minutes stays in, so that streams which need a new token outlive the outage.
Strangers wait outside meanwhile. Any answer other than 200 is a no and ends what was remembered; a 200 that cannot be
understood, cut off at 64 KiB, is a no for this call.
"""

import asyncio
import json
from collections import OrderedDict
from dataclasses import dataclass

import aiohttp
import structlog

from baton.jobs.messages import Price
from baton.jobs.ports import WebhookRefusedError
from baton.kernel.clock import Clock
from baton.kernel.errors import Text
from baton.kernel.ids import Address, to_checksum_hex

__all__ = ["HttpAuthWebhook"]

log = structlog.get_logger("baton.wire")

_REMEMBER_S = 30 * 60.0
_MAX_REMEMBERED = 16_384
_MAX_TEXT_BYTES = 1024
_MAX_JSON_BYTES = 64 << 10
_CONNECTIONS = 32
_OK = 200
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class _LetIn:
    at: float
    price: Price | None


class HttpAuthWebhook:
    """The webhook over HTTP. Satisfies ``AuthWebhook``. Belongs to one event loop; ``close`` it there."""

    def __init__(self, *, url: str, clock: Clock, timeout_s: float = 2.0) -> None:
        """``url`` is the operator's own, so it may lie anywhere, and its certificate is checked."""
        self._url = url
        self._clock = clock
        self._timeout_s = timeout_s
        self._let_in: OrderedDict[Address, _LetIn] = OrderedDict()
        self._session: aiohttp.ClientSession | None = None
        self._lost = False

    async def authenticate(self, sender: Address) -> Price | None:
        """The price the webhook gives this sender, None for the node's own.

        Raises:
            WebhookRefusedError: it said no, in its own words (one line, at most 1 KiB); or it said nothing of use; or
                it did not answer and had not let the sender in during the last 30 minutes.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                status, body = await self._ask(sender)
        except (aiohttp.ClientError, OSError) as error:
            return self._without_answer(sender, error)
        self._note(lost=False)
        if status != _OK:
            self._let_in.pop(sender, None)
            raise WebhookRefusedError(_plain(body))
        price = _price(body)
        self._remember(sender, price)
        return price

    def cached_price(self, sender: Address) -> Price | None:
        """The price that came with the last yes of the last 30 minutes, for answers to requests that do not ask."""
        known = self._known(sender)
        return None if known is None else known.price

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, sender: Address) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        body = json.dumps({"id": to_checksum_hex(sender)}, separators=(",", ":")).encode("ascii")
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._url, data=body, headers=headers, max_redirects=3) as response:
            limit = _MAX_JSON_BYTES if response.status == _OK else _MAX_TEXT_BYTES
            answer = bytearray()
            while len(answer) < limit and (chunk := await response.content.readany()):
                answer += chunk
            return response.status, bytes(answer[:limit])

    def _without_answer(self, sender: Address, error: Exception) -> Price | None:
        self._note(lost=True, reason=str(error) or type(error).__name__)
        known = self._known(sender)
        if known is None:
            raise WebhookRefusedError(Text.WEBHOOK_UNAVAILABLE) from error
        return known.price

    def _known(self, sender: Address) -> _LetIn | None:
        known = self._let_in.get(sender)
        if known is None or self._clock.monotonic() - known.at >= _REMEMBER_S:
            return None
        return known

    def _remember(self, sender: Address, price: Price | None) -> None:
        self._let_in[sender] = _LetIn(self._clock.monotonic(), price)
        self._let_in.move_to_end(sender)
        while len(self._let_in) > _MAX_REMEMBERED:
            self._let_in.popitem(last=False)

    def _note(self, *, lost: bool, reason: str = "") -> None:
        """Log once when the webhook stops to answer and once when it answers again."""
        if lost != self._lost:
            self._lost = lost
            if lost:
                log.warning("auth webhook does not answer", reason=reason[:200])
            else:
                log.info("auth webhook answers again")


def _price(body: bytes) -> Price | None:
    """The price in a positive answer. Every part is optional, but what is there must have its type.

    Half a price is none: an answer that forgot its ``pricePerUnit`` must not make work free.
    """
    try:
        document = json.loads(body)
        info = {} if document is None else document.get("priceInfo") or {}
        wei, px = info.get("pricePerUnit", 0), info.get("pixelsPerUnit", 0)
    except (ValueError, AttributeError, RecursionError) as error:
        raise WebhookRefusedError(Text.WEBHOOK_ANSWER) from error
    if type(wei) is not int or type(px) is not int or not 0 <= wei < _INT64 or not 0 <= px < _INT64:
        raise WebhookRefusedError(Text.WEBHOOK_ANSWER)
    return Price(wei_per_unit=wei, px_per_unit=px) if px and "pricePerUnit" in info else None


def _plain(body: bytes) -> str:
    """A refusal's words as one line for a peer."""
    text = body.decode("utf-8", "replace")
    return "".join(c for c in " ".join(text.split()) if c.isprintable())
