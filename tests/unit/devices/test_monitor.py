"""Watching cards: told bad at the first sign, told good only after a while, and numbers that are never old."""

import asyncio
import math
from dataclasses import dataclass, field

import pytest

from baton.devices.model import (
    Device,
    DeviceFault,
    DeviceUse,
    FaultKind,
    InventoryError,
    InventoryTrouble,
    Throttling,
)
from baton.devices.monitor import DeviceMonitor
from baton.kernel.clock import ManualClock
from baton.ops.metrics import PrometheusMetrics
from tests.nvml.scripted import ScriptedInventory
from tests.support import eventually, run

CARDS = (
    Device(
        index=0, uuid="GPU-0", name="NVIDIA L4", memory_bytes=24 << 30, driver_version="550.54", cuda_version="12.4"
    ),
    Device(index=1, uuid="GPU-1", name='Odd "name"\\'),
)
LOST = DeviceFault(1, FaultKind.LOST, "GPU is lost")
FULL = DeviceUse(
    memory_used_bytes=1 << 30,
    gpu_percent=37,
    encoder_percent=61,
    decoder_percent=12,
    temperature_c=54,
    encoder_sessions=4,
    power_w=41.25,
    throttling=(Throttling.THERMAL,),
    ecc_errors=0,
)


@dataclass
class Watch:
    told: list[str] = field(default_factory=list)

    def device_failed(self, device: Device, fault: DeviceFault) -> None:
        self.told.append(f"{device.index} {fault.kind.value}")

    def device_recovered(self, device: Device) -> None:
        self.told.append(f"{device.index} fine")


class Rig:
    def __init__(self, interval_s: float = 2.0) -> None:
        self.inventory = ScriptedInventory(CARDS, {0: FULL})
        self.watch = Watch()
        self.clock = ManualClock()
        self.metrics = PrometheusMetrics(node_id="node", per_stream=False)
        self.monitor = DeviceMonitor(
            devices=CARDS,
            inventory=self.inventory,
            watch=self.watch,
            clock=self.clock,
            metrics=self.metrics,
            interval_s=interval_s,
            quiet_s=30,
        )

    def look(self, *, after_s: float = 2.0) -> list[str]:
        """One look, and what it told."""
        self.clock.advance(after_s)
        told = len(self.watch.told)
        run(self.monitor.look())
        return self.watch.told[told:]

    def fault(self, device: int) -> DeviceFault | None:
        return self.monitor.views[device].fault

    def value(self, name: str, device: int, **labels: str) -> float | None:
        """What a scrape would read."""
        wanted = {"device": f"nvidia-{device}", **labels}
        for line in self.metrics.exposition().decode().splitlines():
            if line.startswith(f"livepeer_{name}{{") and all(f'{k}="{v}"' for k, v in wanted.items()):
                head, _, number = line.rpartition(" ")
                if all(f'{k}="{v}"' in head for k, v in wanted.items()):
                    return float(number)
        return None


def test_good_cards_are_nobody_s_business() -> None:
    rig = Rig()
    assert rig.look() == rig.look() == []
    assert [view.fault for view in rig.monitor.views] == [None, None]
    assert [view.use for view in rig.monitor.views] == [FULL, DeviceUse()]
    assert [view.device for view in rig.monitor.views] == list(CARDS)


def test_lost_card_is_told_once_and_recovers_after_a_quiet_time() -> None:
    rig = Rig()
    rig.look()
    rig.inventory.faults[1] = LOST
    assert rig.look() == ["1 lost"]
    assert rig.look() == []
    del rig.inventory.faults[1]
    assert rig.look() == []
    assert rig.look(after_s=29.9) == []
    assert rig.fault(1) == LOST
    assert rig.look(after_s=0.1) == ["1 fine"]
    assert rig.fault(1) is None
    rig.inventory.faults[1] = LOST
    assert rig.look() == ["1 lost"]


def test_card_that_comes_and_goes_starts_its_quiet_time_anew() -> None:
    rig = Rig()
    rig.inventory.faults[1] = LOST
    assert rig.look() == ["1 lost"]
    del rig.inventory.faults[1]
    rig.look()
    rig.look(after_s=20)
    rig.inventory.faults[1] = DeviceFault(1, FaultKind.RESET_REQUIRED, "reset")
    assert rig.look() == []
    assert rig.fault(1) == DeviceFault(1, FaultKind.RESET_REQUIRED, "reset")
    del rig.inventory.faults[1]
    assert rig.look() == []
    assert rig.look(after_s=29) == []
    assert rig.look(after_s=1) == ["1 fine"]


