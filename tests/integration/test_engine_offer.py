"""What a node offers of HEVC, what it says about it, and what it answers to who asks all the same."""

from pathlib import Path

import pytest

from tests.node import running_node
from tests.peer.gateway import PeerGateway
from tests.peer.segments import make_profile

pytestmark = [pytest.mark.node, pytest.mark.media]


def test_what_was_measured_decides_and_is_told(tmp_path: Path) -> None:
    with running_node(tmp_path / "data", "--hevc-encoding", "auto", "--encoder-preset", "slower") as node:
        status = node.status()
        (tested,) = [line for line in node.log() if line.event == "engine tested"]
    (test,) = status["engine_tests"]
    (figure,) = test["measured"]
    assert figure.startswith("libx265, ")
    assert "preset slower: " in figure
    assert tested.fields["measured"] == [figure]
    keeps_up = "1280x720" in figure and float(figure.split(": ")[1].split()[0]) >= 1
    assert ("HEVC encode" in status["capabilities"]) is keeps_up
    not_offered = {row["name"]: row["reason"] for row in test["not_offered"]}
    assert not_offered == ({} if keeps_up else {"HEVC encode": f"too slow for a live stream: {figure}"})


def test_hevc_that_is_not_offered_is_refused_clearly(tmp_path: Path, segment: bytes) -> None:
    flags = ("--hevc-encoding", "false", "--hevc-decoding", "false", "--encoder-preset", "ultrafast")
    with running_node(tmp_path / "data", *flags) as node, PeerGateway(node.url) as gateway:
        assert not {"HEVC encode", "HEVC decode"} & set(node.status()["capabilities"])
        profile = make_profile("hevc", 256, 144, 200_000, 30, encoder=1)
        post = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=[profile])
        answer = gateway.post(post)
        assert (answer.status, answer.error) == (200, "Encoder not found")
