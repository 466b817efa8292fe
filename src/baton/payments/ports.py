"""What the payments domain needs from outside: the chain's state, a place for money on record, and secrets."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from baton.kernel.amounts import PriceText
from baton.kernel.errors import BatonError
from baton.kernel.ids import Address
from baton.payments.facevalue import SenderFunds
from baton.payments.ticket import WinningTicket

__all__ = [
    "AccountKey",
    "AccountState",
    "Applied",
    "ChainUnavailableError",
    "Debit",
    "FeedReading",
    "GasView",
    "KeptRate",
    "OperatorPrices",
    "PIN_IDLE_S",
    "PaymentStore",
    "PriceFeed",
    "PriceStore",
    "RateStore",
    "RoundView",
    "SenderView",
    "SetPrice",
    "TicketEntry",
    "TicketSecrets",
    "writable",
]


PIN_IDLE_S = 600.0
"""A price stays pinned while an account is used this often; after a longer pause the next ticket pins anew."""

_LONGEST_FRACTION = 2**4096
_FINE = 2**1024


class ChainUnavailableError(BatonError):
    """The chain cannot be asked now; the text says why, for log and gateway."""


class RoundView(Protocol):
    """Rounds, L1 blocks and the active set as last seen."""

    @property
    def is_fresh(self) -> bool:
        """False when the view is so old that nothing may be promised by it."""
        ...

    @property
    def last_initialized_round(self) -> int:
        """Number of the round."""
        ...

    @property
    def round_block_hash(self) -> bytes:
        """32 bytes that the chain stored for it; may be all zero."""
        ...

    @property
    def previous_round_block_hash(self) -> bytes:
        """The same for the round before."""
        ...

    @property
    def last_seen_l1_block(self) -> int:
        """Number of the L1 block."""
        ...

    @property
    def pool_size(self) -> int:
        """Orchestrators among which a reserve is shared."""
        ...

    async def is_active(self, orchestrator: Address) -> bool:
        """Whether our recipient is in the active set of the last initialized round, as last seen.

        True of everybody else: tickets for others are refused as such, and nothing needs to be known of them.
        """
        ...


class SenderView(Protocol):
    """Deposits and reserves."""

    async def funds(self, sender: Address) -> SenderFunds:
        """What stands behind a sender.

        Raises:
            ChainUnavailableError: it is not known and cannot be asked.
        """
        ...


class GasView(Protocol):
    """What gas costs, smoothed so that a spike of one block moves no price."""

    @property
    def price_wei(self) -> int:
        """Wei per gas; 0 while unknown."""
        ...


class TicketSecrets(Protocol):
    """The secrets behind our commitments, the current one first; older ones still count until their quotes expired."""

    @property
    def current(self) -> bytes:
        """32 bytes for new quotes."""
        ...

    @property
    def all(self) -> tuple[bytes, ...]:
        """Every secret whose quotes may still come back."""
        ...


@dataclass(frozen=True, slots=True)
class AccountKey:
    """One balance: a sender, and a session or whatever else its payments are kept by."""

    sender: Address
    key: str


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account as it is on record."""

    balance_wei: Fraction
    price: Fraction | None
    """Pinned by the first accepted ticket, in wei per unit; kept while the account is in use."""
    ticket_ev_wei: Fraction
    """Expected value of the last ticket that was accepted."""
    touched_s: float
    """Unix time of the last credit or debit."""

    @property
    def is_blank(self) -> bool:
        """Nothing was ever credited or debited: no record has such an account."""
        return self.price is None and not self.balance_wei

    def pinned(self, now_s: float) -> Fraction | None:
        """The price that still binds new quotes, or None."""
        return self.price if now_s - self.touched_s <= PIN_IDLE_S else None


