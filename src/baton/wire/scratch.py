"""One receive buffer for all HTTP/2 connections of a port, so that bodies are decrypted straight into it.

The event loop asks for a buffer, fills it and reports it in one go, so a connection owns the buffer only for the length
of its ``data_received``, which copies out what it keeps before anything else can run. An ``asyncio.Protocol`` would get
every TLS record as an object of its own, joined once more on the way.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Final

__all__ = ["SCRATCH_BYTES", "ScratchProtocol", "new_scratch"]

SCRATCH_BYTES: Final = 256 * 1024
"""As much as TLS holds for one connection: more would never be filled."""


def new_scratch() -> memoryview:
    """A buffer to read into."""
    return memoryview(bytearray(SCRATCH_BYTES))


class ScratchProtocol(asyncio.BufferedProtocol, ABC):
    """A protocol that looks at what came in while it is still in the port's buffer."""

    def __init__(self, scratch: memoryview) -> None:
        """``scratch`` is the port's."""
        self._scratch = scratch

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        del sizehint
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes are there."""
        self.data_received(self._scratch[:nbytes])

    @abstractmethod
    def data_received(self, data: bytes | memoryview) -> None:
        """Bytes of the client. They are gone when this returns: keep copies."""
