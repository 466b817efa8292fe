"""One HTTP/2 request by hand, for what an ordinary client cannot do: huge headers, bodies that stop, early leaving."""

import socket
import ssl
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import H2Error
from hpack import Encoder

__all__ = ["RawHttp2", "tls_connection"]

_READ_BYTES = 65536
_DIAL_S = 20.0


def tls_connection(url: str, *protocols: str) -> ssl.SSLSocket:
    """A TLS connection that verifies nothing and offers ``protocols`` by ALPN; the caller closes it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    parts = urlsplit(url)
    plain = socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=_DIAL_S)
    try:
        return context.wrap_socket(plain)
    except BaseException:
        plain.close()
        raise


class _PlainEncoder(Encoder):
    """Writes every text as it is: coding a mebibyte takes the library minutes."""

    def encode(self, headers: Any, huffman: bool = True) -> bytes:  # noqa: FBT001, FBT002 -- the library's signature
        del huffman
        return super().encode(headers, huffman=False)


class RawHttp2:
    """A connection with one stream. Headers are sent without Huffman coding, so their size on the wire is theirs."""

    def __init__(self, url: str) -> None:
        self._socket = tls_connection(url, "h2")
        self._authority = urlsplit(url).netloc
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._h2.encoder = _PlainEncoder()
        self._h2.max_outbound_frame_size = 16384
        self.status: int | None = None
        self.body = b""
        self.ended = False
        """The answer is whole, or the stream or connection was ended by the other side."""
        self._h2.initiate_connection()
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave without a word."""
        self._socket.close()

    def request(self, path: str, headers: Iterable[tuple[str, str]], *, body: bytes = b"", more: bool = False) -> None:
        """Send a POST; with ``more`` its body does not end here. A refusal in the middle of it is not an error."""
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", self._authority), (":path", path)]
        try:
            self._h2.send_headers(1, [*pseudo, *((name.lower(), value) for name, value in headers)])
            self._flush()
            view = memoryview(body)
            while view and not self.ended:
                room = min(self._h2.local_flow_control_window(1), self._h2.max_outbound_frame_size)
                if not room:
                    self._receive(_DIAL_S)
                    continue
                self._h2.send_data(1, bytes(view[:room]))
                view = view[room:]
                self._flush()
            if not more and not self.ended:
                self._h2.end_stream(1)
                self._flush()
        except (OSError, H2Error):
            self._drain()

    def wait_ended(self, within_s: float) -> bool:
        """Whether the other side ended the stream within the time; ``status`` and ``body`` say how."""
        end = time.monotonic() + within_s
        while not self.ended and (left := end - time.monotonic()) > 0:
            self._receive(left)
        return self.ended

    def wait_status(self, within_s: float) -> int | None:
        """The status once the answer's headers are here."""
        end = time.monotonic() + within_s
        while self.status is None and not self.ended and (left := end - time.monotonic()) > 0:
            self._receive(left)
        return self.status

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())

    def _drain(self) -> None:
        """Sending failed: read what the other side had to say before it closed."""
        self.wait_ended(2.0)
        self.ended = True

    def _receive(self, within_s: float) -> None:
        self._socket.settimeout(within_s)
        try:
            data = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            return
        except OSError:
            self.ended = True
            return
        if not data:
            self.ended = True
            return
        try:
            for event in self._h2.receive_data(data):
                self._note(event)
            self._flush()
        except (OSError, H2Error):
            self.ended = True

    def _note(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            self.status = int(dict(event.headers)[b":status"])
        elif isinstance(event, DataReceived):
            self.body += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded | StreamReset | ConnectionTerminated):
            self.ended = True
