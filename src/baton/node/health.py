"""Whether the node is ready, and if not, why: named facts with exactly one writer each.

Touched from the event loop only. Ready means: serving, and every fact holds. Facts are registered before the node
starts; each registration hands out the only handle that can change it.
"""

from dataclasses import dataclass

from baton.kernel.metrics import Metrics
from baton.node.drain import Drain, DrainState

__all__ = ["Fact", "Health", "Reason"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that keeps the node from being ready."""

    fact: str
    text: str


class Fact:
    """One fact's handle. Whoever holds it is its writer."""

    def __init__(self, name: str, reason: str, health: "Health") -> None:
        """Made by ``Health.fact``; it does not hold yet, because of ``reason``."""
        self.name = name
        self._reason = reason
        self._health = health

    @property
    def reason(self) -> str:
        """Why it does not hold; empty when it does."""
        return self._reason

    def hold(self) -> None:
        """It holds now."""
        self._change("")

    def fail(self, reason: str) -> None:
        """It does not hold, because of ``reason`` (words for the operator, no secrets)."""
        self._change(reason or "no reason given")

    def _change(self, reason: str) -> None:
        if reason != self._reason:
            self._reason = reason
            self._health.publish()


class Health:
    """All facts together with the drain state."""

    def __init__(self, *, drain: Drain, metrics: Metrics) -> None:
        """Follows ``drain`` and keeps the ``readiness`` gauge."""
        self._drain = drain
        self._metrics = metrics
        self._facts: dict[str, Fact] = {}
        drain.watch(lambda _state: self.publish())

    def fact(self, name: str, *, reason: str) -> Fact:
        """Register a fact that does not hold yet and hand out its only handle.

        Raises:
            ValueError: somebody already writes it.
        """
        if name in self._facts:
            message = f"the fact {name!r} has a writer already"
            raise ValueError(message)
        self._facts[name] = Fact(name, reason, self)
        return self._facts[name]

    @property
    def ready(self) -> bool:
        """Whether gateways can be served now."""
        return not self.reasons()

    def reasons(self) -> tuple[Reason, ...]:
        """Everything that keeps the node from being ready; empty when it is."""
        state = self._drain.state
        own = () if state is DrainState.SERVING else (Reason("node", f"the node is {state.value}"),)
        return own + tuple(Reason(fact.name, fact.reason) for fact in self._facts.values() if fact.reason)

    def publish(self) -> None:
        """Bring the gauge up to date; facts and drain call it when they change."""
        self._metrics.set("readiness", 1.0 if self.ready else 0.0)
