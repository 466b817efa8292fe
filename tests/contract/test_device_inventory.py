"""One suite for every device inventory: what the node may count on, whatever the driver does."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from baton.devices.model import (
    Device,
    DeviceFault,
    DeviceInventory,
    DeviceUse,
    FaultKind,
    InventoryError,
    InventoryTrouble,
)
from tests.nvml.machine import Card, NvmlMachine, compile_library
from tests.nvml.scripted import ScriptedInventory
from tests.support import run

UUIDS = tuple(f"GPU-0000000{n}-1111-2222-3333-444444444444" for n in range(3))


class Bench(Protocol):
    """A machine whose cards a test can break."""

    inventory: DeviceInventory

    def put(self, count: int) -> None: ...

    def lose(self, index: int) -> None: ...

    def mend(self, index: int) -> None: ...

    def hang(self, index: int) -> None: ...

    def release(self, index: int) -> None: ...

    def break_driver(self) -> None: ...

    def mend_driver(self) -> None: ...


class NvmlBench:
    def __init__(self, machine: NvmlMachine) -> None:
        self.machine = machine
        self.inventory: DeviceInventory = machine

    def put(self, count: int) -> None:
        self.machine.put(*(Card(uuid) for uuid in UUIDS[:count]))

    def lose(self, index: int) -> None:
        self.machine.rule(**{f"card{index}__error__*": "15"})

    def mend(self, index: int) -> None:
        self.machine.rule(**{f"card{index}__error__*": None})

    def hang(self, index: int) -> None:
        self.machine.rule(**{f"card{index}__hang__nvmlDeviceGetTemperature": "1"})

    def release(self, index: int) -> None:
        self.machine.rule(**{f"card{index}__hang__nvmlDeviceGetTemperature": None})

    def break_driver(self) -> None:
        self.machine.rule(**{"error__*": "9"})

    def mend_driver(self) -> None:
        self.machine.rule(**{"error__*": None})


class ScriptedBench:
    def __init__(self) -> None:
        self.scripted = ScriptedInventory()
        self.inventory: DeviceInventory = self.scripted

    def put(self, count: int) -> None:
        self.scripted.devices = tuple(Device(index=index, uuid=UUIDS[index]) for index in range(count))

    def lose(self, index: int) -> None:
        self.scripted.faults[index] = DeviceFault(index, FaultKind.LOST, "GPU is lost")

    def mend(self, index: int) -> None:
        del self.scripted.faults[index]

    def hang(self, index: int) -> None:
        self.scripted.hangs = index

    def release(self, index: int) -> None:
        assert self.scripted.hangs == index
        self.scripted.hangs = None

    def break_driver(self) -> None:
        self.scripted.trouble = InventoryError(InventoryTrouble.NO_DRIVER, "the NVIDIA kernel driver is not loaded")

    def mend_driver(self) -> None:
        self.scripted.trouble = None


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_library(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(params=["scripted", "nvml"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "scripted":
        yield ScriptedBench()
        return
    machine = NvmlMachine(tmp_path, request.getfixturevalue("library"), read_timeout_s=1.5)
    yield NvmlBench(machine)
    machine.kill()


def test_machine_without_cards_is_an_empty_answer(bench: Bench) -> None:
    survey = run(bench.inventory.survey())
    assert (survey.devices, survey.faults) == ((), ())


@pytest.mark.parametrize("count", [1, 3])
def test_cards_come_in_the_order_of_the_driver(bench: Bench, count: int) -> None:
    bench.put(count)
    survey = run(bench.inventory.survey())
    assert [(device.index, device.uuid) for device in survey.devices] == list(enumerate(UUIDS[:count]))
    assert survey.faults == ()


def test_card_that_tells_nothing_is_a_card(bench: Bench) -> None:
    bench.put(1)

    async def look() -> None:
        (device,) = (await bench.inventory.survey()).devices
        assert device == Device(index=0, uuid=UUIDS[0])
        assert await bench.inventory.read([device]) == (DeviceUse(),)

    run(look())


def test_readings_come_in_the_order_of_the_question(bench: Bench) -> None:
    bench.put(3)

    async def look() -> None:
        devices = (await bench.inventory.survey()).devices
        bench.lose(1)
        readings = await bench.inventory.read([devices[2], devices[1], devices[0], devices[1]])
        assert [isinstance(reading, DeviceFault) for reading in readings] == [False, True, False, True]
        assert await bench.inventory.read([]) == ()

    run(look())


def test_lost_card_is_told_and_does_not_hide_the_others(bench: Bench) -> None:
    bench.put(3)

    async def look() -> None:
        devices = (await bench.inventory.survey()).devices
        bench.lose(1)
        survey = await bench.inventory.survey()
        assert [device.index for device in survey.devices] == [0, 2]
        assert [(fault.index, fault.kind) for fault in survey.faults] == [(1, FaultKind.LOST)]
        good, lost, other = await bench.inventory.read(devices)
        assert (good, other) == (DeviceUse(), DeviceUse())
        assert isinstance(lost, DeviceFault)
        assert (lost.index, lost.kind) == (1, FaultKind.LOST)
        assert lost.reason
        bench.mend(1)
        assert await bench.inventory.read(devices) == (DeviceUse(),) * 3
        assert (await bench.inventory.survey()).devices == devices

    run(look())


def test_card_that_was_taken_out_is_lost(bench: Bench) -> None:
    bench.put(3)

    async def look() -> None:
        devices = (await bench.inventory.survey()).devices
        bench.put(2)
        *_, gone = await bench.inventory.read(devices)
        assert isinstance(gone, DeviceFault)
        assert (gone.index, gone.kind) == (2, FaultKind.LOST)

    run(look())


def test_driver_that_is_gone_is_an_error_and_comes_back(bench: Bench) -> None:
    bench.put(1)

    async def look() -> None:
        devices = (await bench.inventory.survey()).devices
        bench.break_driver()
        for ask in (bench.inventory.survey, lambda: bench.inventory.read(devices)):
            with pytest.raises(InventoryError, match="kernel driver is not loaded") as raised:
                await ask()
            assert raised.value.trouble is InventoryTrouble.NO_DRIVER
        bench.mend_driver()
        assert await bench.inventory.read(devices) == (DeviceUse(),)

    run(look())


def test_card_that_hangs_costs_a_bounded_time_and_is_named(bench: Bench) -> None:
    bench.put(3)

    async def look() -> None:
        devices = (await bench.inventory.survey()).devices
        bench.hang(1)
        began = time.monotonic()
        good, silent, behind = await bench.inventory.read(devices)
        assert time.monotonic() - began < 15.0
        assert good == DeviceUse()
        assert isinstance(silent, DeviceFault)
        assert (silent.index, silent.kind) == (1, FaultKind.UNRESPONSIVE)
        assert behind is None
        # Whoever asks meanwhile does not wait, and reads nothing about the others that nobody has seen.
        _, still, _ = await bench.inventory.read(devices)
        assert isinstance(still, DeviceFault)
        bench.release(1)
        await _well_again(bench, devices)

    run(look())


async def _well_again(bench: Bench, devices: tuple[Device, ...]) -> None:
    deadline = time.monotonic() + 15.0
    while await bench.inventory.read(devices) != (DeviceUse(),) * len(devices):
        assert time.monotonic() < deadline, "the driver answers again and nobody notices"


def test_letting_go_waits_for_nothing_that_hangs(bench: Bench) -> None:
    bench.put(1)

    async def look() -> None:
        devices = (await bench.inventory.survey()).devices
        bench.hang(0)
        await bench.inventory.read(devices)
        began = time.monotonic()
        await bench.inventory.close()
        assert time.monotonic() - began < 15.0

    run(look())
