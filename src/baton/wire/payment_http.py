"""POST /payment and POST /refresh-payment: the routes of payments that bring no work (video.md 4.6, 4.7)."""

import base64
import json

import structlog

from baton.jobs.messages import OrchestratorInfo
from baton.jobs.payment_desk import PaymentDesk, RefreshedTerms
from baton.kernel.clock import Clock
from baton.kernel.errors import RefusedError, Text
from baton.kernel.ids import Address, ManifestId
from baton.wire.codec import encode_orchestrator_info, encode_payment_result
from baton.wire.replies import Receive, Scope, Send, send_error, send_plain
from baton.wire.segment_http import peer_host, read_segment_request

__all__ = ["PaymentRoute", "RefreshPaymentRoute"]

log = structlog.get_logger("baton.wire")

_OK = 200
_BAD_REQUEST = 400
_INTERNAL = 500
_MAX_BODY_BYTES = 1 << 20
_ADDRESS_DIGITS = 40
_JSON = ((b"content-type", b"application/json"),)


class PaymentRoute:
    """The /payment route as an ASGI application."""

    def __init__(self, *, desk: PaymentDesk, clock: Clock) -> None:
        """``desk`` decides; this route only carries."""
        self._desk = desk
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its body means nothing and is not read."""
        del receive
        try:
            request = read_segment_request(scope, arrived=self._clock.monotonic())
            info: OrchestratorInfo = await self._desk.pay(request)
        except RefusedError as error:
            log.info("payment refused", peer=peer_host(scope), status=error.status, reason=error.text)
            await send_error(send, error.status, error.text)
            return
        await send_plain(send, _OK, encode_payment_result(info))


class RefreshPaymentRoute:
    """The /refresh-payment route as an ASGI application. Errors are JSON here."""

    def __init__(self, *, desk: PaymentDesk) -> None:
        """``desk`` decides."""
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            sender, manifest_id = _question(await _read(receive))
            terms = await self._desk.refresh(sender=sender, manifest_id=manifest_id)
        except RefusedError as error:
            log.info("payment refresh refused", peer=peer_host(scope), status=error.status, reason=error.text)
            text = Text.INTERNAL if error.status == _INTERNAL else error.text
            await send_plain(send, error.status, _json({"error": {"message": text}}), _JSON)
            return
        await send_plain(send, _OK, _json(_answer(terms, manifest_id)), _JSON)


def _answer(terms: RefreshedTerms, manifest_id: ManifestId) -> dict[str, str]:
    return {
        "payment_params": base64.b64encode(encode_orchestrator_info(terms.info)).decode("ascii"),
        "orchestrator": terms.orchestrator,
        "manifest_id": manifest_id,
        "payment_url": terms.payment_url,
    }


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(_BAD_REQUEST, "unexpected EOF")
        body += message.get("body", b"")
        if len(body) > _MAX_BODY_BYTES:
            raise RefusedError(_BAD_REQUEST, "http: request body too large")
        more = message.get("more_body", False)
    return bytes(body)


def _question(body: bytes) -> tuple[Address, ManifestId]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(_BAD_REQUEST, "invalid JSON", detail=str(error)) from error
    if not isinstance(value, dict):
        raise RefusedError(_BAD_REQUEST, "invalid JSON", detail="not an object")
    sender, manifest_id = value.get("sender", ""), value.get("manifest_id", "")
    digits = sender.removeprefix("0x").removeprefix("0X") if isinstance(sender, str) else ""
    if len(digits) != _ADDRESS_DIGITS or not all(c in "0123456789abcdefABCDEF" for c in digits):
        raise RefusedError(_BAD_REQUEST, "invalid sender")
    if not isinstance(manifest_id, str) or not manifest_id.strip():
        raise RefusedError(_BAD_REQUEST, "missing manifest_id")
    name = manifest_id.strip().encode("utf-8", "replace").decode("utf-8")
    return Address(bytes.fromhex(digits)), ManifestId(name)
