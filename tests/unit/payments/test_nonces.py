"""Nonces: used once, so many per quote, forgotten with the quote."""

import pytest

from baton.kernel.ids import Address
from baton.payments.errors import Fault, PaymentError
from baton.payments.nonces import MAX_SENDER_NONCES, NonceBook

SENDER = Address(bytes.fromhex("2c7536e3605d9c16a7a3d7b1898e529396a65c23"))
QUOTE, OTHER = bytes([1]) * 32, bytes([2]) * 32


def test_a_nonce_counts_once_and_in_any_order() -> None:
    book = NonceBook()
    for nonce in (5, 1, 2**32 - 1, 0):
        book.check(QUOTE, nonce, sender=SENDER)
        book.record(QUOTE, nonce, expiration_block=40)
    with pytest.raises(PaymentError) as refused:
        book.check(QUOTE, 1, sender=SENDER)
    assert refused.value.text == (
        "invalid ticket senderNonce: already seen sender=0x2c7536E3605D9C16a7a3D7b1898e529396a65c23 nonce=1"
    )
    assert not refused.value.is_fatal
    book.check(OTHER, 1, sender=SENDER)


def test_a_quote_takes_six_hundred() -> None:
    book = NonceBook()
    for nonce in range(MAX_SENDER_NONCES):
        book.check(QUOTE, nonce, sender=SENDER)
        book.record(QUOTE, nonce, expiration_block=40)
    with pytest.raises(PaymentError) as refused:
        book.check(QUOTE, 600, sender=SENDER)
    assert refused.value.fault is Fault.NONCES_TOO_MANY
    assert refused.value.text.startswith("invalid ticket senderNonce: too many values sender=0x2c75")
    # One that was seen is still told to be so.
    with pytest.raises(PaymentError, match="already seen"):
        book.check(QUOTE, 3, sender=SENDER)


def test_expired_quotes_cost_no_memory() -> None:
    book = NonceBook()
    book.record(QUOTE, 1, expiration_block=40)
    book.record(OTHER, 1, expiration_block=41)
    book.expire(41)
    assert len(book) == 1
    book.check(QUOTE, 1, sender=SENDER)


def test_what_was_not_put_on_record_may_come_again() -> None:
    book = NonceBook()
    book.record(QUOTE, 1, expiration_block=40)
    book.forget(QUOTE, 1)
    book.forget(QUOTE, 1)
    book.check(QUOTE, 1, sender=SENDER)
    assert len(book) == 0
