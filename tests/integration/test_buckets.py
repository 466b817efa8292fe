"""Renditions in buckets over the real port: those that gateways lend, and the node's own (video.md 6, 4.5)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.buckets import ACCESS_KEY, SECRET_KEY, Bucket, strict_bucket
from tests.clips import decoded_px
from tests.node import Node, running_node
from tests.peer.gateway import Answer, PeerGateway
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import URI_TYPE, SegmentPost, preset

pytestmark = [pytest.mark.node, pytest.mark.media]

PROFILES = (preset("P144p30fps16x9"), preset("P240p30fps16x9"))
PREFIX = "stream/0f0f"


@pytest.fixture(scope="module")
def near_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose operator lets gateways name places in his own network."""
    with running_node(tmp_path_factory.mktemp("near") / "data", "--fetch-private-networks") as node:
        yield node


@pytest.fixture
def peer(near_node: Node) -> Iterator[PeerGateway]:
    with PeerGateway(near_node.url) as gateway:
        yield gateway
        gateway.end_all()


@pytest.fixture(scope="module")
def google_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def storage_of(bucket: Bucket, prefix: str = PREFIX) -> pb.OSInfo:
    """What a gateway that owns ``bucket`` lends."""
    kind = pb.OSInfo.S3 if bucket.google_key is None else pb.OSInfo.GOOGLE
    return pb.OSInfo(storageType=kind, s3info=pb.S3OSInfo(**bucket.lend(prefix)))


def with_storage(post: SegmentPost, *storage: pb.OSInfo) -> SegmentPost:
    data = pb.SegData()
    data.CopyFrom(post.data)
    data.storage.extend(storage)
    return replace(post, data=data)


def compose(gateway: PeerGateway, segment: bytes, info: pb.OrchestratorInfo, *, seq: int = 0) -> SegmentPost:
    # Bits 5 and 6 are what a gateway with such a store demands.
    return gateway.compose(segment, info=info, profiles=PROFILES, seq=seq, duration_ms=1000, bits=(0b1100000,))


def urls_of(answer: Answer) -> list[str]:
    assert (answer.status, answer.error) == (200, "")
    return [s.url for s in answer.result.data.segments]


@pytest.mark.parametrize("google", [False, True], ids=["s3", "google"])
def test_gateway_that_lends_a_bucket_gets_its_renditions_there(
    peer: PeerGateway, segment: bytes, google_key: rsa.RSAPrivateKey, *, google: bool
) -> None:
    with strict_bucket(google_key=google_key if google else None) as bucket:
        info = peer.get_orchestrator()
        answer = peer.post(with_storage(compose(peer, segment, info), storage_of(bucket)))
        assert urls_of(answer) == [f"{bucket.url}/{PREFIX}/{p.name}/0.ts" for p in PROFILES]
        for said in answer.result.data.segments:
            assert decoded_px(httpx.get(said.url).content) == said.pixels
        assert {content_type for _, content_type in bucket.objects.values()} == {"video/mp2t"}
        # The bucket of the first segment is the bucket of the session, whatever the second one says.
        answer = peer.post(compose(peer, segment, info, seq=1))
        assert urls_of(answer) == [f"{bucket.url}/{PREFIX}/{p.name}/1.ts" for p in PROFILES]
        assert bucket.refusals == []


@pytest.mark.parametrize(
    "storage",
    [
        (),
        (pb.OSInfo(storageType=pb.OSInfo.DIRECT),),
        (pb.OSInfo(storageType=pb.OSInfo.S3),),
        (pb.OSInfo(storageType=pb.OSInfo.GOOGLE, s3info=pb.S3OSInfo(key="x")),),
        (pb.OSInfo(), pb.OSInfo(storageType=pb.OSInfo.S3, s3info=pb.S3OSInfo(host="https://second.example"))),
    ],
    ids=["none", "direct", "s3 without info", "google without host", "second entry"],
)
def test_gateway_that_lends_nothing_usable_gets_ours(
    peer: PeerGateway, near_node: Node, segment: bytes, storage: tuple[pb.OSInfo, ...]
) -> None:
    answer = peer.post(with_storage(compose(peer, segment, peer.get_orchestrator()), *storage))
    assert all(url.startswith(f"{near_node.url}/stream/") for url in urls_of(answer))


def test_bucket_that_refuses_fails_the_segment_with_its_words(peer: PeerGateway, segment: bytes) -> None:
    with strict_bucket() as bucket:
        storage = storage_of(bucket)
        storage.s3info.signature = "0" * 64
        answer = peer.post(with_storage(compose(peer, segment, peer.get_orchestrator()), storage))
        assert (answer.status, answer.error) == (200, "<Error><Code>SignatureDoesNotMatch</Code></Error>")
        assert not answer.result.data.segments
        assert not bucket.objects


