"""What nodes of a cluster have in common: keys that each of them derives from the operator's cluster secret. Pure."""

import hashlib
import hmac

__all__ = ["derived"]

_LABEL = b"baton cluster secret 1: "


def derived(cluster_secrets: tuple[str, ...], *, purpose: bytes) -> tuple[bytes, ...]:
    """A key of 32 bytes from each secret, the first one's first; keys of different purposes have nothing in common.

    Raises:
        ValueError: there is no secret.
    """
    if not cluster_secrets:
        message = "there is no cluster secret"
        raise ValueError(message)
    return tuple(
        hmac.digest(secret.encode("utf-8", "surrogateescape"), _LABEL + purpose, hashlib.sha256)
        for secret in cluster_secrets
    )
