"""Terms for a sender: price, face value, win probability and a commitment to all of them (payments.md 4 and 7.2).

The price of an account in use is the one its first ticket pinned, whatever gas or the operator did since: gateways drop
a session whose price moves. Everything else is made anew for every quote, seed first, so that no two share a number.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from baton.kernel.ids import Address
from baton.payments.commitment import QuoteClass, Terms, recipient_rand
from baton.payments.errors import QuoteError
from baton.payments.facevalue import Economics, SenderFunds, face_value_wei, max_float_wei, overhead
from baton.payments.ports import GasView, RoundView, TicketSecrets
from baton.payments.prices import Model, PriceTable, WirePrice, to_wire
from baton.payments.ticket import rand_hash, win_probability

__all__ = ["PARAMS_LIFETIME_BLOCKS", "PriceQuote", "QuotedTerms", "Quoting"]

PARAMS_LIFETIME_BLOCKS = 40
"""L1 blocks that terms are good for."""

_NO_HASH = bytes(32)
_SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class PriceQuote:
    """A price as it is told, and the class of work it is for."""

    price: WirePrice
    quote_class: QuoteClass


@dataclass(frozen=True, slots=True)
class QuotedTerms:
    """What a gateway gets to make tickets from."""

    recipient: Address
    recipient_rand_hash: bytes
    terms: Terms


class Quoting:
    """Makes prices and terms. Belongs to the event loop; asks nobody anything."""

    def __init__(
        self,
        *,
        recipient: Address,
        prices: Callable[[], PriceTable],
        economics: Callable[[], Economics],
        rounds: RoundView,
        gas: GasView,
        secrets: TicketSecrets,
        overhead_most: Fraction | None,
    ) -> None:
        """``overhead_most`` bounds what redemption adds to a price, as a factor; None adds nothing."""
        self._recipient = recipient
        self._prices = prices
        self._economics = economics
        self._rounds = rounds
        self._gas = gas
        self._secrets = secrets
        self._overhead_most = overhead_most

    def float_wei(self, funds: SenderFunds, *, pending_wei: int, outstanding_wei: int) -> int:
        """Largest face value a sender can back now."""
        return max_float_wei(
            funds, pool_size=self._rounds.pool_size, pending_wei=pending_wei, outstanding_wei=outstanding_wei
        )

    def base(
        self, sender: Address, wanted: tuple[Model, ...], override: Fraction | None
    ) -> tuple[Fraction, QuoteClass]:
        """The operator's price, before what redemption adds. ``override`` is the webhook's word on this gateway."""
        price, quote_class = self._prices().base(sender, wanted)
        return (price if override is None else override), quote_class

    def listed(self, sender: Address) -> tuple[tuple[Model, Fraction], ...]:
        """Every model that has a price, with the price that holds for a sender."""
        return self._prices().listed(sender)

    def price(self, base: Fraction, quote_class: QuoteClass, *, max_float_wei: int) -> PriceQuote:
        """A base price with the cost of redemption on top, as it will be told.

        Raises:
            QuoteError: no face value is possible, or the price does not fit the wire.
        """
        if base <= 0 or self._overhead_most is None:
            return PriceQuote(to_wire(base), quote_class)
        economics = self._economics()
        value_wei = face_value_wei(economics, gas_price_wei=self._gas.price_wei, max_float_wei=max_float_wei)
        cost_wei = economics.redeem_gas * self._gas.price_wei
        factor = overhead(face_value_wei=value_wei, cost_wei=cost_wei, most=self._overhead_most)
        return PriceQuote(to_wire(base * factor), quote_class)

    def terms(self, sender: Address, quote: PriceQuote, *, max_float_wei: int) -> QuotedTerms:
        """Fresh terms at a price; a price of zero asks for no payment and gets a face value of zero.

        Raises:
            QuoteError: ``insufficient sender reserve``, or the chain was not seen for too long.
        """
        if not self._rounds.is_fresh:
            raise QuoteError(QuoteError.BLIND)
        value_wei, win_prob = 0, 0
        if quote.price.exact > 0:
            economics = self._economics()
            value_wei = face_value_wei(economics, gas_price_wei=self._gas.price_wei, max_float_wei=max_float_wei)
            win_prob = win_probability(face_value_wei=value_wei, ev_wei=economics.ev_wei)
        creation_round, block_hash = self._creation()
        terms = Terms(
            sender=sender,
            face_value_wei=value_wei,
            win_prob=win_prob,
            seed=int.from_bytes(secrets.token_bytes(_SEED_BYTES), "big"),
            expiration_block=self._rounds.last_seen_l1_block + PARAMS_LIFETIME_BLOCKS,
            price=quote.price.exact,
            creation_round=creation_round,
            creation_round_block_hash=block_hash,
            quote_class=quote.quote_class,
        )
        number = recipient_rand(self._secrets.current, terms)
        if number is None:
            raise QuoteError(QuoteError.BLIND, detail="the chain's numbers are not of this world")
        return QuotedTerms(self._recipient, rand_hash(number), terms)

    def _creation(self) -> tuple[int, bytes]:
        """Round and hash that the contract will accept: a round whose hash is zero never is.

        Raises:
            QuoteError: there is none; no ticket of such terms could ever be paid.
        """
        rounds = self._rounds
        if rounds.round_block_hash != _NO_HASH:
            return rounds.last_initialized_round, rounds.round_block_hash
        if rounds.previous_round_block_hash == _NO_HASH:
            raise QuoteError(QuoteError.BLIND, detail="no block hash of this round or the last")
        return rounds.last_initialized_round - 1, rounds.previous_round_block_hash
