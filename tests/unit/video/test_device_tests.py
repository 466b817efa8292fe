"""Tests of devices that come at a bad moment: while their streams use them, or while their driver changes its mind."""

import asyncio
from dataclasses import replace

from baton.kernel.errors import ExitCode, StartError
from tests.support import eventually, run
from tests.unit.video.test_devices import LOST, REPORT, Rig, acted


def test_a_card_that_is_faulty_for_a_moment_of_its_test_costs_the_node_nothing() -> None:
    async def act() -> None:
        rig = Rig()
        a = rig.engines["a"]
        a.gate, a.report = asyncio.Event(), StartError("no such device", exit_code=ExitCode.ENGINE)
        test = asyncio.ensure_future(rig.devices.test(broken={}))
        await eventually(lambda: a.probes == 1, what="a is tested")
        rig.devices.condemn("a", "lost: GPU is lost")
        rig.devices.acquit("a")
        a.gate.set()
        await test
        assert rig.devices.usable == ("b",)
        assert rig.devices.views[0].reason == "card: no such device"

    run(act())


def test_a_device_whose_encoders_are_all_taken_by_streams_stays_in_use() -> None:
    """What cannot get one is encoded in software meanwhile, which its test sees as well."""
    rig = Rig(names=("a",))

    async def act(rig: Rig) -> None:
        a = rig.engines["a"]
        await rig.segment("1")
        a.failure, a.fails_for, a.report = LOST, {"2"}, replace(REPORT, encoders=("libx264",))
        await rig.refusal("2")
        await eventually(lambda: a.probes == 1, what="a is asked")
        await rig.until("a", "healthy")
        await rig.segment("1")
        rig.clock.advance(60)
        a.report = replace(REPORT, capability_ids=(0,))
        await rig.refusal("2")
        await rig.until("a", "quarantined")

    run(acted(rig, act))