def test_strangers_cannot_make_a_node_write_into_its_own_network(
    node: Node, gateway: PeerGateway, segment: bytes
) -> None:
    with strict_bucket() as bucket:
        since = node.log_size()
        answer = gateway.post(with_storage(compose(gateway, segment, gateway.get_orchestrator()), storage_of(bucket)))
        assert answer.status == 200
        assert answer.error == "Input/output error"
        assert not bucket.orders
        text = node.log_path.read_text()[since:]
        assert "refused address: loopback" in text
        lent = bucket.lend(PREFIX)
        assert not any(lent[name] in text for name in ("policy", "signature", "credential"))


# The node's own bucket.


@pytest.fixture(scope="module")
def own_bucket() -> Iterator[Bucket]:
    with strict_bucket("ours") as bucket:
        yield bucket


@pytest.fixture(scope="module")
def bucket_node(tmp_path_factory: pytest.TempPathFactory, own_bucket: Bucket) -> Iterator[Node]:
    """A node that keeps renditions in a bucket below a prefix; its gateways may not name private places."""
    place = own_bucket.url.removeprefix("http://")
    store = f"s3+http://{ACCESS_KEY}:{quote(SECRET_KEY, safe='')}@{place}/live/eu"
    with running_node(tmp_path_factory.mktemp("bucket") / "data", "--object-store", store) as node:
        yield node


def test_own_bucket_is_offered_and_takes_sources_and_renditions(
    bucket_node: Node, own_bucket: Bucket, segment: bytes
) -> None:
    with PeerGateway(bucket_node.url) as gateway:
        info = gateway.get_orchestrator()
        (offer,) = info.storage
        folder = f"live/eu/{info.auth_token.session_id}"
        assert offer.storageType == pb.OSInfo.S3
        assert (offer.s3info.host, offer.s3info.key) == (own_bucket.url, folder)
        # A gateway leaves its source in our bucket by the leave we gave, and names it by URL.
        fields = {
            "acl": "public-read",
            "Content-Type": "video/mp2t",
            "key": f"{folder}/source/${{filename}}",
            "policy": offer.s3info.policy,
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": offer.s3info.credential,
            "x-amz-date": offer.s3info.xAmzDate,
            "x-amz-signature": offer.s3info.signature,
        }
        posted = httpx.post(own_bucket.url, data=fields, files={"file": ("0.ts", segment, "video/mp2t")})
        assert (posted.status_code, posted.text) == (204, "")
        source = f"{own_bucket.url}/{folder}/source/0.ts"
        post = replace(compose(gateway, segment, info), body=source.encode(), content_type=URI_TYPE)
        answer = gateway.post(post)
        assert urls_of(answer) == [f"{own_bucket.url}/{folder}/{p.name}/0.ts" for p in PROFILES]
        for said in answer.result.data.segments:
            assert decoded_px(httpx.get(said.url).content) == said.pixels
        assert [o.s3info.key for o in answer.result.info.storage] == [folder]
        missing = gateway.request("GET", f"{bucket_node.url}/stream/{info.auth_token.session_id}/P144p30fps16x9/0.ts")
        assert missing.status == 404
        gateway.end_all()


@pytest.mark.parametrize("path", ["/../other/x.ts", "/%2e%2e/other/x.ts", "/a%2F..%2Fx.ts", "-other/x.ts", "@x/x.ts"])
def test_what_only_looks_like_the_own_bucket_is_not_fetched_from_private_places(
    bucket_node: Node, own_bucket: Bucket, segment: bytes, path: str
) -> None:
    with PeerGateway(bucket_node.url) as gateway:
        url = f"{own_bucket.url}{path}"
        since = bucket_node.log_size()
        post = replace(compose(gateway, segment, gateway.get_orchestrator()), body=url.encode(), content_type=URI_TYPE)
        answer = gateway.post(post)
        assert (answer.status, answer.text) == (400, "BadRequest\n")
        assert "refused address" in bucket_node.log_path.read_text()[since:]
        gateway.end_all()


def test_own_credentials_are_shown_nowhere(bucket_node: Node) -> None:
    status = httpx.get(f"{bucket_node.management_url}/baton/status").text
    for text in (bucket_node.log_path.read_text(), status):
        assert SECRET_KEY not in text
        assert quote(SECRET_KEY, safe="") not in text
        assert ACCESS_KEY not in text
    assert "s3+http://***@" in status


def test_a_key_file_that_is_none_ends_the_start_with_the_code_of_settings(tmp_path: Path) -> None:
    key_file = tmp_path / "key.json"
    key_file.write_text("hunter2")
    command = [*[sys.executable, "-m", "baton", "run", "--data-dir", str(tmp_path / "data"), "--cli-addr"]]
    command += ["127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--object-store", f"gs://renditions?keyfile={key_file}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 2
    assert "not the JSON key of a service account" in done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
