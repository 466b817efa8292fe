"""Addresses an operator writes: listen addresses, the service URI, further nodes, webhook and store URLs.

Pure. The completion rule is the reference's (operator.md 1.2) but knows IPv6: ``::1`` is a host, ``[::1]:80`` a host
with a port. Hosts are kept as written, in lower case.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from baton.config.model import BindAddress
from baton.config.stores import STORE_SCHEMES, read_store
from baton.config.values import BadValueError, Base, Kind, Raw, read_text
from baton.kernel.redaction import HIDDEN, redact_url

__all__ = [
    "SERVICE_PORT",
    "BindRequest",
    "Endpoint",
    "bind",
    "is_loopback",
    "is_unspecified",
    "nodes",
    "object_store",
    "parse_endpoint",
    "service_uri",
    "uri_endpoint",
    "web_url",
]

SERVICE_PORT = 8935
"""Port of a service URI that names none."""

_HOST_NAME = re.compile(r"(?=.{1,253}\.?$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?")
_PORT = re.compile(r"[0-9]{1,5}")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a port; either may be missing (empty, None). IPv6 hosts are without brackets."""

    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BindRequest:
    """What the operator said about a listener; gaps are filled later, from the service URI or a default."""

    host: str = ""
    port: int | None = None
    tls: bool = True

    def complete(self, *, host: str, port: int) -> BindAddress:
        """The address to bind: ``host`` and ``port`` stand in where nothing was said."""
        return BindAddress(self.host or host, port if self.port is None else self.port, self.tls)


def _bad(reason: str) -> BadValueError:
    return BadValueError(reason)


def _read_port(text: str, *, zero: bool) -> int:
    if not _PORT.fullmatch(text) or int(text) > _LAST_PORT or (int(text) == 0 and not zero):
        message = f"must have a port from {0 if zero else 1} to {_LAST_PORT}"
        raise _bad(message)
    return int(text)


def _read_host(text: str) -> str:
    host = text.lower()
    if ":" in host:
        try:
            if "%" in host:  # a zone of this machine means nothing to a peer
                raise ValueError(host)  # noqa: TRY301 -- the one message below serves both
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            message = "must have a valid host name or IP address (IPv6 with a port is written [address]:port)"
            raise _bad(message) from None
    if not _HOST_NAME.fullmatch(host) or (host.replace(".", "").isdigit() and not _is_ip(host)):
        message = "must have a valid host name or IP address"
        raise _bad(message)
    return host


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_endpoint(text: str, *, zero_port: bool = False) -> Endpoint:
    """Split ``host``, ``host:port``, ``:port``, ``[v6]:port`` or a bare IPv6 address.

    Raises:
        BadValueError: not an address.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            message = "must have a valid host name or IP address"
            raise _bad(message)
        port = _read_port(rest[1:], zero=zero_port) if rest else None
        return Endpoint(_read_host(host), port)
    if text.count(":") > 1:
        return Endpoint(_read_host(text), None)
    host, colon, port_text = text.partition(":")
    port = _read_port(port_text, zero=zero_port) if colon else None
    return Endpoint(_read_host(host) if host else "", port)


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine only."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_ip(host) and ipaddress.ip_address(host).is_loopback


def is_unspecified(host: str) -> bool:
    """Whether a host means "all interfaces": good to bind, useless to advertise."""
    return host == "" or (_is_ip(host) and ipaddress.ip_address(host).is_unspecified)


def bind(*, scheme: bool) -> Kind:
    """A listen address, completed later. With ``scheme``, ``http://`` asks for cleartext and ``https://`` for TLS."""

    def read(raw: Raw, _base: Base) -> BindRequest:
        text = read_text(raw)
        tls = scheme
        head, mark, rest = text.partition("://")
        if mark:
            if not scheme:
                message = "must be host:port without a scheme"
                raise _bad(message)
            if head.lower() not in {"http", "https"}:
                message = f'unsupported --http-addr scheme "{head}"'
                raise BadValueError(message, whole=True)
            tls = head.lower() == "https"
            text = rest.removesuffix("/")
        if any(mark in text for mark in "/?#"):
            message = "must not include a path"
            raise _bad(message)
        endpoint = parse_endpoint(text, zero_port=True)
        return BindRequest(endpoint.host, endpoint.port, tls)

    return Kind("[http://|https://]host:port" if scheme else "host:port", read, show=redact_url)


