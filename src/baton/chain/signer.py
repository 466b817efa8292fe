"""The node's own account: the only module that sees a private key.

The key is decrypted once at start and never leaves the object that signs with it. A node without a key states the zero
address and signs with no bytes, as off-chain nodes of the network do (video.md 3.1).
"""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

import coincurve

from baton.chain.keystore import KeyFile, fail, find_key_file
from baton.config.model import KeySettings
from baton.kernel.crypto import public_key_to_address, sign_message
from baton.kernel.ids import ZERO_ADDRESS, Address, to_checksum_hex

if TYPE_CHECKING:
    from eth_account import Account

__all__ = ["KeystoreSigner", "NoSigner", "signer_of"]

_KEY_BYTES = 32
_VERSION = 3


class NoSigner:
    """No key: the zero address and empty signatures. Satisfies ``Signer``."""

    @property
    def address(self) -> Address:
        """20 zero bytes."""
        return ZERO_ADDRESS

    @property
    def orch_id(self) -> str:
        """How renditions name a maker without an account."""
        return "offchain"

    def sign(self, message: bytes) -> bytes:
        """No bytes."""
        del message
        return b""


class KeystoreSigner:
    """An unlocked account. Satisfies ``Signer``. Shows its address, never its key; cannot be copied or pickled."""

    __slots__ = ("__key", "_address", "_orch_id")

    def __init__(self, private_key: bytes) -> None:
        """Use ``unlock``; ``private_key`` has 32 bytes."""
        self.__key = private_key
        self._address = Address(public_key_to_address(coincurve.PrivateKey(private_key).public_key))
        self._orch_id = to_checksum_hex(self._address)

    @classmethod
    async def unlock(cls, path: Path, *, account_hex: str, password: str) -> Self:
        """Decrypt the account kept in ``path``; takes a second or more, in a thread.

        Args:
            path: a key file, or a folder of key files.
            account_hex: the account to use. Empty is the file's, or in a folder the first by file name.
            password: the passphrase itself.

        Raises:
            StartError: ``ExitCode.CONFIG``; no such file or account, or a wrong passphrase.
        """
        return cls(await asyncio.to_thread(_unlock, path, account_hex, password))

    @property
    def address(self) -> Address:
        """The account's address."""
        return self._address

    @property
    def orch_id(self) -> str:
        """The address, checksummed."""
        return self._orch_id

    def sign(self, message: bytes) -> bytes:
        """65 bytes over ``message``; takes about 0.1 ms."""
        return sign_message(self.__key, message)

    def __repr__(self) -> str:
        return f"KeystoreSigner({self._orch_id})"

    def __reduce__(self) -> NoReturn:
        message = "a signer cannot be copied"
        raise TypeError(message)


def _unlock(path: Path, account_hex: str, password: str) -> bytes:
    return _decrypt(find_key_file(path, account_hex), password)


def _account_class() -> "type[Account]":
    """The library that knows key files, loaded without what it does to the interpreter.

    A package behind it lifts the recursion limit to 100,000, after which nested JSON of a stranger would be a crash
    instead of an exception.
    """
    limit = sys.getrecursionlimit()
    try:
        from eth_account import Account
    finally:
        sys.setrecursionlimit(limit)
    return Account


def _decrypt(key_file: KeyFile, password: str) -> bytes:
    """The private key. What failed is said without quoting the file or the passphrase."""
    account = _account_class()
    opening = f"error opening keystore {key_file.path}"
    if key_file.content.get("version") != _VERSION:
        fail(f"{opening}: not a version 3 key file")
    try:
        key = bytes(account.decrypt(key_file.content, password))
        address = public_key_to_address(coincurve.PrivateKey(key).public_key) if len(key) == _KEY_BYTES else b""
    except ValueError as error:
        if "MAC mismatch" in str(error):
            fail(f"wrong passphrase for {to_checksum_hex(key_file.address)} ({key_file.path})")
        fail(f"{opening}: its encryption is not understood")
    except (KeyError, TypeError, AttributeError, NotImplementedError, MemoryError):
        fail(f"{opening}: its encryption is not understood")
    if address != key_file.address:
        fail(f"{opening}: its key belongs to another address")
    return key


async def signer_of(key: KeySettings) -> KeystoreSigner | NoSigner:
    """The account that the settings name, unlocked; without one nothing is signed.

    Raises:
        StartError: ``ExitCode.CONFIG``, as ``KeystoreSigner.unlock``.
    """
    if key.keystore_file is None:
        return NoSigner()
    return await KeystoreSigner.unlock(key.keystore_file, account_hex=key.account_hex, password=key.password)
