"""What a node in drain still takes: a view of the drain state that the use cases ask before they admit anything."""

from typing import Protocol

__all__ = ["Gate"]


class Gate(Protocol):
    """Two questions, asked per request."""

    @property
    def takes_sessions(self) -> bool:
        """Whether a stream nobody knows may start here."""
        ...

    @property
    def takes_segments(self) -> bool:
        """Whether a stream that runs here may go on."""
        ...
