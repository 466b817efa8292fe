"""The node's hashes, signatures, addresses and tokens against the network's vectors (10.1 to 10.5)."""

import hmac

import coincurve
import pytest

from baton.jobs.tokens import token_bytes
from baton.kernel.crypto import _PREFIX as EIP191_PREFIX
from baton.kernel.crypto import (
    SECP256K1_HALF_ORDER,
    keccak256,
    personal_digest,
    public_key_to_address,
    recover_signer,
    sign_message,
    verify_message,
)
from baton.kernel.ids import Address, to_checksum_hex
from tests import vectors


def test_digest_of_given_hash_matches_vector() -> None:
    assert keccak256(EIP191_PREFIX + vectors.VERIFY_HASH) == vectors.VERIFY_DIGEST


def test_given_digest_recovers_to_its_address() -> None:
    compact = vectors.VERIFY_SIG[:64] + bytes([vectors.VERIFY_SIG[64] - 27])
    key = coincurve.PublicKey.from_signature_and_message(compact, vectors.VERIFY_DIGEST, hasher=None)
    assert public_key_to_address(key) == vectors.VERIFY_ADDRESS


def test_address_of_vector_key_prints_with_its_checksum() -> None:
    assert to_checksum_hex(Address(vectors.ADDRESS)) == vectors.CHECKSUM_HEX


@pytest.mark.parametrize(
    ("message", "hashed", "digest", "signature"),
    [
        (vectors.FLAT, vectors.FLAT_KECCAK, vectors.FLAT_DIGEST, vectors.FLAT_SIG),
        (
            vectors.CHECKSUM_HEX.encode(),
            vectors.REQUEST_KECCAK,
            vectors.REQUEST_DIGEST,
            vectors.REQUEST_SIG,
        ),
        (b"".join(vectors.RENDITION_HASHES), vectors.RESULT_KECCAK, vectors.RESULT_DIGEST, vectors.RESULT_SIG),
    ],
    ids=["segment", "request", "result"],
)
def test_signature_matches_vector_in_every_step(message: bytes, hashed: bytes, digest: bytes, signature: bytes) -> None:
    assert keccak256(message) == hashed
    assert personal_digest(message) == digest
    assert sign_message(vectors.SECRET, message) == signature
    assert verify_message(vectors.ADDRESS, message, signature)


def test_ping_reply_matches_vector() -> None:
    assert keccak256(b"ping") == vectors.PING_VALUE
    assert sign_message(vectors.SECRET, vectors.PING_VALUE) == vectors.PING_REPLY


def test_rendition_hashes_match_vectors() -> None:
    assert tuple(keccak256(r) for r in vectors.RENDITIONS) == vectors.RENDITION_HASHES


def test_high_s_is_refused_by_its_size() -> None:
    assert int.from_bytes(vectors.HIGH_S_SIG[32:64], "big") > SECP256K1_HALF_ORDER
    assert recover_signer(vectors.FLAT, vectors.HIGH_S_SIG) is None


@pytest.mark.parametrize("v", [0, 1, 26, 29, 229, 255])
def test_v_other_than_27_and_28_is_refused(v: int) -> None:
    assert recover_signer(vectors.FLAT, vectors.FLAT_SIG[:64] + bytes([v])) is None


@pytest.mark.parametrize("length", [0, 64, 66])
def test_wrong_length_is_refused(length: int) -> None:
    assert recover_signer(vectors.FLAT, (vectors.FLAT_SIG + b"\x1b")[:length]) is None


def test_signature_of_another_message_is_not_ours() -> None:
    assert not verify_message(vectors.ADDRESS, b"another", vectors.FLAT_SIG)


@pytest.mark.parametrize(("name", "digits"), vectors.PROFILE_IDS.items())
def test_profile_id_matches_vector(name: str, digits: str) -> None:
    assert keccak256(name.encode())[:4].hex() == digits


@pytest.mark.parametrize("vector", vectors.TOKENS)
def test_token_matches_vector(vector: vectors.TokenVector) -> None:
    made = token_bytes(secret=vector.secret, session_id=vector.session, expiration=vector.expiration)
    assert made == vector.token


@pytest.mark.parametrize("vector", vectors.TOKENS)
def test_message_of_a_token_matches_vector(vector: vectors.TokenVector) -> None:
    assert hmac.digest(vector.secret, vector.message, "sha256") == vector.token
