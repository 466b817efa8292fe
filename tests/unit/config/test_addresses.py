"""Addresses: completion, IPv6, the service URI and everything it must not be."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.config import addresses
from baton.config.addresses import Endpoint, is_loopback, is_unspecified, parse_endpoint
from baton.config.model import BindAddress
from baton.config.values import BadValueError, Base

BASE = Base(Path("/home/op"), Path("/srv"))


@pytest.mark.parametrize(
    ("text", "host", "port", "tls"),
    [
        ("", "", 8935, True),
        (":9000", "", 9000, True),
        ("10.0.0.1", "10.0.0.1", 8935, True),
        ("Node.example", "node.example", 8935, True),
        ("10.0.0.1:9000", "10.0.0.1", 9000, True),
        ("https://10.0.0.1:9000", "10.0.0.1", 9000, True),
        ("http://10.0.0.1:9000/", "10.0.0.1", 9000, False),
        ("HTTP://:9000", "", 9000, False),
        ("::1", "::1", 8935, True),
        ("[::1]", "::1", 8935, True),
        ("[::1]:9000", "::1", 9000, True),
        ("http://[2001:DB8::0:1]:9000", "2001:db8::1", 9000, False),
        ("127.0.0.1:0", "127.0.0.1", 0, True),
    ],
)
def test_http_addr(text: str, host: str, port: int, *, tls: bool) -> None:
    request = addresses.bind(scheme=True).read(text, BASE)
    assert isinstance(request, addresses.BindRequest)
    assert request.complete(host="", port=8935) == BindAddress(host, port, tls)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ftp://x:1", 'unsupported --http-addr scheme "ftp"'),
        ("https://x:1/path", "must not include a path"),
        ("x:1/path", "must not include a path"),
        ("https://x:1//", "must not include a path"),
        ("x:1?q", "must not include a path"),
        ("x:66000", "must have a port"),
        ("x:", "must have a port"),
        ("x:-1", "must have a port"),
        ("x:٣", "must have a port"),
        ("u@x:1", "must have a valid host"),
        ("a b:1", "must have a valid host"),
        ("-x:1", "must have a valid host"),
        ("300.1.1.1:1", "must have a valid host"),
        ("[::1", "must have a valid host"),
        ("[x]:1", "must have a valid host"),
        ("[::1]9", "must have a valid host"),
        ("1::2::3", "must have a valid host"),
        ("fe80::1%eth0", "must have a valid host"),
    ],
)
def test_http_addr_refused(text: str, problem: str) -> None:
    with pytest.raises(BadValueError, match=problem):
        addresses.bind(scheme=True).read(text, BASE)


def test_the_management_address_has_no_scheme() -> None:
    with pytest.raises(BadValueError, match="without a scheme"):
        addresses.bind(scheme=False).read("http://127.0.0.1:1", BASE)


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("node.example", "https://node.example:8935"),
        ("node.example:443", "https://node.example:443"),
        ("https://Node.example:9000/", "https://node.example:9000"),
        ("http://10.0.0.1:8935", "http://10.0.0.1:8935"),
        ("::1", "https://[::1]:8935"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:8935"),
        ("none", ""),
        ("", None),
    ],
)
def test_service_uri(text: str, uri: str | None) -> None:
    assert addresses.service_uri().read(text, BASE) == uri


@pytest.mark.parametrize(
    "text",
    [
        "ftp://x",
        "https://",
        "https://x/path",
        "https://u@x",
        "https://x?q",
        "https://x#f",
        "https://x:0",
        "https://:1",
        "https://x\\y",
        "a b",
        "https://x:99999",
        "x\ny",
    ],
)
def test_service_uri_refused(text: str) -> None:
    with pytest.raises(BadValueError, match="must"):
        addresses.service_uri().read(text, BASE)


def test_nodes() -> None:
    read = addresses.nodes().read
    assert read("a.example, https://b.example:1,,a.example", BASE) == (
        "https://a.example:8935",
        "https://b.example:1",
    )
    assert read(("a.example",), BASE) == ("https://a.example:8935",)
    assert read("", BASE) == ()
    with pytest.raises(BadValueError, match=r"has an instance URI that cannot be used, 'http://a': it must start with"):
        read("b, http://a", BASE)


@pytest.mark.parametrize("url", ["http://a/hook?key=1", "https://u:p@a:8/x", ""])
def test_web_url(url: str) -> None:
    assert addresses.web_url().read(url, BASE) == url


@pytest.mark.parametrize("url", ["a/hook", "ftp://a", "http://", "http://a:x/", "http://[::1", "http://a b/"])
def test_web_url_refused(url: str) -> None:
    with pytest.raises(BadValueError, match="must be an http"):
        addresses.web_url().read(url, BASE)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", ""),
        ("renditions", "/srv/renditions"),
        ("~/r", "/home/op/r"),
        ("/var/r/", "/var/r"),
        ("file:///var/a%20b", "/var/a b"),
        ("file://localhost/var/r", "/var/r"),
        ("s3://key:secret@eu-west-1/bucket", "s3://key:secret@eu-west-1/bucket"),
        ("gs://bucket?keyfile=key.json", "gs://bucket?keyfile=/srv/key.json"),
        ("gs://bucket/a%20b?keyfile=~/k%20.json", "gs://bucket/a%20b?keyfile=/home/op/k%20.json"),
    ],
)
def test_object_store(text: str, where: str) -> None:
    assert addresses.object_store().read(text, BASE) == where


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ipfs://cid", r"not supported by this version \(ipfs://\)"),
        ("w3s://x", r"not supported by this version"),
        ("gs://bucket", r"needs the key of a service account"),
        ("file://host/x", "must be a directory"),
        ("file:///a%00b", "must be a directory"),
        ("a\0b", "must be a directory"),
    ],
)
def test_object_store_refused(text: str, problem: str) -> None:
    with pytest.raises(BadValueError, match=problem):
        addresses.object_store().read(text, BASE)


def test_hosts_by_reach() -> None:
    assert [h for h in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "x.localhost") if not is_loopback(h)] == []
    assert [h for h in ("", "0.0.0.0", "10.0.0.1", "localhost.example", "::") if is_loopback(h)] == []
    assert [h for h in ("", "0.0.0.0", "::", "0:0::0") if not is_unspecified(h)] == []
    assert not is_unspecified("127.0.0.1")


@given(st.text())
def test_parsing_never_breaks_and_printing_comes_back(text: str) -> None:
    try:
        endpoint = parse_endpoint(text, zero_port=True)
    except BadValueError:
        return
    assert parse_endpoint(str(endpoint), zero_port=True) == endpoint


@given(st.ip_addresses(), st.none() | st.integers(1, 65535))
def test_every_ip_address_survives(address: object, port: int | None) -> None:
    endpoint = Endpoint(str(address), port)
    assert parse_endpoint(str(endpoint)) == endpoint
