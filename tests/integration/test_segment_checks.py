"""Every check of POST /segment that an off-chain node makes, in its stated order, over the real port (video.md 4.2)."""

import base64
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from tests.node import Node, running_node
from tests.peer.gateway import Answer, PeerGateway, RpcError
from tests.peer.keys import PeerKey
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import HTTP_PUSH_BITS, URI_TYPE, SegmentPost, capabilities, preset
from tests.tokens import reissued

pytestmark = pytest.mark.node

BOTH_PROTOCOLS = pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])
PROFILES = (preset("P144p30fps16x9"),)


def assert_refused(answer: Answer, status: int, text: str | None = None) -> None:
    """A plain-text refusal with its exact headers; ``text`` None accepts any words."""
    assert (answer.status, answer.text if text is None else text + "\n") == (status, answer.text)
    assert answer.text.endswith("\n")
    assert answer.text.strip()
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a post: which part it spoils, and the answer it earns.

    ``slots`` are the parts it writes; two faults with a common slot cannot be had together.
    """

    row: str
    status: int
    text: str
    slots: frozenset[str]
    spoil: Callable[[SegmentPost, "Desk"], SegmentPost]


@dataclass(frozen=True)
class Desk:
    """What faults need to know of the node under test."""

    node: Node
    gateway: PeerGateway


def edited(post: SegmentPost, edit: Callable[[pb.SegData], None]) -> SegmentPost:
    """The post with changed metadata and a matching signature."""
    data = pb.SegData()
    data.CopyFrom(post.data)
    edit(data)
    return replace(post, data=data).signed()


def _profile_fault(field: str, value: int) -> Callable[[SegmentPost, Desk], SegmentPost]:
    def edit(data: pb.SegData) -> None:
        profile = preset("P144p30fps16x9")
        setattr(profile, field, value)
        data.ClearField("fullProfiles")
        data.fullProfiles3.append(profile)

    return lambda post, _: edited(post, edit)


def _incompatible(post: SegmentPost, _: Desk) -> SegmentPost:
    return edited(post, lambda data: data.capabilities.CopyFrom(capabilities(1 << 37)))


def _without_token(post: SegmentPost, _: Desk) -> SegmentPost:
    return edited(post, lambda data: data.ClearField("auth_token"))


def _forged_token(post: SegmentPost, _: Desk) -> SegmentPost:
    def edit(data: pb.SegData) -> None:
        data.auth_token.token = bytes(32)

    return edited(post, edit)


def _expired_token(post: SegmentPost, desk: Desk) -> SegmentPost:
    expired = reissued(desk.node, post.data.auth_token, lifetime_s=-5)
    return edited(post, lambda data: data.auth_token.CopyFrom(expired))


def _other_body(post: SegmentPost, _: Desk) -> SegmentPost:
    return replace(post, body=post.body + b"x")


def _loopback_uri(post: SegmentPost, desk: Desk) -> SegmentPost:
    return replace(post, body=desk.node.management_url.encode() + b"/readyz", content_type=URI_TYPE)


def _part(*names: str) -> frozenset[str]:
    return frozenset(names)


_WHOLE_METADATA = _part("segment", "profiles", "duration", "capabilities", "token")
_JUNK_MESSAGE = base64.b64encode(b"\x0a\xff").decode()

FAULTS = (
    Fault("1", 402, "base64 decode error: ", _part("payment"), lambda p, _: replace(p, payment_header="foo")),
    Fault(
        "2",
        402,
        "protobuf unmarshal error: ",
        _part("payment"),
        lambda p, _: replace(p, payment_header=_JUNK_MESSAGE),
    ),
    Fault("3", 403, "ErrorSegEncoding", _WHOLE_METADATA, lambda p, _: replace(p, segment_header="foo")),
    Fault("4", 403, "", _WHOLE_METADATA, lambda p, _: replace(p, segment_header=_JUNK_MESSAGE)),
    Fault("5a", 403, "unrecognized profile output format", _part("segment", "profiles"), _profile_fault("format", 7)),
    Fault("5b", 403, "unrecognized encoder profile", _part("segment", "profiles"), _profile_fault("profile", 9)),
    Fault("5c", 403, "unrecognized video codec", _part("segment", "profiles"), _profile_fault("encoder", 4)),
    Fault(
        "5d",
        403,
        "invalid duration",
        _part("segment", "duration"),
        lambda p, _: edited(p, lambda data: setattr(data, "duration", 300_001)),
    ),
    Fault("7", 403, "incompatible capabilities", _part("segment", "capabilities"), _incompatible),
    Fault("8", 403, "missing auth token", _part("segment", "token"), _without_token),
    Fault("9", 403, "invalid auth token", _part("segment", "token"), _forged_token),
    Fault("10", 403, "expired auth token", _part("segment", "token"), _expired_token),
    Fault("16", 400, "BadRequest", _part("body"), _loopback_uri),
    Fault("17", 403, "Forbidden", _part("body"), _other_body),
)
BY_ROW = {fault.row: fault for fault in FAULTS}
PREFIX_ROWS = frozenset({"1", "2"})


def _compatible(earlier: Fault, later: Fault) -> bool:
    return not ((earlier.slots - {"segment"}) & (later.slots - {"segment"}))


PAIRS = [(a.row, b.row) for a, b in itertools.combinations(FAULTS, 2) if _compatible(a, b)]


def assert_fault(answer: Answer, fault: Fault) -> None:
    """The answer that belongs to ``fault``: exact, but for the parser's own words in rows 1, 2 and 4."""
    if fault.row == "4":
        assert_refused(answer, fault.status)
    elif fault.row in PREFIX_ROWS:
        assert_refused(answer, fault.status)
        assert answer.text.startswith(fault.text)
        assert answer.text.strip() != fault.text.strip()
    else:
        assert_refused(answer, fault.status, fault.text)


