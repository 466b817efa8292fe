"""What the supervisor runs: a named coroutine, what its death means, and how it ends. Pure."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Criticality", "Service"]


class Criticality(Enum):
    """What it means when a service ends by itself."""

    CRITICAL = "critical"
    """The node ends with the service's name and a non-zero exit code."""
    RESTARTABLE = "restartable"
    """It is started again, five times in sixty seconds; then it counts as critical."""


@dataclass(frozen=True, slots=True)
class Service:
    """One long-running part of the node.

    ``run`` works until it is cancelled. ``start`` (optional) finishes before the next service starts, within
    ``start_budget_s`` seconds, and may raise ``StartError``. ``stop`` (optional) is called in reverse order of start,
    before ``run`` is cancelled, and gets at most ``stop_budget_s`` seconds. A restart calls ``run`` again, not
    ``start``.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    criticality: Criticality = Criticality.CRITICAL
    start: Callable[[], Awaitable[None]] | None = None
    stop: Callable[[], Awaitable[None]] | None = None
    stop_budget_s: float = 5.0
    start_budget_s: float = 120.0
