"""Kinds of values: what each accepts, in which unit it comes out, and what it refuses."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.config import values
from baton.config.flags import FLAGS
from baton.config.model import LogFormat
from baton.config.values import BadValueError, Base, Kind, Raw

BASE = Base(Path("/home/op"), Path("/srv"))


def read(kind: Kind, raw: Raw) -> object:
    return kind.read(raw, BASE)


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("30s", 30),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("45", 45),
        ("1.5", 1.5),
        (20, 20),
        (0.5, 0.5),
        ("1h", 3600),
        ("0", 0),
    ],
)
def test_durations(raw: Raw, seconds: float) -> None:
    assert read(values.duration(0, 4000), raw) == pytest.approx(seconds)


@pytest.mark.parametrize("raw", ["", "s", "-1s", "1d", "1 s", "nan", "inf", "1e3", "4001", "30s!", True, ("1",), "٣s"])
def test_what_is_no_duration(raw: Raw) -> None:
    with pytest.raises(BadValueError, match="must be"):
        read(values.duration(0, 4000), raw)


@pytest.mark.parametrize(
    ("raw", "n"),
    [
        ("4GiB", 4 << 30),
        ("512 MiB", 512 << 20),
        ("1GB", 10**9),
        ("1.5KiB", 1536),
        ("2048", 2048),
        (2048, 2048),
        ("7b", 7),
    ],
)
def test_sizes(raw: Raw, n: int) -> None:
    assert read(values.size(0, 8 << 30), raw) == n


@pytest.mark.parametrize("raw", ["", "GiB", "4G", "-1", "9GiB", "1e9", True, "4 4", "0x10"])
def test_what_is_no_size(raw: Raw) -> None:
    with pytest.raises(BadValueError, match="must be"):
        read(values.size(1, 8 << 30), raw)


@pytest.mark.parametrize(
    ("raw", "truth"),
    [
        ("true", True),
        ("YES", True),
        ("1", True),
        ("on", True),
        (True, True),
        ("false", False),
        ("0", False),
        ("no", False),
        ("off", False),
        (False, False),
    ],
)
def test_truth(raw: Raw, *, truth: bool) -> None:
    assert read(values.boolean(), raw) is truth


@pytest.mark.parametrize("raw", ["", "maybe", 1, 0, "2", ("true",)])
def test_what_is_no_truth(raw: Raw) -> None:
    with pytest.raises(BadValueError, match="must be true or false"):
        read(values.boolean(), raw)


@pytest.mark.parametrize("raw", ["", "-1", "1.0", "1e2", "101", "x", True, 1.5, "1_0", "٣", "9" * 40])
def test_what_is_no_count(raw: Raw) -> None:
    with pytest.raises(BadValueError, match="must be"):
        read(values.count(0, 100), raw)


def test_counts_choices_and_enums() -> None:
    assert read(values.count(0, 100), " 7 ") == 7
    assert read(values.count(0, 100), 100) == 100
    assert read(values.choice("fast", "slow"), "Fast") == "fast"
    assert read(values.enumeration(LogFormat), "json") is LogFormat.JSON
    with pytest.raises(BadValueError, match="must be one of fast, slow"):
        read(values.choice("fast", "slow"), "medium")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("~/x", "/home/op/x"),
        ("~", "/home/op"),
        ("a/../b", "/srv/b"),
        ("/etc/x", "/etc/x"),
        ("~other/x", "/srv/~other/x"),
    ],
)
def test_paths(raw: str, path: str) -> None:
    assert read(values.path(), raw) == Path(path)
    assert read(values.optional_path(), raw) == Path(path)


def test_no_path() -> None:
    assert read(values.optional_path(), "") is None
    for raw in ("", "a\0b"):
        with pytest.raises(BadValueError, match="must be a path"):
            read(values.path(), raw)


@pytest.mark.parametrize(
    ("raw", "account"),
    [
        ("0x" + "AB" * 20, "0x" + "ab" * 20),
        ("ab" * 20, "0x" + "ab" * 20),
        ("", ""),
        ("0x" + "0" * 40, ""),
    ],
)
def test_accounts(raw: str, account: str) -> None:
    assert read(values.account(), raw) == account


@pytest.mark.parametrize("raw", ["0x12", "0x" + "g" * 40, "0X" + "a" * 40, "0x" + "a" * 41])
def test_what_is_no_account(raw: str) -> None:
    with pytest.raises(BadValueError, match="must be an account"):
        read(values.account(), raw)


@pytest.mark.parametrize(
    ("raw", "level"),
    [
        ("debug", "debug"),
        ("WARNING", "warning"),
        ("0", "error"),
        ("2", "warning"),
        ("3", "info"),
        (6, "debug"),
        ("99", "debug"),
    ],
)
def test_levels_in_words_and_in_the_reference_s_numbers(raw: Raw, level: str) -> None:
    assert read(FLAGS["log-level"].kind, raw) == level


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.tuples(st.text()), st.sampled_from(sorted(FLAGS)))
def test_every_kind_reads_or_refuses_and_never_breaks(raw: Raw, name: str) -> None:
    reason = None
    try:
        read(FLAGS[name].kind, raw)
    except BadValueError as problem:
        reason = problem.reason
    assert reason != ""


def test_patterns_of_paths() -> None:
    assert read(values.patterns(), "/dev/dri, /dev/mine*,,/dev/dri") == ("/dev/dri", "/dev/mine*")
    assert read(values.patterns(), ("/opt/x",)) == ("/opt/x",)
    assert read(values.patterns(), "") == ()


@pytest.mark.parametrize("raw", ["dri", "/dev/*/x", "/", "/dev/", "/a/**", "/de[v]/x", "/a\0b", "~/x"])
def test_patterns_that_are_none(raw: str) -> None:
    with pytest.raises(BadValueError, match="is no absolute path"):
        read(values.patterns(), raw)
