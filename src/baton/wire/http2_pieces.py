"""Received HTTP/2 bytes as frames, with request bodies handed on in pieces instead of being collected and copied.

The library's own buffer collects a frame whole, up to 1 MiB of it, and copies every byte of a body three times. Here a
plain DATA frame becomes one frame per piece that came in, the last one with its flags: to a receiver that is the same
(RFC 9113 6.1), flow control included. So a body is hashed while its frame still comes in, and what a peer sent is
counted as held the moment it is held. Everything that is not the payload of a plain DATA frame takes the library's way.
"""

from typing import Any, Final

from jh2.frame_buffer import FrameBuffer
from jh2.hyperframe.frame import DataFrame

__all__ = ["PieceBuffer"]

_FRAME_HEADER_BYTES: Final = 9
_LEAST_PIECE_BYTES: Final = 16 * 1024
"""Smaller pieces wait for more, so that a frame that trickles in costs no more than one that comes at once."""
_DATA: Final = 0
_END_STREAM: Final = 1
_PADDED: Final = 8


class PieceBuffer(FrameBuffer):  # type: ignore[misc]  # jh2 ships no types
    """The library's frame buffer of a server, but for the payload of plain DATA frames."""

    _data: bytearray
    _data_offset: int

    def __init__(self) -> None:
        """Nothing received yet."""
        super().__init__(server=True)
        self._fresh = memoryview(b"")
        """What came in and was not looked at; belongs to the caller of ``add_data`` and is used up before the next."""
        self._payload_left = 0
        self._stream_id = 0
        self._ends_stream = False
        self._short = bytearray()

    def add_data(self, data: bytes | memoryview) -> None:
        """Take what came in. Whoever calls iterates to the end before the next call."""
        if self._preamble_len:
            super().add_data(data)
        else:
            self._fresh = memoryview(data)

    def __next__(self) -> Any:  # noqa: ANN401 -- jh2 ships no types
        """The next frame, or piece of one.

        Raises:
            ProtocolError: by the library, about a frame that takes its way.
        """
        while True:
            if self._payload_left:
                piece = self._piece()
                if piece is None:
                    raise StopIteration
                return piece
            if self._begin_payload():
                continue
            if self._fresh:
                self._collect()
            return super().__next__()

    def _piece(self) -> DataFrame | None:
        """As much of the payload as there is; None while that is too little."""
        taken = self._fresh[: self._payload_left]
        self._fresh = self._fresh[len(taken) :]
        self._payload_left -= len(taken)
        if self._short or (self._payload_left and len(taken) < _LEAST_PIECE_BYTES):
            self._short += taken
            if self._payload_left and len(self._short) < _LEAST_PIECE_BYTES:
                return None
            data, self._short = bytes(self._short), bytearray()
        else:
            data = bytes(taken)
        piece = DataFrame(self._stream_id, data)
        piece.body_len = len(data)
        if self._ends_stream and not self._payload_left:
            piece.flags.add("END_STREAM")
        return piece

    def _begin_payload(self) -> bool:
        """Whether the next frame is a plain DATA frame; its header is then taken."""
        if self._headers_buffer or self._preamble_len:
            return False
        held = len(self._data) - self._data_offset
        if held >= _FRAME_HEADER_BYTES:
            return False
        header = bytes(self._data[self._data_offset :]) + bytes(self._fresh[: _FRAME_HEADER_BYTES - held])
        if len(header) < _FRAME_HEADER_BYTES or header[3] != _DATA or header[4] & _PADDED:
            return False
        length, stream_id = int.from_bytes(header[:3]), int.from_bytes(header[5:]) & 0x7FFFFFFF
        if not length or not stream_id or length > self.max_frame_size:
            return False
        self._data, self._data_offset = bytearray(), 0
        self._fresh = self._fresh[_FRAME_HEADER_BYTES - held :]
        self._payload_left, self._stream_id, self._ends_stream = length, stream_id, bool(header[4] & _END_STREAM)
        return True

    def _collect(self) -> None:
        """Give the library's buffer the rest of one frame, or all there is of it."""
        held = len(self._data) - self._data_offset
        header = bytes(self._data[self._data_offset : self._data_offset + _FRAME_HEADER_BYTES])
        header += bytes(self._fresh[: max(0, _FRAME_HEADER_BYTES - held)])
        wanted = _FRAME_HEADER_BYTES
        if len(header) == _FRAME_HEADER_BYTES:
            wanted += int.from_bytes(header[:3])
        taken = self._fresh[: max(0, wanted - held)]
        self._fresh = self._fresh[len(taken) :]
        super().add_data(taken)
