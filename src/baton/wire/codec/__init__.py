"""Protobuf bytes to and from our values (video.md 2, 4.4, 5.3).

Decoders take bytes of strangers: whatever does not parse, or holds a value the network has no meaning for, becomes an
error with the text peers know, and nothing is guessed. Encoders produce exactly what existing peers read.
"""

from baton.wire.codec.discovery import (
    decode_end_session,
    decode_orchestrator_info,
    decode_orchestrator_request,
    decode_payment_result,
    decode_ping,
    encode_end_session,
    encode_orchestrator_info,
    encode_orchestrator_request,
    encode_payment_result,
    encode_ping,
)
from baton.wire.codec.parts import UnreadableError, decode_capabilities, encode_capabilities
from baton.wire.codec.segments import (
    MAX_DURATION_MS,
    decode_payment,
    decode_segment_data,
    decode_segment_result,
    encode_payment,
    encode_segment_data,
    encode_segment_result,
)

__all__ = [
    "MAX_DURATION_MS",
    "UnreadableError",
    "decode_capabilities",
    "decode_end_session",
    "decode_orchestrator_info",
    "decode_orchestrator_request",
    "decode_payment",
    "decode_payment_result",
    "decode_ping",
    "decode_segment_data",
    "decode_segment_result",
    "encode_capabilities",
    "encode_end_session",
    "encode_orchestrator_info",
    "encode_orchestrator_request",
    "encode_payment",
    "encode_payment_result",
    "encode_ping",
    "encode_segment_data",
    "encode_segment_result",
]
