"""What can be wrong with a payment, in the words that gateways read and act upon (payments.md 5 and 5.1).

Pure. A gateway searches these texts, so none is decorated; details are for the log.
"""

from enum import Enum

from baton.kernel.errors import BatonError
from baton.kernel.ids import Address, to_checksum_hex

__all__ = ["Fault", "PaymentError", "QuoteError"]


class Fault(Enum):
    """Why a payment or a ticket is refused: the value of the metric's label, one for each check."""

    SENDER_MISSING = "sender_missing"
    SENDER_INFO = "sender_info"
    SENDER_UNLOCKING = "sender_unlocking"
    SENDER_EXPOSED = "sender_exposed"
    RECIPIENT_INACTIVE = "recipient_inactive"
    PRICE = "expected_price"
    RECIPIENT = "recipient"
    SENDER = "sender"
    RECIPIENT_RAND = "recipient_rand"
    SIGNATURE = "signature"
    NONCE_SEEN = "nonce_seen"
    NONCES_TOO_MANY = "nonces_too_many"
    EXPIRED = "params_expired"


_FATAL = frozenset(
    {
        Fault.SENDER_MISSING,
        Fault.SENDER_INFO,
        Fault.SENDER_UNLOCKING,
        Fault.SENDER_EXPOSED,
        Fault.RECIPIENT_INACTIVE,
        Fault.PRICE,
        Fault.RECIPIENT,
        Fault.SENDER,
        Fault.RECIPIENT_RAND,
    }
)

_FIXED = {
    Fault.RECIPIENT: "invalid ticket recipient",
    Fault.SENDER: "invalid ticket sender",
    Fault.RECIPIENT_RAND: "invalid recipientRand for ticket recipientRandHash",
    Fault.SIGNATURE: "invalid ticket signature",
    Fault.EXPIRED: "TicketParams expired",
}


class PaymentError(BatonError):
    """A payment or one of its tickets is refused; ``text`` is what the gateway reads with status 400."""

    def __init__(self, fault: Fault, text: str, *, detail: str = "") -> None:
        """``detail`` is for our log only."""
        super().__init__(text)
        self.fault = fault
        self.text = text
        self.detail = detail

    @property
    def is_fatal(self) -> bool:
        """Whether the tickets that follow are not even looked at."""
        return self.fault in _FATAL

    @classmethod
    def of(cls, fault: Fault) -> "PaymentError":
        """A fault whose text has nothing to fill in."""
        return cls(fault, _FIXED[fault])

    @classmethod
    def sender_missing(cls) -> "PaymentError":
        """Tickets without a sender."""
        return cls(Fault.SENDER_MISSING, "Could not find Sender for payment: ")

    @classmethod
    def sender_info(cls, sender: Address, why: str) -> "PaymentError":
        """The chain does not tell us about the sender now."""
        return cls(Fault.SENDER_INFO, f"could not get sender info for {to_checksum_hex(sender)}: {why}")

    @classmethod
    def unlocking(cls, sender: Address) -> "PaymentError":
        """The sender takes its money out soon."""
        text = f"deposit and reserve for sender {to_checksum_hex(sender)} is set to unlock soon"
        return cls(Fault.SENDER_UNLOCKING, text)

    @classmethod
    def exposed(cls, sender: Address, *, outstanding_wei: int, payable_wei: int) -> "PaymentError":
        """What was won from the sender and waits for its money is far more than the chain would pay."""
        detail = f"{to_checksum_hex(sender)} owes {outstanding_wei} wei, the chain would pay {payable_wei}"
        return cls(Fault.SENDER_EXPOSED, QuoteError.INSUFFICIENT_RESERVE, detail=detail)

    @classmethod
    def inactive(cls, recipient: Address, round_number: int) -> "PaymentError":
        """The recipient is not in the active set, so no ticket for it could use a reserve."""
        name = to_checksum_hex(recipient)
        text = f"orchestrator {name} is inactive in round {round_number}, cannot process payments"
        return cls(Fault.RECIPIENT_INACTIVE, text)

    @classmethod
    def no_price(cls) -> "PaymentError":
        """Tickets without an expected price."""
        return cls(Fault.PRICE, 'invalid expected price sent with payment err="expected price is nil"')

    @classmethod
    def no_units(cls) -> "PaymentError":
        """An expected price per nothing."""
        return cls(Fault.PRICE, 'invalid expected price sent with payment err="pixels per unit is 0"')

    @classmethod
    def nonce(cls, fault: Fault, sender: Address, nonce: int) -> "PaymentError":
        """The nonce was used before, or the terms have seen enough of them."""
        what = "already seen" if fault is Fault.NONCE_SEEN else "too many values"
        text = f"invalid ticket senderNonce: {what} sender={to_checksum_hex(sender)} nonce={nonce}"
        return cls(fault, text)


class QuoteError(BatonError):
    """No terms can be made for a sender now; the text is what a gateway reads over gRPC."""

    INSUFFICIENT_RESERVE = "insufficient sender reserve"
    NOT_INT64 = "price cannot be converted to int64"
    BLIND = "chain state is not available"

    def __init__(self, text: str, *, detail: str = "") -> None:
        """``detail`` is for our log only."""
        super().__init__(text)
        self.text = text
        self.detail = detail
