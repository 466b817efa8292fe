"""Huffman-coded header values of HPACK (RFC 7541 5.2): exact for all, fast for the long ones.

A payment header is base64 of up to a quarter of a megabyte, which ``hpack`` unpacks in thirty milliseconds of
everybody's event loop. The decoder inside ``jh2`` is ten times as fast but takes padding that the standard forbids,
so the padding is checked here: the code lengths of what came out must leave fewer than eight bits, all ones.
"""

from typing import Final

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_constants import REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from jh2.connection import Decoder as NativeDecoder

__all__ = ["unpack"]

_NATIVE_FROM_BYTES: Final = 512
_CODE_BITS: Final = bytes(REQUEST_CODES_LENGTH[:256])
_LITERAL: Final = b"\x00\x01x"
_HUFFMAN: Final = 0x80
_SHORT_LENGTH: Final = 0x7F
_OCTET_BITS: Final = 8


def unpack(packed: bytes) -> bytes:
    """The string that ``packed`` stands for.

    Raises:
        HPACKDecodingError: it stands for none.
    """
    if len(packed) < _NATIVE_FROM_BYTES:
        return bytes(decode_huffman(packed))
    native = NativeDecoder(2 * len(packed) * _OCTET_BITS)
    try:
        [(_, value, *_)] = native.decode(_LITERAL + _length(len(packed)) + packed, raw=True)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # what the native code raises when it gives up is no Exception
        message = "invalid Huffman string"
        raise HPACKDecodingError(message) from error
    unpacked = bytes(value)
    spare = len(packed) * _OCTET_BITS - sum(unpacked.translate(_CODE_BITS))
    padding = (1 << spare) - 1 if 0 <= spare < _OCTET_BITS else -1
    if padding < 0 or packed[-1] & padding != padding:
        message = "invalid padding of a Huffman string"
        raise HPACKDecodingError(message)
    return unpacked


def _length(size: int) -> bytes:
    """The length prefix of a Huffman-coded string literal that is longer than the prefix can say at once."""
    encoded = bytearray([_HUFFMAN | _SHORT_LENGTH])
    rest = size - _SHORT_LENGTH
    while rest >= _HUFFMAN:
        encoded.append(rest & _SHORT_LENGTH | _HUFFMAN)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)
