"""The OrchestratorInfo answer for one caller: who we are, what we can do, on what terms."""

from collections.abc import Callable

from baton.jobs.messages import AuthToken, OrchestratorInfo, Price
from baton.jobs.ports import Payments, Quote, Signer, StoreOffers
from baton.kernel.capabilities import Capabilities
from baton.kernel.ids import Address, SessionId

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
    def service_uri(self) -> str:
        """What we call ourselves, without trailing slash."""
        return self._service_uri

    def terms_only(self, quote: Quote, token: AuthToken) -> OrchestratorInfo:
        """An answer that tells fresh terms and nothing else (video.md 4.7)."""
        return OrchestratorInfo(
            transcoder=self._service_uri,
            address=self._signer.address,
            capabilities=Capabilities(),
            auth_token=token,
            ticket_params=quote.ticket_params,
            price=quote.price,
        )

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
        account: SessionId | None = None,
    ) -> OrchestratorInfo:
        """The answer for ``sender``; ``requested`` None quotes the node as a whole and lists all prices.

        ``account`` names whose pinned price holds, where it is not the token's session.

        Raises:
            RefusedError: payments cannot make terms for this sender.
        """
        quote = await self._payments.quote(
            sender=sender,
            session_id=token.session_id if account is None else account,
            capabilities=requested,
            price_override=price_override,
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
