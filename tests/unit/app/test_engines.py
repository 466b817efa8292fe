"""Devices of a node as their children are started: what a card's children see, keep and let go of."""

import pkgutil

from baton.app.engines import CPU, nvidia_devices
from baton.devices.model import Device
from baton.media.engine.workshop import release
from baton.media.job import Acceleration
from baton.media.sandbox import Cell

CARDS = (Device(index=0, uuid="GPU-a"), Device(index=3, uuid="GPU-b"))


def test_children_of_a_card_see_it_alone_and_let_go_of_streams() -> None:
    devices = nvidia_devices(CARDS)
    assert [device.name for device in devices] == [card.label for card in CARDS]
    for device, card in zip(devices, CARDS, strict=True):
        environment = dict(device.command.environment)
        assert device.acceleration is Acceleration.NVIDIA
        assert environment == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": card.uuid}
        assert "/dev/nvidia*" in Cell().for_child(environment).devices
        # Encoders of a card stay open between segments; nobody else would close them when a stream ends.
        assert pkgutil.resolve_name(device.command.release) is release


def test_children_without_a_card_keep_nothing_and_get_no_card() -> None:
    assert CPU.acceleration is Acceleration.SOFTWARE
    assert CPU.command.release == ""
    assert Cell().for_child(dict(CPU.command.environment)).devices == ()
