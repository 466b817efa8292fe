"""The health of a device: what puts it out of use, what does not, and the pauses until it is tried again."""

import pytest

from baton.video.health import DEVICE_MOVES, DeviceHealth, DeviceState, HealthLimits, QuarantineReason

LIMITS = HealthLimits(faults_most=3, asked_every_s=30, absent_s=10, pause_first_s=5, pause_most_s=60, calm_s=600)


def healthy(now: float = 0.0) -> DeviceHealth:
    health = DeviceHealth(limits=LIMITS)
    health.works(now)
    return health


def test_faults_of_its_own_in_a_row_are_too_many_and_a_success_wipes_them_out() -> None:
    health = healthy()
    assert [health.is_at_fault() for _ in range(2)] == [False, False]
    health.succeeded(1.0)
    assert [health.is_at_fault() for _ in range(2)] == [False, False]
    # A test that it passes meanwhile is no success: the work is what counts.
    assert health.shall_prove_itself(2.0)
    health.works(3.0)
    assert health.is_at_fault()
    assert health.well_since == 1.0


def test_a_doubt_makes_it_suspect_and_is_not_asked_again_at_once() -> None:
    health = healthy()
    assert health.shall_prove_itself(100.0)
    assert (health.state.value, health.usable) == ("suspect", True)
    assert not health.shall_prove_itself(101.0)
    health.works(102.0)
    assert not health.shall_prove_itself(129.0)
    assert health.shall_prove_itself(130.0)
    health.gave_no_answer()
    assert health.state.value == "healthy"


def test_pauses_grow_with_every_vain_try_and_start_over_after_a_calm_time() -> None:
    health = healthy()
    health.quarantine(QuarantineReason.PROBE, "no device", 100.0)
    assert (health.try_again_at, health.usable) == (105.0, False)
    for pause in (10, 20, 40, 60, 60):
        now = health.try_again_at
        health.still_broken("still none", now)
        assert health.try_again_at - now == pause
    health.works(1000.0)
    assert (health.reason, health.detail) == (None, "")
    # A device that comes and goes waits longer each time.
    health.quarantine(QuarantineReason.FAULTS, "again", 1001.0)
    assert health.try_again_at == 1061.0
    health.works(2000.0)
    health.succeeded(2599.0)
    health.succeeded(2600.0)
    health.quarantine(QuarantineReason.FAULTS, "much later", 2601.0)
    assert health.try_again_at == 2606.0


def test_no_child_for_a_while_is_too_long_and_one_look_with_a_child_starts_over() -> None:
    health = healthy()
    assert not health.seen(children=0, now=0.0)
    assert not health.seen(children=0, now=9.9)
    assert not health.seen(children=1, now=9.95)
    assert not health.seen(children=0, now=10.0)
    assert health.seen(children=0, now=20.0)


def test_an_untested_device_is_not_used() -> None:
    health = DeviceHealth(limits=LIMITS)
    assert not health.usable
    assert not health.shall_prove_itself(0.0)
    assert not health.seen(children=0, now=100.0)
    health.quarantine(QuarantineReason.START, "it did not start", 0.0)
    assert health.state is DeviceState.QUARANTINED


def test_moves_beside_the_table_raise() -> None:
    health = healthy()
    with pytest.raises(RuntimeError, match="no move from healthy to healthy"):
        health.works(1.0)
    health.quarantine(QuarantineReason.PROBE, "", 2.0)
    for after in DeviceState:
        if after is not DeviceState.HEALTHY:
            with pytest.raises(RuntimeError, match="no move from quarantined"):
                health._move(after)
    assert health.state is DeviceState.QUARANTINED
    assert all(after is not DeviceState.UNTESTED for _, after in DEVICE_MOVES)
