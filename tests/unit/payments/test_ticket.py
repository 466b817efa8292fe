"""Ticket hash, draw, value and probability against the known answers of payments.md 17."""

from dataclasses import replace
from fractions import Fraction

import pytest

from baton.kernel.crypto import recover_hash_signer, sign_hash
from baton.kernel.ids import ZERO_ADDRESS, Address, address_from_hex
from baton.payments.ticket import (
    MAX_WIN_PROB,
    Ticket,
    draw,
    expected_value_wei,
    rand_hash,
    win_probability,
)

ZERO_HASH = bytes(32)
BLANK = Ticket(
    recipient=ZERO_ADDRESS,
    sender=ZERO_ADDRESS,
    face_value_wei=0,
    win_prob=0,
    sender_nonce=0,
    recipient_rand_hash=ZERO_HASH,
)
SOME_HASH = bytes.fromhex("41b1a0649752af1b28b3dc29a1556eee781e4a4c3a1f7f53f90fa834de098c4d")


@pytest.mark.parametrize(
    ("ticket", "expected"),
    [
        (replace(BLANK, sender_nonce=2**32 - 1), "e1393fc7f6de093780674022f96cb8e3872235167d037c04d554e58c0e63d280"),
        (replace(BLANK, sender_nonce=1), "ce0918ba94518293e9712effbe5fca4f1f431089833a5b8c257cb1e024595f68"),
        (
            replace(BLANK, face_value_wei=1, win_prob=500),
            "87ef13f2d37e4d5352a01d3c77b8179d80e0887f1953bfabfd0bfd7b0f689ddd",
        ),
        (
            replace(BLANK, face_value_wei=500, win_prob=1),
            "aa4b35071043587992ac8b9dd1b2cf1d8311130e6458cf0b2342484e21af5f5b",
        ),
        (
            replace(BLANK, recipient=address_from_hex("0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F")),
            "81e353ae39046e2b77b9f996abbaeed527fda559b61ef90f299c4499dd508ccc",
        ),
        (
            replace(BLANK, recipient_rand_hash=SOME_HASH),
            "be5eaf9a49a39540b9bb02f1a21904f61324a29819e2c032824bfaa10c100b17",
        ),
        (
            replace(BLANK, creation_round=10, creation_round_block_hash=SOME_HASH),
            "e502907c16036ab3d11b78c5a2e93c20f3d6415c67f91de4ed01348182b3b2e2",
        ),
    ],
)
def test_hash_matches_vector(ticket: Ticket, expected: str) -> None:
    assert ticket.hash.hex() == expected


@pytest.mark.parametrize(
    ("creation_round", "block_hash", "expected"),
    [
        (
            0,
            "7624778dedc75f8b322b9fa1632a610d40b85e106c7d9bf0e743a9ce291b9c6f",
            "00" * 32 + "7624778dedc75f8b322b9fa1632a610d40b85e106c7d9bf0e743a9ce291b9c6f",
        ),
        (5, "00" * 32, "00" * 31 + "05" + "00" * 32),
        (0, "00" * 32, ""),
    ],
)
def test_aux_data_matches_vector(creation_round: int, block_hash: str, expected: str) -> None:
    ticket = replace(BLANK, creation_round=creation_round, creation_round_block_hash=bytes.fromhex(block_hash))
    assert ticket.aux_data.hex() == expected


