"""The orchestrator's gRPC service: what it takes from strangers, and in whose words it refuses."""

import asyncio

import pytest

from baton.jobs.messages import OrchestratorRequest
from baton.kernel.capabilities import Capabilities
from baton.kernel.errors import Text
from baton.kernel.ids import ZERO_ADDRESS
from baton.wire.codec import decode_orchestrator_info, decode_ping, encode_orchestrator_request, encode_ping
from baton.wire.grpc import GrpcContext, RpcError, StatusCode
from baton.wire.rpc import OrchestratorService
from tests.unit.jobs.rig import Key, Rig


def call(rig: Rig, method: str, data: bytes) -> bytes:
    path = f"/net.Orchestrator/{method}"
    context = GrpcContext(method=path, peer="10.0.0.1:1", peer_host="10.0.0.1", metadata={}, deadline=None)

    async def main() -> bytes:
        return await OrchestratorService(discovery=rig.discovery).handlers[path](data, context)

    return asyncio.run(main())


def question(words: int) -> bytes:
    return encode_orchestrator_request(
        OrchestratorRequest(sender=ZERO_ADDRESS, signature=b"", capabilities=Capabilities(bits=(1,) * words))
    )


@pytest.mark.parametrize("method", ["GetOrchestrator", "EndTranscodingSession", "Ping"])
def test_a_request_larger_than_any_honest_one_is_not_parsed(method: str) -> None:
    with pytest.raises(RpcError) as refused:
        call(Rig(), method, question(70_000))
    assert refused.value.code is StatusCode.RESOURCE_EXHAUSTED
    assert "received message larger than max" in refused.value.text


def test_an_honest_request_is_far_below_that() -> None:
    info = decode_orchestrator_info(call(Rig(), "GetOrchestrator", question(1000)))
    assert info.transcoder == "https://o.example:8935"
    assert decode_ping(call(Rig(), "Ping", encode_ping(b"\x01" * 32))) == b""


def test_garbage_and_a_missing_token_are_answered_by_name() -> None:
    with pytest.raises(RpcError) as garbage:
        call(Rig(), "GetOrchestrator", b"\xff\xff")
    assert garbage.value.code is StatusCode.INTERNAL
    with pytest.raises(RpcError) as missing:
        call(Rig(), "EndTranscodingSession", b"")
    assert (missing.value.code, missing.value.text) == (StatusCode.UNKNOWN, Text.INVALID_AUTH_TOKEN_RPC)


def test_a_ping_signs_a_hash_and_nothing_that_could_be_more() -> None:
    signing = Rig(signer=Key(name="0xabc"))
    assert decode_ping(call(signing, "Ping", encode_ping(b"\x01" * 32))) == b"signed:" + b"\x01" * 32
    for value in (b"\x01" * 33, b"0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F", b"\x01" * 216):
        with pytest.raises(RpcError) as refused:
            call(signing, "Ping", encode_ping(value))
        assert (refused.value.code, refused.value.text) == (StatusCode.UNKNOWN, Text.PING_VALUE)
