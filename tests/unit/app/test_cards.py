"""Cards of a node in the making: none unless asked for, found or refused before the start, told and let go."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from baton.app.cards import Cards, Unwatched, offered_ids
from baton.config.model import EngineSettings
from baton.devices.model import (
    Device,
    DeviceFault,
    DeviceInventory,
    DeviceUse,
    FaultKind,
    InventoryError,
    InventoryTrouble,
    Throttling,
)
from baton.kernel.capabilities import EVERY_NODE, Capability
from baton.kernel.clock import ManualClock
from baton.kernel.devices import NO_DEVICES, DeviceSelection
from baton.kernel.errors import StartError
from baton.kernel.metrics import SilentMetrics
from baton.ops.status import CardStatus
from tests.nvml.scripted import ScriptedInventory
from tests.support import eventually, run

CARDS = (Device(index=0, uuid="GPU-0", name="NVIDIA L4", memory_bytes=24 << 30), Device(index=1, uuid="GPU-1"))
ALL = DeviceSelection(every=True)


def no_driver() -> DeviceInventory:
    pytest.fail("a node that works in software loads no driver")


def test_node_without_cards_has_no_driver_and_no_service() -> None:
    cards = run(Cards.find(NO_DEVICES, inventory=no_driver))
    assert cards.devices == ()
    assert cards.services(watch=Unwatched(), clock=ManualClock(), metrics=SilentMetrics()) == ()
    assert cards.status() == ()


def test_cards_that_are_not_there_are_a_refused_start_and_the_driver_is_let_go() -> None:
    inventory = ScriptedInventory(CARDS)
    with pytest.raises(StartError, match="no card 7"):
        run(Cards.find(DeviceSelection((7,)), inventory=lambda: inventory))
    assert inventory.closed


def test_cards_are_watched_told_and_let_go() -> None:
    inventory = ScriptedInventory(CARDS, {0: DeviceUse(1 << 30, 37, 61, 12, 54, 4, 41.0, (Throttling.THERMAL,))})

    async def live() -> None:
        cards = await Cards.find(ALL, inventory=lambda: inventory)
        assert cards.devices == CARDS
        (service,) = cards.services(watch=Unwatched(), clock=ManualClock(), metrics=SilentMetrics())
        assert [card.state for card in cards.status()] == ["ok", "ok"]
        inventory.faults[1] = DeviceFault(1, FaultKind.LOST, "GPU is lost")
        running = asyncio.create_task(_forever(service.run))
        await eventually(lambda: cards.status()[1].state == "lost", what="the lost card")
        assert cards.status() == (
            CardStatus(
                "nvidia-0", "NVIDIA L4", "GPU-0", "ok", "", 1 << 30, 24 << 30, 37, 61, 12, 54, 4, throttled=True
            ),
            CardStatus("nvidia-1", "", "GPU-1", "lost", "GPU is lost"),
        )
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert service.stop is not None
        await service.stop()
        assert inventory.closed

    run(live())


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    await work()


def test_driver_that_stops_answering_leaves_cards_unknown() -> None:
    inventory = ScriptedInventory(CARDS)

    async def live() -> None:
        cards = await Cards.find(ALL, inventory=lambda: inventory)
        (service,) = cards.services(watch=Unwatched(), clock=ManualClock(), metrics=SilentMetrics())
        inventory.trouble = InventoryError(InventoryTrouble.MISMATCH, "versions differ")
        running = asyncio.create_task(_forever(service.run))
        await eventually(lambda: cards.status()[0].state == "unknown", what="the trouble")
        assert {card.reason for card in cards.status()} == {"versions differ"}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run(live())


@pytest.mark.parametrize(
    ("engine", "offered"),
    [
        (EngineSettings(), (0, 3, 14, 15, 16, 26)),
        (EngineSettings(offer_tested=False), (0, 3, 14, 15, 16, 26)),
        (EngineSettings(nvidia=ALL), (0, 3, 14, 15, 16, 26)),
        (EngineSettings(nvidia=ALL, offer_tested=False), (0, 3, 14, 26)),
    ],
)
def test_offer_without_the_test_of_cards_is_what_every_node_has(
    engine: EngineSettings, offered: tuple[int, ...]
) -> None:
    assert offered_ids((0, 3, 14, 15, 16, 26), engine) == offered


def test_default_set_is_the_network_s() -> None:
    assert sorted(EVERY_NODE) == [*range(13), 14, 26]
    assert Capability.HEVC_DECODE not in EVERY_NODE