def test_expected_value_is_exact() -> None:
    assert expected_value_wei(1000, MAX_WIN_PROB) == 1000
    assert expected_value_wei(0, 999) == 0
    assert round(expected_value_wei(1000, MAX_WIN_PROB // 2)) == 500
    assert expected_value_wei(1000, MAX_WIN_PROB // 2) < 500


@pytest.mark.parametrize(
    ("ev_wei", "face_value_wei", "expected"),
    [
        (5, 100_000_000, 5789604461865809771178549250434395392663499233282028201972879200395660),
        (5, 777_000_000, 745122839364969082519761808292714979750772102095499125093034646125570),
        (5, 10_001, 57890255593098787833002192285115442382396752657554526567072084795477017120),
        (
            8_000_000_000,
            800_000_000_000,
            1157920892373161954235709850086879078532699846656405640394575840080000000000,
        ),
        (
            8_000_000_000,
            1_200_000_000_000_000,
            771947261582107969490473233391252719021799897770937093596383896000000000,
        ),
        (
            8_000_000_000,
            12_000_000_000_000_000,
            77194726158210796949047323339125271902179989777093709359638392000000000,
        ),
    ],
)
def test_win_probability_matches_vector(ev_wei: int, face_value_wei: int, expected: int) -> None:
    assert win_probability(face_value_wei=face_value_wei, ev_wei=ev_wei) == expected


def test_win_probability_never_undervalues_by_rounding() -> None:
    probability = win_probability(face_value_wei=12_345, ev_wei=67)
    value = expected_value_wei(12_345, probability)
    assert 67 <= value < 67 + Fraction(67 * 12_345, MAX_WIN_PROB)


def test_a_ticket_cannot_be_worth_more_than_it_pays() -> None:
    with pytest.raises(ValueError, match="cannot be worth"):
        win_probability(face_value_wei=7, ev_wei=8)
    assert win_probability(face_value_wei=8, ev_wei=8) == MAX_WIN_PROB
    assert win_probability(face_value_wei=0, ev_wei=8) == 0


SENDER = address_from_hex("0x2c7536E3605D9C16a7a3D7b1898e529396a65c23")
SENDER_KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
RAND = 0xB65E3E4E6D223D336CA11EC0477C1D439A16E27B5A035722F097B3B93A179C72
QUOTED = Ticket(
    recipient=address_from_hex("0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F"),
    sender=SENDER,
    face_value_wei=12_000_000_000_000_000,
    win_prob=77194726158210796949047323339125271902179989777093709359638392000000000,
    sender_nonce=1,
    recipient_rand_hash=bytes.fromhex("29fdf4fc9a84f824df51b002fbde735aa931ad938a64780391e05e48cd4758f6"),
    creation_round=3500,
    creation_round_block_hash=bytes.fromhex("7624778dedc75f8b322b9fa1632a610d40b85e106c7d9bf0e743a9ce291b9c6f"),
)


@pytest.mark.parametrize(
    ("nonce", "ticket_hash", "signature", "drawn"),
    [
        (
            1,
            "367d3dd030aade6d948d51a0dc6cec1264cab69cb7f83fd5f6b8ba0db0a42dc6",
            (
                "e367a72ab297842d919a5a5769911eebaf40307919e9b2ecd19cdd8dce5d59fe05850b7e7ea1b7cad453e4d230582bd10b077f1f0a"
                "637acd1cc4b9f7a5243d491c"
            ),
            "8f9b0ded959389521f1ddd07cbce679e641c16cf41ed3076710709974b40ffc6",
        ),
        (
            2,
            "b1d95c54c2af61e3717bed5f94376bbb3250ad9ca81ea2a85934bb10abbb110e",
            (
                "d6aceb49779188120159ab393ef4666737dbf70089e0b8ee4eec4b4f18dcde11089f615cf9597e7db604f9314777477d1cce8a687b"
                "b4d4bbf8bd55c7c932e2211b"
            ),
            "508a87a127fe0e3465225c626ef43d85f71a4638f758732386e8a8af796e62f0",
        ),
    ],
)
def test_hash_signature_and_draw_match_vector(nonce: int, ticket_hash: str, signature: str, drawn: str) -> None:
    ticket = replace(QUOTED, sender_nonce=nonce)
    assert rand_hash(RAND) == ticket.recipient_rand_hash
    assert ticket.hash.hex() == ticket_hash
    assert sign_hash(SENDER_KEY, ticket.hash).hex() == signature
    assert recover_hash_signer(ticket.hash, bytes.fromhex(signature)) == SENDER
    assert f"{draw(bytes.fromhex(signature), RAND):064x}" == drawn
    assert draw(bytes.fromhex(signature), RAND) >= ticket.win_prob


def test_a_ticket_that_was_redeemed_on_chain_verifies() -> None:
    ticket = Ticket(
        recipient=Address(bytes.fromhex("a5e37e0ba14655e92deff29f32adbc7d09b8a2cf")),
        sender=Address(bytes.fromhex("3ee860a4aba830af84ebbce2b381fc11db8493e2")),
        face_value_wei=10_000_000_000_000_000,
        win_prob=11579208923731619542357098500868790785326998466564056403945759000000000000,
        sender_nonce=14,
        recipient_rand_hash=bytes.fromhex("5309662eee5608da45aaefe60433adec052acab8683dd12d78aad8a0192b3bec"),
        creation_round=0x653,
        creation_round_block_hash=bytes.fromhex("f3b1d2925fd1325a8a6ba8923fbe6de31dd93d9e85540eaf5a306f21177c3b8c"),
    )
    rand = 31838803992704255588716800748284438047369588248489535212488229909862636233406
    signature = bytes.fromhex(
        "90cb8a9280386cc77e9f3473bb87530cf9a1dbe5625013a9ed16675ad7607c800bf4e32ee4cc6b9c785e1c786c9965831a8216c408b251f9"
        "8d6c18bf1bf4d1621c"
    )
    assert ticket.hash.hex() == "d5104bbecf755deaa03acf83486f2414d749f5e9d98b9feb9a0ad3791413f7e4"
    assert recover_hash_signer(ticket.hash, signature) == ticket.sender
    assert rand_hash(rand) == ticket.recipient_rand_hash
    assert f"{draw(signature, rand):064x}" == "00048748a6c474056ae4994bbf827c769bfff306709b6a484140e4dfc8a93d65"
    assert draw(signature, rand) < ticket.win_prob


def test_signatures_over_hashes_match_vector_and_high_s_is_refused() -> None:
    message_hash = bytes.fromhex("b7da355477356fc4c47fcabcf232dc77a6db9b07b7e48b76261cc55cc8fbabb3")
    good = bytes.fromhex(
        "206443228e8f784bc3a122de0d85eb3ebff82d6a79cca26c7eeb907099a6404f6dff57bc6828f28bd6cd073c89d94cf3364204679ed8365f"
        "a45b5ee6af19a9841c"
    )
    high = bytes.fromhex(
        "e742ff452d41413616a5bf43fe15dd88294e983d3d36206c2712f39083d638bde0a0fc89be718fbc1033e1d30d78be1c68081562ed2e97af"
        "876f286f3453231d1b"
    )
    address = recover_hash_signer(message_hash, good)
    assert address is not None
    assert address.hex() == "3baddb1eee2105893136a3f96c8a963e9c6309d6"
    assert recover_hash_signer(message_hash, high) is None
