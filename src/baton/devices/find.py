"""The cards that an operator asked for, or why the node does not start (video.md 5.7, operator.md 4)."""

import structlog

from baton.devices.model import Device, DeviceInventory, InventoryError, Survey
from baton.kernel.devices import DeviceSelection
from baton.kernel.errors import ExitCode, StartError

__all__ = ["find_devices"]

log = structlog.get_logger("baton.devices")


async def find_devices(selection: DeviceSelection, *, inventory: DeviceInventory) -> tuple[Device, ...]:
    """Chosen cards in the operator's order, ``all`` in the driver's; empty when none is asked for.

    A chosen card that the driver lists and that does not answer is left out with an error in the log while another
    one works: seven cards of eight are worth starting for.

    Raises:
        StartError: exit code 2 for a card that is not there, 5 when the driver or every chosen card does not answer.
    """
    if not selection:
        return ()
    try:
        survey = await inventory.survey()
    except InventoryError as error:
        raise _refusal(selection, str(error), ExitCode.ENGINE) from None
    problem = _missing(selection, survey)
    if problem:
        raise _refusal(selection, problem, ExitCode.CONFIG)
    by_index = {device.index: device for device in survey.devices}
    wanted = tuple(sorted(by_index)) if selection.every else selection.indices
    chosen = tuple(by_index[index] for index in wanted if index in by_index)
    faults = [fault for fault in survey.faults if selection.every or fault.index in selection.indices]
    if not chosen:
        told = "; ".join(f"card {fault.index}: {fault.reason}" for fault in faults)
        raise _refusal(selection, f"no chosen card answers ({told})", ExitCode.ENGINE)
    for fault in faults:
        log.error("card left out", index=fault.index, fault=fault.kind.value, reason=fault.reason)
    for device in chosen:
        _tell(device)
    return chosen


def _missing(selection: DeviceSelection, survey: Survey) -> str:
    known = {device.index for device in survey.devices} | {fault.index for fault in survey.faults}
    if not known:
        return "the NVIDIA driver lists no card"
    gone = [index for index in selection.indices if index not in known]
    if not gone:
        return ""
    listed = ", ".join(map(str, sorted(known)))
    return f"no card {', '.join(map(str, gone))}; the driver lists {listed} (nvidia-smi -L)"


def _refusal(selection: DeviceSelection, reason: str, exit_code: ExitCode) -> StartError:
    # The reference's words, which operators search for.
    return StartError(f"Error while parsing '-nvidia {selection}' flag: {reason}", exit_code=exit_code)


def _tell(device: Device) -> None:
    log.info(
        "card found",
        device=device.label,
        name=device.name,
        uuid=device.uuid,
        pci=device.pci_bus_id,
        memory_bytes=device.memory_bytes,
        driver=device.driver_version,
        cuda=device.cuda_version,
        architecture=device.architecture or None,
    )
    if device.mig:
        log.warning("card is partitioned (MIG)", device=device.label, meaning="the node sees its first instance only")
