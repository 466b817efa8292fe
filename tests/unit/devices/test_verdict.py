"""What makes a card untrustworthy, and what does not."""

import pytest

from baton.devices.model import Device, DeviceFault, DeviceUse, FaultKind, Reading
from baton.devices.verdict import APPLICATION_XIDS, judge

CARD = Device(index=3, uuid="GPU-3")
LOST = DeviceFault(3, FaultKind.LOST, "GPU is lost")


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        (None, LOST, FaultKind.LOST),
        (DeviceUse(), LOST, FaultKind.LOST),
        (None, DeviceUse(xids=(79,)), FaultKind.XID),
        (DeviceUse(), DeviceUse(xids=(13, 48)), FaultKind.XID),
        (DeviceUse(ecc_errors=0), DeviceUse(ecc_errors=1), FaultKind.ECC),
        (DeviceUse(ecc_errors=7), DeviceUse(ecc_errors=9), FaultKind.ECC),
        (DeviceUse(row_remap_failed=False), DeviceUse(row_remap_failed=True), FaultKind.ECC),
    ],
)
def test_bad_signs(before: DeviceUse | None, now: Reading, kind: FaultKind) -> None:
    fault = judge(CARD, before, now)
    assert fault is not None
    assert (fault.index, fault.kind) == (3, kind)
    assert fault.reason


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, DeviceUse()),
        (None, DeviceUse(ecc_errors=12, row_remap_failed=True)),  # as it was when its engine was tested
        (DeviceUse(ecc_errors=12), DeviceUse(ecc_errors=12)),
        (DeviceUse(ecc_errors=12), DeviceUse(ecc_errors=0)),  # the driver was loaded anew
        (DeviceUse(ecc_errors=12), DeviceUse()),
        (DeviceUse(), DeviceUse(ecc_errors=12, row_remap_failed=True)),
        (DeviceUse(row_remap_failed=True), DeviceUse(row_remap_failed=True)),
        (DeviceUse(), DeviceUse(xids=tuple(APPLICATION_XIDS))),
        (DeviceUse(), DeviceUse(temperature_c=99, gpu_percent=100)),
    ],
)
def test_no_bad_signs(before: DeviceUse | None, now: DeviceUse) -> None:
    assert judge(CARD, before, now) is None
