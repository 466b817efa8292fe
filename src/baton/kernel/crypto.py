r"""Keccak-256 and the signature every message of the network carries: an EIP-191 personal message over a hash.

A message ``m`` is signed as ``ECDSA(keccak("\x19Ethereum Signed Message:\n32" || keccak(m)))`` on secp256k1 with a
low ``s``; 65 bytes ``r || s || v``, ``v`` 27 or 28 (video.md 3.1). Pure functions, safe in any thread. Private keys
enter only as an argument of ``sign_message``; where they come from is the business of the signer adapters.
"""

from typing import Protocol

import coincurve
import sha3

__all__ = [
    "SECP256K1_HALF_ORDER",
    "SIGNATURE_BYTES",
    "Keccak",
    "keccak256",
    "new_keccak",
    "personal_digest",
    "public_key_to_address",
    "recover_hash_signer",
    "recover_signer",
    "sign_hash",
    "sign_message",
    "verify_message",
]

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECP256K1_HALF_ORDER = SECP256K1_ORDER // 2
"""A signature whose ``s`` lies above this is a malleated copy and is refused."""

SIGNATURE_BYTES = 65
_PREFIX = b"\x19Ethereum Signed Message:\n32"
_V_VALUES = (27, 28)


class Keccak(Protocol):
    """An incremental Keccak-256: bodies are hashed as they arrive, never twice."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Feed the next bytes."""

    def digest(self) -> bytes:
        """The 32-byte hash of everything fed so far."""


def new_keccak() -> Keccak:
    """A fresh incremental hash (the original Keccak padding, not NIST SHA-3)."""
    return sha3.keccak_256()  # type: ignore[no-any-return]  # the C extension ships no types


def keccak256(data: bytes) -> bytes:
    """The 32-byte Keccak-256 hash of ``data``."""
    return sha3.keccak_256(data).digest()  # type: ignore[no-any-return]  # the C extension ships no types


def personal_digest(message: bytes) -> bytes:
    """The 32 bytes that are really signed for ``message``: its hash under the EIP-191 prefix."""
    return hash_digest(keccak256(message))


def hash_digest(message_hash: bytes) -> bytes:
    """The 32 bytes that are really signed for a message that is a 32-byte hash itself: a ticket's (payments.md 3)."""
    return keccak256(_PREFIX + message_hash)


def public_key_to_address(public_key: coincurve.PublicKey) -> bytes:
    """The 20-byte account address of a public key."""
    return keccak256(public_key.format(compressed=False)[1:])[-20:]


def recover_signer(message: bytes, signature: bytes) -> bytes | None:
    """The 20-byte address that signed ``message``, or None when the signature is not acceptable at all.

    Refuses wrong lengths, a high ``s`` and any ``v`` other than 27 and 28: two encodings of one signature must never
    both be valid, because tickets are told apart by theirs.
    """
    return recover_hash_signer(keccak256(message), signature)


def recover_hash_signer(message_hash: bytes, signature: bytes) -> bytes | None:
    """The address that signed a 32-byte hash as it is, without hashing it again; None as in ``recover_signer``."""
    if len(signature) != SIGNATURE_BYTES:
        return None
    if int.from_bytes(signature[32:64], "big") > SECP256K1_HALF_ORDER:
        return None
    v = signature[64]
    if v not in _V_VALUES:
        return None
    compact = signature[:64] + bytes([v - _V_VALUES[0]])
    try:
        key = coincurve.PublicKey.from_signature_and_message(compact, hash_digest(message_hash), hasher=None)
    except ValueError:
        return None
    return public_key_to_address(key)


def verify_message(address: bytes, message: bytes, signature: bytes) -> bool:
    """True when ``signature`` over ``message`` is acceptable and was made by ``address``."""
    return recover_signer(message, signature) == address


def sign_message(private_key: bytes, message: bytes) -> bytes:
    """Sign ``message`` with a 32-byte private key: 65 bytes, deterministic (RFC 6979), low ``s``, ``v`` 27 or 28."""
    return sign_hash(private_key, keccak256(message))


def sign_hash(private_key: bytes, message_hash: bytes) -> bytes:
    """Sign a 32-byte hash as it is, as tickets are signed; otherwise as ``sign_message``."""
    recoverable = coincurve.PrivateKey(private_key).sign_recoverable(hash_digest(message_hash), hasher=None)
    return recoverable[:64] + bytes([recoverable[64] + _V_VALUES[0]])
