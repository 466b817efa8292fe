"""Readiness: facts with one writer each, and the reasons an operator reads."""

import pytest

from baton.kernel.metrics import SilentMetrics
from baton.node.drain import Drain, DrainState
from baton.node.health import Health, Reason


class Gauge(SilentMetrics):
    def __init__(self) -> None:
        self.values: list[float] = []

    def set(self, name: str, value: float, **labels: str) -> None:
        super().set(name, value, **labels)
        self.values.append(value)


def test_ready_only_when_serving_and_every_fact_holds() -> None:
    drain, gauge = Drain(), Gauge()
    health = Health(drain=drain, metrics=gauge)
    engine = health.fact("engine", reason="no engine has answered yet")
    listener = health.fact("listener", reason="not bound")
    assert health.reasons() == (
        Reason("node", "the node is starting"),
        Reason("engine", "no engine has answered yet"),
        Reason("listener", "not bound"),
    )
    listener.hold()
    drain.move(DrainState.SERVING)
    assert [reason.fact for reason in health.reasons()] == ["engine"]
    engine.hold()
    assert health.ready
    engine.fail("every child died")
    assert health.reasons() == (Reason("engine", "every child died"),)
    engine.hold()
    drain.move(DrainState.DRAINING)
    assert health.reasons() == (Reason("node", "the node is draining"),)
    assert gauge.values == [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]


def test_a_fact_has_one_writer() -> None:
    health = Health(drain=Drain(), metrics=SilentMetrics())
    health.fact("engine", reason="not yet")
    with pytest.raises(ValueError, match="'engine' has a writer already"):
        health.fact("engine", reason="mine too")


def test_a_failure_without_words_is_still_a_failure() -> None:
    health = Health(drain=Drain(), metrics=SilentMetrics())
    fact = health.fact("engine", reason="not yet")
    fact.fail("")
    assert fact.reason == "no reason given"
