"""An off-chain node's view of money and identity: nothing is paid, and every signature is taken at its word.

These are not stand-ins for the real thing but the behaviour the network expects of a node without a chain; such a node
says so loudly when it starts (video.md 3.1, operator.md 4).
"""

from baton.jobs.messages import Payment, Price
from baton.jobs.ports import Admitted, Quote
from baton.kernel.capabilities import Capabilities
from baton.kernel.crypto import verify_message
from baton.kernel.ids import Address, SessionId

__all__ = ["OffchainPayments", "SignatureCheck", "TrustingCheck"]


class OffchainPayments:
    """No prices, no tickets, no balances. Satisfies ``Payments``."""

    async def quote(
        self,
        *,
        sender: Address,
        session_id: SessionId,
        capabilities: Capabilities | None,
        price_override: Price | None = None,
    ) -> Quote:
        """No terms: a gateway reads their absence as off-chain."""
        del sender, session_id, capabilities, price_override
        return Quote()

    async def accept(
        self, *, payment: Payment, session_id: SessionId, estimated_px: int, price_override: Price | None = None
    ) -> Admitted:
        """Whatever was sent, nothing is owed."""
        del estimated_px, price_override
        return Admitted(sender=payment.sender, session_id=session_id)

    async def receive(
        self,
        payment: Payment,
        *,
        key: SessionId,
        capabilities: Capabilities | None = None,
        price_override: Price | None = None,
    ) -> None:
        """Whatever was sent, nothing is owed."""
        del payment, key, capabilities, price_override

    async def refresh(self, *, sender: Address, key: SessionId) -> Quote | None:
        """No price is ever pinned."""
        del sender, key
        return None

    def is_paid(self, *, sender: Address, session_id: SessionId) -> bool:
        """Nobody ever pays, and terms can always be made."""
        del sender, session_id
        return False

    async def settle(self, admitted: Admitted, *, pixels: int, overtime_px: int = 0) -> None:
        """Nothing to debit."""

    async def release(self, admitted: Admitted) -> None:
        """Nothing was held."""


class TrustingCheck:
    """Takes every signature, as off-chain nodes do. Satisfies ``SenderCheck``."""

    @property
    def identifies_senders(self) -> bool:
        """A claimed address proves nothing here."""
        return False

    def verify(self, sender: Address, message: bytes, signature: bytes) -> bool:
        """Always true."""
        del sender, message, signature
        return True


class SignatureCheck:
    """Verifies signatures for real; for nodes that demand them. Satisfies ``SenderCheck``."""

    @property
    def identifies_senders(self) -> bool:
        """A passed check proves the address."""
        return True

    def verify(self, sender: Address, message: bytes, signature: bytes) -> bool:
        """Whether ``sender`` signed ``message`` with an acceptable signature."""
        return verify_message(sender, message, signature)
