"""Money of the peer gateway: tickets, a credit ledger per session, and payments, honest unless told otherwise.

Written from payments.md 3, 5 and 16 alone. A payment is a message that a test may change as it likes before it is sent;
``sign_tickets`` signs whatever terms it is handed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.crypto import keccak

from tests.peer.keys import PeerKey
from tests.peer.pb import lp_rpc_pb2 as pb

__all__ = [
    "MOST_PROBABLE",
    "PeerSession",
    "Spent",
    "credit_only",
    "expected_value",
    "fee_estimate",
    "malleated",
    "payment_for",
    "price_of",
    "sign_tickets",
    "ticket_hash",
]

MOST_PROBABLE = 2**256 - 1
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_PADDING = Fraction(102, 100)


def _word(number: int | bytes) -> bytes:
    raw = number if isinstance(number, bytes) else number.to_bytes((number.bit_length() + 7) // 8, "big")
    return raw.rjust(32, b"\0")[-32:]


def ticket_hash(terms: pb.TicketParams, *, sender: bytes, nonce: int, made: pb.TicketExpirationParams) -> bytes:
    """What is signed: all fields packed without separators; round and hash count nothing when both are zero."""
    block_hash = _word(made.creation_round_block_hash)
    aux = b"" if made.creation_round == 0 and not any(block_hash) else _word(made.creation_round) + block_hash
    packed = (
        terms.recipient,
        sender,
        _word(terms.face_value),
        _word(terms.win_prob),
        _word(nonce),
        _word(terms.recipient_rand_hash),
        aux,
    )
    return bytes(keccak(b"".join(packed)))


def sign_tickets(
    payment: pb.Payment, nonces: Iterable[int], *, key: PeerKey, sender: bytes | None = None
) -> pb.Payment:
    """Add a ticket for each nonce under the terms that the payment repeats."""
    for nonce in nonces:
        digest = ticket_hash(
            payment.ticket_params, sender=sender or key.address, nonce=nonce, made=payment.expiration_params
        )
        signed = Account.sign_message(encode_defunct(primitive=digest), key.secret)
        payment.ticket_sender_params.add(sender_nonce=nonce, sig=bytes(signed.signature))
    return payment


def payment_for(info: pb.OrchestratorInfo, nonces: Iterable[int], *, key: PeerKey) -> pb.Payment:
    """A payment with a ticket for each nonce, as an honest gateway makes it from terms it was quoted."""
    payment = pb.Payment(sender=key.address, expected_price=info.price_info)
    payment.ticket_params.CopyFrom(info.ticket_params)
    payment.ticket_params.ClearField("expiration_params")
    payment.expiration_params.CopyFrom(info.ticket_params.expiration_params)
    return sign_tickets(payment, nonces, key=key)


def credit_only(info: pb.OrchestratorInfo, *, key: PeerKey) -> pb.Payment:
    """What an honest gateway sends while its credit lasts."""
    return pb.Payment(sender=key.address, expected_price=info.price_info)


def expected_value(terms: pb.TicketParams) -> Fraction:
    """Face value times win probability, exactly."""
    return Fraction(int.from_bytes(terms.face_value, "big") * int.from_bytes(terms.win_prob, "big"), MOST_PROBABLE)


def price_of(info: pb.OrchestratorInfo) -> Fraction:
    """Wei per pixel."""
    return Fraction(info.price_info.pricePerUnit, info.price_info.pixelsPerUnit)


def fee_estimate(profiles: Sequence[pb.VideoProfile], *, duration_ms: int, price: Fraction) -> Fraction:
    """What a segment is expected to cost: whole frames per second, whole seconds, and two percent on top."""
    seconds = ceil(Fraction(duration_ms, 1000))
    pixels = 0
    for profile in profiles:
        rate = ceil(Fraction(profile.fps, profile.fpsDen or 1)) if profile.fps else 60
        pixels += profile.width * profile.height * rate * seconds
    return pixels * _PADDING * price


def malleated(signature: bytes) -> bytes:
    """The other signature over the same hash by the same key: high ``s``, the other ``v``."""
    other = _ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + other.to_bytes(32, "big") + bytes([55 - signature[64]])


@dataclass(frozen=True, slots=True)
class Spent:
    """A payment on its way: the message, and what the ledger has set aside for it."""

    payment: pb.Payment
    existing: Fraction
    fresh: Fraction
    price: Fraction

    @property
    def tickets(self) -> int:
        """How many it carries."""
        return len(self.payment.ticket_sender_params)


@dataclass
class PeerSession:
    """What a gateway keeps for one session of an orchestrator: the terms it holds, their nonces, its credit."""

    key: PeerKey
    info: pb.OrchestratorInfo
    credit: Fraction = Fraction(0)
    nonces: dict[bytes, int] = field(default_factory=dict)
    sent: int = 0
    """Tickets so far."""
    value: Fraction = Fraction(0)
    """What they were worth on average."""

    def learn(self, info: pb.OrchestratorInfo) -> None:
        """Go on with newer terms; nonces begin anew because they belong to their terms."""
        self.info = info

    def pay(self, fee: Fraction) -> Spent:
        """As many tickets as bring the credit up to the fee or one ticket's worth, whichever is more."""
        terms = self.info.ticket_params
        worth = expected_value(terms)
        existing, self.credit = self.credit, Fraction(0)
        needed = max(fee, worth)
        count = 0 if existing >= needed else ceil((needed - existing) / worth)
        if not count:
            return Spent(credit_only(self.info, key=self.key), existing, Fraction(0), price_of(self.info))
        first = self.nonces.get(terms.recipient_rand_hash, 0) + 1
        self.nonces[terms.recipient_rand_hash] = first + count - 1
        payment = payment_for(self.info, range(first, first + count), key=self.key)
        self.sent += count
        self.value += count * worth
        return Spent(payment, existing, count * worth, price_of(self.info))

    def settle(self, spent: Spent, *, pixels: int) -> None:
        """The answer came: what was done is debited, the rest is credit again, below zero if need be."""
        self.credit += spent.existing + spent.fresh - pixels * spent.price

    def restore(self, spent: Spent) -> None:
        """Nothing was sent: what was set aside is credit again; its nonces are lost."""
        self.credit += spent.existing
