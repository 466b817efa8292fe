"""HPACK decoding for requests of strangers (RFC 7541): strict, bounded, and linear in the size of the block.

The tables come from ``hpack``. Its decoder copies the rest of the block for every field, so a block of many small
fields costs seconds; this one walks an index. The decoder of ``jh2`` is faster but aborts on some
malformed input with a message on stderr, which strangers could use to flood the log. Every failure is an ``H2Error``
that carries the error code of its GOAWAY.
"""

from collections.abc import Iterable
from typing import Final

from hpack.exceptions import HPACKError
from hpack.table import HeaderTable
from jh2.errors import ErrorCodes
from jh2.exceptions import ProtocolError

from baton.wire.huffman import unpack

__all__ = ["ENTRY_OVERHEAD_BYTES", "MAX_FIELDS", "CompressionError", "HeaderDecoder", "HeaderListTooLargeError"]

ENTRY_OVERHEAD_BYTES: Final = 32
"""What HTTP/2 adds to name and value when it measures a header list (RFC 9113 6.5.2)."""

MAX_FIELDS: Final = 1024
"""Fields of one header list. Requests of the network have about ten; each field costs us, however small it is."""

_MAX_INTEGER: Final = 1 << 31
_HUFFMAN: Final = 0x80
_RESIZE: Final = 0x20
_NEVER_INDEXED: Final = 0x10


class CompressionError(ProtocolError):  # type: ignore[misc]  # jh2 ships no types
    """The header block cannot be decoded; the connection's compression state is lost with it."""

    error_code = ErrorCodes.COMPRESSION_ERROR


class HeaderListTooLargeError(ProtocolError):  # type: ignore[misc]  # jh2 ships no types
    """The header block unpacks to more than anyone may make us hold."""

    error_code = ErrorCodes.ENHANCE_YOUR_CALM


class HeaderDecoder:
    """The decoder of one connection, shaped as ``jh2`` wants to call it."""

    def __init__(self, *, max_list_bytes: int) -> None:
        """``max_list_bytes`` bounds what one block may unpack to, overhead included."""
        self.max_header_list_size = max_list_bytes
        self.max_allowed_table_size = 4096
        self._table = HeaderTable()

    def decode(self, data: bytes, raw: bool = True) -> Iterable[tuple[bytes, bytes, bool]]:  # noqa: FBT001, FBT002 -- the signature that jh2 calls
        """Name, value and "never index" of each field, in order.

        Raises:
            CompressionError: the block is malformed.
            HeaderListTooLargeError: it unpacks to too much.
        """
        del raw
        try:
            return self._decode(bytes(data))
        except HPACKError as error:
            message = "undecodable header block"
            raise CompressionError(message) from error

    def _decode(self, data: bytes) -> list[tuple[bytes, bytes, bool]]:
        fields: list[tuple[bytes, bytes, bool]] = []
        size = position = 0
        while position < len(data):
            first = data[position]
            if first & 0xE0 == _RESIZE:
                position = self._resize(data, position, allowed=not fields)
                continue
            if first & 0x80:
                index, position = _integer(data, position, 7)
                name, value = self._table.get_by_index(index)
                never = False
            else:
                name, value, position = self._literal(data, position)
                never = first & 0xF0 == _NEVER_INDEXED
            fields.append((name, value, never))
            size += len(name) + len(value) + ENTRY_OVERHEAD_BYTES
            if size > self.max_header_list_size or len(fields) > MAX_FIELDS:
                message = "header list too large"
                raise HeaderListTooLargeError(message)
        return fields

    def _resize(self, data: bytes, position: int, *, allowed: bool) -> int:
        """A dynamic table size update, legal only before the first field and within what we announced."""
        size, position = _integer(data, position, 5)
        if not allowed or size > self.max_allowed_table_size:
            message = "illegal table size update"
            raise CompressionError(message)
        self._table.maxsize = size
        return position

    def _literal(self, data: bytes, position: int) -> tuple[bytes, bytes, int]:
        indexing = bool(data[position] & 0x40)
        index, position = _integer(data, position, 6 if indexing else 4)
        if index:
            name = self._table.get_by_index(index)[0]
        else:
            name, position = self._string(data, position)
        value, position = self._string(data, position)
        if indexing:
            self._table.add(name, value)
        return name, value, position

    def _string(self, data: bytes, position: int) -> tuple[bytes, int]:
        if position >= len(data):
            message = "truncated header block"
            raise CompressionError(message)
        packed = bool(data[position] & _HUFFMAN)
        length, position = _integer(data, position, 7)
        end = position + length
        if end > len(data):
            message = "truncated header block"
            raise CompressionError(message)
        if length > self.max_header_list_size:
            message = "header list too large"
            raise HeaderListTooLargeError(message)
        text = data[position:end]
        return (unpack(text) if packed else text), end


def _integer(data: bytes, position: int, prefix_bits: int) -> tuple[int, int]:
    """An integer with a prefix of ``prefix_bits`` (RFC 7541 5.1) and the position after it."""
    most = (1 << prefix_bits) - 1
    value = data[position] & most
    position += 1
    if value < most:
        return value, position
    shift = 0
    while position < len(data):
        octet = data[position]
        position += 1
        value += (octet & 0x7F) << shift
        shift += 7
        if value > _MAX_INTEGER:
            break
        if not octet & 0x80:
            return value, position
    message = "malformed integer"
    raise CompressionError(message)
