"""An on-chain node's view of money: quotes, tickets and balances of the payments domain behind the use cases' port.

Translates between the words of messages and the values of the domain, counts what came in, and writes the line that
closes every payment. Answers to payments.md 2 and 5 and to video.md 4.2 steps 12 to 14.
"""

from fractions import Fraction

import structlog

from baton.jobs.messages import Payment, Price, TicketParams
from baton.jobs.ports import Admitted, Quote
from baton.kernel.capabilities import Capabilities
from baton.kernel.errors import BatonError, RefusedError, Text
from baton.kernel.ids import Address, SessionId, address_from_wire, shown_session, to_checksum_hex
from baton.kernel.metrics import Metrics
from baton.payments.errors import QuoteError
from baton.payments.ledger import Hold
from baton.payments.messages import Offer, OfferedTerms, Receipt, ReceivedPayment
from baton.payments.prices import Model, to_wire
from baton.payments.recipient import InsufficientBalanceError, Recipient

__all__ = ["TicketPayments", "wanted_models"]

log = structlog.get_logger("baton.payments")

_BAD_REQUEST = 400
_INTERNAL = 500
_HASH_BYTES = 32
_WEI_PER_GWEI = 10**9


class TicketPayments:
    """Satisfies ``Payments``. Belongs to the event loop."""

    def __init__(self, *, recipient: Recipient, metrics: Metrics) -> None:
        """``recipient`` is loaded."""
        self._recipient = recipient
        self._metrics = metrics
        self._holds: dict[int, Hold] = {}

    async def quote(
        self,
        *,
        sender: Address,
        session_id: SessionId,
        capabilities: Capabilities | None,
        price_override: Price | None = None,
    ) -> Quote:
        """Price and fresh ticket terms for a sender and session.

        Raises:
            RefusedError: none can be made now; the text is what gateways read over gRPC.
        """
        wanted = wanted_models(capabilities)
        try:
            offer = await self._recipient.offer(sender, session_id, wanted=wanted, override=_fraction(price_override))
        except QuoteError as error:
            self._metrics.add("quote_failures_total", reason=_REASONS.get(error.text, "other"))
            raise RefusedError(_INTERNAL, error.text, detail=error.detail) from error
        except BatonError as error:
            self._metrics.add("quote_failures_total", reason="other")
            raise RefusedError(_INTERNAL, Text.INTERNAL, detail=str(error)) from error
        self._show(sender, offer)
        price = offer.price.price
        return Quote(
            price=Price(price.wei_per_unit, price.units),
            ticket_params=_params(offer),
            capability_prices=self._listed(sender) if capabilities is None else (),
        )

    async def accept(
        self, *, payment: Payment, session_id: SessionId, estimated_px: int, price_override: Price | None = None
    ) -> Admitted:
        """Take the tickets, then hold the estimated cost.

        Raises:
            RefusedError: 400 with the text of what is wrong with the payment, or ``Insufficient balance``.
        """
        await self.receive(payment, key=session_id, price_override=price_override)
        try:
            hold = await self._recipient.admit(
                payment.sender, session_id, units=estimated_px, override=_fraction(price_override)
            )
        except InsufficientBalanceError as error:
            raise RefusedError(_BAD_REQUEST, Text.INSUFFICIENT_BALANCE, detail=str(error)) from error
        except BatonError as error:
            raise RefusedError(_INTERNAL, Text.INTERNAL, detail=str(error)) from error
        if hold is not None:
            self._holds[hold.number] = hold
        return Admitted(sender=payment.sender, session_id=session_id, hold_id=hold.number if hold is not None else 0)

    async def receive(
        self,
        payment: Payment,
        *,
        key: SessionId,
        capabilities: Capabilities | None = None,
        price_override: Price | None = None,
    ) -> None:
        """Take the tickets of a payment for the account ``key``.

        Raises:
            RefusedError: 400 with the text of what is wrong; good tickets are credited all the same. 500 when nothing
                could be put on record.
        """
        try:
            receipt = await self._recipient.receive(
                _received(payment), key, wanted=wanted_models(capabilities), override=_fraction(price_override)
            )
        except BatonError as error:
            raise RefusedError(_INTERNAL, Text.INTERNAL, detail=str(error)) from error
        if payment.ticket_params is not None:
            self._close(payment, key, receipt)
        if receipt.error is not None:
            raise RefusedError(_BAD_REQUEST, receipt.error.text, detail=receipt.error.detail)

    async def refresh(self, *, sender: Address, key: SessionId) -> Quote | None:
        """Fresh terms at the pinned price of an account, or None.

        Raises:
            RefusedError: none can be made now.
        """
        try:
            if await self._recipient.pinned_now(sender, key) is None:
                return None
        except BatonError as error:
            raise RefusedError(_INTERNAL, Text.INTERNAL, detail=str(error)) from error
        return await self.quote(sender=sender, session_id=key, capabilities=None)

    def is_paid(self, *, sender: Address, session_id: SessionId) -> bool:
        """Whether a price is pinned: tickets of this session were accepted."""
        return self._recipient.pinned(sender, session_id) is not None

    async def settle(self, admitted: Admitted, *, pixels: int, overtime_px: int = 0) -> None:
        """Debit what was encoded. A debit that cannot be put on record now is kept for later and blocks its credit."""
        hold = self._holds.pop(admitted.hold_id, None)
        if hold is None:
            return
        try:
            await self._recipient.settle(hold, units=pixels, overtime=overtime_px)
        except BatonError as error:
            log.error("debit waits for the record", account=shown_session(admitted.session_id), reason=str(error))  # noqa: TRY400 -- a trace would say nothing more

    async def release(self, admitted: Admitted) -> None:
        """Give the hold back."""
        hold = self._holds.pop(admitted.hold_id, None)
        if hold is not None:
            self._recipient.release(hold)

    def _listed(self, sender: Address) -> tuple[Price, ...]:
        """The price of every model that has one, for gateways that look around."""
        prices = []
        for (capability, model), price in self._recipient.listed(sender):
            told = to_wire(price)
            prices.append(Price(told.wei_per_unit, told.units, capability=capability, constraint=model))
        return tuple(prices)

    def _show(self, sender: Address, offer: Offer) -> None:
        name = to_checksum_hex(sender)
        self._metrics.set("transcoding_price", float(offer.price.price.exact))
        self._metrics.set("gateway_max_float", offer.max_float_wei / _WEI_PER_GWEI, sender=name)
        face_value_wei = offer.terms.terms.face_value_wei
        self._metrics.set("gateway_ticket_face_value", face_value_wei / _WEI_PER_GWEI, sender=name)

    def _close(self, payment: Payment, key: str, receipt: Receipt) -> None:
        """Count a payment and say in one line what became of it."""
        sender = to_checksum_hex(payment.sender)
        self._metrics.add("tickets_recv", receipt.tickets)
        self._metrics.add("ticket_value_recv", float(receipt.credited_wei / _WEI_PER_GWEI))
        self._metrics.add("winning_tickets_recv", receipt.winners)
        for error in receipt.errors:
            self._metrics.add("payment_recv_errors", error_code=error.fault.value)
        tell = log.warning if receipt.errors else log.info
        tell(
            "payment closed",
            sender=sender,
            account=shown_session(SessionId(key)),
            tickets=receipt.tickets,
            winners=receipt.winners,
            credited_wei=int(receipt.credited_wei),
            balance_wei=int(self._recipient.balance_wei(payment.sender, key)),
            refused=len(receipt.errors),
            reason=receipt.error.text if receipt.error is not None else "",
        )


