"""The node's messages and headers against the network's vectors as literal bytes (10.2, 10.9)."""

from dataclasses import replace

import pytest

from baton.jobs.messages import (
    AuthToken,
    OrchestratorRequest,
    Payment,
    Price,
    SegmentMetadata,
    flatten_segment,
)
from baton.kernel.capabilities import Capabilities
from baton.kernel.crypto import keccak256, sign_message, verify_message
from baton.kernel.ids import Address, ManifestId, SessionId
from baton.kernel.profiles import PRESETS
from baton.wire.codec import (
    decode_end_session,
    decode_orchestrator_request,
    decode_segment_result,
    encode_end_session,
    encode_orchestrator_request,
    encode_payment,
)
from baton.wire.headers import (
    encode_payment_header,
    encode_segment_header,
    payment_from_header,
    segment_from_header,
)
from tests import vectors

TOKEN = AuthToken(
    token=vectors.TOKEN_ROW_6.token,
    session_id=SessionId(vectors.TOKEN_ROW_6.session),
    expiration=vectors.TOKEN_ROW_6.expiration,
)
PUSH = Capabilities(bits=(67112963,))
PROFILES = tuple(PRESETS[name] for name in vectors.FLAT_PROFILES)


def metadata(*, seq: int, content_hash: bytes, signature: bytes) -> SegmentMetadata:
    """The segment of the vectors."""
    return SegmentMetadata(
        manifest_id=ManifestId("abcdef"),
        seq=seq,
        content_hash=content_hash,
        profiles=PROFILES,
        signature=signature,
        duration_ms=2000,
        capabilities=PUSH,
        auth_token=TOKEN,
    )


def test_flattened_segment_matches_vector() -> None:
    flat = flatten_segment(metadata(seq=vectors.FLAT_SEQ, content_hash=vectors.FLAT_HASH, signature=b""))
    assert flat == vectors.FLAT
    assert keccak256(flat) == vectors.FLAT_KECCAK
    assert sign_message(vectors.SECRET, flat) == vectors.FLAT_SIG


@pytest.mark.parametrize(
    ("content_hash", "word"),
    [(b"", bytes(32)), (b"\x01\x02", bytes(30) + b"\x01\x02"), (bytes(8) + b"\x07" * 32, b"\x07" * 32)],
    ids=["none", "short", "long"],
)
def test_hash_of_any_length_is_right_aligned_into_a_word(content_hash: bytes, word: bytes) -> None:
    assert flatten_segment(metadata(seq=0, content_hash=content_hash, signature=b""))[38:70] == word


@pytest.mark.parametrize(("name", "digits"), vectors.PROFILE_IDS.items())
def test_profile_goes_into_the_flattened_segment_as_the_id_of_the_vector(name: str, digits: str) -> None:
    made = replace(metadata(seq=0, content_hash=b"", signature=b""), profiles=(PRESETS[name],))
    assert flatten_segment(made)[70:] == digits.encode()


def test_negative_sequence_counts_as_its_absolute_value() -> None:
    flat = flatten_segment(metadata(seq=-1234, content_hash=vectors.FLAT_HASH, signature=b""))
    assert flat == vectors.FLAT


def test_orchestrator_request_matches_vector_both_ways() -> None:
    request = OrchestratorRequest(sender=Address(vectors.ADDRESS), signature=vectors.REQUEST_SIG, capabilities=PUSH)
    assert encode_orchestrator_request(request) == vectors.ORCHESTRATOR_REQUEST
    read = decode_orchestrator_request(vectors.ORCHESTRATOR_REQUEST)
    assert (read.sender, read.signature) == (vectors.ADDRESS, vectors.REQUEST_SIG)
    assert read.capabilities is not None
    assert read.capabilities.bits == (67112963,)
    assert read.capabilities.capacities == {0: 1, 1: 1, 12: 1, 26: 1}


def test_busy_result_is_read_as_its_error() -> None:
    result = decode_segment_result(vectors.BUSY_RESULT)
    assert (result.seq, result.error, result.renditions) == (1234, "OrchestratorBusy", ())


def test_end_of_session_matches_vector_both_ways() -> None:
    assert encode_end_session(TOKEN) == vectors.END_SESSION_REQUEST
    assert decode_end_session(vectors.END_SESSION_REQUEST) == TOKEN
    assert decode_end_session(b"") is None


def test_payment_header_matches_vector_both_ways() -> None:
    payment = Payment(sender=Address(vectors.ADDRESS), expected_price=Price(wei_per_unit=7, px_per_unit=3))
    assert encode_payment_header(payment) == vectors.PAYMENT_HEADER
    read = payment_from_header(vectors.PAYMENT_HEADER.encode())
    assert (read.sender, read.expected_price) == (payment.sender, payment.expected_price)
    assert read.has_sender
    assert read.ticket_params is None
    assert encode_payment(read) == encode_payment(payment)


def test_payment_with_tickets_matches_vector_both_ways() -> None:
    read = payment_from_header(vectors.TICKET_PAYMENT_HEADER.encode())
    assert read.sender.hex() == "2c7536e3605d9c16a7a3d7b1898e529396a65c23"
    assert read.expected_price == Price(wei_per_unit=1200, px_per_unit=1)
    params = read.ticket_params
    assert params is not None
    assert params.recipient.hex() == "73aed7b5deb30222fa896f399d46cc99c7bee57f"
    assert int.from_bytes(params.face_value, "big") == 12_000_000_000_000_000
    assert (
        int.from_bytes(params.win_prob, "big")
        == 77194726158210796949047323339125271902179989777093709359638392000000000
    )
    assert params.recipient_rand_hash.hex() == "29fdf4fc9a84f824df51b002fbde735aa931ad938a64780391e05e48cd4758f6"
    assert int.from_bytes(params.expiration_block, "big") == 20_000_040
    assert params.creation_round == 3500
    assert params.creation_round_block_hash.hex() == "7624778dedc75f8b322b9fa1632a610d40b85e106c7d9bf0e743a9ce291b9c6f"
    assert [ticket.sender_nonce for ticket in read.tickets] == [1, 2]
    assert encode_payment_header(read) == vectors.TICKET_PAYMENT_HEADER


def test_segment_header_matches_vector_both_ways() -> None:
    made = metadata(seq=1234, content_hash=vectors.SEGMENT_HASH, signature=vectors.SEGMENT_SIG)
    assert encode_segment_header(made) == vectors.SEGMENT_HEADER
    read = segment_from_header(vectors.SEGMENT_HEADER.encode())
    assert keccak256(vectors.SEGMENT_BODY) == read.content_hash
    assert keccak256(flatten_segment(read)) == vectors.SEGMENT_KECCAK
    assert verify_message(vectors.ADDRESS, flatten_segment(read), read.signature)
    assert (read.manifest_id, read.seq, read.duration_ms, read.auth_token) == ("abcdef", 1234, 2000, TOKEN)
    assert read.profiles == PROFILES
    assert read.clip is None