def test_memory_errors_are_told_when_they_are_new() -> None:
    rig = Rig()
    rig.inventory.uses[0] = DeviceUse(ecc_errors=5)
    assert rig.look() == []
    rig.inventory.uses[0] = DeviceUse(ecc_errors=6)
    assert rig.look() == ["0 ecc"]
    assert rig.look() == []
    assert rig.look(after_s=30) == ["0 fine"]


def test_errors_behind_a_gap_are_still_new() -> None:
    rig = Rig()
    rig.inventory.uses[0] = DeviceUse(ecc_errors=5)
    rig.look()
    rig.inventory.trouble = InventoryError(InventoryTrouble.OTHER, "no answer")
    rig.look()
    rig.inventory.trouble = None
    rig.inventory.uses[0] = DeviceUse(ecc_errors=6)
    assert rig.look() == ["0 ecc"]


def test_driver_that_cannot_be_asked_says_nothing_about_cards() -> None:
    rig = Rig()
    rig.look()
    rig.inventory.trouble = InventoryError(InventoryTrouble.MISMATCH, "versions differ")
    assert rig.look() == []
    assert rig.monitor.trouble == "versions differ"
    assert [view.use for view in rig.monitor.views] == [None, None]
    assert rig.value("device_faulty", 0) == 0
    assert math.isnan(rig.value("device_temperature_celsius", 0) or 0)
    rig.inventory.trouble = None
    assert rig.look() == []
    assert rig.monitor.trouble == ""
    assert rig.value("device_temperature_celsius", 0) == 54


def test_card_behind_one_that_hangs_is_not_judged() -> None:
    rig = Rig()
    rig.look()
    rig.inventory.hangs = 0
    assert rig.look() == ["0 unresponsive"]
    assert [view.use for view in rig.monitor.views] == [None, None]
    assert rig.fault(1) is None
    rig.inventory.hangs = None
    rig.look()
    assert rig.look(after_s=30) == ["0 fine"]


def test_numbers_of_a_card_are_measured() -> None:
    rig = Rig()
    assert rig.value("device_info", 0, uuid="GPU-0", model="NVIDIA L4", driver="550.54", cuda="12.4") == 1
    assert rig.value("device_info", 1, model='Odd \\"name\\"\\\\') == 1
    assert rig.value("device_memory_bytes", 0) == 24 << 30
    assert rig.value("device_memory_bytes", 1) is None
    rig.look()
    expected = {
        "device_faulty": 0,
        "device_memory_used_bytes": 1 << 30,
        "device_temperature_celsius": 54,
        "device_encoder_sessions": 4,
        "device_power_watts": 41.25,
        "device_throttled": 1,
        "device_ecc_errors": 0,
    }
    assert {name: rig.value(name, 0) for name in expected} == expected
    assert [rig.value("device_busy_percent", 0, unit=unit) for unit in ("gpu", "encoder", "decoder")] == [37, 61, 12]


def test_what_a_card_does_not_tell_is_no_number() -> None:
    rig = Rig()
    rig.look()
    for name in ("device_memory_used_bytes", "device_encoder_sessions", "device_throttled", "device_ecc_errors"):
        value = rig.value(name, 1)
        assert value is not None, name
        assert math.isnan(value), name


def test_faults_are_counted_from_zero_and_numbers_of_a_lost_card_go() -> None:
    rig = Rig()
    assert rig.value("device_faults_total", 1, fault="lost") == 0
    rig.inventory.faults[1] = LOST
    rig.look()
    rig.look()
    assert rig.value("device_faults_total", 1, fault="lost") == 1
    assert rig.value("device_faults_total", 0, fault="lost") == 0
    assert (rig.value("device_faulty", 0), rig.value("device_faulty", 1)) == (0, 1)


def test_driver_that_is_being_let_go_is_no_news() -> None:
    rig = Rig()
    rig.look()
    rig.monitor.stop()
    rig.inventory.trouble = InventoryError(InventoryTrouble.UNRESPONSIVE, "closed")
    assert rig.look() == []
    assert rig.monitor.trouble == ""


def test_cards_are_looked_at_again_and_again_until_it_is_stopped() -> None:
    rig = Rig(interval_s=0.0)

    async def body() -> None:
        running = asyncio.ensure_future(rig.monitor.run())
        await eventually(lambda: rig.inventory.reads >= 3, what="three looks")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    run(body())