@pytest.fixture
def post(gateway: PeerGateway, segment: bytes) -> SegmentPost:
    """A correct post under a fresh token."""
    return gateway.compose(segment, info=gateway.get_orchestrator(), profiles=PROFILES, duration_ms=1000)


@pytest.fixture
def desk(node: Node, gateway: PeerGateway) -> Desk:
    """The node under test."""
    return Desk(node=node, gateway=gateway)


@BOTH_PROTOCOLS
@pytest.mark.parametrize("row", BY_ROW)
def test_fault_earns_its_status_text_and_headers(desk: Desk, post: SegmentPost, row: str, *, http2: bool) -> None:
    fault = BY_ROW[row]
    answer = desk.gateway.post(fault.spoil(post, desk), http2=http2)
    assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    assert_fault(answer, fault)


@pytest.mark.parametrize(("earlier", "later"), PAIRS)
def test_earlier_fault_answers_when_two_things_are_wrong(
    desk: Desk, post: SegmentPost, earlier: str, later: str
) -> None:
    spoiled = BY_ROW[later].spoil(post, desk)
    spoiled = BY_ROW[earlier].spoil(spoiled, desk)
    assert_fault(desk.gateway.post(spoiled), BY_ROW[earlier])


def test_payment_that_is_not_base64_names_the_fault(gateway: PeerGateway, post: SegmentPost) -> None:
    answer = gateway.post(replace(post, payment_header="foo"))
    assert_refused(answer, 402)
    assert "base64" in answer.text


@pytest.mark.parametrize("header", ["", None], ids=["empty", "absent"])
def test_no_payment_is_an_empty_message_and_no_error(
    gateway: PeerGateway, post: SegmentPost, header: str | None
) -> None:
    headers = post.headers
    if header is None:
        del headers["Livepeer-Payment"]
    else:
        headers["Livepeer-Payment"] = header
    answer = gateway.request("POST", gateway.url + "/segment", headers=headers, body=post.body)
    assert (answer.status, answer.error) == (200, "")


@BOTH_PROTOCOLS
def test_no_headers_at_all_lack_a_token(gateway: PeerGateway, *, http2: bool) -> None:
    answer = gateway.request("POST", gateway.url + "/segment", body=b"junk", http2=http2)
    assert_refused(answer, 403, "missing auth token")


def test_empty_payment_and_segment_foo_is_an_encoding_error(gateway: PeerGateway) -> None:
    headers = {"Livepeer-Payment": "", "Livepeer-Segment": "foo"}
    answer = gateway.request("POST", gateway.url + "/segment", headers=headers, body=b"")
    assert_refused(answer, 403, "ErrorSegEncoding")


@pytest.mark.parametrize("duration_ms", [-1, -(2**31), 300_001, 2**31 - 1])
def test_duration_out_of_range_is_refused(gateway: PeerGateway, post: SegmentPost, duration_ms: int) -> None:
    spoiled = edited(post, lambda data: setattr(data, "duration", duration_ms))
    assert_refused(gateway.post(spoiled), 403, "invalid duration")


@pytest.mark.parametrize("duration_ms", [0, 123, 300_000])
def test_duration_in_range_is_taken(gateway: PeerGateway, post: SegmentPost, duration_ms: int) -> None:
    answer = gateway.post(edited(post, lambda data: setattr(data, "duration", duration_ms)))
    assert (answer.status, answer.error) == (200, "")


def test_later_profile_fields_win_over_earlier_ones(gateway: PeerGateway, post: SegmentPost) -> None:
    def edit(data: pb.SegData) -> None:
        data.fullProfiles[0].format = 9  # type: ignore[assignment]  # the point: a number nobody knows
        data.fullProfiles2.append(preset("P144p30fps16x9"))
        data.fullProfiles2[0].format = 9  # type: ignore[assignment]  # as above
        data.fullProfiles3.append(preset("P144p30fps16x9"))

    answer = gateway.post(edited(post, edit))
    assert (answer.status, answer.error) == (200, "")

    def without_third(data: pb.SegData) -> None:
        edit(data)
        data.ClearField("fullProfiles3")

    answer = gateway.post(edited(post, without_third))
    assert_refused(answer, 403, "unrecognized profile output format")


