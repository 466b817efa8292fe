"""GetOrchestrator, Ping and EndTranscodingSession on the wire (video.md 3.2 to 3.7 and 5)."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import vectors
from tests.node import Node, running_node
from tests.peer.gateway import PeerGateway, RpcError
from tests.peer.keys import VECTOR_KEY, PeerKey
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import preset

pytestmark = pytest.mark.node

PROFILES = (preset("P144p30fps16x9"),)
VIDEO_IDS = frozenset({*range(13), 14, 26})


def ids_of(offer: pb.Capabilities) -> set[int]:
    """Ids whose bits are set."""
    return {64 * i + bit for i, word in enumerate(offer.bitstring) for bit in range(64) if word >> bit & 1}


def test_answer_names_the_node_and_no_terms(node: Node, gateway: PeerGateway) -> None:
    info = gateway.get_orchestrator()
    assert info.transcoder == node.url
    assert info.address == bytes(20)
    assert not info.HasField("ticket_params")
    assert not info.HasField("price_info")
    assert not info.storage
    assert not info.nodes
    assert not info.capabilities_prices
    assert not info.hardware


def test_token_is_fresh_and_good_for_half_an_hour(gateway: PeerGateway) -> None:
    before = int(time.time())
    first, second = gateway.get_orchestrator().auth_token, gateway.get_orchestrator().auth_token
    assert len(first.token) == 32
    assert first.token != second.token
    assert first.session_id
    assert first.session_id != second.session_id
    assert len(first.session_id) >= 32  # 128 bits of chance: session ids protect renditions
    assert before + 1800 <= first.expiration <= int(time.time()) + 1800


def test_offer_holds_what_a_video_gateway_needs_and_nothing_untested(gateway: PeerGateway) -> None:
    offer = gateway.get_orchestrator().capabilities
    ids = ids_of(offer)
    assert {0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 26} <= ids
    assert not ids & {13, *range(27, 38)}, "AI capabilities of a node without AI"
    assert dict(offer.capacities) == dict.fromkeys(ids, 1)
    assert not offer.mandatories


def test_offer_holds_every_bit_gateways_expect_of_a_video_node(gateway: PeerGateway) -> None:
    missing = VIDEO_IDS - ids_of(gateway.get_orchestrator().capabilities)
    assert missing == set()


def test_version_satisfies_minimums_of_today(gateway: PeerGateway) -> None:
    offer = gateway.get_orchestrator().capabilities
    core = offer.version.split("+")[0].split("-")[0]
    assert tuple(int(part) for part in core.split(".")) >= (0, 9, 1)
    assert offer.HasField("constraints")


@pytest.mark.parametrize("bits", [None, (), (67112963,), (1 << 37,)], ids=["absent", "empty", "push", "impossible"])
def test_capabilities_asked_for_do_not_decide_the_answer(gateway: PeerGateway, bits: tuple[int, ...] | None) -> None:
    info = gateway.get_orchestrator(bits=bits)
    assert info.transcoder == gateway.url
    assert info.auth_token.token


@pytest.mark.parametrize(
    ("address", "sig"),
    [(b"", b""), (b"\x01" * 32, bytes(65)), (VECTOR_KEY.address, vectors.HIGH_S_SIG), (b"\x01", b"x" * 4000)],
    ids=["empty", "long address", "high s", "long signature"],
)
def test_offchain_node_takes_any_signature(gateway: PeerGateway, address: bytes, sig: bytes) -> None:
    info = gateway.get_orchestrator(pb.OrchestratorRequest(address=address, sig=sig))
    assert info.auth_token.token


def test_answer_comes_well_below_half_a_second(gateway: PeerGateway) -> None:
    gateway.get_orchestrator()
    times = []
    for _ in range(5):
        began = time.monotonic()
        gateway.get_orchestrator()
        times.append(time.monotonic() - began)
    assert min(times) < 0.25, times


def test_ping_of_a_node_without_key_is_signed_with_nothing(gateway: PeerGateway) -> None:
    assert gateway.ping(vectors.PING_VALUE) == b""


def test_end_session_without_token_is_refused_and_the_node_lives(node: Node, gateway: PeerGateway) -> None:
    with pytest.raises(RpcError) as refused:
        gateway.end_session(None)
    assert (refused.value.code, refused.value.text) == (2, "Invalid auth token")
    assert node.alive


@pytest.mark.parametrize(
    "token",
    [
        pb.AuthToken(),
        pb.AuthToken(token=bytes(32), session_id="x", expiration=1),
        pb.AuthToken(token=b"\xff" * 5000, session_id="y" * 5000, expiration=-(2**63)),
        pb.AuthToken(token=vectors.TOKEN_ROW_6.token, session_id="f1405ced", expiration=1700000000),
    ],
    ids=["empty", "zeros", "absurd", "foreign"],
)
def test_end_session_with_junk_token_is_refused(gateway: PeerGateway, token: pb.AuthToken) -> None:
    with pytest.raises(RpcError) as refused:
        gateway.end_session(token)
    assert (refused.value.code, refused.value.text) == (2, "Invalid auth token")


def test_end_session_takes_unknown_sessions_twice(gateway: PeerGateway) -> None:
    token = gateway.get_orchestrator().auth_token
    gateway.end_session(token)
    gateway.end_session(token)


def test_method_nobody_knows_is_unimplemented(gateway: PeerGateway) -> None:
    with pytest.raises(RpcError) as refused:
        gateway.call("NoSuchMethod", pb.PingPong(), pb.PingPong)
    assert refused.value.code == 12
    with pytest.raises(RpcError) as refused:
        gateway.call("/net.NoSuchService/Ping", pb.PingPong(), pb.PingPong)
    assert refused.value.code == 12


def test_message_that_is_none_fails_alone(gateway: PeerGateway) -> None:
    with pytest.raises(RpcError):
        gateway.call("GetOrchestrator", b"\x0a\xff\xff", pb.OrchestratorInfo)
    assert gateway.get_orchestrator().auth_token.token


def test_message_beyond_four_mebibytes_fails_alone(gateway: PeerGateway) -> None:
    with pytest.raises(RpcError) as refused:
        gateway.call("Ping", pb.PingPong(value=bytes(5 << 20)), pb.PingPong)
    assert refused.value.code == 8  # RESOURCE_EXHAUSTED, as grpc-go says
    assert gateway.ping(b"x") == b""


def test_caller_that_asks_without_end_is_slowed_down_and_others_serve(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        running_node(tmp_path_factory.mktemp("asked") / "data") as node,
        PeerGateway(node.url) as gateway,
        ThreadPoolExecutor(max_workers=16) as threads,
    ):
        request = gateway.orchestrator_request()

        def refusal() -> tuple[int, str] | None:
            try:
                gateway.get_orchestrator(request)
            except RpcError as refused:
                return (refused.code, refused.text)
            return None

        refusals: set[tuple[int, str]] = set()
        for _ in range(30):
            asked = [threads.submit(refusal) for _ in range(100)]
            refusals |= {answer for one in asked if (answer := one.result()) is not None}
            if refusals:
                break
        assert refusals == {(2, "Invalid orchestrator request: too many requests")}
        assert gateway.ping(b"x") == b""


def test_node_that_only_advertises_others_says_so_and_transcodes_nothing(
    tmp_path_factory: pytest.TempPathFactory, segment: bytes
) -> None:
    flags = ("--no-transcoder", "--nodes", "https://a.example:8935")
    folder = tmp_path_factory.mktemp("signpost") / "data"
    with running_node(folder, *flags, tls=False, takes_work=False) as node, PeerGateway(node.url) as gateway:
        info = gateway.get_orchestrator()
        assert info.transcoder == ""
        assert list(info.nodes) == ["https://a.example:8935"]
        assert not ids_of(info.capabilities) & {0, 1, 2, 26}
        answer = gateway.post(gateway.compose(segment, info=info, profiles=PROFILES))
        assert (answer.status, answer.text) == (403, "incompatible capabilities\n")
        answer = gateway.post(gateway.compose(segment, info=info, profiles=PROFILES, bits=()))
        assert (answer.status, answer.error) == (200, "ErrTranscoderUnavailable")


# A node with one slot.


@pytest.fixture(scope="module")
def small_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node for one session at a time, that names two more instances."""
    flags = ("--max-sessions", "1", "--nodes", "https://a.example:8935,https://b.example:8935")
    with running_node(tmp_path_factory.mktemp("small") / "data", *flags) as node:
        yield node


