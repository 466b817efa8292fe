"""Tokens of a running node with another expiry: made with the secret that the node keeps in its data directory.

Nobody waits half an hour for a token to run out; the test does what the operator of the node could do.
"""

import hashlib
import hmac
import json
import time
from typing import Any

from tests.node import Node
from tests.peer.pb import lp_rpc_pb2 as pb

__all__ = ["mint", "reissued"]


def mint(secret: bytes, session_id: str, expiration: int) -> bytes:
    """The 32 bytes of a token, by the network's rule."""
    magnitude = abs(expiration)
    message = session_id.encode() + magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "big")
    return hmac.new(secret, message, hashlib.sha256).digest()


def reissued(node: Node, token: pb.AuthToken, *, lifetime_s: int) -> pb.AuthToken:
    """The same session's token, good for ``lifetime_s`` seconds from now; negative is already expired."""
    expiration = int(time.time()) + lifetime_s
    return pb.AuthToken(
        token=mint(_secret_behind(node, token), token.session_id, expiration),
        session_id=token.session_id,
        expiration=expiration,
    )


def _secret_behind(node: Node, token: pb.AuthToken) -> bytes:
    for path in sorted(p for p in node.data_dir.rglob("*") if p.is_file() and p.stat().st_size < 1 << 16):
        for secret in _candidates(path.read_bytes()):
            if mint(secret, token.session_id, token.expiration) == token.token:
                return secret
    message = f"no secret in {node.data_dir} makes this token"
    raise AssertionError(message)


def _candidates(content: bytes) -> set[bytes]:
    """Byte strings a file may mean: itself, or any hex text in a JSON document."""
    found = {content, content.strip()}
    try:
        document = json.loads(content)
    except ValueError:
        return found
    return found | set(_hex_texts(document))


def _hex_texts(value: Any) -> list[bytes]:
    if isinstance(value, dict):
        return [b for v in value.values() for b in _hex_texts(v)]
    if isinstance(value, list):
        return [b for v in value for b in _hex_texts(v)]
    if isinstance(value, str):
        try:
            return [bytes.fromhex(value)]
        except ValueError:
            return []
    return []
