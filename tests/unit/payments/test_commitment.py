"""The commitment binds every field of a quote: nothing that was not quoted leads to its number."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.kernel.ids import Address
from baton.payments.commitment import TRANSCODING, Terms, model_class, recipient_rand
from baton.payments.ticket import MAX_WORD

SECRET = bytes(range(32))
TERMS = Terms(
    sender=Address(bytes([7]) * 20),
    face_value_wei=0x2AA1EFB94E0000,
    win_prob=0x0B2F4FC0794908CF232FF78625902416A7530755A66C5788C4A773D4B0,
    seed=0x0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20,
    expiration_block=20_000_040,
    price=Fraction(1200),
    creation_round=3500,
    creation_round_block_hash=bytes([9]) * 32,
)


@pytest.mark.parametrize(
    "other",
    [
        replace(TERMS, sender=Address(bytes([8]) * 20)),
        replace(TERMS, face_value_wei=TERMS.face_value_wei + 1),
        replace(TERMS, win_prob=TERMS.win_prob + 1),
        replace(TERMS, seed=TERMS.seed + 1),
        replace(TERMS, expiration_block=TERMS.expiration_block + 1),
        replace(TERMS, price=Fraction(1199)),
        replace(TERMS, price=Fraction(-1200)),
        replace(TERMS, price=Fraction(1200, 7)),
        replace(TERMS, creation_round=3501),
        replace(TERMS, creation_round_block_hash=bytes(32)),
        replace(TERMS, quote_class=model_class([(27, "a")])),
    ],
)
def test_every_field_is_bound(other: Terms) -> None:
    assert recipient_rand(SECRET, other) != recipient_rand(SECRET, TERMS)


def test_a_byte_moved_between_fields_is_another_quote() -> None:
    # The reference joins the fields without their lengths: here face value takes the first byte of the probability.
    moved = replace(
        TERMS,
        face_value_wei=(TERMS.face_value_wei << 8) | 0x0B,
        win_prob=TERMS.win_prob & ((1 << 224) - 1),
    )
    assert recipient_rand(SECRET, moved) != recipient_rand(SECRET, TERMS)


def test_another_secret_is_another_number() -> None:
    assert recipient_rand(bytes(32), TERMS) != recipient_rand(SECRET, TERMS)


@pytest.mark.parametrize(
    "impossible",
    [
        replace(TERMS, face_value_wei=MAX_WORD + 1),
        replace(TERMS, win_prob=-1),
        replace(TERMS, seed=1 << 300),
        replace(TERMS, creation_round=-1),
        replace(TERMS, creation_round_block_hash=b"short"),
    ],
)
def test_what_nobody_could_quote_has_no_number(impossible: Terms) -> None:
    assert recipient_rand(SECRET, impossible) is None


def test_classes_tell_sets_of_models_apart() -> None:
    assert model_class([]) == TRANSCODING
    assert model_class([(27, "a"), (28, "b")]) == model_class([(28, "b"), (27, "a"), (27, "a")])
    assert model_class([(27, "ab")]) != model_class([(27, "a"), (27, "b")])
    assert model_class([(2, "7a")]) != model_class([(27, "a")])


@given(
    st.lists(st.tuples(st.integers(0, 99), st.text(max_size=4)), max_size=4),
    st.lists(st.tuples(st.integers(0, 99), st.text(max_size=4)), max_size=4),
)
def test_a_class_is_its_set(one: list[tuple[int, str]], other: list[tuple[int, str]]) -> None:
    assert (model_class(one) == model_class(other)) == (set(one) == set(other))
