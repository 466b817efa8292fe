"""Other people's clients at the port: curl over both protocols, and h2load, where they are installed."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.node import Node
from tests.peer.gateway import PeerGateway
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import preset

pytestmark = pytest.mark.node

PROFILES = (preset("P144p30fps16x9"),)


def run(program: str, *arguments: str) -> bytes:
    """Output of a client that must succeed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([found, *arguments], capture_output=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.mark.media
@pytest.mark.parametrize(("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_curl_posts_a_segment(gateway: PeerGateway, segment: bytes, tmp_path: Path, option: str, version: str) -> None:
    post = gateway.compose(segment, info=gateway.get_orchestrator(), profiles=PROFILES, duration_ms=1000)
    source, target = tmp_path / "source.ts", tmp_path / "answer"
    source.write_bytes(segment)
    headers = [part for name, value in post.headers.items() for part in ("-H", f"{name}: {value}")]
    output = run(
        "curl",
        *["-sk", option, *headers, "--data-binary", f"@{source}", "-o", str(target)],
        *["-w", "%{http_version} %{response_code}", gateway.url + "/segment"],
    )
    assert output.decode() == f"{version} 200"
    result = pb.TranscodeResult.FromString(target.read_bytes())
    assert result.error == ""
    assert len(result.data.segments) == 1

    fetched = run("curl", "-sk", option, result.data.segments[0].url)
    assert fetched == gateway.download(result.data.segments[0].url)


@pytest.mark.parametrize("option", ["--http2", "--http1.1"])
def test_curl_reads_health_and_refusals(node: Node, option: str) -> None:
    shape = '{"status": %{response_code}, "type": "%{content_type}"}'
    healthy = json.loads(run("curl", "-sk", option, "-w", shape, node.url + "/healthz"))
    assert healthy["status"] == 200
    refused = run("curl", "-sk", option, "-d", "x", "-i", node.url + "/segment").decode()
    assert refused.endswith("missing auth token\n")
    assert " 403" in refused.splitlines()[0]


def test_curl_upload_with_expect_and_chunks(node: Node, tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.write_bytes(bytes(3 << 20))
    chunked = ["-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue"]
    answer = run("curl", "-sk", "--http1.1", *chunked, "-T", str(source), "-X", "POST", node.url + "/segment")
    assert answer == b"missing auth token\n"


def test_h2load_gets_only_successes(node: Node) -> None:
    report = run("h2load", "-n", "500", "-c", "5", "-m", "10", node.url + "/healthz").decode()
    assert "500 succeeded, 0 failed, 0 errored" in report
