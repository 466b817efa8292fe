"""Who talks to whom: an orchestrator's address and a gateway's account."""

import urllib.parse
from dataclasses import dataclass

from baton.kernel.crypto import public_key_to_address, sign_message
from baton.kernel.ids import ZERO_ADDRESS, Address

__all__ = ["Endpoint", "GatewayKey"]

_DEFAULT_PORTS = {"https": 443, "http": 80}
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an orchestrator listens: ``https`` (TLS) or ``http`` (cleartext with h2c)."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, uri: str, *, default_port: int | None = None) -> "Endpoint":
        """Read ``[scheme://]host[:port]``; no scheme means TLS.

        Raises:
            ValueError: another scheme, no host, a port that is none, or a path.
        """
        full = uri if "://" in uri else f"https://{uri}"
        parts = urllib.parse.urlsplit(full)
        if parts.scheme not in _DEFAULT_PORTS:
            message = f"scheme must be http or https: {uri!r}"
            raise ValueError(message)
        if not parts.hostname or parts.username is not None or parts.path not in {"", "/"} or parts.query:
            message = f"not the address of an orchestrator: {uri!r}"
            raise ValueError(message)
        return cls(parts.scheme, parts.hostname, parts.port or default_port or _DEFAULT_PORTS[parts.scheme])

    @property
    def tls(self) -> bool:
        """Whether the endpoint speaks TLS."""
        return self.scheme == "https"

    @property
    def uri(self) -> str:
        """``scheme://host:port`` without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """The gateway's account, or none: off-chain gateways state the zero address and sign nothing."""

    address: Address = ZERO_ADDRESS
    private_key: bytes | None = None

    @classmethod
    def from_private_key(cls, private_key: bytes) -> "GatewayKey":
        """The account of a 32-byte key; raises ``ValueError`` for a key that is none."""
        import coincurve

        if len(private_key) != _KEY_BYTES:
            message = f"a private key has {_KEY_BYTES} bytes"
            raise ValueError(message)
        public = coincurve.PrivateKey(private_key).public_key
        return cls(Address(public_key_to_address(public)), private_key)

    def sign(self, message: bytes) -> bytes:
        """65 bytes, or none without a key."""
        return sign_message(self.private_key, message) if self.private_key is not None else b""
