"""The node's bit strings, compatibility and version rule against the network's vectors (10.6)."""

import pytest

from baton.kernel.capabilities import Capabilities, bits_from_ids, ids_from_bits, is_compatible, is_subset
from baton.kernel.version import NODE_VERSION, version_at_least
from tests import vectors


@pytest.mark.parametrize(("ids", "words"), vectors.BIT_STRINGS)
def test_bit_string_matches_vector_in_any_order(ids: tuple[int, ...], words: tuple[int, ...]) -> None:
    assert bits_from_ids(ids) == words
    assert bits_from_ids(reversed(ids)) == words
    assert ids_from_bits(words) == tuple(sorted(i for i in ids if i >= 0))


def test_known_sets_add_up() -> None:
    assert bits_from_ids((*range(13), 14, 26)) == (vectors.DEFAULT_BITS,)
    assert vectors.DEFAULT_BITS | vectors.OPTIONAL_BITS == vectors.DEFAULT_AND_OPTIONAL_BITS
    software = bits_from_ids(set(ids_from_bits((vectors.DEFAULT_AND_OPTIONAL_BITS,))) - {15, 16, 18, 19, 20})
    assert software == (vectors.SOFTWARE_TRANSCODER_BITS,)


def test_subset_counts_words_even_when_they_are_zero() -> None:
    assert is_subset(bits_from_ids((0, 1, 2, 3)), (15,))
    assert not is_subset((16,), (15,))
    assert not is_subset((1, 0), (15,))


def test_capacities_add_and_remove_as_in_vector() -> None:
    offer = Capabilities.offering((128, 2, 3), version="0.9.1")
    extra = {2: 2, 3: 1, 5: 2}
    added = offer.adding(extra)
    assert added.capacities == {128: 1, 2: 3, 3: 2, 5: 2}
    assert ids_from_bits(added.bits) == (2, 3, 5, 128)
    once = added.removing(extra)
    assert once.capacities == {128: 1, 2: 1, 3: 1}
    assert ids_from_bits(once.bits) == (2, 3, 128)
    twice = once.removing(extra)
    assert twice.capacities == {128: 1}
    assert twice.bits == (0, 0, 1)


@pytest.mark.parametrize(("minimum", "version", "fine"), vectors.VERSIONS)
def test_version_rule_matches_vector(minimum: str, version: str, *, fine: bool) -> None:
    assert version_at_least(version, minimum) is fine
    request = Capabilities(bits=(1,), min_version=minimum)
    assert is_compatible(request, Capabilities(bits=(1,), version=version)) is fine


def test_our_own_version_satisfies_the_reference_of_today() -> None:
    assert version_at_least(NODE_VERSION, "0.9.1")
    assert version_at_least(NODE_VERSION, "0.7.2")
    assert not version_at_least(NODE_VERSION, "0.9.2")


def test_no_request_is_never_compatible() -> None:
    assert not is_compatible(None, Capabilities.offering((0,), version="0.9.1"))
