"""Payments that come without work: POST /payment and /refresh-payment (video.md 4.6, 4.7).

Streams of AI pay while they run, under the gateway's name for the stream. Quote and payment use that same name, so the
price that the first ticket pinned is the price every later answer tells (payments.md 18 item 18).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from baton.jobs.admission import Admission, SegmentRequest
from baton.jobs.info import InfoBuilder
from baton.jobs.messages import OrchestratorInfo, Price
from baton.jobs.ports import Payments
from baton.jobs.tokens import TokenMint
from baton.kernel.crypto import keccak256
from baton.kernel.errors import RefusedError, Text
from baton.kernel.ids import Address, ManifestId, SessionId, manifest_id_bytes

__all__ = ["PaymentDesk", "RefreshedTerms"]

log = structlog.get_logger("baton.jobs")

_CONFLICT = 409
_INTERNAL = 500
_MOST_NAME_BYTES = 128
_NO_FIXED_PRICE = "fixed price not found for session"


@dataclass(frozen=True, slots=True)
class RefreshedTerms:
    """Fresh terms for a stream that pays, and where to send its payments."""

    info: OrchestratorInfo
    orchestrator: str
    payment_url: str


class PaymentDesk:
    """Takes payments for streams."""

    def __init__(
        self,
        *,
        admission: Admission,
        info: InfoBuilder,
        payments: Payments,
        tokens: TokenMint,
        cached_price: Callable[[Address], Price | None],
    ) -> None:
        """``cached_price`` is the price the operator's webhook gave for a sender, if it did."""
        self._admission = admission
        self._info = info
        self._payments = payments
        self._tokens = tokens
        self._cached_price = cached_price

    async def pay(self, request: SegmentRequest) -> OrchestratorInfo:
        """Credit a payment to its stream; the answer holds fresh terms under the token that came in.

        Raises:
            RefusedError: status and text of the first check that fails.
        """
        token, _ = self._admission.check(request)
        sender, metadata = request.payment.sender, request.metadata
        account = _account(metadata.manifest_id)
        override = self._cached_price(sender)
        try:
            info = await self._info.build(
                sender=sender,
                token=token,
                requested=metadata.capabilities,
                price_override=override,
                account=account,
            )
        except RefusedError as error:
            raise RefusedError(_INTERNAL, Text.INTERNAL, detail=error.text) from error
        await self._payments.receive(
            request.payment, key=account, capabilities=metadata.capabilities, price_override=override
        )
        return replace(info, auth_token=token)

    async def refresh(self, *, sender: Address, manifest_id: ManifestId) -> RefreshedTerms:
        """Fresh terms at the price a stream pays; unsigned, so nothing but terms is told.

        Raises:
            RefusedError: 409 when it never paid, 500 when no terms can be made.
        """
        account = _account(manifest_id)
        try:
            quote = await self._payments.refresh(sender=sender, key=account)
        except RefusedError as error:
            raise RefusedError(_INTERNAL, Text.INTERNAL, detail=error.text) from error
        if quote is None:
            raise RefusedError(_CONFLICT, _NO_FIXED_PRICE)
        uri = self._info.service_uri
        return RefreshedTerms(
            info=self._info.terms_only(quote, self._tokens.issue_for(account)),
            orchestrator=uri,
            payment_url=f"{uri}/payment",
        )


def _account(manifest_id: ManifestId) -> SessionId:
    """The name a stream's account is kept under, for a day in memory and on record: a hash stands for a long one."""
    raw = manifest_id_bytes(manifest_id)
    return SessionId(manifest_id if len(raw) <= _MOST_NAME_BYTES else keccak256(raw).hex())
