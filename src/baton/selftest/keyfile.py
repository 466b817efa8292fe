"""Writes an account as a version 3 key file (operator.md 4), for nodes that the self test starts."""

import hashlib
import json
import os
import secrets
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from baton.kernel.crypto import keccak256
from baton.selftest.parties import GatewayKey

__all__ = ["write_key_file"]

_ROUNDS = 1000
"""Few: these keys are public, and every start of the node would wait for more."""
_DERIVED_BYTES = 32
_SALT_BYTES = 16


def write_key_file(path: Path, private_key: bytes) -> None:
    """Put a 32-byte key into the new file ``path``, which only we may read, under the empty passphrase.

    Raises:
        OSError: the file is there already, or cannot be written.
        ValueError: a key that is none.
    """
    address = GatewayKey.from_private_key(private_key).address
    salt, start = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_SALT_BYTES)
    derived = hashlib.pbkdf2_hmac("sha256", b"", salt, _ROUNDS, _DERIVED_BYTES)
    cipher = Cipher(algorithms.AES(derived[:16]), modes.CTR(start)).encryptor()
    hidden = cipher.update(private_key) + cipher.finalize()
    document = {
        "version": 3,
        "id": str(uuid.uuid4()),
        "address": address.hex(),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": start.hex()},
            "ciphertext": hidden.hex(),
            "kdf": "pbkdf2",
            "kdfparams": {"c": _ROUNDS, "dklen": _DERIVED_BYTES, "prf": "hmac-sha256", "salt": salt.hex()},
            "mac": keccak256(derived[16:] + hidden).hex(),
        },
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump(document, file)
