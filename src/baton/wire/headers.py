"""The two headers a segment travels with: base64 with padding, decoded the way peers decode it (video.md 2.6, 4.2).

An absent or empty header is an empty message and no error by itself. The place that an error names follows the
reference's decoder, because its text reaches gateways.
"""

import base64
import re

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

_SEGMENT_HEADER_BYTES = 64 * 1024
"""An honest one has a few kilobytes; what strangers send is not worth more of the event loop than this."""

_RUN = re.compile(rb"[A-Za-z0-9+/\r\n]*")
_BREAKS = re.compile(rb"[\r\n]*")
_PAD = b"="
_QUANTUM = 4
_PAYMENT_REQUIRED = 402
_FORBIDDEN = 403


def corrupt_at(text: bytes) -> int | None:
    """Where standard base64 with padding first goes wrong in ``text``, as the reference's decoder counts, or None.

    A bad character is named by its own place, a quantum that ends too soon by the place where it began, and anything
    after the padding by its own place. Line breaks are skipped, as that decoder does.
    """
    end = _skip(_RUN, text, 0)
    filled = (end - text.count(b"\r", 0, end) - text.count(b"\n", 0, end)) % _QUANTUM
    if end == len(text):
        return end - filled if filled else None
    return _padding_fault(text, end, filled) if text.startswith(_PAD, end) else end


def _padding_fault(text: bytes, place: int, filled: int) -> int | None:
    """Judge the padding that starts at ``place`` after ``filled`` characters of its quantum."""
    if filled < 2:  # noqa: PLR2004 -- one byte needs two characters
        return place
    end = _skip(_BREAKS, text, place + 1)
    if filled == 2:  # noqa: PLR2004 -- two characters are padded with two signs
        if end == len(text):
            return end
        if not text.startswith(_PAD, end):
            return end - 1
        end = _skip(_BREAKS, text, end + 1)
    return end if end < len(text) else None


def _skip(pattern: re.Pattern[bytes], text: bytes, place: int) -> int:
    """The end of what ``pattern``, which matches nothing as well, takes from ``place`` on."""
    match = pattern.match(text, place)
    return match.end() if match is not None else place


def decode_base64(text: bytes) -> bytes:
    """The bytes behind a header value.

    Raises:
        ValueError: its text is the reference decoder's, ``illegal base64 data at input byte <n>``.
    """
    place = corrupt_at(text)
    if place is not None:
        message = f"illegal base64 data at input byte {place}"
        raise ValueError(message)
    return base64.b64decode(text)


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
    if len(value) > _SEGMENT_HEADER_BYTES:
        raise RefusedError(_FORBIDDEN, Text.SEGMENT_ENCODING, detail=f"a header of {len(value)} bytes")
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
