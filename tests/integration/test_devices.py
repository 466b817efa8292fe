"""Several devices with real engine children: one fails in mid-stream, its sessions move, and it comes back."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from baton.app.engines import EngineRules, Engines
from baton.config.model import EngineSettings
from baton.kernel.clock import SystemClock
from baton.kernel.crypto import keccak256
from baton.kernel.errors import CapacityError, ExitCode, StartError, Text, TranscodeError
from baton.kernel.ids import SessionId
from baton.kernel.profiles import PRESETS
from baton.media.job import TranscodeRequest
from tests.media.pooling import CountingMetrics, child_pids, until
from tests.media.simulating import QUICK_RULES, SimulatedDevice
from tests.support import run

_PROFILES = (PRESETS["P240p30fps16x9"],)
_numbers = itertools.count()


class House:
    """A few simulated devices with engines over them."""

    def __init__(self, folder: Path, *names: str, children: int = 1, per_device: int = 0) -> None:
        self.folder = folder
        self.simulated = {name: SimulatedDevice.make(folder, name) for name in names or ("sim-0", "sim-1")}
        self.metrics = CountingMetrics()
        self.rules: EngineRules = QUICK_RULES
        self.engines = Engines(
            devices=tuple(device.as_engine_device for device in self.simulated.values()),
            settings=EngineSettings(children=children, sessions_per_device=per_device),
            clock=SystemClock(),
            metrics=self.metrics,
            rules=self.rules,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["House"]:
        engines = self.engines
        await engines.start()
        await engines.test()
        async with asyncio.TaskGroup() as group:
            services = [group.create_task(engines.run()), group.create_task(engines.devices.run())]
            try:
                yield self
            finally:
                for service in reversed(services):
                    service.cancel()
                await engines.stop()
        assert child_pids() == set()

    async def segment(self, session: str, *, content: bytes = b"", deadline_s: float = 8.0) -> int:
        """Have one segment done, each with its own content; returns how many renditions it brought."""
        content = content or f"segment {next(_numbers)}".encode()
        path = self.folder / f"input-{next(_numbers)}"
        path.write_bytes(content)
        request = TranscodeRequest(input_path=str(path), profiles=_PROFILES, session_key=session)
        output = await self.engines.devices.transcode(
            request, deadline_s=deadline_s, content_hash=keccak256(content), stream_key=session
        )
        return len(output.renditions)

    async def refusal(self, session: str, *, content: bytes = b"", deadline_s: float = 8.0) -> str:
        try:
            await self.segment(session, content=content, deadline_s=deadline_s)
        except (TranscodeError, CapacityError) as error:
            return error.text
        pytest.fail("it went through")

    def state(self, name: str) -> str:
        return next(view.state for view in self.engines.devices.views if view.name == name)

    def device_of(self, session: str) -> str:
        found = [n for n, device in self.simulated.items() if device.workers(session)]
        assert len(found) == 1
        return found[0]


def test_each_device_has_children_of_its_own_that_see_nothing_of_the_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(tmp_path).running() as house:
            assert await house.segment("1") == await house.segment("2") == 1
            assert house.simulated["sim-0"].events("done") == ["1"]
            assert house.simulated["sim-1"].events("done") == ["2"]
            await until(lambda: all(pool.alive == 2 for pool in house.engines.pools))
            names = {child.name for pool in house.engines.pools for child in pool.children}
            assert names == {"sim-0-0", "sim-0-1", "sim-1-0", "sim-1-1"}

    run(story(), deadline_s=60)


@pytest.mark.parametrize("mode", ["crash", "lost"])
def test_a_device_that_fails_in_mid_stream_loses_no_segment_and_comes_back(tmp_path: Path, mode: str) -> None:
    async def story() -> None:
        async with House(tmp_path).running() as house:
            streams = ["1", "2", "3", "4"]
            for session in streams:
                await house.segment(session)
            broken = house.simulated["sim-0"]
            broken.become(mode)
            for _ in range(3):
                async with asyncio.TaskGroup() as group:
                    done = [group.create_task(house.segment(session)) for session in streams]
                assert [task.result() for task in done] == [1, 1, 1, 1]
            await until(lambda: house.state("sim-0") == "quarantined")
            assert house.engines.devices.usable == ("sim-1",)
            assert house.engines.devices.views[1].sessions == 4
            assert house.state("sim-1") == "healthy"
            assert house.metrics.series["device_healthy", "sim-0"] == 0
            for session in streams:
                assert await house.segment(session) == 1
            probes = len(broken.events("probe"))
            await until(lambda: len(broken.events("probe")) >= probes + 2)
            broken.become("fine")
            await until(lambda: house.state("sim-0") == "healthy")
            assert house.metrics.series["device_healthy", "sim-0"] == 1
            # Sessions that moved stay; the next one goes to the empty device.
            before = len(broken.events("done"))
            await house.segment("5")
            assert broken.events("done")[before:] == ["5"]

    run(story(), deadline_s=60)


def test_a_device_that_hangs_loses_the_segment_it_hangs_over_and_nothing_else(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(tmp_path).running() as house:
            for session in ("1", "2", "3"):
                await house.segment(session)
            house.simulated["sim-0"].become("hang")
            assert await house.refusal("1", deadline_s=1.5) == Text.TRANSCODER_STOPPED
            # While it is asked to prove itself, which it will not, its sessions are served elsewhere.
            assert [await house.segment(session) for session in ("1", "2", "3")] == [1, 1, 1]
            await until(lambda: house.state("sim-0") == "quarantined")
            assert "not through its test within" in house.engines.devices.views[0].reason
            assert house.metrics.counted["device_quarantines_total probe"] == 1
            house.simulated["sim-0"].become("fine")
            await until(lambda: house.state("sim-0") == "healthy")

    run(story(), deadline_s=60)


def test_work_in_hand_on_a_device_that_goes_out_of_use_is_done_elsewhere(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(tmp_path).running() as house:
            sick = house.simulated["sim-0"]
            await house.segment("1")
            await house.segment("2")
            sick.become("hang")
            async with asyncio.TaskGroup() as group:
                # Three streams hang on it, one at work and two in line; a fourth notices first.
                first = group.create_task(house.refusal("1", deadline_s=1.0))
                await until(lambda: len(sick.events("begin")) == 2)
                house.engines.devices.end_session(SessionId("2"))
                waiting = [group.create_task(house.segment("1", deadline_s=15.0)) for _ in range(2)]
            assert first.result() == Text.TRANSCODER_STOPPED
            assert [task.result() for task in waiting] == [1, 1]
            assert house.simulated["sim-1"].events("done").count("1") == 2

    run(story(), deadline_s=60)


def test_poison_puts_no_device_out_of_use(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(tmp_path).running() as house:
            await house.segment("honest-a")
            await house.segment("honest-b")
            for number in range(4):
                content = f"poison {number}".encode()
                # Each try is another stream, so that none is sent away before it has done its worst.
                assert await house.refusal(f"evil-{number}", content=content) == Text.UNRECOVERABLE
                assert await house.segment("honest-a") == await house.segment("honest-b") == 1
            # The same content again is refused unread, whatever device it would have gone to.
            begun = sum(len(d.events("begin")) for d in house.simulated.values())
            assert await house.refusal("evil-again", content=b"poison 0") == Text.UNRECOVERABLE
            assert sum(len(d.events("begin")) for d in house.simulated.values()) == begun
            await until(lambda: {house.state(name) for name in house.simulated} == {"healthy"})
            assert not any("quarantine" in name for name in house.metrics.counted)
            # Each was asked to prove itself, beyond its test at the start.
            assert all(len(device.events("probe")) > 1 for device in house.simulated.values())

    run(story(), deadline_s=60)


def test_a_device_that_passes_its_test_and_fails_at_work_goes_out_of_use(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(tmp_path).running() as house:
            house.simulated["sim-0"].become("dumb")
            pool = house.engines.pools[0]
            for number in range(12):
                assert await house.segment(f"s{number}") == 1
                if house.state("sim-0") == "quarantined":
                    break
                await until(lambda: pool.alive == 2 and house.state("sim-0") == "healthy")
            assert house.metrics.counted["device_quarantines_total faults"] == 1
            # It came to nobody's notice: nothing is held against content or stream.
            assert house.metrics.counted["poison_refusals_total"] == 0

    run(story(), deadline_s=60)


def test_the_only_device_in_trouble_refuses_and_recovers(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(tmp_path, "only").running() as house:
            house.simulated["only"].become("lost")
            assert await house.refusal("1") == Text.UNRECOVERABLE
            await until(lambda: house.state("only") == "quarantined")
            assert await house.refusal("1") == Text.NO_TRANSCODER
            assert not house.engines.devices.has_room
            house.simulated["only"].become("fine")
            await until(lambda: house.state("only") == "healthy")
            assert await house.segment("1") == 1

    run(story(), deadline_s=60)


def test_an_ended_session_leaves_nothing_behind_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(tmp_path, "only", children=2).running() as house:
            device = house.simulated["only"]
            await until(lambda: house.engines.pools[0].alive == 3)
            for session in ("1", "2", "3"):
                await house.segment(session)
            assert device.kept == ["1", "2", "3"]
            house.engines.devices.end_session(SessionId("2"))
            await until(lambda: device.kept == ["1", "3"])
            # Streams return to the child that keeps them, so each is kept once.
            for _ in range(3):
                await house.segment("1")
                await house.segment("3")
            assert len(set(device.workers("1"))) == len(set(device.workers("3"))) == 1
            assert device.kept == ["1", "3"]
            house.engines.devices.end_session(SessionId("1"))
            house.engines.devices.end_session(SessionId("3"))
            await until(lambda: device.kept == [])
            assert sum(child.jobs_done for child in house.engines.pools[0].children) == 10

    run(story(), deadline_s=60)


def test_a_stream_that_found_its_child_busy_goes_to_another_and_is_kept_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(tmp_path, "only", children=2).running() as house:
            device = house.simulated["only"]
            await until(lambda: house.engines.pools[0].alive == 3)
            for session in ("1", "2", "3", "4"):
                await house.segment(session)
            home_of = {session: device.workers(session)[0] for session in ("1", "2", "3", "4")}
            one, mate = next(p for p in itertools.combinations(home_of, 2) if home_of[p[0]] == home_of[p[1]])
            device.become("slow")
            async with asyncio.TaskGroup() as group:
                group.create_task(house.segment(mate))
                await until(lambda: device.events("begin").count(mate) == 2)
                group.create_task(house.segment(one))
            assert device.workers(one)[1] != home_of[one]
            await until(lambda: device.kept == ["1", "2", "3", "4"])

    run(story(), deadline_s=60)


def test_a_session_that_ends_while_its_child_is_busy_is_let_go_of_after_the_job(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(tmp_path, "only").running() as house:
            device = house.simulated["only"]
            device.become("slow")
            async with asyncio.TaskGroup() as group:
                job = group.create_task(house.segment("1"))
                await until(lambda: device.events("begin") == ["1"])
                house.engines.devices.end_session(SessionId("1"))
            assert job.result() == 1
            await until(lambda: device.kept == [] and device.events("release") == ["1"])

    run(story(), deadline_s=60)


def test_a_device_that_does_not_start_is_left_out_and_joins_later(tmp_path: Path) -> None:
    async def story() -> None:
        house = House(tmp_path)
        house.simulated["sim-0"].become("crash")
        async with house.running():
            assert house.engines.devices.usable == ("sim-1",)
            assert house.metrics.counted["device_quarantines_total start"] == 1
            assert await house.segment("1") == 1
            house.simulated["sim-0"].become("fine")
            await until(lambda: len(house.engines.devices.usable) == 2)

    run(story(), deadline_s=60)


def test_no_device_that_starts_ends_the_node_with_all_reasons(tmp_path: Path) -> None:
    async def story() -> None:
        house = House(tmp_path)
        for device in house.simulated.values():
            device.become("crash")
        with pytest.raises(StartError, match=r"sim-0: .*SIGSEGV|sim-0: .*crashed") as failure:
            async with house.running():
                pytest.fail("it started")
        await house.engines.stop()
        assert failure.value.exit_code is ExitCode.ENGINE
        assert "sim-1: " in str(failure.value)
        assert child_pids() == set()

    run(story(), deadline_s=60)
