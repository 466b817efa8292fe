"""A node's life: order of start and stop, restarts and their budget, death, signals, drain, stuck services."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from baton.kernel.clock import Clock, ManualClock, SystemClock
from baton.kernel.errors import ExitCode, StartError
from baton.kernel.metrics import SilentMetrics
from baton.node import supervisor
from baton.node.drain import Drain, DrainState
from baton.node.health import Health
from baton.node.service import Criticality, Service
from baton.node.supervisor import Node, RestartBudget
from tests.support import eventually, run


async def forever() -> None:
    await asyncio.Event().wait()


class Restarts(SilentMetrics):
    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        super().add(name, amount, **labels)
        self.names.append(labels["service"])


@dataclass
class Rig:
    """A node with everything around it, and what happened in order."""

    clock: Clock = field(default_factory=SystemClock)
    drain_timeout_s: float = 30.0
    in_hand: int = 0
    events: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    drain: Drain = field(default_factory=Drain)
    metrics: Restarts = field(default_factory=Restarts)
    aborted: list[int] = field(default_factory=list)
    abort_hook: Callable[[], None] = lambda: None

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def abort(self, code: int) -> None:
        self.aborted.append(code)
        self.abort_hook()

    def node(self, *services: Service) -> Node:
        return Node(
            services=services,
            drain=self.drain,
            health=Health(drain=self.drain, metrics=self.metrics),
            clock=self.clock,
            busy=lambda: self.in_hand,
            drain_timeout_s=self.drain_timeout_s,
            metrics=self.metrics,
            sleep=self.sleep,
            abort=self.abort,
            hangup=lambda: self.events.append("hangup"),
        )

    def noting(self, text: str) -> Callable[[], Awaitable[None]]:
        async def note() -> None:
            self.events.append(text)

        return note

    def service(self, name: str, work: Callable[[], Awaitable[None]] = forever) -> Service:
        async def body() -> None:
            self.events.append(f"run {name}")
            try:
                await work()
            finally:
                self.events.append(f"end {name}")

        return Service(name, body, start=self.noting(f"start {name}"), stop=self.noting(f"stop {name}"))

    async def serving(self, node: Node) -> "asyncio.Task[ExitCode]":
        task = asyncio.create_task(node.run())
        await eventually(lambda: self.drain.state is DrainState.SERVING, what="the node serves")
        return task


def test_services_start_in_order_and_stop_in_reverse() -> None:
    async def story() -> None:
        rig = Rig()
        node = rig.node(rig.service("store"), rig.service("engine"), rig.service("port"))
        task = await rig.serving(node)
        await eventually(lambda: "run port" in rig.events, what="all run")
        node.request_stop()
        assert await task is ExitCode.OK
        starts = [event for event in rig.events if event.startswith("start")]
        assert starts == ["start store", "start engine", "start port"]
        assert rig.events[-6:] == ["stop port", "end port", "stop engine", "end engine", "stop store", "end store"]
        assert rig.drain.state is DrainState.STOPPED

    run(story())


def test_an_earlier_service_runs_while_a_later_one_still_starts() -> None:
    async def story() -> None:
        rig = Rig()
        go = asyncio.Event()

        async def slow() -> None:
            await go.wait()

        node = rig.node(rig.service("store"), Service("engine", forever, start=slow))
        task = asyncio.create_task(node.run())
        await eventually(lambda: "run store" in rig.events, what="the store runs")
        assert rig.drain.state is DrainState.STARTING
        go.set()
        await eventually(lambda: rig.drain.state is DrainState.SERVING, what="it serves")
        node.request_stop()
        assert await task is ExitCode.OK

    run(story())


def test_a_start_error_ends_the_node_with_its_code_and_stops_what_had_started() -> None:
    async def story() -> None:
        rig = Rig()

        async def port_taken() -> None:
            message = "port 8935 is in use"
            raise StartError(message, exit_code=ExitCode.PORT_IN_USE)

        node = rig.node(rig.service("store"), Service("port", forever, start=port_taken), rig.service("late"))
        assert await node.run() is ExitCode.PORT_IN_USE
        assert "stop store" in rig.events
        assert "start late" not in rig.events

    run(story())


def test_an_unexpected_error_at_start_is_a_crash() -> None:
    async def story() -> None:
        rig = Rig()

        async def broken() -> None:
            message = "no idea"
            raise RuntimeError(message)

        assert await rig.node(Service("x", forever, start=broken)).run() is ExitCode.CRASHED

    run(story())


def test_a_start_that_never_ends_is_cut_by_its_budget() -> None:
    async def story() -> None:
        rig = Rig()
        service = Service("x", forever, start=forever, start_budget_s=0.05)
        assert await rig.node(rig.service("store"), service).run() is ExitCode.CRASHED
        assert rig.events[-2:] == ["stop store", "end store"] or rig.events[-1] == "stop store"

    run(story())


def test_a_signal_during_start_calls_the_start_off() -> None:
    async def story() -> None:
        rig = Rig()
        node = rig.node(rig.service("store"), Service("engine", forever, start=forever), rig.service("late"))
        task = asyncio.create_task(node.run())
        await eventually(lambda: "run store" in rig.events, what="the store runs")
        node.request_stop()
        assert await task is ExitCode.OK
        assert "start late" not in rig.events
        assert rig.events[-2:] == ["stop store", "end store"]

    run(story())


def test_a_service_that_started_just_before_the_end_is_stopped_too() -> None:
    async def story() -> None:
        rig = Rig()
        nodes: list[Node] = []

        async def start_and_leave() -> None:
            nodes[0].request_stop()

        last = Service("engine", forever, start=start_and_leave, stop=rig.noting("stop engine"))
        nodes.append(rig.node(last))
        assert await nodes[0].run() is ExitCode.OK
        assert rig.events == ["stop engine"]

    run(story())


@pytest.mark.parametrize("how", ["raises", "returns", "cancels itself"])
def test_a_critical_service_that_ends_by_itself_ends_the_node(how: str) -> None:
    async def story() -> None:
        rig = Rig()
        go = asyncio.Event()

        async def dies() -> None:
            await go.wait()
            if how == "raises":
                message = "gone"
                raise OSError(message)
            if how == "cancels itself":
                raise asyncio.CancelledError

        node = rig.node(rig.service("store"), rig.service("port", dies))
        task = await rig.serving(node)
        states: list[DrainState] = []
        rig.drain.watch(states.append)
        go.set()
        assert await task is ExitCode.CRASHED
        assert states == [DrainState.STOPPED], "nothing is waited for"
        assert "stop store" in rig.events

    run(story())


@pytest.mark.parametrize("criticality", Criticality)
def test_a_service_that_ends_because_it_is_stopped_has_not_died(criticality: Criticality) -> None:
    async def story() -> None:
        rig = Rig()
        told, ended = asyncio.Event(), asyncio.Event()

        async def until_told() -> None:
            await told.wait()
            ended.set()

        async def stop() -> None:
            told.set()
            await ended.wait()
            await asyncio.sleep(0)

        with capture_logs() as lines:
            task = await rig.serving(node := rig.node(Service("port", until_told, criticality, stop=stop)))
            node.request_stop()
            assert await task is ExitCode.OK
        assert rig.metrics.names == []
        assert not [line for line in lines if line["event"] in {"service died", "service restarts"}]

    run(story())


def test_a_critical_service_that_dies_while_others_start_ends_the_node() -> None:
    async def story() -> None:
        rig = Rig()

        async def dies() -> None:
            return

        node = rig.node(rig.service("store", dies), Service("engine", forever, start=forever), rig.service("late"))
        assert await node.run() is ExitCode.CRASHED
        assert "start late" not in rig.events

    run(story())


def test_a_restartable_service_is_run_again_until_its_budget_is_spent() -> None:
    async def story() -> None:
        rig = Rig(clock=ManualClock())
        runs: list[int] = []

        async def dies() -> None:
            runs.append(1)
            message = "flaky"
            raise OSError(message)

        node = rig.node(rig.service("store"), Service("probe", dies, Criticality.RESTARTABLE))
        assert await node.run() is ExitCode.CRASHED
        assert len(runs) == 6
        assert rig.metrics.names == ["probe"] * 5
        assert rig.pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])

    run(story())


def test_the_budget_slides() -> None:
    clock = ManualClock()
    budget = RestartBudget(clock=clock)
    for _ in range(4):
        assert budget.spend() is not None
    clock.advance(59.9)
    assert budget.spend() is not None
    assert budget.spend() is None
    clock.advance(0.1)
    for _ in range(4):
        assert budget.spend() is not None
    assert budget.spend() is None


def test_restarts_far_apart_go_on_for_ever() -> None:
    async def story() -> None:
        clock = ManualClock()
        rig = Rig(clock=clock)
        runs: list[int] = []

        async def dies() -> None:
            runs.append(1)
            if len(runs) == 20:
                await forever()
            clock.advance(15)

        node = rig.node(Service("probe", dies, Criticality.RESTARTABLE))
        task = asyncio.create_task(node.run())
        await eventually(lambda: len(runs) == 20, what="nineteen restarts")
        node.request_stop()
        assert await task is ExitCode.OK

    run(story())


def test_drain_waits_for_work_in_hand_and_ends_clean() -> None:
    async def story() -> None:
        clock = ManualClock()
        rig = Rig(clock=clock, in_hand=2)
        node = rig.node(rig.service("port"))
        task = await rig.serving(node)
        node.request_stop()
        await eventually(lambda: rig.drain.state is DrainState.DRAINING, what="it drains")
        assert not rig.drain.takes_sessions
        assert rig.drain.takes_segments
        assert "stop port" not in rig.events
        rig.in_hand = 0
        assert await task is ExitCode.OK

    run(story())


def test_running_streams_are_refused_after_half_of_the_budget_and_cut_at_its_end() -> None:
    async def story() -> None:
        clock = ManualClock()
        rig = Rig(clock=clock, in_hand=1, drain_timeout_s=30)
        task = await rig.serving(node := rig.node(rig.service("port")))
        node.request_stop()
        await eventually(lambda: rig.drain.state is DrainState.DRAINING, what="it drains")
        clock.advance(15)
        await eventually(lambda: rig.drain.state is DrainState.CLOSING, what="it closes")
        assert not rig.drain.takes_segments
        assert not task.done()
        clock.advance(15)
        assert await task is ExitCode.DRAIN_TIMEOUT

    run(story())


def test_a_second_request_stops_now() -> None:
    async def story() -> None:
        rig = Rig(clock=ManualClock(), in_hand=1)
        task = await rig.serving(node := rig.node(rig.service("port")))
        node.request_stop()
        await eventually(lambda: rig.drain.state is DrainState.DRAINING, what="it drains")
        node.request_stop()
        assert await task is ExitCode.DRAIN_TIMEOUT
        assert rig.events[-2:] == ["stop port", "end port"]

    run(story())


def test_a_critical_death_during_drain_is_a_crash() -> None:
    async def story() -> None:
        rig = Rig(clock=ManualClock(), in_hand=1)
        go = asyncio.Event()

        async def dies() -> None:
            await go.wait()

        task = await rig.serving(node := rig.node(rig.service("engine", dies)))
        node.request_stop()
        await eventually(lambda: rig.drain.state is DrainState.DRAINING, what="it drains")
        go.set()
        assert await task is ExitCode.CRASHED

    run(story())


def test_real_signals_drain_then_stop_now_then_act_by_default() -> None:
    async def story() -> None:
        rig = Rig(clock=ManualClock(), in_hand=1)
        task = await rig.serving(rig.node(rig.service("port")))
        loop = asyncio.get_running_loop()
        os.kill(os.getpid(), signal.SIGTERM)
        await eventually(lambda: rig.drain.state is DrainState.DRAINING, what="it drains")
        os.kill(os.getpid(), signal.SIGINT)
        assert await task is ExitCode.DRAIN_TIMEOUT
        assert not loop.remove_signal_handler(signal.SIGTERM)
        assert not loop.remove_signal_handler(signal.SIGINT)

    run(story())


def test_a_third_signal_while_services_stop_acts_by_default() -> None:
    async def story() -> None:
        rig = Rig(clock=ManualClock(), in_hand=1)
        task = await rig.serving(rig.node(Service("slow", forever, stop=forever)))
        os.kill(os.getpid(), signal.SIGTERM)
        await eventually(lambda: rig.drain.state is DrainState.DRAINING, what="it drains")
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        os.kill(os.getpid(), signal.SIGTERM)
        await eventually(lambda: rig.drain.state is DrainState.STOPPED, what="it stops its services")
        assert not task.done()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert await task is ExitCode.DRAIN_TIMEOUT

    run(story())


def test_a_stop_that_hangs_or_fails_does_not_keep_the_others_from_stopping() -> None:
    async def story() -> None:
        rig = Rig()

        async def fails() -> None:
            message = "cannot stop"
            raise RuntimeError(message)

        hanging = Service("hanging", forever, stop=forever, stop_budget_s=0.05)
        task = await rig.serving(
            node := rig.node(rig.service("store"), hanging, Service("failing", forever, stop=fails))
        )
        node.request_stop()
        assert await task is ExitCode.OK
        assert rig.events[-1] in {"stop store", "end store"}
        assert "stop store" in rig.events

    run(story())


def test_a_hurry_cuts_a_stop_that_takes_long() -> None:
    async def story() -> None:
        rig = Rig()
        slow = Service("slow", forever, stop=forever, stop_budget_s=60)
        task = await rig.serving(node := rig.node(rig.service("store"), slow))
        node.request_stop()
        await eventually(lambda: rig.drain.state is DrainState.STOPPED, what="it stops")
        node.request_stop()
        assert await task is ExitCode.OK
        assert "stop store" in rig.events

    run(story())


def test_a_service_that_ignores_its_cancellation_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_CANCEL_BUDGET_S", 0.05)

    async def story() -> None:
        release = asyncio.Event()
        rig = Rig(abort_hook=release.set)

        async def stubborn() -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        task = await rig.serving(node := rig.node(rig.service("store"), Service("stubborn", stubborn)))
        await asyncio.sleep(0)
        node.request_stop()
        await task
        assert rig.aborted == [ExitCode.DRAIN_TIMEOUT]

    run(story())


def test_cancelling_the_node_still_stops_its_services() -> None:
    async def story() -> None:
        rig = Rig()
        task = await rig.serving(rig.node(rig.service("store"), rig.service("port")))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [event for event in rig.events if event.startswith("stop")] == ["stop port", "stop store"]

    run(story())


def test_a_hangup_is_passed_on_and_ends_nothing() -> None:
    async def story() -> None:
        rig = Rig()
        node = rig.node(Service("a", forever))
        task = asyncio.ensure_future(node.run())
        await eventually(lambda: rig.drain.state is DrainState.SERVING, what="the node serves")
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
            heard = [*rig.events, "hangup"]
            await eventually(lambda heard=heard: rig.events == heard, what="the hangup is passed on")  # type: ignore[misc]  # bound now
        assert rig.drain.state is DrainState.SERVING
        node.request_stop()
        assert await task is ExitCode.OK

    run(story())
