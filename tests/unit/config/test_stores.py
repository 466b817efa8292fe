"""Addresses of buckets as the reference's operators write them (video.md 6.1)."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from baton.config import addresses
from baton.config.stores import GoogleAddress, S3Address, read_store
from baton.config.values import BadValueError, Base
from tests.unit.config.conftest import Place

BASE = Base(home=Path("/home/op"), directory=Path("/srv"))


def s3(text: str) -> S3Address:
    _, address = read_store(text)
    assert isinstance(address, S3Address)
    return address


def google(text: str) -> GoogleAddress:
    _, address = read_store(text, base=BASE)
    assert isinstance(address, GoogleAddress)
    return address


def test_amazon() -> None:
    address = s3("s3://AKIA:abc%2Fdef%2B+@eu-west-1/renditions")
    assert address.host == "https://renditions.s3.amazonaws.com"
    assert (address.region, address.bucket, address.prefix) == ("eu-west-1", "renditions", "")
    assert (address.access_key, address.secret_key) == ("AKIA", "abc/def++")


@pytest.mark.parametrize(
    ("text", "host", "region"),
    [
        ("s3+http://k:s@localhost:9000/bkt", "http://localhost:9000/bkt", "us-east-1"),
        ("s3+https://k:s@minio.example.com/bkt", "https://minio.example.com/bkt", "us-east-1"),
        ("s3+https://k:s@s3.eu-west-1.example.com/bkt", "https://s3.eu-west-1.example.com/bkt", "eu-west-1"),
        ("s3+https://k:s@a.b.c.d.example.com:444/bkt", "https://a.b.c.d.example.com:444/bkt", "b"),
        ("s3+http://k:s@10.0.0.7:9000/bkt", "http://10.0.0.7:9000/bkt", "us-east-1"),
        ("s3+http://k:s@[fd00::1]:9000/bkt", "http://[fd00::1]:9000/bkt", "us-east-1"),
    ],
)
def test_compatible(text: str, host: str, region: str) -> None:
    assert (s3(text).host, s3(text).region) == (host, region)


@pytest.mark.parametrize(
    ("path", "prefix"),
    [("", ""), ("/", ""), ("/a", "a"), ("/a/b/", "a/b"), ("/a%20b", "a b"), ("//a", "a")],
)
def test_prefix(path: str, prefix: str) -> None:
    assert s3(f"s3://k:s@region/bucket{path}").prefix == prefix
    assert google(f"gs://bucket{path}?keyfile=/k").prefix == prefix


def test_google_by_key_file_and_by_key() -> None:
    address = google("gs://renditions?keyfile=keys/a%20b.json")
    assert (address.host, address.key_file) == ("https://renditions.storage.googleapis.com", "/srv/keys/a b.json")
    key = json.dumps({"client_email": "a@b", "private_key": "x/y"})
    text, by_key = read_store(f"gs://{quote(key, safe='')}@renditions", base=BASE)
    assert by_key == GoogleAddress(bucket="renditions", key_json=key)
    assert read_store(text)[1] == by_key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("s3://key@region/bucket", r"password is required with s3:// OS"),
        ("s3+http://key:@host/bucket", r"password is required with s3\+http:// OS"),
        ("s3://region/bucket", r"s3://key:secret@region/bucket"),
        ("s3://key:se/cret@region/bucket", r"in key and secret a / is written %2F"),
        ("s3://key:secret@region", "form"),
        ("s3://key:secret@region/b", "form"),
        ("s3://key:secret@reg ion/bucket", "form"),
        ("s3://key:secret@reg.ion/bucket", "form"),
        ("s3://key:secret@region/buc:ket", "form"),
        ("s3://key:secret@region/bucket?x=1", "form"),
        ("s3://key:secret@region/bucket#x", "form"),
        ("s3+http://key:secret@ho$t/bucket", "form"),
        ("s3://key:secret@region/bucket/a//b", "plain prefix"),
        ("s3://key:secret@region/bucket/../b", "plain prefix"),
        ("s3://key:secret@region/bucket/${filename}", "plain prefix"),
        ("s3://key:secret@region/bucket/a%0d%0ab", "plain prefix"),
        ("s3://key:secret@region/bucket/" + "a" * 401, "plain prefix"),
        ("s3+http://key:secret@[::1/bucket", "form"),
        ("s3+http://key:secret@minio:99999/bucket", "host or port"),
        ("s3+http://key:secret@minio:0/bucket", "host or port"),
        ("s3+http://key:secret@[::::]/bucket", "form"),
        ("gs://bucket", "needs the key"),
        ("gs://secret@bucket?keyfile=/secret", "needs the key"),
        ("gs://bucket?keyfile=", "needs the key"),
        ("gs://bucket?keyfil=/secret", "form"),
        ("gs://bucket?keyfile=%00", "form"),
        ("gs://?keyfile=/secret", "form"),
    ],
)
def test_refused_without_repeating_the_secret(text: str, reason: str) -> None:
    with pytest.raises(BadValueError, match=reason) as refused:
        read_store(text)
    assert "secret" not in refused.value.reason.replace("key:secret@", "").replace("key and secret", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://key:hunter2@region/bucket/p", "s3://***@region/bucket/p"),
        ("s3+https://key:hun%2Fter2@host/bucket", "s3+https://***@host/bucket"),
        ("gs://bucket/p?keyfile=/hunter2", "gs://bucket/p?***"),
        ("gs://hunter2@bucket", "gs://***@bucket"),
        ("s3://key:hunter2", "s3://***"),
        ("/var/r", "/var/r"),
    ],
)
def test_shown_without_credentials(text: str, shown: str) -> None:
    assert addresses.object_store().show(text) == shown


def test_settings_show_no_credentials(place: Place) -> None:
    loaded = place.load("--object-store", "s3://AKIAhunter2:hunter2@region/bucket/prefix")
    assert "hunter2" in loaded.settings.storage.object_store
    assert "hunter2" not in repr(loaded.settings)
    assert "hunter2" not in repr(loaded.provenance)
    assert "hunter2" not in repr(s3(loaded.settings.storage.object_store)).replace("AKIAhunter2", "")


def test_a_bucket_without_a_webhook_deserves_a_word(place: Place) -> None:
    bucket = ("--object-store", "s3://k:hunter2@region/bucket")
    told = [w for w in place.load(*bucket).warnings if "bucket" in w]
    assert len(told) == 1
    assert "hunter2" not in told[0]
    assert not [w for w in place.load(*bucket, "--auth-webhook-url", "https://w.example").warnings if "bucket" in w]
    assert not [w for w in place.load("--object-store", "/srv/r").warnings if "bucket" in w]
