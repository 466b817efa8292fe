"""The peer gateway against the network's vectors, so that it can judge the node (10.1 to 10.6, 10.9)."""

from base64 import b64decode

import httpx
import pytest
from eth_utils.crypto import keccak
from google.protobuf.message import Message

from tests import vectors
from tests.peer.gateway import Answer, PeerGateway, VerificationError
from tests.peer.keys import VECTOR_KEY, recover
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import capabilities, compose_segment, flatten, header_value, preset

ROW_6 = pb.AuthToken(
    token=vectors.TOKEN_ROW_6.token, session_id=vectors.TOKEN_ROW_6.session, expiration=vectors.TOKEN_ROW_6.expiration
)


def test_key_is_the_vector_key() -> None:
    assert VECTOR_KEY.secret == vectors.SECRET
    assert VECTOR_KEY.address == vectors.ADDRESS
    assert VECTOR_KEY.checksum_hex == vectors.CHECKSUM_HEX


@pytest.mark.parametrize(
    ("message", "signature"),
    [
        (vectors.FLAT, vectors.FLAT_SIG),
        (vectors.CHECKSUM_HEX.encode(), vectors.REQUEST_SIG),
        (vectors.PING_VALUE, vectors.PING_REPLY),
        (b"".join(vectors.RENDITION_HASHES), vectors.RESULT_SIG),
    ],
    ids=["segment", "request", "ping", "result"],
)
def test_signature_matches_vector_and_recovers(message: bytes, signature: bytes) -> None:
    assert VECTOR_KEY.sign(message) == signature
    assert recover(message, signature) == vectors.ADDRESS


def test_flattened_segment_matches_vector() -> None:
    data = pb.SegData(
        manifestId=vectors.FLAT_MANIFEST,
        seq=vectors.FLAT_SEQ,
        hash=vectors.FLAT_HASH,
        fullProfiles=[preset(name) for name in vectors.FLAT_PROFILES],
    )
    assert flatten(data) == vectors.FLAT
    assert keccak(vectors.FLAT) == vectors.FLAT_KECCAK


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            pb.OrchestratorRequest(
                address=vectors.ADDRESS, sig=vectors.REQUEST_SIG, capabilities=capabilities(67112963)
            ),
            vectors.ORCHESTRATOR_REQUEST,
        ),
        (pb.TranscodeResult(seq=1234, error="OrchestratorBusy"), vectors.BUSY_RESULT),
        (
            pb.RegisterRequest(
                secret="verbigsecret",
                capacity=10,
                capabilities=pb.Capabilities(bitstring=[vectors.DEFAULT_BITS], version="0.9.1"),
            ),
            vectors.REGISTER_REQUEST,
        ),
        (
            pb.NotifySegment(
                url="https://o:8935/stream/f1405ced/1234.tempfile", taskId=742, profiles=b"invalid", orchId="offchain"
            ),
            vectors.NOTIFY_SEGMENT,
        ),
        (
            pb.NotifySegment(segData=pb.SegData(auth_token=pb.AuthToken(session_id="f1405ced"))),
            vectors.NOTIFY_TEARDOWN,
        ),
        (pb.EndTranscodingSessionRequest(auth_token=ROW_6), vectors.END_SESSION_REQUEST),
    ],
    ids=["request", "busy", "register", "notify", "teardown", "end"],
)
def test_message_matches_vector(message: Message, expected: bytes) -> None:
    assert message.SerializeToString(deterministic=True) == expected


def test_payment_header_matches_vector() -> None:
    payment = pb.Payment(sender=vectors.ADDRESS, expected_price=pb.PriceInfo(pricePerUnit=7, pixelsPerUnit=3))
    assert header_value(payment) == vectors.PAYMENT_HEADER


def test_segment_header_matches_vector() -> None:
    data = compose_segment(
        signer=VECTOR_KEY,
        body=vectors.SEGMENT_BODY,
        token=ROW_6,
        manifest_id=b"abcdef",
        seq=1234,
        profiles=[preset("P144p30fps16x9"), preset("P240p30fps16x9")],
        duration_ms=2000,
    )
    assert data.hash == vectors.SEGMENT_HASH
    assert keccak(flatten(data)) == vectors.SEGMENT_KECCAK
    assert data.sig == vectors.SEGMENT_SIG
    assert header_value(data) == vectors.SEGMENT_HEADER
    assert len(b64decode(vectors.SEGMENT_HEADER)) == 258


def test_peer_refuses_renditions_that_were_not_signed_for() -> None:
    answer = Answer(
        status=200,
        headers=httpx.Headers(),
        body=pb.TranscodeResult(data=pb.TranscodeData(sig=vectors.RESULT_SIG)).SerializeToString(),
        http_version="HTTP/2",
        headers_s=0.0,
        total_s=0.0,
    )
    with PeerGateway("https://127.0.0.1:1", key=VECTOR_KEY) as gateway:
        gateway.verify_signature(answer, vectors.RENDITIONS, vectors.ADDRESS)
        with pytest.raises(VerificationError):
            gateway.verify_signature(answer, vectors.RENDITIONS[::-1], vectors.ADDRESS)
        with pytest.raises(VerificationError):
            gateway.verify_signature(answer, vectors.RENDITIONS, bytes(20))
