"""The two headers a segment travels with: base64 with padding, decoded the way peers decode it (video.md 2.6, 4.2).

An absent or empty header is an empty message and no error by itself. The place that an error names follows the
reference's decoder, because its text reaches gateways.
"""

import base64
import binascii

from baton.jobs.messages import Payment, SegmentMetadata
from baton.kernel.errors import RefusedError, Text
from baton.wire.codec import UnreadableError, decode_payment, decode_segment_data, encode_payment, encode_segment_data

__all__ = [
    "PAYMENT_HEADER",
    "SEGMENT_HEADER",
    "corrupt_at",
    "decode_base64",
    "encode_payment_header",
    "encode_segment_header",
    "payment_from_header",
    "segment_from_header",
]

PAYMENT_HEADER = "livepeer-payment"
SEGMENT_HEADER = "livepeer-segment"

_ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_IGNORED = frozenset(b"\r\n")
_PAD = ord("=")
_QUANTUM = 4
_PAYMENT_REQUIRED = 402
_FORBIDDEN = 403


def corrupt_at(text: bytes) -> int | None:
    """Where standard base64 with padding first goes wrong in ``text``, as the reference's decoder counts, or None.

    A bad character is named by its own place, a quantum that ends too soon by the place where it began, and anything
    after the padding by its own place.
    """
    began, filled, place = 0, 0, 0
    while place < len(text):
        byte = text[place]
        if byte in _IGNORED:
            place += 1
            continue
        if filled == 0:
            began = place
        if byte == _PAD:
            return _padding_fault(text, place, filled)
        if byte not in _ALPHABET:
            return place
        filled = (filled + 1) % _QUANTUM
        place += 1
    return began if filled else None


def _padding_fault(text: bytes, place: int, filled: int) -> int | None:
    """Judge the padding that starts at ``place`` after ``filled`` characters of its quantum."""
    if filled < 2:  # noqa: PLR2004 -- one byte needs two characters
        return place
    rest = [i for i in range(place + 1, len(text)) if text[i] not in _IGNORED]
    if filled == 2:  # noqa: PLR2004 -- two characters are padded with two signs
        if not rest:
            return len(text)
        if text[rest[0]] != _PAD:
            return rest[0]
        rest = rest[1:]
    return rest[0] if rest else None


def decode_base64(text: bytes) -> bytes:
    """The bytes behind a header value.

    Raises:
        ValueError: its text is the reference decoder's, ``illegal base64 data at input byte <n>``.
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        place = corrupt_at(text)
        if place is None:  # line breaks, which the network's decoder skips
            return base64.b64decode(text)
        message = f"illegal base64 data at input byte {place}"
        raise ValueError(message) from error


def payment_from_header(value: bytes) -> Payment:
    """The payment of a request.

    Raises:
        RefusedError: 402, with what was wrong.
    """
    try:
        return decode_payment(decode_base64(value))
    except ValueError as error:
        raise RefusedError(_PAYMENT_REQUIRED, f"{Text.BASE64}{error}") from error
    except UnreadableError as error:
        raise RefusedError(_PAYMENT_REQUIRED, f"{Text.PROTOBUF}{error.text}") from error


def segment_from_header(value: bytes) -> SegmentMetadata:
    """What a gateway says about the segment in the body.

    Raises:
        RefusedError: 403, with the text of the first thing that is wrong.
    """
    try:
        data = decode_base64(value)
    except ValueError as error:
        raise RefusedError(_FORBIDDEN, Text.SEGMENT_ENCODING, detail=str(error)) from error
    try:
        return decode_segment_data(data)
    except UnreadableError as error:
        raise RefusedError(_FORBIDDEN, error.text) from error


def encode_payment_header(payment: Payment) -> str:
    """A payment as a gateway's header value."""
    return base64.b64encode(encode_payment(payment)).decode("ascii")


def encode_segment_header(metadata: SegmentMetadata) -> str:
    """A segment's metadata as a gateway's header value."""
    return base64.b64encode(encode_segment_data(metadata)).decode("ascii")
