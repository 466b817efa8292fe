"""Accounts of the peer: signing and recovering the network's messages with eth-account (video.md 3.1)."""

import secrets

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.crypto import keccak

__all__ = ["VECTOR_KEY", "PeerKey", "recover"]


class PeerKey:
    """A private key and what follows from it."""

    def __init__(self, secret: bytes) -> None:
        self._account = Account.from_key(secret)
        self.secret = secret
        self.address = bytes.fromhex(self._account.address[2:])
        self.checksum_hex = str(self._account.address)

    @classmethod
    def fresh(cls) -> "PeerKey":
        """A key nobody else has."""
        return cls(secrets.token_bytes(32))

    def sign(self, message: bytes) -> bytes:
        """65 bytes over the hash of ``message`` as an EIP-191 personal message."""
        signable = encode_defunct(primitive=keccak(message))
        return bytes(self._account.sign_message(signable).signature)


def recover(message: bytes, signature: bytes) -> bytes:
    """The 20-byte address that signed ``message``."""
    address = Account.recover_message(encode_defunct(primitive=keccak(message)), signature=signature)
    return bytes.fromhex(str(address)[2:])


VECTOR_KEY = PeerKey(b"\x46" * 32)
"""The key of the known-answer vectors."""
