"""A gateway's money in one session: the terms it holds, the nonces it used, and a credit ledger of exact fractions.

The rules are a real gateway's (payments.md 16): credit is set aside while a segment is under way, tickets fill it up to
the padded estimate or one ticket's worth, and what the answer says was done is debited. Belongs to one event loop.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from baton.jobs.messages import OrchestratorInfo, Payment, TicketParams
from baton.kernel.ids import Address
from baton.kernel.profiles import VideoProfile, estimated_px
from baton.selftest.parties import GatewayKey
from baton.selftest.tickets import (
    PayerLimits,
    TermsRefusedError,
    expected_value_wei,
    judge_terms,
    price_per_px,
    sign_ticket,
)

__all__ = ["PayerView", "PaymentSession", "Spent", "TermsOnly"]

_PADDING = Fraction(102, 100)
_PRICE_RISE_MOST = 2


class PayerView(Protocol):
    """What a payer knows of the chain."""

    async def last_seen_l1_block(self) -> int | None:
        """The newest L1 block; None when nobody looks, so that only the orchestrator's word counts."""
        ...

    async def sender_fault(self, sender: Address, *, face_value_wei: int) -> str | None:
        """Why the account cannot pay under such a face value, in the network's words; None when it can."""
        ...


class TermsOnly:
    """Satisfies ``PayerView`` by looking at no chain: terms are taken as they are told."""

    async def last_seen_l1_block(self) -> int | None:
        """Not known."""
        return None

    async def sender_fault(self, sender: Address, *, face_value_wei: int) -> str | None:
        """None that is known."""
        del sender, face_value_wei
        return None


@dataclass(frozen=True, slots=True)
class Spent:
    """A payment on its way and what the ledger has set aside for it, in wei."""

    payment: Payment
    existing_wei: Fraction
    fresh_wei: Fraction
    price: Fraction


class PaymentSession:
    """One auth session of one orchestrator, paid."""

    def __init__(
        self,
        *,
        key: GatewayKey,
        terms: OrchestratorInfo,
        view: PayerView | None = None,
        limits: PayerLimits | None = None,
    ) -> None:
        """Begins with no credit. ``key`` has a private key."""
        self._key = key
        self._terms = terms
        self._view = view if view is not None else TermsOnly()
        self._limits = limits if limits is not None else PayerLimits()
        self._first_price = price_per_px(terms.price) if terms.price is not None else Fraction(0)
        self._nonces: dict[bytes, int] = {}
        self._seen = {terms.ticket_params.recipient_rand_hash} if terms.ticket_params is not None else set()
        self._faults: list[str] = []
        self._credit_wei = Fraction(0)
        self._sent_wei = Fraction(0)
        self._fees_wei = Fraction(0)
        self._tickets = 0

    @property
    def credit_wei(self) -> Fraction:
        """What is left of what was paid; below zero after work that cost more than was set aside for it."""
        return self._credit_wei

    @property
    def sent_wei(self) -> Fraction:
        """Expected value of all tickets sent."""
        return self._sent_wei

    @property
    def fees_wei(self) -> Fraction:
        """Price of all work that came back."""
        return self._fees_wei

    @property
    def tickets(self) -> int:
        """Tickets sent."""
        return self._tickets

    @property
    def faults(self) -> tuple[str, ...]:
        """What was wrong with terms that came with answers."""
        return tuple(self._faults)

    @property
    def terms(self) -> OrchestratorInfo:
        """The newest terms."""
        return self._terms

    def learn(self, terms: OrchestratorInfo | None) -> None:
        """Terms of an answer; None keeps those that are held. Credit goes on, nonces begin anew with new terms."""
        if terms is None:
            return
        params = terms.ticket_params
        if params is not None and params.recipient_rand_hash in self._seen:
            self._faults.append("the same ticket parameters came twice: nonces would be used again")
        if params is not None:
            self._seen.add(params.recipient_rand_hash)
        if terms.price is not None and terms.price.px_per_unit and price_per_px(terms.price) > self._first_price:
            self._faults.append("the price of a running session rose: remote signers leave")
        self._terms = terms

    async def pay(self, profiles: tuple[VideoProfile, ...], *, duration_ms: int) -> Spent:
        """The payment for a segment; until ``settle`` its credit is set aside.

        Raises:
            TermsRefusedError: no gateway would pay under the terms that are held.
        """
        price = self._price()
        fee_wei = estimated_px(profiles, duration_ms=duration_ms) * _PADDING * price
        params = self._terms.ticket_params
        bare = Payment(sender=self._key.address, has_sender=True, expected_price=self._terms.price)
        if params is None:
            if fee_wei > 0:
                message = "a price without ticket parameters cannot be paid"
                raise TermsRefusedError(message)
            return Spent(bare, Fraction(0), Fraction(0), price)
        block = await self._view.last_seen_l1_block()
        judge_terms(params, limits=self._limits, last_seen_l1_block=block)
        worth_wei = expected_value_wei(params)
        needed_wei = max(fee_wei, worth_wei)
        gap_wei = needed_wei - self._credit_wei
        if gap_wei <= 0:
            return self._set_aside(bare, Fraction(0), price)
        if worth_wei <= 0:
            message = "tickets worth nothing cannot pay for work that has a price"
            raise TermsRefusedError(message)
        count = -(-gap_wei.numerator * worth_wei.denominator // (gap_wei.denominator * worth_wei.numerator))
        fault = await self._view.sender_fault(
            self._key.address, face_value_wei=int.from_bytes(params.face_value, "big")
        )
        if fault is not None:
            raise TermsRefusedError(fault)
        judge_terms(params, limits=self._limits, last_seen_l1_block=block, tickets=count)
        return self._set_aside(self._with_tickets(params, count), count * worth_wei, price)

    def settle(self, spent: Spent, *, pixels: int) -> None:
        """The work came back: debit it, and give back what was set aside beyond it."""
        fee_wei = pixels * spent.price
        self._fees_wei += fee_wei
        self._credit_wei += spent.existing_wei + spent.fresh_wei - fee_wei

    def _price(self) -> Fraction:
        price = price_per_px(self._terms.price) if self._terms.price is not None else Fraction(0)
        if price < 0:
            message = f"price {price} is negative"
            raise TermsRefusedError(message)
        if self._first_price > 0 and price > self._first_price * _PRICE_RISE_MOST:
            message = f"Orchestrator price has more than doubled, from {self._first_price} to {price} wei per pixel"
            raise TermsRefusedError(message)
        return price

    def _set_aside(self, payment: Payment, fresh_wei: Fraction, price: Fraction) -> Spent:
        existing_wei, self._credit_wei = self._credit_wei, Fraction(0)
        self._sent_wei += fresh_wei
        self._tickets += len(payment.tickets)
        return Spent(payment, existing_wei, fresh_wei, price)

    def _with_tickets(self, params: TicketParams, count: int) -> Payment:
        private_key = self._key.private_key
        if private_key is None:
            message = "tickets need an account: no key was given"
            raise TermsRefusedError(message)
        first = self._nonces.get(params.recipient_rand_hash, 0) + 1
        self._nonces[params.recipient_rand_hash] = first + count - 1
        return Payment(
            sender=self._key.address,
            has_sender=True,
            expected_price=self._terms.price,
            ticket_params=params,
            tickets=tuple(
                sign_ticket(params, sender=self._key.address, nonce=nonce, private_key=private_key)
                for nonce in range(first, first + count)
            ),
        )