def writable(balance_wei: Fraction) -> Fraction:
    """A balance that a record can write: exact, until many prices have made its fraction longer than 4096 bits.

    From there on it is less than 2**-1024 wei above, in favour of whoever pays. Else a fraction that grows with every
    price an account has had could one day not be written, and work would be done that nobody debits.
    """
    if balance_wei.denominator <= _LONGEST_FRACTION:
        return balance_wei
    return Fraction(-(-balance_wei.numerator * _FINE // balance_wei.denominator), _FINE)


@dataclass(frozen=True, slots=True)
class TicketEntry:
    """An accepted ticket on its way to the record."""

    recipient_rand_hash: bytes
    nonce: int
    expiration_block: int
    credit_wei: Fraction
    """0 for a winner whose value must not be credited."""
    winner: WinningTicket | None = None


@dataclass(frozen=True, slots=True)
class Debit:
    """Work that was done."""

    account: AccountKey
    amount_wei: Fraction


@dataclass(frozen=True, slots=True)
class Applied:
    """What the record says after a change: the account, and which of the tickets were on it before."""

    state: AccountState
    seen: frozenset[tuple[bytes, int]] = frozenset()
    """Recipient rand hash and nonce of tickets that somebody else had accepted already: nothing was credited."""


class PaymentStore(Protocol):
    """Money on record. A call returns when the change is safe on disk; it is whole or not at all."""

    async def accounts(self) -> tuple[tuple[AccountKey, AccountState], ...]:
        """Every account on record."""
        ...

    async def account(self, account: AccountKey) -> AccountState | None:
        """One account, or None."""
        ...

    async def nonces(self) -> tuple[tuple[bytes, int, int], ...]:
        """Recipient rand hash, nonce and expiration block of every ticket whose terms may still be used."""
        ...

    async def accept(self, account: AccountKey, *, price: Fraction, tickets: tuple[TicketEntry, ...]) -> Applied:
        """Credit tickets, remember the nonces of those credited and keep all winners, all or nothing.

        Pins ``price`` when something is credited and no price is pinned, or the one that is has been idle for longer
        than ``PIN_IDLE_S``.

        A winner that is on record already is left as it is.
        """
        ...

    async def debit(self, debit: Debit) -> Applied:
        """Take the price of done work from an account, below zero if need be."""
        ...

    async def forget(self, *, idle_s: float, l1_block: int) -> tuple[AccountKey, ...]:
        """Drop accounts untouched for so long, which are returned, and nonces of terms that expired before a block."""
        ...

    async def outstanding_wei(self, sender: Address) -> int:
        """Sum of the face values that were won from a sender and are neither redeemed nor given up."""
        ...


@dataclass(frozen=True, slots=True)
class FeedReading:
    """What a price feed says, as it says it: nothing of it is believed yet."""

    description: str
    decimals: int
    answer: int
    updated_at_s: int
    """Unix time."""


class PriceFeed(Protocol):
    """A contract that tells what one currency costs in another."""

    async def read(self) -> FeedReading:
        """Its newest answer.

        Raises:
            ChainUnavailableError: it cannot be asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeptRate:
    """The last reading that was believed, and the rate in force then, which may still be on its way there."""

    reading: FeedReading
    rate: Fraction


class RateStore(Protocol):
    """Where the last good rate outlives the process. Blocking."""

    def read(self) -> KeptRate | None:
        """What was kept; None when nothing usable was."""
        ...

    def write(self, kept: KeptRate) -> None:
        """Keep it.

        Raises:
            OSError: it cannot be written.
        """
        ...


@dataclass(frozen=True, slots=True)
class SetPrice:
    """A price that an operator set while the node ran; gateway None is everybody else."""

    gateway: Address | None
    price: PriceText
    units: int
    replaced: str
    """What the configuration said of it then; once it says something else, this price is over."""


@dataclass(frozen=True, slots=True)
class OperatorPrices:
    """All that was set while the node ran."""

    prices: tuple[SetPrice, ...] = ()
    max_face_value_wei: tuple[int, int] | None = None
    """The limit, and the configured one that it replaced."""


class PriceStore(Protocol):
    """Where they outlive the process. Blocking."""

    def read(self) -> OperatorPrices:
        """What was kept; nothing when it cannot be read."""
        ...

    def write(self, prices: OperatorPrices) -> None:
        """Keep them in place of all that was kept before.

        Raises:
            OSError: they cannot be written.
        """
        ...
