"""The service port of a node from its settings: certificate, listener with its limits, and who may ask."""

from urllib.parse import urlsplit

from baton.config.model import AccessSettings, PortSettings
from baton.kernel.clock import Clock
from baton.kernel.metrics import Metrics
from baton.storage.data_dir import DataDir
from baton.wire.clients.webhook import HttpAuthWebhook
from baton.wire.limits import ListenerLimits
from baton.wire.listener import Listener
from baton.wire.router import App
from baton.wire.tls import CertificateSource

__all__ = ["auth_webhook", "certificate_source", "service_port"]


def auth_webhook(access: AccessSettings, *, clock: Clock) -> HttpAuthWebhook | None:
    """The operator's say over who may ask; None lets everybody."""
    if not access.auth_webhook_url:
        return None
    return HttpAuthWebhook(url=access.auth_webhook_url, clock=clock, timeout_s=access.auth_webhook_timeout_s)


def certificate_source(port: PortSettings, data_dir: DataDir, *, clock: Clock) -> CertificateSource | None:
    """The operator's certificate or one of our own making; None for a port in cleartext."""
    if not port.bind.tls:
        return None
    if port.certificate_file is not None and port.private_key_file is not None:
        return CertificateSource.from_files(port.certificate_file, port.private_key_file)
    return CertificateSource.self_signed(data_dir.path, host=urlsplit(port.service_uri).hostname or "", clock=clock)


def service_port(
    port: PortSettings, app: App, *, certificate: CertificateSource | None, metrics: Metrics, clock: Clock
) -> Listener:
    """The listener that serves ``app``; nothing is bound yet."""
    limits = port.limits
    return Listener(
        app=app,
        host=port.bind.host,
        port=port.bind.port,
        tls=certificate.context if certificate is not None else None,
        limits=ListenerLimits(
            header_timeout_s=limits.header_timeout_s,
            body_idle_timeout_s=limits.body_idle_timeout_s,
            idle_timeout_s=limits.idle_timeout_s,
            max_connections=limits.max_connections,
            max_connections_per_address=limits.max_connections_per_address,
            max_streams_per_connection=limits.max_streams_per_connection,
            max_header_bytes=limits.max_header_bytes,
        ),
        metrics=metrics,
        clock=clock,
    )
