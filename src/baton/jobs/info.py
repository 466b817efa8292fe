"""The OrchestratorInfo answer for one caller: who we are, what we can do, on what terms."""

from collections.abc import Callable

from baton.jobs.messages import AuthToken, OrchestratorInfo, Price
from baton.jobs.ports import Payments, Signer, StoreOffers
from baton.kernel.capabilities import Capabilities
from baton.kernel.ids import Address

__all__ = ["InfoBuilder"]


class InfoBuilder:
    """Builds answers from the node's own facts and a quote made for the caller."""

    def __init__(
        self,
        *,
        service_uri: str,
        nodes: tuple[str, ...],
        signer: Signer,
        payments: Payments,
        capabilities: Callable[[], Capabilities],
        offers: StoreOffers | None = None,
    ) -> None:
        """``service_uri`` has no trailing slash: gateways append ``/segment`` to it textually.

        ``offers`` is there when the node's own store is a bucket that gateways may write to.
        """
        self._service_uri = service_uri
        self._nodes = nodes
        self._signer = signer
        self._payments = payments
        self._capabilities = capabilities
        self._offers = offers

    @property
    def own_capabilities(self) -> Capabilities:
        """What the node offers right now."""
        return self._capabilities()

    @property
    def takes_work(self) -> bool:
        """False for an instance that only advertises others: it is always quoted as a whole (video.md 3.2 step 5)."""
        return bool(self._service_uri)

    async def build(
        self,
        *,
        sender: Address,
        token: AuthToken,
        requested: Capabilities | None,
        price_override: Price | None = None,
    ) -> OrchestratorInfo:
        """The answer for ``sender``; ``requested`` None quotes the node as a whole and lists all prices.

        Raises:
            RefusedError: payments cannot make terms for this sender.
        """
        quote = await self._payments.quote(
            sender=sender, session_id=token.session_id, capabilities=requested, price_override=price_override
        )
        storage = () if self._offers is None else (await self._offers.offer(token.session_id),)
        return OrchestratorInfo(
            transcoder=self._service_uri,
            address=self._signer.address,
            capabilities=self.own_capabilities,
            auth_token=token,
            nodes=self._nodes,
            ticket_params=quote.ticket_params,
            price=quote.price,
            capability_prices=quote.capability_prices if requested is None else (),
            storage=storage,
        )
