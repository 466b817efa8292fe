"""Addresses, session ids and manifest ids: distinct types for values that would otherwise all be ``bytes`` and ``str``.

Bytes live inside the program and hex only at its edges. An address is always exactly 20 bytes once it has an
``Address`` type; constructors here are the only places that make one from foreign bytes.
"""

from typing import NewType

from baton.kernel.crypto import keccak256

__all__ = [
    "ZERO_ADDRESS",
    "Address",
    "ManifestId",
    "SessionId",
    "address_from_hex",
    "address_from_wire",
    "manifest_id_bytes",
    "manifest_id_from_wire",
    "shown_session",
    "to_checksum_hex",
]

Address = NewType("Address", bytes)
"""A 20-byte account address."""

SessionId = NewType("SessionId", str)
"""The orchestrator's own name for one stream of one gateway; opaque to peers (video.md 3.5)."""

ManifestId = NewType("ManifestId", str)
"""The gateway's name for a stream. Arbitrary bytes on the wire; kept as text with undecodable bytes escaped."""

ADDRESS_BYTES = 20
ZERO_ADDRESS = Address(bytes(ADDRESS_BYTES))
"""What an off-chain node states as its address."""


def address_from_wire(raw: bytes) -> Address:
    """The address a peer means by ``raw``: its last 20 bytes, shorter input padded with zeros on the left.

    Peers convert the protobuf ``bytes`` field in this lenient way, so wrong lengths are not an error.
    """
    return Address(raw[-ADDRESS_BYTES:].rjust(ADDRESS_BYTES, b"\x00"))


def address_from_hex(text: str) -> Address:
    """Parse ``0x`` and 40 hex digits, any case.

    Raises:
        ValueError: any other form; operators type addresses, so nothing is guessed.
    """
    digits = text[2:] if text[:2] in {"0x", "0X"} else ""
    if len(digits) != 2 * ADDRESS_BYTES or not all(c in "0123456789abcdefABCDEF" for c in digits):
        message = f"not an address (0x and 40 hex digits): {text!r}"
        raise ValueError(message)
    return Address(bytes.fromhex(digits))


def to_checksum_hex(address: Address) -> str:
    """The mixed-case EIP-55 form of an address with its ``0x`` (42 characters): what peers sign and print."""
    digits = address.hex()
    shadow = keccak256(digits.encode("ascii")).hex()
    return "0x" + "".join(c.upper() if int(s, 16) >= 8 else c for c, s in zip(digits, shadow, strict=False))  # noqa: PLR2004 -- EIP-55 nibble rule


_SHOWN_CHARACTERS = 8


def shown_session(session_id: SessionId) -> str:
    """How logs and status name a session: enough to tell streams apart, too little to fetch their renditions with."""
    return session_id[:_SHOWN_CHARACTERS]


def manifest_id_from_wire(raw: bytes) -> ManifestId:
    """Text of a manifest id; bytes that are not UTF-8 survive the round trip to ``manifest_id_bytes``."""
    return ManifestId(raw.decode("utf-8", "surrogateescape"))


def manifest_id_bytes(manifest_id: ManifestId) -> bytes:
    """The exact bytes the gateway sent, as the segment signature covers them."""
    return manifest_id.encode("utf-8", "surrogateescape")
