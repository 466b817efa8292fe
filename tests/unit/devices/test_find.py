"""Choosing cards: what is there is found in the operator's order, what is not keeps the node from starting."""

import pytest

from baton.devices.find import find_devices
from baton.devices.model import Device, DeviceFault, FaultKind, InventoryError, InventoryTrouble
from baton.kernel.devices import NO_DEVICES, DeviceSelection
from baton.kernel.errors import ExitCode, StartError
from tests.nvml.scripted import ScriptedInventory
from tests.support import run

CARDS = tuple(Device(index=index, uuid=f"GPU-{index}", mig=index == 2) for index in range(3))
ALL = DeviceSelection(every=True)


def found(selection: DeviceSelection, inventory: ScriptedInventory) -> list[int]:
    return [device.index for device in run(find_devices(selection, inventory=inventory))]


def refusal(selection: DeviceSelection, inventory: ScriptedInventory) -> tuple[str, ExitCode]:
    with pytest.raises(StartError) as raised:
        run(find_devices(selection, inventory=inventory))
    return str(raised.value), raised.value.exit_code


def lost(index: int) -> dict[int, DeviceFault]:
    return {index: DeviceFault(index, FaultKind.LOST, "GPU is lost")}


@pytest.mark.parametrize(
    ("selection", "indices"),
    [(ALL, [0, 1, 2]), (DeviceSelection((0,)), [0]), (DeviceSelection((2, 0)), [2, 0])],
    ids=str,
)
def test_cards_are_found_in_the_order_they_were_named(selection: DeviceSelection, indices: list[int]) -> None:
    assert found(selection, ScriptedInventory(CARDS)) == indices


def test_software_only_asks_no_driver() -> None:
    broken = ScriptedInventory(trouble=InventoryError(InventoryTrouble.NO_LIBRARY, "not found"))
    assert found(NO_DEVICES, broken) == []


def test_card_that_is_not_there_is_named() -> None:
    assert refusal(DeviceSelection((0, 3, 7)), ScriptedInventory(CARDS)) == (
        "Error while parsing '-nvidia 0,3,7' flag: no card 3, 7; the driver lists 0, 1, 2 (nvidia-smi -L)",
        ExitCode.CONFIG,
    )


@pytest.mark.parametrize("selection", [ALL, DeviceSelection((0,))], ids=str)
def test_machine_without_cards_does_not_start(selection: DeviceSelection) -> None:
    assert refusal(selection, ScriptedInventory()) == (
        f"Error while parsing '-nvidia {selection}' flag: the NVIDIA driver lists no card",
        ExitCode.CONFIG,
    )


@pytest.mark.parametrize("selection", [ALL, DeviceSelection((0,))], ids=str)
def test_driver_that_cannot_be_asked_is_the_reason(selection: DeviceSelection) -> None:
    inventory = ScriptedInventory(
        trouble=InventoryError(InventoryTrouble.NO_LIBRARY, "libnvidia-ml.so.1 was not found")
    )
    assert refusal(selection, inventory) == (
        f"Error while parsing '-nvidia {selection}' flag: libnvidia-ml.so.1 was not found",
        ExitCode.ENGINE,
    )


@pytest.mark.parametrize("selection", [ALL, DeviceSelection((1, 0))], ids=str)
def test_lost_card_is_left_out_while_another_works(selection: DeviceSelection) -> None:
    assert found(selection, ScriptedInventory(CARDS[:2], faults=lost(1))) == [0]


@pytest.mark.parametrize("selection", [ALL, DeviceSelection((1,))], ids=str)
def test_no_card_that_answers_is_no_start(selection: DeviceSelection) -> None:
    cards = CARDS[1:2] if selection.every else CARDS
    assert refusal(selection, ScriptedInventory(cards, faults=lost(1))) == (
        f"Error while parsing '-nvidia {selection}' flag: no chosen card answers (card 1: GPU is lost)",
        ExitCode.ENGINE,
    )


def test_selection_reads_as_it_is_written() -> None:
    assert [str(s) for s in (NO_DEVICES, ALL, DeviceSelection((2, 0)))] == ["", "all", "2,0"]
    assert [bool(s) for s in (NO_DEVICES, ALL, DeviceSelection((0,)))] == [False, True, True]