_REASONS = {
    QuoteError.INSUFFICIENT_RESERVE: "insufficient_reserve",
    QuoteError.NOT_INT64: "price",
    QuoteError.BLIND: "no_chain_state",
}


def wanted_models(capabilities: Capabilities | None) -> tuple[Model, ...]:
    """The models a request is priced by: of the capabilities that it lists with a capacity and constrains.

    Answers to payments.md 7.2 step 3.
    """
    if capabilities is None:
        return ()
    return tuple(
        (capability, model)
        for capability in capabilities.capacities
        for model in capabilities.models.get(capability, ())
    )


def _fraction(price: Price | None) -> Fraction | None:
    """A webhook's price; one per nothing is none."""
    if price is None or price.px_per_unit <= 0 or price.wei_per_unit < 0:
        return None
    return Fraction(price.wei_per_unit, price.px_per_unit)


def _minimal(number: int) -> bytes:
    """Big-endian without leading zeros; nothing for zero."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _hash(raw: bytes) -> bytes:
    """32 bytes of whatever came, as peers read hashes."""
    return raw[-_HASH_BYTES:].rjust(_HASH_BYTES, b"\x00")


def _params(offer: Offer) -> TicketParams:
    quoted = offer.terms
    return TicketParams(
        recipient=quoted.recipient,
        face_value=_minimal(quoted.terms.face_value_wei),
        win_prob=_minimal(quoted.terms.win_prob),
        recipient_rand_hash=quoted.recipient_rand_hash,
        seed=_minimal(quoted.terms.seed),
        expiration_block=_minimal(quoted.terms.expiration_block),
        creation_round=quoted.terms.creation_round,
        creation_round_block_hash=quoted.terms.creation_round_block_hash,
    )


def _received(payment: Payment) -> ReceivedPayment:
    params, price = payment.ticket_params, payment.expected_price
    terms = None
    if params is not None:
        terms = OfferedTerms(
            recipient=address_from_wire(params.recipient),
            face_value_wei=int.from_bytes(params.face_value, "big"),
            win_prob=int.from_bytes(params.win_prob, "big"),
            recipient_rand_hash=_hash(params.recipient_rand_hash),
            seed=int.from_bytes(params.seed, "big"),
            expiration_block=int.from_bytes(params.expiration_block, "big"),
            creation_round=params.creation_round,
            creation_round_block_hash=_hash(params.creation_round_block_hash),
        )
    return ReceivedPayment(
        sender=payment.sender if payment.has_sender else None,
        expected_price=(price.wei_per_unit, price.px_per_unit) if price is not None else None,
        terms=terms,
        tickets=tuple((ticket.sender_nonce, ticket.signature) for ticket in payment.tickets),
    )