def test_other_instances_are_named(small_node: Node) -> None:
    with PeerGateway(small_node.url) as gateway:
        assert list(gateway.get_orchestrator().nodes) == ["https://a.example:8935", "https://b.example:8935"]


def test_full_node_is_capped_for_new_sessions_only(small_node: Node, segment: bytes) -> None:
    with PeerGateway(small_node.url, key=PeerKey.fresh()) as gateway:
        held, late = gateway.get_orchestrator(), gateway.get_orchestrator()
        one = gateway.compose(segment, info=held, profiles=PROFILES, duration_ms=1000, manifest_id=b"one")
        gateway.deliver(one)

        with pytest.raises(RpcError) as refused:
            gateway.get_orchestrator()
        assert (refused.value.code, refused.value.text) == (2, "Invalid orchestrator request: OrchestratorCapped")

        ignoring = gateway.orchestrator_request()
        ignoring.ignoreCapacityCheck = True
        with pytest.raises(RpcError) as refused:
            gateway.get_orchestrator(ignoring)
        assert refused.value.text == "Invalid orchestrator request: OrchestratorCapped"

        two = gateway.compose(segment, info=late, profiles=PROFILES, duration_ms=1000, manifest_id=b"two")
        answer = gateway.post(two)
        assert (answer.status, answer.text) == (403, "OrchestratorCapped\n")

        gateway.deliver(gateway.compose(segment, info=held, profiles=PROFILES, seq=1, manifest_id=b"one"))
        gateway.end_session(held.auth_token)
        gateway.deliver(two)
        gateway.end_all()
    assert small_node.busy() == 0