def test_capabilities_that_are_absent_ask_for_nothing(gateway: PeerGateway, post: SegmentPost) -> None:
    answer = gateway.post(edited(post, lambda data: data.ClearField("capabilities")))
    assert (answer.status, answer.error) == (200, "")


@pytest.mark.parametrize(
    "asked",
    [capabilities(HTTP_PUSH_BITS, 0), capabilities(HTTP_PUSH_BITS, min_version="99.0.0"), capabilities(1 << 63)],
    ids=["more words", "newer version", "unknown bit"],
)
def test_incompatible_capabilities_are_refused(gateway: PeerGateway, post: SegmentPost, asked: pb.Capabilities) -> None:
    answer = gateway.post(edited(post, lambda data: data.capabilities.CopyFrom(asked)))
    assert_refused(answer, 403, "incompatible capabilities")


def test_unknown_and_retired_fields_are_ignored(gateway: PeerGateway, post: SegmentPost) -> None:
    retired = b"\x48\x01" + b"\xa2\x02\x03abc" + b"\xc2\x3e\x04xxxx"  # numbers 9, 36 and 1000
    header = base64.b64encode(post.data.SerializeToString() + retired).decode()
    answer = gateway.post(replace(post, segment_header=header))
    assert (answer.status, answer.error) == (200, "")


def test_token_of_another_session_does_not_fit(gateway: PeerGateway, post: SegmentPost) -> None:
    def edit(data: pb.SegData) -> None:
        data.auth_token.session_id = "0" * len(data.auth_token.session_id)

    assert_refused(gateway.post(edited(post, edit)), 403, "invalid auth token")


def test_prolonged_token_does_not_fit(gateway: PeerGateway, post: SegmentPost) -> None:
    def edit(data: pb.SegData) -> None:
        data.auth_token.expiration += 1

    assert_refused(gateway.post(edited(post, edit)), 403, "invalid auth token")


# Row 6: only nodes that verify signatures.


@pytest.fixture(scope="module")
def verifying_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that demands valid gateway signatures although it has no chain."""
    with running_node(tmp_path_factory.mktemp("verifying") / "data", "--verify-signatures") as node:
        yield node


def test_signature_is_checked_after_conversion_and_before_the_token(verifying_node: Node, segment: bytes) -> None:
    with PeerGateway(verifying_node.url) as gateway:
        good = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=PROFILES, duration_ms=1000)
        answer = gateway.post(good)
        assert (answer.status, answer.error) == (200, "")

        stranger = replace(good, payment=pb.Payment(sender=PeerKey.fresh().address))
        assert_refused(gateway.post(stranger), 403, "ErrSegSig")
        assert_refused(gateway.post(replace(good, payment=pb.Payment())), 403, "ErrSegSig")

        unsigned = replace(good, signer=None)
        desk = Desk(node=verifying_node, gateway=gateway)
        for later in ("7", "8", "9", "10", "17"):
            assert_refused(gateway.post(BY_ROW[later].spoil(_unsigned(unsigned), desk)), 403, "ErrSegSig")
        assert_fault(gateway.post(BY_ROW["5d"].spoil(_unsigned(unsigned), desk)), BY_ROW["5d"])
        gateway.end_all()


def _unsigned(post: SegmentPost) -> SegmentPost:
    return edited(post, lambda data: setattr(data, "sig", bytes(65)))


@pytest.mark.parametrize("field", ["manifestId", "seq", "hash"])
def test_signature_covers_id_sequence_and_hash(verifying_node: Node, segment: bytes, field: str) -> None:
    with PeerGateway(verifying_node.url) as gateway:
        good = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=PROFILES, duration_ms=1000)
        changed: bytes | int = 77 if field == "seq" else b"\x01" * 32
        spoiled = edited(replace(good, signer=None), lambda data: setattr(data, field, changed))
        assert_refused(gateway.post(spoiled), 403, "ErrSegSig")


def test_discovery_demands_a_signature_too(verifying_node: Node) -> None:
    with PeerGateway(verifying_node.url) as gateway:
        assert gateway.get_orchestrator().transcoder == verifying_node.url
        unsigned = gateway.orchestrator_request()
        unsigned.sig = PeerKey.fresh().sign(gateway.key.checksum_hex.encode())
        with pytest.raises(RpcError) as refused:
            gateway.get_orchestrator(unsigned)
    assert (refused.value.code, refused.value.text) == (
        2,
        "Invalid orchestrator request: orchestrator req sig check failed",
    )
