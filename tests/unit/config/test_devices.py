"""``--nvidia``: a list of numbers, ``all``, or nothing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.config.devices import device_list
from baton.config.values import BadValueError, Base, Raw
from baton.kernel.devices import NO_DEVICES, DeviceSelection
from baton.kernel.redaction import printable

BASE = Base(Path("/"), Path("/"))


@pytest.mark.parametrize(
    ("raw", "selection"),
    [
        ("", NO_DEVICES),
        ("  ", NO_DEVICES),
        ((), NO_DEVICES),
        ("0", DeviceSelection((0,))),
        (0, DeviceSelection((0,))),
        ("0,1", DeviceSelection((0, 1))),
        (" 3 , 10,0 ", DeviceSelection((3, 10, 0))),
        (("1", "0"), DeviceSelection((1, 0))),
        ("all", DeviceSelection(every=True)),
        (("all",), DeviceSelection(every=True)),
        (",".join(map(str, range(64))), DeviceSelection(tuple(range(64)))),
    ],
)
def test_lists_are_read(raw: Raw, selection: DeviceSelection) -> None:
    assert device_list().read(raw, BASE) == selection


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("-1", "'-1' is not the number of a card; write `all` or a list such as 0,1"),
        ("0,-1", "'-1' is not the number of a card; write `all` or a list such as 0,1"),
        ("x", "'x' is not the number of a card; write `all` or a list such as 0,1"),
        ("0,,1", "'' is not the number of a card; write `all` or a list such as 0,1"),
        ("0,", "'' is not the number of a card; write `all` or a list such as 0,1"),
        ("all,0", "'all' is not the number of a card; write `all` or a list such as 0,1"),
        ("00", "'00' is not the number of a card; write `all` or a list such as 0,1"),
        ("1000", "'1000' is not the number of a card; write `all` or a list such as 0,1"),
        ("0x1", "'0x1' is not the number of a card; write `all` or a list such as 0,1"),
        ("\u0661", "'\u0661' is not the number of a card; write `all` or a list such as 0,1"),
        ("0 1", "'0 1' is not the number of a card; write `all` or a list such as 0,1"),
        ("GPU-5d2f6a0e", "'GPU-5d2f6a0e' is not the number of a card; write `all` or a list such as 0,1"),
        (1.5, "'1.5' is not the number of a card; write `all` or a list such as 0,1"),
        ("2,1,2", "card 2 is named twice"),
    ],
)
def test_what_is_no_list_of_cards_is_told_in_the_reference_s_words(raw: Raw, reason: str) -> None:
    with pytest.raises(BadValueError) as raised:
        device_list().read(raw, BASE)
    assert raised.value.whole
    assert raised.value.reason == f"Error while parsing '-nvidia {raw}' flag: {reason}"


@pytest.mark.parametrize("raw", ["1\x1b[2J", "\n0", "9" * 10_000, ",".join(map(str, range(2000)))])
def test_hostile_lists_are_refused_in_few_harmless_words(raw: str) -> None:
    with pytest.raises(BadValueError) as raised:
        device_list().read(f"0,{raw}", BASE)
    assert len(raised.value.reason) < 400
    assert raised.value.reason.isprintable()


def test_switches_are_no_lists() -> None:
    with pytest.raises(BadValueError):
        device_list().read(True, BASE)


@given(
    st.one_of(st.text(max_size=40), st.text("0123456789,- al", max_size=12), st.lists(st.text(max_size=4)).map(tuple))
)
def test_any_text_is_a_list_that_reads_the_same_again_or_refused(raw: Raw) -> None:
    reason = ""
    try:
        selection = device_list().read(raw, BASE)
    except BadValueError as problem:
        reason = problem.reason
    if reason:
        assert reason.startswith("Error while parsing '-nvidia ")
        assert printable(reason) == reason
    else:
        assert device_list().read(str(selection), BASE) == selection
