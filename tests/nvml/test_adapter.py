"""The adapter of NVIDIA's library before a library of our own: what cards tell, refuse to tell, and tell wrongly."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from baton.devices.model import (
    Device,
    DeviceFault,
    DeviceUse,
    FaultKind,
    InventoryError,
    InventoryTrouble,
    Reading,
    Throttling,
)
from tests.nvml.machine import Card, NvmlMachine, compile_library, needs_compiler
from tests.support import run

UUID, OTHER = "GPU-5d2f6a0e-0a5c-11ee-be56-0242ac120002", "GPU-ffffffff-0a5c-11ee-be56-0242ac120002"
L4 = Card(
    UUID,
    (
        ("name", "NVIDIA L4"),
        ("bus", "0x3b"),
        ("memory", "24152899584"),
        ("memory_used", "1073741824"),
        ("capability", "89"),
        ("architecture", "8"),
        ("mig", "0"),
        ("gpu", "37"),
        ("encoder", "61"),
        ("decoder", "12"),
        ("temperature", "54"),
        ("sessions", "4"),
        ("power", "41250"),
        ("throttling", "0x25"),
        ("ecc", "0"),
        ("remap_failed", "0"),
    ),
)
EVERY_CODE = (*range(1, 31), 999)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_library(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def machine(tmp_path: Path, library: Path) -> Iterator[NvmlMachine]:
    made = NvmlMachine(tmp_path, library, read_timeout_s=5.0)
    made.rule(driver="550.54.15", cuda="12040")
    yield made
    made.kill()


def changed(card: Card, **facts: str | bytes | None) -> Card:
    """The card with other facts; None takes one away."""
    kept = {**dict(card.facts), **facts}
    return Card(card.uuid, tuple((key, value) for key, value in kept.items() if value is not None))


async def only(machine: NvmlMachine) -> Device:
    (device,) = (await machine.survey()).devices
    return device


async def use_of(machine: NvmlMachine) -> Reading | None:
    (reading,) = await machine.read([await only(machine)])
    return reading


def test_card_is_described_in_full(machine: NvmlMachine) -> None:
    machine.put(L4)
    assert run(only(machine)) == Device(
        index=0,
        uuid=UUID,
        name="NVIDIA L4",
        pci_bus_id="00000000:3b:00.0",
        memory_bytes=24152899584,
        driver_version="550.54.15",
        cuda_version="12.4",
        compute_capability=(8, 9),
        architecture="ada",
        mig=False,
    )


def test_use_is_read_in_full(machine: NvmlMachine) -> None:
    machine.put(L4)
    assert run(use_of(machine)) == DeviceUse(
        memory_used_bytes=1073741824,
        gpu_percent=37,
        encoder_percent=61,
        decoder_percent=12,
        temperature_c=54,
        encoder_sessions=4,
        power_w=41.25,
        throttling=(Throttling.POWER_CAP, Throttling.THERMAL),
        ecc_errors=0,
        row_remap_failed=False,
    )


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        ("0", ()),
        ("0x1", ()),  # idle
        ("0x112", ()),  # clocks set by an operator, by a display, by a group of cards
        ("0x8", (Throttling.HARDWARE,)),
        ("0x40", (Throttling.THERMAL,)),
        ("0x80", (Throttling.POWER_BRAKE,)),
        (str(2**64 - 1), tuple(Throttling)),
    ],
)
def test_being_idle_is_no_throttling(machine: NvmlMachine, bits: str, reasons: tuple[Throttling, ...]) -> None:
    machine.put(changed(L4, throttling=bits))
    reading = run(use_of(machine))
    assert isinstance(reading, DeviceUse)
    assert reading.throttling == reasons


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"\xff\xfe Tesla\x1b[31m", "\ufffd\ufffd Tesla\\x1b[31m"),
        (b"  Quadro \xe2\x80\xae P400 ", "Quadro \\u202e P400"),
        (b"x" * 400, "x" * 95),
    ],
    ids=["bytes", "direction", "long"],
)
def test_odd_name_is_made_harmless(machine: NvmlMachine, name: bytes, shown: str) -> None:
    machine.put(changed(L4, name=name))
    assert run(only(machine)).name == shown


def test_numbers_that_make_no_sense_are_none(machine: NvmlMachine) -> None:
    ones = str(2**32 - 1)
    fields = ("gpu", "encoder", "decoder", "temperature", "sessions", "power")
    all_ones = str(2**64 - 1)
    machine.put(changed(L4, **dict.fromkeys(fields, ones), memory=all_ones, memory_used=all_ones, ecc=all_ones))

    async def look() -> None:
        assert (await only(machine)).memory_bytes is None
        assert await use_of(machine) == DeviceUse(
            throttling=(Throttling.POWER_CAP, Throttling.THERMAL), row_remap_failed=False
        )

    run(look())


def test_partitioned_card_is_known_as_one(machine: NvmlMachine) -> None:
    machine.put(changed(L4, mig="1", encoder=None, gpu=None))

    async def look() -> None:
        assert (await only(machine)).mig is True
        reading = await use_of(machine)
        assert isinstance(reading, DeviceUse)
        assert (reading.gpu_percent, reading.encoder_percent, reading.decoder_percent) == (None, None, 12)

    run(look())


def test_architecture_that_came_later_is_no_error(machine: NvmlMachine) -> None:
    machine.put(changed(L4, architecture="4294967295"), changed(Card(OTHER, L4.facts), architecture="77"))
    assert [device.architecture for device in run(machine.survey()).devices] == ["", ""]


def test_driver_of_long_ago_lacks_questions(tmp_path: Path) -> None:
    machine = NvmlMachine(tmp_path, compile_library(tmp_path, "OLD_DRIVER"))
    machine.put(L4)

    async def look() -> None:
        device = await only(machine)
        assert (device.cuda_version, device.architecture, device.mig) == ("", "", None)
        reading = await use_of(machine)
        assert isinstance(reading, DeviceUse)
        assert (reading.encoder_sessions, reading.row_remap_failed, reading.xids) == (4, None, ())

    try:
        run(look())
    finally:
        machine.kill()


def test_machine_without_the_library_says_what_is_missing(tmp_path: Path) -> None:
    # A file of that name that is no library hides a real one, so the test also works where there is a driver.
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "libnvidia-ml.so.1").write_bytes(b"")
    machine = NvmlMachine(tmp_path, folder)
    try:
        with pytest.raises(InventoryError, match=r"libnvidia-ml\.so\.1 was not found") as raised:
            run(machine.survey())
    finally:
        machine.kill()
    assert raised.value.trouble is InventoryTrouble.NO_LIBRARY


@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2"])
def test_every_error_of_the_library_as_a_whole_has_its_words(machine: NvmlMachine, function: str) -> None:
    machine.put(L4)
    special = {
        4: InventoryTrouble.NO_PERMISSION,
        9: InventoryTrouble.NO_DRIVER,
        12: InventoryTrouble.NO_LIBRARY,
        18: InventoryTrouble.MISMATCH,
    }

    async def look() -> None:
        for code in EVERY_CODE:
            machine.rule(**{f"error__{function}": str(code)})
            with pytest.raises(InventoryError) as raised:
                await machine.survey()
            assert raised.value.trouble is special.get(code, InventoryTrouble.OTHER), code
            assert len(str(raised.value)) > 20, code
        machine.rule(**{f"error__{function}": None})
        assert (await only(machine)).name == "NVIDIA L4"

    run(look())


def test_every_error_of_one_card_is_its_own(machine: NvmlMachine) -> None:
    machine.put(L4, Card(OTHER))
    of_the_library = {1, 9, 18}
    special = {
        **dict.fromkeys((6, 15, 28), FaultKind.LOST),
        16: FaultKind.RESET_REQUIRED,
    }

    async def look() -> None:
        devices = (await machine.survey()).devices
        for code in EVERY_CODE:
            machine.rule(card0__error__nvmlDeviceGetHandleByUUID=str(code))
            if code in of_the_library:
                with pytest.raises(InventoryError):
                    await machine.read(devices)
                continue
            fault, other = await machine.read(devices)
            assert isinstance(fault, DeviceFault), code
            assert fault.kind is special.get(code, FaultKind.UNREADABLE), code
            assert fault.reason, code
            assert other == DeviceUse(), code

    run(look())


def test_question_that_a_card_refuses_is_no_answer_whatever_the_error(machine: NvmlMachine) -> None:
    machine.put(L4)
    meaning = {1, 9, 15, 16, 18}

    async def look() -> None:
        device = await only(machine)
        for code in EVERY_CODE:
            machine.rule(error__nvmlDeviceGetEncoderStats=str(code))
            if code in {1, 9, 18}:
                with pytest.raises(InventoryError):
                    await machine.read([device])
                continue
            (reading,) = await machine.read([device])
            if code in meaning:
                assert isinstance(reading, DeviceFault), code
            else:
                assert isinstance(reading, DeviceUse), code
                assert (reading.encoder_sessions, reading.temperature_c) == (None, 54), code

    run(look())


def test_card_lost_in_the_middle_of_a_survey_is_left_out_alone(machine: NvmlMachine) -> None:
    machine.put(L4, Card(OTHER))
    machine.rule(card0__error__nvmlDeviceGetMemoryInfo="15")
    survey = run(machine.survey())
    assert [device.uuid for device in survey.devices] == [OTHER]
    assert [(fault.index, fault.kind) for fault in survey.faults] == [(0, FaultKind.LOST)]


def test_errors_that_the_driver_reports_are_told_once_and_to_their_card(machine: NvmlMachine) -> None:
    machine.put(L4, Card(OTHER))

    async def look() -> None:
        devices = (await machine.survey()).devices
        assert [r.xids for r in await machine.read(devices) if isinstance(r, DeviceUse)] == [(), ()]
        machine.put(L4, Card(OTHER, (("xids", "79,13"),)))
        assert [r.xids for r in await machine.read(devices) if isinstance(r, DeviceUse)] == [(), (79, 13)]
        assert [r.xids for r in await machine.read(devices) if isinstance(r, DeviceUse)] == [(), ()]

    run(look())


def test_events_beyond_measure_are_bounded(machine: NvmlMachine) -> None:
    machine.put(L4)

    async def look() -> None:
        device = await only(machine)
        await machine.read([device])
        machine.put(changed(L4, xids=",".join(["31"] * 100)))
        (reading,) = await machine.read([device])
        assert isinstance(reading, DeviceUse)
        assert reading.xids == (31,) * 16

    run(look())


def test_driver_that_hangs_at_the_start_is_an_error_in_time(tmp_path: Path, library: Path) -> None:
    machine = NvmlMachine(tmp_path, library, open_timeout_s=0.5)
    machine.rule(hang__nvmlInitWithFlags="1")

    async def look() -> None:
        for _ in range(2):
            with pytest.raises(InventoryError, match="has not answered") as raised:
                await machine.survey()
            assert raised.value.trouble is InventoryTrouble.UNRESPONSIVE
        # The thread is still inside the driver, and the process ends all the same.
        assert await machine.end() == 0

    began = time.monotonic()
    try:
        run(look())
    finally:
        machine.kill()
    assert time.monotonic() - began < 20.0


def test_library_is_opened_again_after_the_driver_was_replaced(machine: NvmlMachine) -> None:
    machine.put(L4)

    async def look() -> None:
        device = await only(machine)
        machine.rule(error__nvmlDeviceGetHandleByUUID="18", error__nvmlInitWithFlags="18")
        for _ in range(2):
            with pytest.raises(InventoryError, match="different versions"):
                await machine.read([device])
        machine.rule(error__nvmlDeviceGetHandleByUUID=None, error__nvmlInitWithFlags=None)
        assert isinstance((await machine.read([device]))[0], DeviceUse)

    run(look())


def test_letting_go_of_a_driver_that_answers_with_errors_is_quiet(machine: NvmlMachine) -> None:
    machine.put(L4)

    async def look() -> None:
        await use_of(machine)
        machine.rule(error__nvmlShutdown="999", error__nvmlEventSetFree="1")
        await machine.close()
        assert await machine.end() == 0

    run(look())


def test_without_a_compiler_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.nvml.machine.COMPILER", None)
    with pytest.raises(pytest.skip.Exception, match="a C compiler is not installed"):
        needs_compiler()
