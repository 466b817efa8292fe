"""A whole node on two devices: gateways stream on while one fails, see a smaller node, and a whole one again."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.media.simulating import SimulatedDevice
from tests.node import ROOT, Node, eventually
from tests.peer.gateway import PeerGateway, RpcError
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import SegmentPost, preset

pytestmark = [pytest.mark.node]

SMALL = (preset("P144p30fps16x9"),)
CAPPED = "Invalid orchestrator request: OrchestratorCapped"


class SimulatedNode(Node):
    """The program of ``simulated_node`` on loopback ports of its own."""

    def __init__(self, folder: Path, *flags: str, names: tuple[str, ...] = ("sim-0", "sim-1")) -> None:
        # No cell: the children of simulated devices write into the folders of these.
        super().__init__(folder / "data", "--engine-children", "1", "--monitor", "--engine-sandbox", "off", *flags)
        self.devices = tuple(SimulatedDevice.make(folder, name) for name in names)
        self._place = [str(folder), ",".join(device.name for device in self.devices)]

    @property
    def command(self) -> list[str]:
        options = super().command[4:]
        return [sys.executable, "-m", "tests.integration.simulated_node", *self._place, *options]

    def states(self) -> list[str]:
        return [device["state"] for device in self.status()["devices"]]

    def wait_states(self, *states: str) -> None:
        eventually(lambda: self.states() == list(states), deadline_s=20, what=f"devices are {states}")

    def metric(self, series: str) -> float:
        lines = self.manage("/metrics").text.splitlines()
        found = [line for line in lines if line.startswith("livepeer_") and series in line]
        assert len(found) == 1, found
        return float(found[0].rpartition(" ")[2])


@contextmanager
def simulated_node(folder: Path, *flags: str, names: tuple[str, ...] = ("sim-0", "sim-1")) -> Iterator[SimulatedNode]:
    node = SimulatedNode(folder, *flags, names=names)
    try:
        node.start()
        yield node
        node.stop()
        node.check_log()
    finally:
        node.kill()


@contextmanager
def gateways(node: Node, count: int) -> Iterator[list[PeerGateway]]:
    hands = [PeerGateway(node.url) for _ in range(count)]
    try:
        yield hands
    finally:
        for hand in hands:
            with suppress(RpcError):
                hand.end_all()
            hand.close()


def send(gateway: PeerGateway, info: pb.OrchestratorInfo, seq: int, body: bytes) -> str:
    """One segment of a gateway's stream; returns the error in its result, empty when it went through."""
    answer = gateway.post(compose(gateway, info, seq, body))
    assert answer.status == 200, answer.text
    return answer.error


def compose(
    gateway: PeerGateway,
    info: pb.OrchestratorInfo,
    seq: int,
    body: bytes,
    *,
    profiles: tuple[pb.VideoProfile, ...] = SMALL,
) -> SegmentPost:
    """Each gateway has one stream; under one name they would continue one another."""
    return gateway.compose(body, info=info, seq=seq, profiles=profiles, manifest_id=gateway.key.address.hex().encode())


def test_streams_go_on_while_a_device_is_lost_and_the_node_shrinks_and_grows(tmp_path: Path) -> None:
    with simulated_node(tmp_path, "--max-sessions", "4") as node, gateways(node, 3) as hands:
        terms = [hand.get_orchestrator() for hand in hands]
        for seq in range(2):
            assert [send(h, t, seq, b"body %d" % seq) for h, t in zip(hands, terms, strict=True)] == [""] * 3
        assert [d["sessions"] for d in node.status()["devices"]] == [2, 1]
        node.announce("device out of use")
        node.announce("engine child replaced")
        node.devices[0].become("crash")
        for seq in range(2, 5):
            assert [send(h, t, seq, b"body %d" % seq) for h, t in zip(hands, terms, strict=True)] == [""] * 3
        node.wait_states("quarantined", "healthy")
        status = node.status()
        assert (status["ready"], status["session_room"], status["max_sessions"]) == (True, 2, 4)
        assert [d["sessions"] for d in status["devices"]] == [0, 3]
        # Three streams are open where two may be: they go on, and nobody else comes in.
        with PeerGateway(node.url) as stranger, pytest.raises(RpcError) as refused:
            stranger.get_orchestrator()
        assert refused.value.text == CAPPED
        node.devices[0].become("fine")
        node.wait_states("healthy", "healthy")
        assert node.status()["session_room"] == 4
        with PeerGateway(node.url) as newcomer:
            info = newcomer.get_orchestrator()
            assert send(newcomer, info, 0, b"new body") == ""
            assert [d["sessions"] for d in node.status()["devices"]] == [1, 3]
            # What ends is let go of at once.
            newcomer.end_all()
            eventually(lambda: node.devices[0].kept == [], what="nothing is kept on sim-0")
        events = [line.event for line in node.log()]
        assert events.count("device out of use") == 1


