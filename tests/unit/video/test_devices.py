"""Devices over scripted engines: who gets a segment, whose fault a failure is, and what is left when a device fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction

import pytest
from structlog.testing import capture_logs

from baton.jobs.ports import EngineRoom
from baton.kernel.clock import ManualClock
from baton.kernel.errors import BatonError, CapacityError, EngineLostError, ExitCode, StartError, Text, TranscodeError
from baton.kernel.ids import SessionId
from baton.kernel.profiles import PRESETS, session_cost_px_per_s
from baton.media.job import EngineReport, RenditionOutput, TranscodeOutput, TranscodeRequest
from baton.video.balancer import DeviceLimits
from baton.video.care import DeviceTimes
from baton.video.devices import Devices
from baton.video.health import HealthLimits
from baton.video.local import SegmentEngine
from tests.media.pooling import CountingMetrics
from tests.support import eventually, run

PROFILES = (PRESETS["P720p30fps16x9"],)
COST = session_cost_px_per_s(PROFILES)
REPORT = EngineReport(
    capability_ids=(0, 1, 2), refused=((7, "no sample"),), engine="scripted", encoders=("h264_x",), decoders=("h264",)
)
LOST = EngineLostError(Text.UNRECOVERABLE, detail="crashed")
HUNG = EngineLostError(Text.TRANSCODER_STOPPED, detail="not done after 8.0 s")
QUICK = DeviceTimes(look_every_s=0.01)


@dataclass
class Scripted:
    """Satisfies ``DeviceEngine``: fails as told, and writes down what it was asked."""

    failure: BatonError | None = None
    fails_for: set[str] | None = None
    """Sessions that fail; None is all of them."""
    report: EngineReport | BatonError = REPORT
    alive: int = 2
    did: list[str] = field(default_factory=list)
    tries: list[int] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    renewed: list[tuple[float, bool]] = field(default_factory=list)
    probes: int = 0
    takes_s: float = 0.0
    fallbacks: tuple[str, ...] = ()
    clock: ManualClock | None = None
    gate: asyncio.Event | None = None
    """Where probes wait."""

    async def transcode(
        self, request: TranscodeRequest, *, deadline_s: float, content_hash: bytes, stream_key: str, tries: int = 2
    ) -> TranscodeOutput:
        del deadline_s, content_hash
        self.did.append(stream_key)
        self.tries.append(tries)
        await asyncio.sleep(0)
        if self.failure is not None and (self.fails_for is None or stream_key in self.fails_for):
            raise self.failure
        rendition = RenditionOutput(data=bytes(100), pixels=4, frames=1, width=2, height=2)
        return TranscodeOutput(
            renditions=(rendition,) * len(request.profiles),
            decoded_px=4,
            decoded_frames=1,
            engine_ms=1,
            fallbacks=self.fallbacks,
        )

    async def probe(self, *, within_s: float) -> EngineReport:
        assert within_s > 0
        self.probes += 1
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.report, BatonError):
            raise self.report
        return self.report

    def release(self, session_key: str) -> None:
        self.released.append(session_key)

    def renew(self, *, blameless_since_s: float, displace: bool) -> None:
        self.renewed.append((blameless_since_s, displace))


@dataclass
class Rig:
    """Devices over scripted engines, and a clock that stands still."""

    names: tuple[str, ...] = ("a", "b")
    limits: DeviceLimits = DeviceLimits()  # noqa: RUF009 -- frozen
    health: HealthLimits = HealthLimits()  # noqa: RUF009 -- frozen
    metrics: CountingMetrics = field(default_factory=CountingMetrics)
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.engines = {name: Scripted() for name in self.names}
        self.devices = Devices(
            engines=self.engines,
            limits=self.limits,
            clock=self.clock,
            metrics=self.metrics,
            health=self.health,
            times=QUICK,
        )
        self.changes: list[tuple[str, ...]] = []
        self.devices.watch(lambda: self.changes.append(self.devices.usable))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Rig"]:
        await self.devices.test(broken={})
        for engine in self.engines.values():
            engine.probes = 0
        async with asyncio.TaskGroup() as group:
            service = group.create_task(self.devices.run())
            yield self
            service.cancel()

    async def segment(self, session: str, *, deadline_s: float = 8.0, reinit: bool = False) -> TranscodeOutput:
        request = TranscodeRequest(input_path="x", profiles=PROFILES, session_key=session, force_reinit=reinit)
        return await self.devices.transcode(
            request, deadline_s=deadline_s, content_hash=session.encode(), stream_key=session
        )

    async def refusal(self, session: str, *, deadline_s: float = 8.0) -> str:
        try:
            await self.segment(session, deadline_s=deadline_s)
        except (TranscodeError, CapacityError) as error:
            return error.text
        pytest.fail("it went through")

    def state(self, name: str) -> str:
        return next(view.state for view in self.devices.views if view.name == name)

    async def until(self, name: str, state: str) -> None:
        await eventually(lambda: self.state(name) == state, what=f"{name} is {state}, not {self.state(name)}")


async def acted(rig: Rig, act: Callable[[Rig], Awaitable[None]]) -> None:
    async with rig.running():
        await act(rig)


def test_devices_are_what_their_users_ask_for() -> None:
    devices = Rig().devices
    engine: SegmentEngine = devices
    assert engine is devices
    room: EngineRoom = devices
    assert room.has_room is False


def test_sessions_are_spread_and_stay_and_their_load_is_told() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        for session in ("1", "2", "3", "1", "2", "3"):
            await rig.segment(session)
        assert rig.engines["a"].did == ["1", "3", "1", "3"]
        assert rig.engines["b"].did == ["2", "2"]
        assert [(v.sessions, v.load_px_per_s) for v in rig.devices.views] == [(2, 2 * COST), (1, COST)]
        assert rig.metrics.series["device_sessions", "a"] == 2
        assert rig.metrics.series["device_load_px_per_s", "b"] == COST
        rig.devices.end_session(SessionId("1"))
        rig.devices.end_session(SessionId("never seen"))
        assert rig.engines["a"].released == ["1"]
        assert rig.metrics.series["device_sessions", "a"] == 1
        assert rig.metrics.series["device_load_px_per_s", "a"] == COST

    run(acted(rig, act))


def test_a_device_lost_over_a_segment_costs_it_nothing_but_time() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        rig.engines["a"].failure = LOST
        assert len((await rig.segment("1")).renditions) == 1
        assert (rig.engines["a"].did, rig.engines["b"].did) == (["1"], ["1"])
        # One try here, since there is another device; the last one gets all tries.
        assert (rig.engines["a"].tries, rig.engines["b"].tries) == ([1], [2])
        assert rig.engines["a"].released == ["1"]
        # The session stays where it went through.
        await rig.segment("1")
        assert rig.engines["b"].did == ["1", "1"]

    run(acted(rig, act))


def test_faults_of_its_own_put_a_device_out_of_use_although_its_probe_passes() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        rig.clock.advance(100)
        rig.engines["a"].failure = LOST
        with capture_logs() as logs:
            for session in ("1", "2", "3", "4", "5", "6"):
                await rig.segment(session)
                await eventually(lambda: rig.state("a") != "suspect", what="a has answered")
        assert rig.state("a") == "quarantined"
        assert len(rig.engines["a"].did) == 3
        assert rig.engines["a"].renewed == [(0.0, True)]
        assert rig.metrics.counted["device_quarantines_total faults"] == 1
        assert rig.metrics.series["device_healthy", "a"] == 0
        assert len([line for line in logs if line["event"] == "device out of use"]) == 1

    run(acted(rig, act))


def test_poison_fails_on_two_devices_and_puts_neither_out_of_use() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        for engine in rig.engines.values():
            engine.failure, engine.fails_for = LOST, {"poison"}
        for round_ in range(20):
            assert await rig.refusal("poison") == Text.UNRECOVERABLE
            assert len((await rig.segment(f"good {round_}")).renditions) == 1
            rig.clock.advance(31)
        await rig.until("a", "healthy")
        await rig.until("b", "healthy")
        # Both were asked to prove themselves, and did.
        assert all(engine.probes >= 5 for engine in rig.engines.values())
        assert rig.changes == [("a", "b")]
        assert not rig.metrics.counted

    run(acted(rig, act))


def test_a_segment_is_never_tried_on_a_third_device() -> None:
    rig = Rig(names=("a", "b", "c"))

    async def act(rig: Rig) -> None:
        for engine in rig.engines.values():
            engine.failure = LOST
        assert await rig.refusal("1") == Text.UNRECOVERABLE
        assert sum(len(engine.did) for engine in rig.engines.values()) == 2

    run(acted(rig, act))


@pytest.mark.parametrize(
    ("failure", "text", "moves"),
    [
        (TranscodeError(Text.INVALID_DATA), Text.INVALID_DATA, False),
        (TranscodeError(Text.UNRECOVERABLE), Text.UNRECOVERABLE, False),
        (CapacityError(Text.BUSY), Text.BUSY, False),
        (TranscodeError(Text.NO_SUCH_DEVICE), "", True),
        (TranscodeError(Text.NO_MEMORY), "", True),
        (EngineLostError(Text.NO_TRANSCODER), "", True),
        (EngineLostError(Text.TRANSCODER_STOPPED, displaced=True), "", True),
    ],
    ids=lambda value: value.text if isinstance(value, TranscodeError | CapacityError) else "",
)
def test_only_what_a_device_may_be_to_blame_for_is_tried_elsewhere(
    failure: BatonError, text: str, *, moves: bool
) -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        rig.engines["a"].failure = failure
        if moves:
            assert len((await rig.segment("1")).renditions) == 1
        else:
            assert await rig.refusal("1") == text
        assert rig.engines["b"].did == (["1"] if moves else [])

    run(acted(rig, act))


def test_after_an_error_the_session_may_land_elsewhere() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        await rig.segment("1")
        rig.engines["a"].failure = TranscodeError(Text.INVALID_DATA)
        assert await rig.refusal("1") == Text.INVALID_DATA
        assert rig.engines["a"].released == ["1"]
        assert rig.devices.views[0].sessions == 0
        await rig.segment("1")
        assert rig.engines["b"].did == ["1"]

    run(acted(rig, act))


def test_no_time_left_is_no_time_for_another_device() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        rig.engines["a"].failure = HUNG
        assert await rig.refusal("1", deadline_s=0.9) == Text.TRANSCODER_STOPPED
        assert rig.engines["b"].did == []

    run(acted(rig, act))


def test_a_device_that_cannot_prove_itself_is_spared_at_once_and_then_out_of_use_and_comes_back() -> None:
    rig = Rig(health=HealthLimits(pause_first_s=5, pause_most_s=40))

    async def act(rig: Rig) -> None:
        a, b = rig.engines["a"], rig.engines["b"]
        await rig.segment("1")
        await rig.segment("2")
        a.failure, a.gate = HUNG, asyncio.Event()
        assert await rig.refusal("1", deadline_s=0.5) == Text.TRANSCODER_STOPPED
        await eventually(lambda: a.probes == 1, what="a is asked")
        assert rig.state("a") == "suspect"
        # While the question is open its sessions go elsewhere; so do new ones.
        await rig.segment("1")
        await rig.segment("3")
        assert b.did == ["2", "1", "3"]
        assert len(rig.devices.usable) == 2
        a.report = StartError("no such device", exit_code=ExitCode.ENGINE)
        a.gate.set()
        await rig.until("a", "quarantined")
        assert ",".join(rig.changes[-1]) == "b"
        assert rig.devices.views[0].reason == "probe: no such device"
        for pause_s in (5, 10, 20, 40, 40):
            probes = a.probes
            rig.clock.advance(pause_s - 0.1)
            await asyncio.sleep(0.05)
            assert a.probes == probes
            rig.clock.advance(0.2)
            await eventually(lambda probes=probes: a.probes == probes + 1, what="a is tried again")  # type: ignore[misc]
            await asyncio.sleep(0)
        a.failure, a.report = None, REPORT
        rig.clock.advance(41)
        await rig.until("a", "healthy")
        assert rig.changes[-1] == ("a", "b")
        assert rig.metrics.series["device_healthy", "a"] == 1
        await rig.segment("4")
        assert a.did[-1] == "4"

    run(acted(rig, act))


def test_a_device_that_comes_back_with_less_than_it_had_stays_out_of_use() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        a = rig.engines["a"]
        a.report = replace(REPORT, encoders=("libx264",))
        a.failure = LOST
        await rig.segment("1")
        await rig.until("a", "quarantined")
        assert rig.devices.views[0].reason == "probe: it can do less than before: h264_x"
        a.report = replace(REPORT, capability_ids=(0,), encoders=("h264_x", "more"))
        rig.clock.advance(6)
        await eventually(lambda: a.probes == 2, what="a is tried again")
        await eventually(lambda: "capability 1" in rig.devices.views[0].reason, what="the reason is told")
        a.report = REPORT
        rig.clock.advance(20)
        await rig.until("a", "healthy")

    run(acted(rig, act))


def test_a_card_that_its_driver_calls_faulty_is_not_tried_until_it_is_well() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        await rig.segment("1")
        rig.devices.condemn("a", "lost: GPU is lost")
        rig.devices.condemn("a", "lost: once more")
        rig.devices.condemn("no such card", "")
        assert rig.devices.usable == ("b",)
        assert rig.devices.views[0].reason == "card: lost: GPU is lost"
        await rig.segment("1")
        assert rig.engines["b"].did == ["1"]
        rig.clock.advance(1000)
        await asyncio.sleep(0.05)
        assert rig.engines["a"].probes == 0
        rig.devices.acquit("a")
        await rig.until("a", "healthy")

    run(acted(rig, act))


def test_a_card_that_is_faulty_at_the_start_is_left_out() -> None:
    async def act() -> None:
        rig = Rig()
        rig.devices.condemn("a", "lost: GPU is lost")
        await rig.devices.test(broken={})
        assert rig.devices.usable == ("b",)
        assert rig.engines["a"].probes == 0

    run(act())


def test_a_probe_that_finds_no_room_decides_nothing() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        a = rig.engines["a"]
        a.report, a.failure = CapacityError(Text.BUSY), LOST
        await rig.segment("1")
        await eventually(lambda: a.probes == 1, what="a is asked")
        await rig.until("a", "healthy")
        assert rig.changes == [("a", "b")]

    run(acted(rig, act))


def test_a_device_without_children_is_avoided_at_once_and_out_of_use_after_a_while() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        await rig.segment("1")
        rig.engines["a"].alive = 0
        await rig.segment("1")
        assert rig.engines["b"].did == ["1"]
        await asyncio.sleep(0.05)
        assert rig.state("a") == "healthy"
        rig.clock.advance(11)
        await rig.until("a", "quarantined")
        assert rig.metrics.counted["device_quarantines_total no_engine"] == 1
        rig.clock.advance(6)
        await asyncio.sleep(0.05)
        assert rig.engines["a"].probes == 0
        rig.engines["a"].alive = 1
        rig.clock.advance(11)
        await rig.until("a", "healthy")

    run(acted(rig, act))


def test_when_no_device_is_left_segments_are_refused_with_every_reason_in_the_log() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        for engine in rig.engines.values():
            engine.failure, engine.report = LOST, StartError("gone", exit_code=ExitCode.ENGINE)
        assert await rig.refusal("1") == Text.UNRECOVERABLE
        await rig.until("a", "quarantined")
        await rig.until("b", "quarantined")
        assert rig.changes[-1] == ()
        with pytest.raises(TranscodeError) as refused:
            await rig.segment("2")
        assert (refused.value.text, refused.value.detail) == (Text.NO_TRANSCODER, "a: gone; b: gone")
        assert not rig.devices.has_room
        assert rig.devices.offer == ()
        # The last one had nobody to hand its work to, so what it had in hand was left to it.
        assert sorted(displaced for e in rig.engines.values() for _, displaced in e.renewed) == [False, True]

    run(acted(rig, act))


def test_limits_per_device_refuse_what_a_lost_device_leaves_behind() -> None:
    rig = Rig(limits=DeviceLimits(sessions=1))

    async def act(rig: Rig) -> None:
        await rig.segment("1")
        await rig.segment("2")
        assert not rig.devices.has_room
        assert not rig.devices.admits(SessionId("3"), PROFILES)
        assert rig.devices.admits(SessionId("1"), PROFILES)
        assert rig.devices.most_sessions == 2
        rig.engines["a"].report = StartError("gone", exit_code=ExitCode.ENGINE)
        rig.engines["a"].failure = LOST
        assert await rig.refusal("1") == Text.UNRECOVERABLE
        # Nobody else had room, so it had all tries where it was.
        assert rig.engines["a"].tries[-1] == 2
        await rig.until("a", "quarantined")
        assert rig.devices.most_sessions == 1
        assert await rig.refusal("1") == Text.CAPPED
        await rig.segment("2")
        rig.devices.end_session(SessionId("2"))
        await rig.segment("1")

    run(acted(rig, act))


def test_a_limit_by_pixel_rate_admits_what_fits() -> None:
    rig = Rig(limits=DeviceLimits(px_per_s=COST + 100))
    small = (replace(PROFILES[0], width=1, height=1, fps=100),)

    async def act(rig: Rig) -> None:
        await rig.segment("1")
        await rig.segment("2")
        assert rig.devices.has_room
        assert not rig.devices.admits(SessionId("3"), PROFILES)
        assert rig.devices.admits(SessionId("3"), small)
        assert rig.devices.most_sessions is None

    run(acted(rig, act))


def test_a_changed_input_starts_afresh_on_the_least_loaded_device() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        for session in ("1", "2", "3"):
            await rig.segment(session)
        await rig.segment("3", reinit=True)
        assert rig.engines["b"].did == ["2", "3"] or rig.engines["a"].did == ["1", "3", "3"]
        assert sum(view.load_px_per_s for view in rig.devices.views) == 3 * COST
        rig.devices.end_session(SessionId("1"))
        await rig.segment("2", reinit=True)
        assert sum(view.load_px_per_s for view in rig.devices.views) == 2 * COST

    run(acted(rig, act))


def test_a_stream_that_moves_is_let_go_of_where_it_was() -> None:
    rig = Rig()

    async def act(rig: Rig) -> None:
        for session in ("1", "2", "3"):
            await rig.segment(session)
        rig.devices.end_session(SessionId("2"))
        await rig.segment("3", reinit=True)
        assert (rig.engines["a"].did, rig.engines["b"].did) == (["1", "3"], ["2", "3"])
        assert (rig.engines["a"].released, rig.engines["b"].released) == (["3"], ["2"])

    run(acted(rig, act))


def test_a_continued_session_keeps_its_device_although_there_is_no_room() -> None:
    rig = Rig(limits=DeviceLimits(sessions=1))

    async def act(rig: Rig) -> None:
        await rig.segment("old")
        await rig.segment("other")
        rig.devices.continue_session(SessionId("old"), SessionId("new"))
        await rig.segment("new")
        await rig.segment("old")
        assert rig.engines["a"].did == ["old", "new", "old"]
        rig.devices.end_session(SessionId("old"))
        assert rig.engines["a"].released == ["old"]
        assert not rig.devices.has_room

    run(acted(rig, act))


def test_tests_at_the_start_run_at_the_same_time_and_one_device_that_works_is_enough() -> None:
    async def act() -> None:
        rig = Rig(names=("a", "b", "c"))
        gate = asyncio.Event()
        for engine in rig.engines.values():
            engine.gate = gate
        rig.engines["b"].report = StartError("it has no driver", exit_code=ExitCode.ENGINE)
        rig.engines["c"].report = replace(REPORT, capability_ids=(1, 2, 3))
        with capture_logs() as logs:
            test = asyncio.ensure_future(rig.devices.test(broken={}))
            await eventually(lambda: all(e.probes == 1 for e in rig.engines.values()), what="all are asked")
            gate.set()
            await test
        assert rig.devices.usable == ("a", "c")
        assert rig.devices.offer == (1, 2)
        assert [(line["device"], line["reason"]) for line in logs if line["event"] == "device out of use"] == [
            ("b", "start")
        ]
        assert Fraction(len(rig.devices.usable), rig.devices.total) == Fraction(2, 3)

    run(act())


def test_no_device_that_works_ends_the_start_with_every_reason() -> None:
    async def act() -> None:
        rig = Rig()
        rig.engines["a"].report = StartError("it has no driver", exit_code=ExitCode.ENGINE)
        with pytest.raises(StartError, match=r"^a: it has no driver; b: no child came up$") as failure:
            await rig.devices.test(broken={"b": "no child came up"})
        assert failure.value.exit_code is ExitCode.ENGINE
        alone = Rig(names=("cpu",))
        alone.engines["cpu"].report = StartError("no codec", exit_code=ExitCode.ENGINE)
        with pytest.raises(StartError, match=r"^no codec$"):
            await alone.devices.test(broken={})

    run(act())


def test_fallbacks_are_counted_by_step_and_told_once() -> None:
    rig = Rig(names=("a",))

    async def act(rig: Rig) -> None:
        rig.engines["a"].fallbacks = ("encode h264: no session left", "Decode: 10 bit", "something \x1b else")
        with capture_logs() as logs:
            for _ in range(3):
                await rig.segment("1")
        assert rig.metrics.counted == {
            "engine_fallbacks_total encode": 3,
            "engine_fallbacks_total decode": 3,
            "engine_fallbacks_total other": 3,
        }
        assert len([line for line in logs if line["event"] == "done in software"]) == 3
        rig.engines["a"].fallbacks = tuple(f"other {n}" for n in range(1000))
        await rig.segment("1")
        assert len(rig.devices._fallbacks._told) == 256

    run(acted(rig, act))
