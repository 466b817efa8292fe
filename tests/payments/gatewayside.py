"""A gateway's half of payments for tests of the recipient: signs tickets for terms it was quoted."""

from dataclasses import dataclass, replace

import coincurve

from baton.kernel.crypto import public_key_to_address, sign_hash
from baton.kernel.ids import Address
from baton.payments.messages import Offer, OfferedTerms, ReceivedPayment
from baton.payments.ticket import Ticket

__all__ = ["Sender"]


@dataclass
class Sender:
    """One key and a counter of nonces for each quote."""

    key: bytes = bytes([0x46]) * 32

    @property
    def address(self) -> Address:
        return Address(public_key_to_address(coincurve.PrivateKey(self.key).public_key))

    def terms(self, offer: Offer) -> OfferedTerms:
        quoted = offer.terms
        return OfferedTerms(
            recipient=quoted.recipient,
            face_value_wei=quoted.terms.face_value_wei,
            win_prob=quoted.terms.win_prob,
            recipient_rand_hash=quoted.recipient_rand_hash,
            seed=quoted.terms.seed,
            expiration_block=quoted.terms.expiration_block,
            creation_round=quoted.terms.creation_round,
            creation_round_block_hash=quoted.terms.creation_round_block_hash,
        )

    def sign(self, terms: OfferedTerms, nonce: int, *, sender: Address | None = None) -> bytes:
        ticket = Ticket(
            recipient=terms.recipient,
            sender=sender or self.address,
            face_value_wei=terms.face_value_wei,
            win_prob=terms.win_prob,
            sender_nonce=nonce,
            recipient_rand_hash=terms.recipient_rand_hash,
            creation_round=terms.creation_round,
            creation_round_block_hash=terms.creation_round_block_hash,
        )
        return sign_hash(self.key, ticket.hash)

    def pay(self, offer: Offer, *nonces: int) -> ReceivedPayment:
        """A payment of one ticket for each nonce, at the price that was told."""
        terms = self.terms(offer)
        price = offer.price.price
        return ReceivedPayment(
            sender=self.address,
            expected_price=(price.wei_per_unit, price.units),
            terms=terms,
            tickets=tuple((nonce, self.sign(terms, nonce)) for nonce in nonces),
        )

    def without_tickets(self, wei: int = 0, units: int = 1) -> ReceivedPayment:
        """What a gateway sends while its credit lasts, with whatever price it likes."""
        return replace(ReceivedPayment(self.address, (wei, units), None))
