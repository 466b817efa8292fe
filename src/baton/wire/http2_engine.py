"""The HTTP/2 state machine of one server connection: ``jh2``, set up and corrected for an open port.

Corrections, each with its reason: our own HPACK decoder (``hpack_decoder``); bodies in pieces instead of copies
(``http2_pieces``); few closed streams remembered, because the library's default costs megabytes per connection; a
client's GOAWAY does not end streams that are being answered (RFC 9113 6.8: it only promises not to take streams of
ours); a compression table that strangers cannot enlarge; and room for the streams that a client opens before it has
read our limit, which we then refuse one by one instead of losing the connection.
"""

from collections.abc import Iterable
from typing import Any, Final

from jh2.config import H2Configuration
from jh2.connection import H2Connection
from jh2.errors import ErrorCodes
from jh2.hyperframe.frame import GoAwayFrame
from jh2.settings import SettingCodes, Settings

from baton.wire.hpack_decoder import HeaderDecoder
from baton.wire.http2_pieces import PieceBuffer
from baton.wire.limits import CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, STREAM_WINDOW_BYTES, ListenerLimits

__all__ = ["ErrorCodes", "Http2Engine", "header_list_bytes", "open_engine"]

_DEFAULT_WINDOW_BYTES: Final = 65535
_TABLE_BYTES: Final = 4096


class Http2Engine(H2Connection):  # type: ignore[misc]  # jh2 ships no types
    """``H2Connection`` for servers."""

    MAX_CLOSED_STREAMS = 1024

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Any], list[Any]]:
        """A client that says goodbye still wants its answers."""
        del frame
        return [], []

    def keep_table_small(self) -> None:
        """Undo what a peer's SETTINGS did to our compression table; a smaller one is always allowed."""
        self.encoder.header_table_size = min(self.encoder.header_table_size, _TABLE_BYTES)

    def farewell(self) -> bytes:
        """A GOAWAY that leaves open streams alone; the library's own would close the connection at once."""
        frame = GoAwayFrame(0, last_stream_id=self.highest_inbound_stream_id, error_code=ErrorCodes.NO_ERROR)
        return bytes(frame.serialize())


def open_engine(limits: ListenerLimits) -> Http2Engine:
    """An engine with our SETTINGS and the connection window waiting to be sent."""
    engine = Http2Engine(H2Configuration(client_side=False, header_encoding=False))
    engine.local_settings = _settings(limits, streams=limits.max_streams_per_connection)
    engine.max_inbound_frame_size = MAX_FRAME_BYTES
    engine.incoming_buffer = PieceBuffer()
    engine.decoder = HeaderDecoder(max_list_bytes=2 * limits.max_header_bytes)
    engine.initiate_connection()
    engine.increment_flow_control_window(CONNECTION_WINDOW_BYTES - _DEFAULT_WINDOW_BYTES)
    engine.local_settings = _settings(limits, streams=2 * limits.max_streams_per_connection)
    return engine


def header_list_bytes(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The size of a header list as HTTP/2 measures it."""
    return sum(len(name) + len(value) + 32 for name, value in headers)


def _settings(limits: ListenerLimits, *, streams: int) -> Settings:
    return Settings(
        client=False,
        initial_values={
            SettingCodes.HEADER_TABLE_SIZE: _TABLE_BYTES,
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.MAX_CONCURRENT_STREAMS: streams,
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
            SettingCodes.MAX_FRAME_SIZE: MAX_FRAME_BYTES,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_header_bytes,
        },
    )
