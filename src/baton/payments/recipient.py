"""The recipient: quotes terms, takes payments, holds and settles what work costs (payments.md 5, 6; 18 items 1, 18-21).

The shell around the pure rules of this room. Nothing is credited before it is on record, and nothing is done for a
price that we did not quote: a payment with tickets proves its price by the commitment, one without is billed at the
pinned price.
"""

import asyncio
from collections.abc import Callable, Coroutine
from fractions import Fraction
from typing import Any, TypeVar

import structlog

from baton.kernel.clock import Clock
from baton.kernel.errors import BatonError
from baton.kernel.ids import Address
from baton.payments.commitment import TRANSCODING, QuoteClass, Terms
from baton.payments.errors import PaymentError, QuoteError
from baton.payments.exposure import Exposure
from baton.payments.judging import judge_all
from baton.payments.ledger import Hold, Ledger
from baton.payments.messages import Offer, OfferedTerms, Receipt, ReceivedPayment
from baton.payments.nonces import NonceBook
from baton.payments.overtime import Overtime
from baton.payments.ports import (
    AccountKey,
    ChainUnavailableError,
    Debit,
    PaymentStore,
    RoundView,
    SenderView,
    TicketEntry,
    TicketSecrets,
)
from baton.payments.prices import Model, to_wire
from baton.payments.quoting import PriceQuote, Quoting
from baton.payments.ticket import Ticket
from baton.payments.validation import (
    SignedTicket,
    check_sender,
    open_commitment,
    signed_tickets,
)

__all__ = ["InsufficientBalanceError", "Recipient"]

log = structlog.get_logger("baton.payments")

_T = TypeVar("_T")
_NONCES_KEPT_BLOCKS = 100
"""Nonces are kept this many L1 blocks after their terms expired. Terms are taken for some blocks of grace, and by nodes
whose view of L1 lags: whoever still takes a ticket must know that it was taken."""


class InsufficientBalanceError(Exception):
    """An account does not cover the work that is asked for."""


