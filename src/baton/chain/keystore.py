"""Key files on disk: which one is meant. Reads what is not secret in them; the key itself is ``chain.signer``'s affair.

Key files are version 3 JSON as go-ethereum writes them (operator.md 4 and 7). Unlike the reference, the file that was
named is the file that is used, and an account is never made up: one that is not there is an error. As there, the first
of several accounts by file name is taken unless one is named; ``config.checks`` has the same rule. Blocking.
"""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import structlog

from baton.kernel.errors import ExitCode, StartError
from baton.kernel.ids import ZERO_ADDRESS, Address, address_from_hex, to_checksum_hex

__all__ = ["KeyFile", "fail", "find_key_file"]

log = structlog.get_logger("baton.chain")

_MAX_FILE_BYTES = 64 << 10
_MAX_FILES = 1000
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file that states its account; ``content`` is its JSON object, encrypted key and all."""

    path: Path
    address: Address
    content: dict[str, Any]


def find_key_file(path: Path, account_hex: str) -> KeyFile:
    """The key file at ``path``, or that of ``account_hex`` in the folder ``path``, else the first by name.

    Raises:
        StartError: ``ExitCode.CONFIG``; see the texts.
    """
    wanted = _account(account_hex)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        fail(f"provided --eth-keystore-path was not found: {path}")
    except OSError as error:
        fail(f"error opening keystore {path}: {error.strerror}")
    if is_folder:
        return _chosen(path, wanted)
    key_file = _read(path)
    if wanted is not None and key_file.address != wanted:
        fail(
            "--eth-keystore-path and --eth-acct-addr were both provided, but --eth-acct-addr does not match the "
            f"address found in keystore: {to_checksum_hex(wanted)} is not {to_checksum_hex(key_file.address)}"
        )
    return key_file


def fail(message: str) -> NoReturn:
    """End the start with ``message``, and without the chain of causes, which might quote what is secret."""
    raise StartError(message, exit_code=ExitCode.CONFIG) from None


def _chosen(folder: Path, wanted: Address | None) -> KeyFile:
    """The one key file of a folder, or that of the wanted account. Files that are no keys do not count."""
    found: dict[Address, KeyFile] = {}
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())[:_MAX_FILES]
    except OSError as error:
        fail(f"error opening keystore {folder}: {error.strerror}")
    for name in names:
        try:
            key_file = _read(folder / name)
        except StartError as error:
            log.warning("file in keystore ignored", file=name, reason=str(error))
            continue
        found.setdefault(key_file.address, key_file)
    accounts = tuple(to_checksum_hex(address) for address in found)
    if not found:
        fail(f"keystore {folder} has no accounts")
    if wanted is not None:
        if wanted not in found:
            shown = ", ".join(accounts[:_MOST_SHOWN]) + (", ..." if len(accounts) > _MOST_SHOWN else "")
            fail(f"keystore {folder} has no account {to_checksum_hex(wanted)}, only {shown}; none is made")
        return found[wanted]
    if len(accounts) > 1:
        log.warning("first of several accounts used", account=accounts[0], others=len(accounts) - 1)
    return next(iter(found.values()))


def _read(path: Path) -> KeyFile:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        fail(f"error opening keystore {path}: {error.strerror}")
    document: dict[str, Any] = {}
    try:
        document = dict(json.loads(content)) if len(content) <= _MAX_FILE_BYTES else {}
        address = address_from_hex("0x" + str(document["address"]).lower().removeprefix("0x"))
    except (ValueError, TypeError, KeyError, RecursionError):
        fail(f"error parsing address from keyfile {path}")
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        log.warning("key file can be read by others", path=str(path), mode=f"{stat.S_IMODE(mode):04o}")
    return KeyFile(path, address, document)


def _account(account_hex: str) -> Address | None:
    """The account an operator named; nothing and the zero address mean none."""
    if not account_hex:
        return None
    try:
        address = address_from_hex(account_hex)
    except ValueError:
        fail(f"--eth-acct-addr is not an address: {account_hex!r}")
    return None if address == ZERO_ADDRESS else address
