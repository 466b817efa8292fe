"""What a service port is before anybody speaks gRPC: connection, TLS, ALPN, certificate (video.md 1.1, 1.3)."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from baton.selftest.checks import Check, failed, info, passed, printable
from baton.selftest.http2 import PeerError, open_stream, unverified_tls
from baton.selftest.parties import Endpoint

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["judge_certificate", "look_at_port"]

_DIAL_LIMIT_S = 2.0
"""How long a gateway waits for TLS (video.md 1.1)."""
_PROTOCOLS = ("h2", "http/1.1")
_EXPIRES_SOON = dt.timedelta(days=14)


async def look_at_port(endpoint: Endpoint) -> tuple[tuple[Check, ...], bool]:
    """Rows about the port, and whether going on makes sense."""
    if not endpoint.tls:
        return await _look_at_cleartext(endpoint)
    try:
        spent_s, facts = await _handshake(endpoint, _PROTOCOLS)
    except PeerError as error:
        return (failed("connection", printable(str(error))),), False
    version, cipher, chosen, certificate = facts
    rows = [
        _judge_dial(spent_s),
        passed("TLS", f"{version}, {cipher}"),
        passed("ALPN", "chooses h2")
        if chosen == "h2"
        else failed("ALPN", f"chooses {printable(str(chosen))}: gRPC clients of gateways refuse a port without h2"),
        await _judge_http1_alpn(endpoint),
        judge_certificate(certificate, now=dt.datetime.now(dt.UTC)),
    ]
    return tuple(rows), chosen == "h2"


def _judge_dial(spent_s: float) -> Check:
    if spent_s > _DIAL_LIMIT_S:
        return failed("connection", f"{spent_s:.2f} s: gateways give up after {_DIAL_LIMIT_S:g} s")
    return passed("connection", f"TCP and TLS in {spent_s * 1000:.0f} ms")


async def _look_at_cleartext(endpoint: Endpoint) -> tuple[tuple[Check, ...], bool]:
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with open_stream(endpoint.host, endpoint.port, tls=None):
            spent_s = loop.time() - started
    except PeerError as error:
        return (failed("connection", printable(str(error))),), False
    words = "none: cleartext, standalone transcoders cannot connect"
    return (passed("connection", f"TCP in {spent_s * 1000:.0f} ms"), info("TLS", words)), True


async def _handshake(endpoint: Endpoint, protocols: Sequence[str]) -> tuple[float, tuple[str, str, str | None, bytes]]:
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with open_stream(endpoint.host, endpoint.port, tls=unverified_tls(protocols)) as (_, writer):
        spent_s = loop.time() - started
        tls = writer.get_extra_info("ssl_object")
        cipher = tls.cipher()
        certificate = tls.getpeercert(binary_form=True) or b""
        return spent_s, (tls.version() or "", cipher[0] if cipher else "", tls.selected_alpn_protocol(), certificate)


async def _judge_http1_alpn(endpoint: Endpoint) -> Check:
    """Renditions are fetched by clients that offer nothing but HTTP/1.1."""
    name = "ALPN for HTTP/1.1"
    try:
        _, facts = await _handshake(endpoint, ("http/1.1",))
    except PeerError as error:
        return failed(name, printable(str(error)))
    chosen = facts[2]
    if chosen not in {"http/1.1", None}:
        return failed(name, f"chooses {printable(str(chosen))}, which was not offered")
    return passed(name, f"chooses {chosen}" if chosen else "does not choose, which means HTTP/1.1")


def judge_certificate(der: bytes, *, now: dt.datetime) -> Check:
    """What the certificate says. Peers verify nothing about it, so only an unreadable one fails."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    name = "certificate"
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        names = _alternative_names(certificate)
        ends = certificate.not_valid_after_utc
        begins = certificate.not_valid_before_utc
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        return failed(name, f"unreadable: {printable(str(error))}")
    kind = type(key).__name__
    if isinstance(key, ec.EllipticCurvePublicKey):
        kind = key.curve.name
    elif isinstance(key, rsa.RSAPublicKey):
        kind = f"RSA {key.key_size}"
    words = f"{kind}, for {names}, valid {begins:%Y-%m-%d} to {ends:%Y-%m-%d}"
    if now < begins or now > ends:
        return info(name, f"{words}: not valid now, which peers do not check")
    if ends - now < _EXPIRES_SOON:
        return info(name, f"{words}: ends soon, which peers do not check")
    return passed(name, words)


def _alternative_names(certificate: "x509.Certificate") -> str:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return "nobody by name"
    found = [printable(str(name.value), 60) for name in extension.value][:5]
    return ", ".join(found) or "nobody by name"
