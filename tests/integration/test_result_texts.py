"""Texts from the engine to the gateway over the real port: every one arrives as it is (video.md 4.5 and 7.11).

Gateways compare whole texts, so nothing on the way may add or drop a character. Which input provokes which text is
shown where the engine is real; here the engine says what it is told to.
"""

from collections.abc import Iterator

import pytest

from baton.kernel.errors import NON_RETRYABLE_TEXTS, CapacityError, TranscodeError
from tests import vectors
from tests.integration.scripted import STORE_BYTES, ScriptedPort, scripted_port
from tests.peer.gateway import Answer, PeerGateway
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import preset

BODY = b"\x47" + bytes(999)
PROFILES = (preset("P144p30fps16x9"), preset("P240p30fps16x9"))

PERMANENT = (
    *("Unsupported input pixel format", "Error initializing filtergraph", "Too many outputs"),
    *("Unsupported input codec", "No keyframes in input", "Unrecoverable state, restart process"),
    *("Encoded frames runaway", "Decoder not found", "Demuxer not found", "Encoder not found", "Muxer not found"),
    *("Option not found", "Invalid argument", "TranscoderInvalidResolution", "TranscoderInvalidVideo"),
    *("TranscoderUnrecognizedFormat", "TranscoderUnrecognizedProfile", "TranscoderInvalidGOP"),
    "TranscoderIncompatibleDevices",
)
RETRYABLE = (
    *("TranscoderInvalidDuration", "TranscoderInvalidClipConfig", "TranscoderInvalidHardware"),
    *("TranscoderInvalidInput", "TranscoderStopped", "TranscoderInvalidPixelformat"),
    *("Invalid data found when processing input", "Input/output error", "No such file or directory"),
    *("No such device", "Cannot allocate memory", "Unknown error occurred"),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedPort]:
    """One port for this file."""
    with scripted_port(tmp_path_factory.mktemp("scripted")) as served:
        yield served


@pytest.fixture
def port(running: ScriptedPort) -> Iterator[ScriptedPort]:
    """The port with an engine that has no script yet; afterwards nothing received may be left."""
    running.engine.forget()
    yield running
    assert not [path for path in running.engine.inputs if path.exists()]


def send(port: ScriptedPort, *, http2: bool = True) -> Answer:
    """One segment with two profiles, under its own session."""
    with PeerGateway(port.url) as gateway:
        post = gateway.compose(BODY, info=gateway.get_orchestrator(), profiles=PROFILES, seq=7)
        answer = gateway.post(post, http2=http2)
        assert answer.result.info.auth_token == post.data.auth_token
        gateway.end_all()
    assert (answer.status, answer.result.seq) == (200, 7)
    return answer


def assert_failed(answer: Answer, text: str) -> None:
    """Exactly this text, and nothing to fetch or to pay for."""
    assert answer.result.WhichOneof("result") == "error"
    assert answer.error == text
    assert not answer.result.data.segments
    assert answer.result.data.sig == b""


def test_lists_are_those_of_the_network() -> None:
    assert set(PERMANENT) == NON_RETRYABLE_TEXTS
    assert not set(RETRYABLE) & NON_RETRYABLE_TEXTS


@pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])
@pytest.mark.parametrize("text", [*PERMANENT, *RETRYABLE])
def test_text_of_the_engine_arrives_undecorated(port: ScriptedPort, text: str, *, http2: bool) -> None:
    port.engine.error = TranscodeError(text, detail="for our log alone")
    assert_failed(send(port, http2=http2), text)


@pytest.mark.parametrize("text", ["OrchestratorBusy", "OrchestratorCapped"])
def test_engine_without_room_says_so(port: ScriptedPort, text: str) -> None:
    port.engine.error = CapacityError(text, detail="for our log alone")
    assert_failed(send(port), text)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_renditions_than_profiles_is_no_result(port: ScriptedPort, count: int) -> None:
    port.engine.renditions = (bytes(100),) * count
    assert_failed(send(port), "MismatchedSegments")


def test_rendition_of_24_bytes_is_none(port: ScriptedPort) -> None:
    port.engine.renditions = (bytes(100), bytes(24))
    assert_failed(send(port), "ZeroSegments")


def test_rendition_of_25_bytes_is_one(port: ScriptedPort) -> None:
    port.engine.renditions = (bytes(100), bytes(25))
    assert [s.pixels for s in send(port).result.data.segments] == [1, 2]


def test_second_rendition_that_cannot_be_kept_fails_the_segment(port: ScriptedPort) -> None:
    port.engine.renditions = (bytes(100), bytes(STORE_BYTES + 1))
    assert_failed(send(port), "Cannot allocate memory")


def test_renditions_of_the_vectors_earn_the_signature_of_the_vectors(port: ScriptedPort) -> None:
    port.engine.renditions = vectors.RENDITIONS
    answer = send(port)
    assert answer.error == ""
    assert answer.result.data.sig == vectors.RESULT_SIG
    assert answer.result.info.address == vectors.ADDRESS


def test_ping_and_discovery_of_the_vectors_are_answered_with_the_vectors(port: ScriptedPort) -> None:
    with PeerGateway(port.url) as gateway:
        assert gateway.ping(vectors.PING_VALUE) == vectors.PING_REPLY
        info = gateway.get_orchestrator(pb.OrchestratorRequest.FromString(vectors.ORCHESTRATOR_REQUEST))
        assert info.address == vectors.ADDRESS
        assert info.auth_token.token
