"""Whether a card can still be trusted with a stream, judged from two readings in a row. Pure."""

from baton.devices.model import Device, DeviceFault, DeviceUse, FaultKind, Reading

__all__ = ["APPLICATION_XIDS", "judge"]

APPLICATION_XIDS = frozenset({13, 31, 43, 45, 68, 109})
"""Errors that a program on the card causes by itself: the card is fine. All other numbers are about the hardware."""


def judge(device: Device, before: DeviceUse | None, now: Reading) -> DeviceFault | None:
    """What is wrong with the card, or None.

    Memory errors count when they are new: those from before the node started were there when its engine was tested.

    Args:
        device: the card.
        before: its last good reading; None at the first.
        now: what looking at it gave.
    """
    if isinstance(now, DeviceFault):
        return now
    hardware = [str(xid) for xid in now.xids if xid not in APPLICATION_XIDS]
    if hardware:
        return DeviceFault(device.index, FaultKind.XID, f"the driver reported Xid {', '.join(hardware)}")
    if before is None:
        return None
    if before.ecc_errors is not None and now.ecc_errors is not None and now.ecc_errors > before.ecc_errors:
        new = now.ecc_errors - before.ecc_errors
        return DeviceFault(device.index, FaultKind.ECC, f"{new} new memory errors that could not be corrected")
    if before.row_remap_failed is False and now.row_remap_failed:
        return DeviceFault(device.index, FaultKind.ECC, "broken memory could not be replaced: exchange the card")
    return None
