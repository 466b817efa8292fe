"""POST policies and their signatures: the vendor's published values, and what ours allow (video.md 6.3)."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from baton.config.stores import GoogleAddress, S3Address
from baton.jobs.messages import ObjectStoreKind
from baton.kernel.errors import ExitCode, StartError
from baton.storage.policy import GoogleAccount, S3Account, s3_signature

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PUBLISHED_POLICY = (
    "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJz"
    "aWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJw"
    "dWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6"
    "b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2Uv"
    "Il0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRp"
    "b24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRl"
    "bnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXot"
    "YWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"
)
PUBLISHED_SIGNATURE = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"

NOW = datetime(2015, 12, 29, 23, 59, 59, 250_000, tzinfo=UTC).timestamp()
ADDRESS = S3Address(
    host="https://renditions.s3.amazonaws.com",
    bucket="renditions",
    region="us-east-1",
    access_key="AKIAIOSFODNN7EXAMPLE",
    secret_key=SECRET,
    prefix="a/b",
)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_signature_is_the_published_one() -> None:
    signature = s3_signature(SECRET, day="20151229", region="us-east-1", policy=PUBLISHED_POLICY)
    assert signature == PUBLISHED_SIGNATURE


@pytest.mark.parametrize(
    ("day", "region", "policy"),
    [
        ("20151230", "us-east-1", PUBLISHED_POLICY),
        ("20151229", "us-east-2", PUBLISHED_POLICY),
        ("20151229", "us-east-1", PUBLISHED_POLICY[:-4]),
    ],
)
def test_signature_covers_day_region_and_policy(day: str, region: str, policy: str) -> None:
    assert s3_signature(SECRET, day=day, region=region, policy=policy) != PUBLISHED_SIGNATURE


def test_s3_offer_says_all_of_it() -> None:
    offer = S3Account(ADDRESS).offer("5e55", unix_now=NOW)
    assert (offer.kind, offer.host, offer.key_prefix) == (ObjectStoreKind.S3, ADDRESS.host, "a/b/5e55")
    assert offer.credential == "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"
    assert offer.amz_date == "20151229T000000Z"
    assert json.loads(base64.b64decode(offer.policy)) == {
        "expiration": "2015-12-30T23:59:59.250Z",
        "conditions": [
            {"bucket": "renditions"},
            {"acl": "public-read"},
            ["starts-with", "$Content-Type", ""],
            ["starts-with", "$key", "a/b/5e55/"],
            ["content-length-range", 0, 1_000_000_000],
            {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
            {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},
            {"x-amz-date": "20151229T000000Z"},
        ],
    }
    assert offer.signature == s3_signature(SECRET, day="20151229", region="us-east-1", policy=offer.policy)
    assert SECRET not in repr(S3Account(ADDRESS))
    assert not any(said in repr(offer) for said in (offer.policy, offer.signature, offer.credential))


def test_google_offer_is_signed_with_the_accounts_key(key: rsa.RSAPrivateKey) -> None:
    address = GoogleAddress(bucket="renditions", key_file="/k")
    offer = GoogleAccount(address, email="o@p.iam.gserviceaccount.com", key=key).offer("5e55", unix_now=NOW)
    assert (offer.kind, offer.host) == (ObjectStoreKind.GOOGLE, "https://renditions.storage.googleapis.com")
    assert (offer.key_prefix, offer.credential, offer.amz_date) == ("5e55", "o@p.iam.gserviceaccount.com", "")
    document = json.loads(base64.b64decode(offer.policy))
    assert document["expiration"] == "2015-12-30T23:59:59.250Z"
    assert ["starts-with", "$key", "5e55/"] in document["conditions"]
    assert "x-amz" not in json.dumps(document)
    signature = base64.b64decode(offer.signature, validate=True)
    public = key.public_key()
    public.verify(signature, offer.policy.encode(), padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(signature, offer.policy.encode() + b"x", padding.PKCS1v15(), hashes.SHA256())


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_key_is_read_from_its_file_or_from_the_address(key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    document = json.dumps({"client_email": "a@b", "private_key": pem_of(key)})
    path = tmp_path / "key.json"
    path.write_text(document)
    for address in (
        GoogleAddress(bucket="renditions", key_file=str(path)),
        GoogleAddress(bucket="renditions", key_json=document),
    ):
        offer = GoogleAccount.load(address).offer("5e55", unix_now=NOW)
        assert offer.credential == "a@b"
        signature = base64.b64decode(offer.signature)
        key.public_key().verify(signature, offer.policy.encode(), padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    "content",
    [
        "hunter2",
        "[" * 100_000,
        json.dumps(["hunter2"]),
        json.dumps({"client_email": "a@b"}),
        json.dumps({"client_email": 5, "private_key": 7}),
        json.dumps({"client_email": "a@b", "private_key": "hunter2"}),
        json.dumps({"client_email": "a@b", "private_key": pem_of(ec.generate_private_key(ec.SECP256R1()))}),
    ],
    ids=["no json", "nested", "list", "half", "numbers", "no pem", "other key"],
)
def test_what_is_no_key_ends_the_start_and_is_not_repeated(content: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(StartError, match="not the JSON key of a service account") as ended:
        GoogleAccount.load(GoogleAddress(bucket="renditions", key_file=str(path)))
    assert ended.value.exit_code is ExitCode.CONFIG
    assert "hunter2" not in str(ended.value)
    assert ended.value.__cause__ is None


def test_missing_key_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    with pytest.raises(StartError, match=r"none\.json: No such file or directory"):
        GoogleAccount.load(GoogleAddress(bucket="renditions", key_file=str(path)))