def _strict_uri(text: str, *, schemes: tuple[str, ...]) -> str:
    """``scheme://host:port`` in canonical form, its port filled in; anything beyond that is refused."""
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in schemes:
        message = f"must start with {' or '.join(f'{s}://' for s in schemes)}"
        raise _bad(message)
    rest = rest.rstrip("/")
    if any(char in rest for char in "/?#@\\"):
        message = "must be a scheme, a host and a port only: no path, query or user"
        raise _bad(message)
    endpoint = parse_endpoint(rest)
    if not endpoint.host:
        message = "must have a host"
        raise _bad(message)
    return f"{scheme}://{Endpoint(endpoint.host, endpoint.port or SERVICE_PORT)}"


def service_uri() -> Kind:
    """The public URI: scheme and port are completed, ``none`` becomes empty (video.md 1.2)."""

    def read(raw: Raw, _base: Base) -> str | None:
        text = read_text(raw)
        if not text:
            return None
        if text == "none":
            return ""
        return _strict_uri(text if "://" in text else f"https://{text}", schemes=("https", "http"))

    return Kind("[https://]host[:port] or none", read, show=redact_url)


def uri_endpoint(uri: str) -> Endpoint:
    """Host and port of a canonical service URI."""
    return parse_endpoint(uri.partition("://")[2])


def nodes() -> Kind:
    """Further instances: a comma list, ``https://`` prepended, empty items skipped; ``https`` only."""

    def read(raw: Raw, _base: Base) -> tuple[str, ...]:
        items = raw if isinstance(raw, tuple) else tuple(read_text(raw).split(","))
        found: list[str] = []
        for item in (entry.strip() for entry in items):
            if not item:
                continue
            try:
                found.append(_strict_uri(item if "://" in item else f"https://{item}", schemes=("https",)))
            except BadValueError as problem:
                message = f"has an instance URI that cannot be used, {redact_url(item)!r}: it {problem.reason}"
                raise _bad(message) from None
        return tuple(dict.fromkeys(found))

    return Kind("comma list of [https://]host[:port]", read, show=redact_url)


def web_url() -> Kind:
    """An http or https URL that the node calls, or empty for none. Path, query and user info are the operator's."""

    def read(raw: Raw, _base: Base) -> str:
        text = read_text(raw)
        if not text:
            return ""
        try:
            parts = urlsplit(text)
            host, _port = parts.hostname, parts.port
        except ValueError:
            message = "must be an http:// or https:// URL"
            raise _bad(message) from None
        if parts.scheme not in {"http", "https"} or not host or any(c.isspace() for c in text):
            message = "must be an http:// or https:// URL"
            raise _bad(message)
        return text

    return Kind("URL", read, show=redact_url)


def object_store() -> Kind:
    """Where renditions go: empty (memory), a directory or ``file://`` URL, or a bucket as ``config.stores`` reads it.

    A directory is read as an absolute path. Other schemes of the reference are known by name and refused.
    """

    def read(raw: Raw, base: Base) -> str:
        text = read_text(raw)
        if not text or "\0" in text:
            if text:
                message = "must be a directory, a file:// URL or a bucket"
                raise _bad(message)
            return ""
        scheme, mark, rest = text.partition("://")
        if not mark:
            return str(base.resolve(text))
        if scheme.lower() in STORE_SCHEMES:
            return read_store(text, base=base)[0]
        if scheme.lower() != "file":
            message = f"names a store that is not supported by this version ({scheme.lower()}://)"
            raise _bad(message)
        local = unquote(rest.removeprefix("localhost"))
        if not local.startswith("/") or "\0" in local:
            message = "must be a directory or a file:// URL with an absolute path (file:///var/lib/renditions)"
            raise _bad(message)
        return str(base.resolve(local))

    return Kind("directory, file://, s3://, s3+http(s):// or gs:// URL", read, show=_shown_store)


def _shown_store(text: str) -> str:
    """A store without its credentials, also when the @ behind them was forgotten."""
    scheme, mark, rest = text.partition("://")
    if mark and scheme.lower() not in {"file", "gs"} and "@" not in rest:
        return f"{scheme}{mark}{HIDDEN}"
    return redact_url(text)