class Recipient:
    """Takes payments for one recipient address. Belongs to the event loop."""

    def __init__(
        self,
        *,
        recipient: Address,
        quoting: Quoting,
        rounds: RoundView,
        senders: SenderView,
        secrets: TicketSecrets,
        store: PaymentStore,
        pending_wei: Callable[[Address], int],
        clock: Clock,
        shared: bool = False,
    ) -> None:
        """``pending_wei`` is what is being redeemed from a sender at this moment.

        ``shared``: other nodes write the same record, so what memory says of a balance may be long spent.
        """
        self._recipient = recipient
        self._quoting = quoting
        self._rounds = rounds
        self._senders = senders
        self._secrets = secrets
        self._store = store
        self._pending_wei = pending_wei
        self._clock = clock
        self._shared = shared
        self._ledger = Ledger()
        self._nonces = NonceBook()
        self._overtime = Overtime()
        self._owed: list[tuple[Hold, int, int]] = []
        self.exposure = Exposure(store=store, senders=senders, rounds=rounds, clock=clock, shared=shared)
        """What senders have lost and not paid; whoever changes what waits on record tells it so."""
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def address(self) -> Address:
        """Who is paid."""
        return self._recipient

    @property
    def ledger(self) -> Ledger:
        """The balances, to look at."""
        return self._ledger

    async def load(self) -> None:
        """Learn what is on record; once, before anything else."""
        for key, state in await self._store.accounts():
            self._ledger.learn(key, state)
        for rand, nonce, expiration_block in await self._store.nonces():
            self._nonces.record(rand, nonce, expiration_block=expiration_block)

    async def tidy(self, *, idle_s: float) -> None:
        """Settle what could not be put on record, forget accounts idle for so long and quotes that expired.

        Call now and then. Raises what the record raises.
        """
        await self._settle_owed()
        l1_block = self._rounds.last_seen_l1_block - _NONCES_KEPT_BLOCKS
        self._nonces.expire(l1_block)
        for key in await self._store.forget(idle_s=idle_s, l1_block=l1_block):
            self._ledger.forget(key)
            self._overtime.forget(key)
        self._ledger.forget_idle(before_s=self._clock.now() - idle_s)

    async def close(self) -> None:
        """Wait for what is being written, then try once more what could not be."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        try:
            await self._settle_owed()
        except BatonError as error:
            lost_wei = sum(hold.price * units for hold, units, _ in self._owed)
            log.error("work is not debited", jobs=len(self._owed), wei=int(lost_wei), reason=str(error))  # noqa: TRY400 -- a trace would say nothing more

    async def _settle_owed(self) -> None:
        """Each is out of the list only while its debit is under way, which a caller that goes away does not stop."""
        for _ in range(len(self._owed)):
            await self._finish(self._settle(*self._owed.pop(0)))

    # Quotes.

    async def offer(
        self, sender: Address, key: str, *, wanted: tuple[Model, ...] = (), override: Fraction | None = None
    ) -> Offer:
        """Price and terms for a sender and one of its accounts.

        Raises:
            QuoteError: none can be made now.
            BatonError: the record cannot be asked.
        """
        base, quote_class = self._quoting.base(sender, wanted, override)
        pinned = await self.pinned_now(sender, key)
        if (base if pinned is None else pinned) == 0:
            price = self._quoting.price(Fraction(0), quote_class, max_float_wei=0)
            return Offer(price, self._quoting.terms(sender, price, max_float_wei=0), 0)
        float_wei = await self._float_wei(sender)
        if pinned is None:
            price = self._quoting.price(base, quote_class, max_float_wei=float_wei)
        else:
            price = PriceQuote(to_wire(pinned), quote_class)
        terms = self._quoting.terms(sender, price, max_float_wei=float_wei)
        self._ledger.told(ticket_ev_wei=terms.terms.expected_value_wei)
        return Offer(price, terms, float_wei)

    def pinned(self, sender: Address, key: str) -> Fraction | None:
        """The price pinned for an account that is in use, as far as this node knows; None when it knows of none."""
        return self._pinned(AccountKey(sender, key))

    async def pinned_now(self, sender: Address, key: str) -> Fraction | None:
        """The same, and certain: what memory does not know or holds for idle, another node may have pinned.

        Raises:
            BatonError: the record cannot be asked.
        """
        account = AccountKey(sender, key)
        pinned = self._pinned(account)
        if pinned is None and self._shared:
            await self._look_up(account)
            pinned = self._pinned(account)
        return pinned

    def balance_wei(self, sender: Address, key: str) -> Fraction:
        """Balance of an account, holds not taken off; 0 for one that is not known."""
        state = self._ledger.state(AccountKey(sender, key))
        return state.balance_wei if state is not None else Fraction(0)

    def listed(self, sender: Address) -> tuple[tuple[Model, Fraction], ...]:
        """Every model that has a price, with the price that holds for a sender."""
        return self._quoting.listed(sender)

    def _pinned(self, account: AccountKey) -> Fraction | None:
        state = self._ledger.state(account)
        return state.pinned(self._clock.now()) if state is not None else None

    async def _look_up(self, account: AccountKey) -> None:
        """Let memory say of an account what the record says."""
        state = await self._store.account(account)
        if state is not None:
            self._ledger.learn(account, state)
        else:
            self._ledger.forget(account)

    async def _float_wei(self, sender: Address) -> int:
        try:
            funds = await self._senders.funds(sender)
        except ChainUnavailableError as error:
            raise QuoteError(QuoteError.BLIND, detail=str(error)) from error
        return self._quoting.float_wei(
            funds,
            pending_wei=self._pending_wei(sender),
            outstanding_wei=await self.exposure.outstanding_wei(sender),
        )

    # Payments.

    async def receive(
        self, payment: ReceivedPayment, key: str, *, wanted: tuple[Model, ...] = (), override: Fraction | None = None
    ) -> Receipt:
        """Take the tickets of a payment; ``wanted`` and ``override`` say for which work it shall count."""
        if payment.terms is None:
            return Receipt()
        try:
            price = await self._check_payment(payment)
            sender = payment.sender
            if sender is None:
                raise PaymentError.sender_missing()
            signed = signed_tickets(payment, sender, payment.terms)
            if not signed:
                return Receipt()
            number, terms = self._open(
                signed[0].ticket, payment.terms, price, classes=self._classes(sender, wanted, override)
            )
            expected_wei = signed[0].ticket.expected_value_wei * len(signed)
            await self.exposure.check(sender, face_value_wei=terms.face_value_wei, expected_wei=expected_wei)
        except PaymentError as error:
            return Receipt(errors=(error,))
        return await self._finish(self._take(AccountKey(sender, key), signed, number, terms))

    async def _check_payment(self, payment: ReceivedPayment) -> Fraction:
        """The checks that come before any ticket is looked at; returns the expected price."""
        if payment.sender is None or payment.terms is None:
            raise PaymentError.sender_missing()
        if not await self._rounds.is_active(payment.terms.recipient):
            raise PaymentError.inactive(payment.terms.recipient, self._rounds.last_initialized_round)
        if payment.expected_price is None:
            raise PaymentError.no_price()
        wei, units = payment.expected_price
        if units == 0:
            raise PaymentError.no_units()
        if payment.tickets:
            try:
                funds = await self._senders.funds(payment.sender)
            except ChainUnavailableError as error:
                raise PaymentError.sender_info(payment.sender, str(error)) from error
            check_sender(payment.sender, funds, last_initialized_round=self._rounds.last_initialized_round)
        return Fraction(wei, units)

    def _classes(self, sender: Address, wanted: tuple[Model, ...], override: Fraction | None) -> tuple[QuoteClass, ...]:
        """Classes of work under which a quote counts for this job: its own, and video's where both cost the same."""
        price, quote_class = self._quoting.base(sender, wanted, override)
        if quote_class == TRANSCODING:
            return (TRANSCODING,)
        video, _ = self._quoting.base(sender, (), override)
        return (quote_class, TRANSCODING) if price == video else (quote_class,)

    def _open(
        self, ticket: Ticket, offered: OfferedTerms, price: Fraction, *, classes: tuple[QuoteClass, ...]
    ) -> tuple[int, Terms]:
        candidates = tuple(
            Terms(
                sender=ticket.sender,
                face_value_wei=offered.face_value_wei,
                win_prob=offered.win_prob,
                seed=offered.seed,
                expiration_block=offered.expiration_block,
                price=price,
                creation_round=offered.creation_round,
                creation_round_block_hash=offered.creation_round_block_hash,
                quote_class=quote_class,
            )
            for quote_class in classes
        )
        return open_commitment(ticket, recipient=self._recipient, terms=candidates, secrets=self._secrets.all)

    async def _take(self, account: AccountKey, signed: tuple[SignedTicket, ...], number: int, terms: Terms) -> Receipt:
        """Judge every ticket by itself, then put the good ones and all winners on record."""
        judged = await judge_all(
            signed, number=number, terms=terms, l1_block=self._rounds.last_seen_l1_block, nonces=self._nonces
        )
        if not judged.entries:
            return Receipt(errors=judged.errors)
        seen = await self._record(account, terms.price, judged.entries, judged.recorded)
        return judged.receipt(account.sender, seen=seen)

    async def _record(
        self,
        account: AccountKey,
        price: Fraction,
        entries: tuple[TicketEntry, ...],
        recorded: tuple[TicketEntry, ...],
    ) -> frozenset[tuple[bytes, int]]:
        try:
            applied = await self._store.accept(account, price=price, tickets=entries)
        except BaseException:
            # Not on record, so the gateway may send them again; should they be on it after all, the record says so.
            for entry in recorded:
                self._nonces.forget(entry.recipient_rand_hash, entry.nonce)
            raise
        if not applied.state.is_blank:
            self._ledger.learn(account, applied.state)
        self._overtime.paid(account, balance_wei=applied.state.balance_wei)
        for entry in recorded:
            if entry.winner is not None and (entry.recipient_rand_hash, entry.nonce) not in applied.seen:
                self.exposure.won(account.sender, entry.winner.ticket.face_value_wei)
        return applied.seen

    # Work.

    async def admit(
        self,
        sender: Address,
        key: str,
        *,
        units: int,
        wanted: tuple[Model, ...] = (),
        override: Fraction | None = None,
    ) -> Hold | None:
        """Hold the cost of work; None when nothing is owed for it.

        Raises:
            InsufficientBalanceError: the account does not cover it, nobody has paid for what has a price, or other
                sessions of the sender left too much unpaid that they had not declared.
            BatonError: the record cannot be asked.
        """
        account = AccountKey(sender, key)
        if self._shared:
            await self._look_up(account)
        price = self._ledger.price(account)
        if price is None:
            base, _ = self._quoting.base(sender, wanted, override)
            if base == 0:
                return None
            raise InsufficientBalanceError
        if price == 0:
            return None
        now = self._clock.monotonic()
        if self._overtime.forbids(account, cost_wei=price * units, now=now):
            left_wei = int(self._overtime.left_behind_wei(account, now=now))
            message = f"other sessions of this sender owe {left_wei} wei for work beyond what they declared"
            raise InsufficientBalanceError(message)
        hold = self._ledger.hold(account, units=units, price=price, now=now)
        if hold is None:
            raise InsufficientBalanceError
        return hold

    async def settle(self, hold: Hold, *, units: int, overtime: int = 0) -> None:
        """Debit what was done and end the hold; goes on when the caller is cancelled.

        ``overtime`` of the units were not declared when the work was asked for, through no fault of ours.
        """
        await self._finish(self._settle(hold, units, overtime))

    async def _settle(self, hold: Hold, units: int, overtime: int) -> None:
        amount_wei = hold.price * units
        if amount_wei:
            try:
                applied = await self._store.debit(Debit(hold.account, amount_wei))
            except BatonError:
                # The work is done and must be paid: its hold stays until the record takes the debit.
                self._owed.append((hold, units, overtime))
                raise
            self._ledger.learn(hold.account, applied.state)
            self._overtime.worked(
                hold.account,
                declared_wei=hold.cost_wei,
                overtime_wei=hold.price * overtime,
                balance_wei=applied.state.balance_wei,
                now=self._clock.monotonic(),
            )
        self._ledger.settled(hold, amount_wei=amount_wei, now=self._clock.monotonic())

    def release(self, hold: Hold) -> None:
        """Nothing was delivered: the hold ends without a debit."""
        self._ledger.end(hold)

    async def _finish(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Let a change of the record run to its end even when whoever asked for it goes away."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)