def test_only_without_any_device_is_the_node_not_ready(tmp_path: Path) -> None:
    with simulated_node(tmp_path) as node, gateways(node, 1) as (gateway,):
        info = gateway.get_orchestrator()
        assert send(gateway, info, 0, b"fine") == ""
        for event in ("device out of use", "engine child replaced"):
            node.announce(event)
        for device in node.devices:
            device.become("lost")
        assert send(gateway, info, 1, b"lost") == "Unrecoverable state, restart process"
        node.wait_states("quarantined", "quarantined")
        assert node.manage("/readyz").status_code == 503
        reasons = [reason for reason in node.status()["reasons"] if reason["fact"] == "engine"]
        assert "sim-0: " in reasons[0]["reason"]
        assert "sim-1: " in reasons[0]["reason"]
        with PeerGateway(node.url) as stranger, pytest.raises(RpcError) as refused:
            stranger.get_orchestrator()
        assert refused.value.text == CAPPED
        # The stream that runs is told in its result, and is not told that we cannot do what it asks for.
        assert send(gateway, info, 2, b"again") == "ErrTranscoderUnavailable"
        for device in node.devices:
            device.become("fine")
        node.wait_states("healthy", "healthy")
        eventually(lambda: node.manage("/readyz").status_code == 200, what="ready again")
        assert send(gateway, info, 3, b"lost") == ""


def test_a_limit_per_device_is_a_limit_of_the_node(tmp_path: Path) -> None:
    with simulated_node(tmp_path, "--max-sessions-per-device", "1") as node, gateways(node, 2) as hands:
        for hand in hands:
            assert send(hand, hand.get_orchestrator(), 0, b"body") == ""
        assert node.status()["session_room"] == 2
        with PeerGateway(node.url) as stranger, pytest.raises(RpcError) as refused:
            stranger.get_orchestrator()
        assert refused.value.text == CAPPED
        hands[0].end_all()
        with PeerGateway(node.url) as stranger:
            assert send(stranger, stranger.get_orchestrator(), 0, b"other") == ""
            stranger.end_all()


def test_a_limit_by_pixel_rate_refuses_the_stream_that_is_too_large(tmp_path: Path) -> None:
    with simulated_node(tmp_path, "--max-load-per-device", "2") as node, gateways(node, 1) as (gateway,):
        info = gateway.get_orchestrator()
        large = compose(gateway, info, 0, b"body", profiles=(preset("P720p30fps16x9"),))
        answer = gateway.post(large)
        assert (answer.status, answer.text.strip()) == (403, "OrchestratorCapped")
        assert send(gateway, info, 0, b"body") == ""
        assert [d["load_px_per_s"] for d in node.status()["devices"]] == [256 * 144 * 30, 0]


def test_no_device_at_all_ends_with_the_exit_code_of_the_engine(tmp_path: Path) -> None:
    node = SimulatedNode(tmp_path)
    for device in node.devices:
        device.become("crash")
    done = subprocess.run(node.command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5, done.stderr
    assert "sim-0: " in done.stderr
    assert "sim-1: " in done.stderr
