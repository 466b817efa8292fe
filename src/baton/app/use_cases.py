"""The use cases wired to their ports: what the service port serves, as one application."""

from collections.abc import Callable
from dataclasses import dataclass

from baton.config.model import Settings
from baton.jobs.admission import Admission
from baton.jobs.discovery import Discovery
from baton.jobs.gate import Gate
from baton.jobs.info import InfoBuilder
from baton.jobs.intake import Intake
from baton.jobs.messages import Price
from baton.jobs.payment_desk import PaymentDesk
from baton.jobs.ports import (
    Payments,
    SegmentFetcher,
    SegmentSpool,
    SenderCheck,
    ServedMedia,
    Signer,
    StoreOffers,
)
from baton.jobs.segment import SegmentDesk
from baton.jobs.streams import Streams
from baton.jobs.tokens import TokenKeys, TokenMint
from baton.jobs.work import Work
from baton.kernel.capabilities import Capabilities
from baton.kernel.clock import Clock
from baton.kernel.ids import Address
from baton.kernel.metrics import Metrics
from baton.video.job import Transcoder
from baton.wire.clients.webhook import HttpAuthWebhook
from baton.wire.grpc import GrpcRouter
from baton.wire.payment_http import PaymentRoute, RefreshPaymentRoute
from baton.wire.router import App, Router, healthz
from baton.wire.rpc import OrchestratorService
from baton.wire.segment_http import SegmentRoute
from baton.wire.stream_http import STREAM_PREFIX, StreamRoute

__all__ = ["Adapters", "Served", "port_application"]


@dataclass(frozen=True, slots=True)
class Adapters:
    """Everything that stands behind the ports of the use cases."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    signer: Signer
    payments: Payments
    """Those of an off-chain node, or tickets."""
    senders: SenderCheck
    """Whose word counts; one that takes everybody's is for off-chain nodes only."""
    keys: TokenKeys
    streams: Streams
    offers: StoreOffers | None
    served: ServedMedia
    spool: SegmentSpool
    fetcher: SegmentFetcher
    transcoder: Transcoder | None
    gate: Gate
    webhook: HttpAuthWebhook | None
    capabilities: Callable[[], Capabilities]


@dataclass(frozen=True, slots=True)
class Served:
    """What stands behind the service port, and how much of it is at work."""

    application: App
    in_hand: Callable[[], int]
    """Segments between their headers and their answer."""


def port_application(parts: Adapters) -> Served:
    """The application behind the service port."""
    payments, senders = parts.payments, parts.senders
    tokens = TokenMint(keys=parts.keys, clock=parts.clock)
    info = InfoBuilder(
        service_uri=parts.settings.port.service_uri,
        nodes=parts.settings.port.nodes,
        signer=parts.signer,
        payments=payments,
        capabilities=parts.capabilities,
        offers=parts.offers,
    )
    discovery = Discovery(
        senders=senders,
        signer=parts.signer,
        tokens=tokens,
        info=info,
        streams=parts.streams,
        gate=parts.gate,
        webhook=parts.webhook,
        clock=parts.clock,
        metrics=parts.metrics,
    )
    admission = Admission(
        senders=senders,
        tokens=tokens,
        streams=parts.streams,
        gate=parts.gate,
        info=info,
        payments=payments,
        cached_price=_cached_price(parts.webhook),
        clock=parts.clock,
    )
    work = Work(
        streams=parts.streams,
        transcoder=parts.transcoder,
        signer=parts.signer,
        payments=payments,
        clock=parts.clock,
        metrics=parts.metrics,
    )
    payment_desk = PaymentDesk(
        admission=admission, info=info, payments=payments, tokens=tokens, cached_price=_cached_price(parts.webhook)
    )
    intake = Intake(spool=parts.spool, fetcher=parts.fetcher, clock=parts.clock, metrics=parts.metrics)
    desk = SegmentDesk(admission=admission, intake=intake, work=work, clock=parts.clock, metrics=parts.metrics)
    router = Router(
        grpc=GrpcRouter(OrchestratorService(discovery=discovery).handlers),
        exact={
            "/segment": SegmentRoute(desk=desk, clock=parts.clock),
            "/payment": PaymentRoute(desk=payment_desk, clock=parts.clock),
            "/refresh-payment": RefreshPaymentRoute(desk=payment_desk),
            "/healthz": healthz,
        },
        prefixes={STREAM_PREFIX: StreamRoute(media=parts.served)},
    )
    return Served(application=router, in_hand=lambda: desk.in_hand)


def _cached_price(webhook: HttpAuthWebhook | None) -> Callable[[Address], Price | None]:
    """The price the operator's webhook last gave a sender; none without a webhook."""
    if webhook is None:
        return lambda _sender: None
    return webhook.cached_price
