"""Terms and results as messages and back: nothing lost, nothing invented, what is absent stays absent (video.md 2)."""

from dataclasses import replace

import pytest

from baton.jobs.messages import (
    AuthToken,
    ObjectStoreKind,
    ObjectStoreOffer,
    OrchestratorInfo,
    Price,
    RenditionRef,
    SegmentResult,
    TicketParams,
)
from baton.kernel.capabilities import Capabilities, ModelConstraint
from baton.kernel.ids import (
    Address,
    SessionId,
    address_from_wire,
    manifest_id_bytes,
    manifest_id_from_wire,
)
from baton.wire.codec import (
    decode_orchestrator_info,
    decode_orchestrator_request,
    decode_segment_result,
    encode_orchestrator_info,
    encode_segment_result,
)
from baton.wire.pb import lp_rpc_pb2 as pb

TOKEN = AuthToken(token=b"t" * 32, session_id=SessionId("session"), expiration=1_700_000_000)
PLAIN = OrchestratorInfo(
    transcoder="https://o.example:8935",
    address=Address(b"\x07" * 20),
    capabilities=Capabilities(bits=(1,), capacities={0: 1}),
    auth_token=TOKEN,
)
TICKET = TicketParams(
    recipient=b"\x01" * 20,
    face_value=b"\x02\x03",
    win_prob=b"\x04" * 32,
    recipient_rand_hash=b"\x05" * 32,
    seed=b"\x06",
    expiration_block=b"\x07\x08",
    creation_round=77,
    creation_round_block_hash=b"\x09" * 32,
)
RICH = replace(
    PLAIN,
    capabilities=Capabilities(
        bits=(67112963, 1),
        mandatory_bits=(1,),
        capacities={0: 1, 26: 3},
        version="0.9.1",
        min_version="0.8.0",
        models={35: {"noop": ModelConstraint(warm=True, capacity=4, runner_version="0.2.0", capacity_in_use=2)}},
    ),
    nodes=("https://a.example:8935", "https://b.example:8935"),
    ticket_params=TICKET,
    price=Price(wei_per_unit=7, px_per_unit=3),
    capability_prices=(Price(wei_per_unit=1, px_per_unit=2, capability=35, constraint="noop"),),
    storage=(
        ObjectStoreOffer(kind=ObjectStoreKind.DIRECT),
        ObjectStoreOffer(
            kind=ObjectStoreKind.S3,
            host="https://s3.example/bucket",
            key_prefix="prefix",
            policy="policy",
            signature="signature",
            credential="credential",
            amz_date="20260101T000000Z",
        ),
    ),
)


@pytest.mark.parametrize("info", [PLAIN, RICH], ids=["plain", "rich"])
def test_terms_come_back_as_they_were(info: OrchestratorInfo) -> None:
    assert decode_orchestrator_info(encode_orchestrator_info(info)) == info


def test_terms_that_do_not_exist_are_absent_and_constraints_are_always_there() -> None:
    message = pb.OrchestratorInfo.FromString(encode_orchestrator_info(PLAIN))
    assert not message.HasField("price_info")
    assert not message.HasField("ticket_params")
    assert message.capabilities.HasField("constraints")
    message = pb.OrchestratorInfo.FromString(encode_orchestrator_info(RICH))
    assert (message.price_info.pricePerUnit, message.price_info.pixelsPerUnit) == (7, 3)
    assert message.ticket_params.expiration_params.creation_round == 77
    assert message.capabilities.constraints.minVersion == "0.8.0"


@pytest.mark.parametrize("ignore", [False, True])
def test_a_question_says_what_it_says(*, ignore: bool) -> None:
    bare = decode_orchestrator_request(pb.OrchestratorRequest(ignoreCapacityCheck=ignore).SerializeToString())
    assert bare.capabilities is None, "nothing asked for is not the same as asking for nothing"
    assert (bare.sender, bare.signature, bare.ignore_capacity_check) == (bytes(20), b"", ignore)
    empty = decode_orchestrator_request(pb.OrchestratorRequest(capabilities=pb.Capabilities()).SerializeToString())
    assert empty.capabilities is not None
    assert empty.capabilities.bits == ()


@pytest.mark.parametrize(
    "renditions", [(), (RenditionRef("https://o/1.ts", 77), RenditionRef("https://o/2.ts", 1, "h"))]
)
def test_a_result_says_which_kind_it_is_even_when_it_is_empty(renditions: tuple[RenditionRef, ...]) -> None:
    result = SegmentResult(seq=-5, info=PLAIN, renditions=renditions, signature=b"s" * 65)
    data = encode_segment_result(result)
    assert pb.TranscodeResult.FromString(data).WhichOneof("result") == "data"
    assert decode_segment_result(data) == result


def test_a_failed_result_has_its_text_its_terms_and_nothing_else() -> None:
    data = encode_segment_result(
        SegmentResult(seq=3, info=RICH, renditions=(RenditionRef("x", 1),), signature=b"s", error="OrchestratorBusy")
    )
    assert pb.TranscodeResult.FromString(data).WhichOneof("result") == "error"
    assert decode_segment_result(data) == SegmentResult(seq=3, info=RICH, error="OrchestratorBusy")


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        (b"", bytes(20)),
        (b"\x01", bytes(19) + b"\x01"),
        (b"\x01" * 20, b"\x01" * 20),
        (b"\x01" * 12 + b"\x02" * 20, b"\x02" * 20),
    ],
    ids=["none", "short", "right", "long"],
)
def test_addresses_of_any_length_mean_their_last_twenty_bytes(raw: bytes, address: bytes) -> None:
    assert address_from_wire(raw) == address
    assert decode_orchestrator_request(pb.OrchestratorRequest(address=raw).SerializeToString()).sender == address


@pytest.mark.parametrize("raw", [b"", b"abcdef", "\u202eé".encode(), b"\xff\xfe\x00", bytes(range(256))])
def test_bytes_of_a_manifest_id_survive(raw: bytes) -> None:
    assert manifest_id_bytes(manifest_id_from_wire(raw)) == raw


def test_fresh_terms_alone_say_nothing_of_capabilities() -> None:
    told = encode_orchestrator_info(replace(PLAIN, capabilities=Capabilities()))
    assert not pb.OrchestratorInfo.FromString(told).HasField("capabilities")
