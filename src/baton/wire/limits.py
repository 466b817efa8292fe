"""What a stranger may take of the service port: connections, streams, header bytes and time. Pure.

The same fields as the operator's settings, so that the port needs to know nothing about configuration, and the fixed
figures that are protocol craft rather than an operator's choice.
"""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "CONNECTION_BUFFER_BYTES",
    "CONNECTION_WINDOW_BYTES",
    "LINGER_S",
    "MAX_FRAME_BYTES",
    "PORT_BUFFER_BYTES",
    "STREAM_WINDOW_BYTES",
    "ListenerLimits",
]

STREAM_WINDOW_BYTES: Final = 16 << 20
"""Receive window of one HTTP/2 stream. Upload time is size / window x round trip once a body exceeds the window, and a
gateway waits 2 s for the header of our answer: 64 KiB would lose segments at 100 ms."""

CONNECTION_WINDOW_BYTES: Final = 64 << 20
"""Receive window of one HTTP/2 connection: the most that its unread bodies can hold."""

MAX_FRAME_BYTES: Final = 1 << 20
"""Largest HTTP/2 frame that we take; clients then send DATA frames of hundreds of kilobytes instead of 16."""

CONNECTION_BUFFER_BYTES: Final = 32 << 20
"""Unread body bytes of one connection above which we stop reading from its socket."""

PORT_BUFFER_BYTES: Final = 512 << 20
"""Unread body bytes of all connections above which those who hold some stop being read until they hold little."""

LINGER_S: Final = 5.0
"""How long a connection that we gave up may take to hand over the last bytes before it is cut."""


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Limits of one listener (video.md 1.1, 11.1 item 12)."""

    header_timeout_s: float = 10.0
    """Time to finish the handshake, and from the first byte of a request to the end of its header."""
    body_idle_timeout_s: float = 30.0
    """A body may pause this long between two chunks, in either direction, while the other side waits for it."""
    idle_timeout_s: float = 600.0
    """A connection without requests is closed after this."""
    max_connections: int = 2048
    max_connections_per_address: int = 512
    max_streams_per_connection: int = 256
    max_header_bytes: int = 1 << 20
    max_requests: int = 16384
    """HTTP/2 requests at work on all connections together."""
