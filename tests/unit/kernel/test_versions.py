"""Versions from strangers: whatever they write, comparing them is an answer and never an error."""

import pytest

from baton.kernel.version import version_at_least


@pytest.mark.parametrize("minimum", ["9" * 5000, "1." + "9" * 30, "9.9.9\n", "9.٩.9", "v", "9.9.9.9", "-"])
def test_a_minimum_nobody_can_parse_is_ignored(minimum: str) -> None:
    assert version_at_least("0.9.1", minimum)


@pytest.mark.parametrize("version", ["9" * 5000, "9.9.9\n", "٩.9.9"])
def test_a_version_nobody_can_parse_satisfies_nothing(version: str) -> None:
    assert not version_at_least(version, "0.9.1")


def test_the_largest_number_that_counts_has_64_bits() -> None:
    assert version_at_least(f"{2**64 - 1}.0.0", "1.0.0")
    assert not version_at_least(f"{2**64}.0.0", "1.0.0")
