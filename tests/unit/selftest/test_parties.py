"""Addresses of orchestrators, accounts of gateways, and how long a gateway waits."""

import pytest

from baton.kernel.crypto import verify_message
from baton.kernel.ids import ZERO_ADDRESS
from baton.selftest.gateway import segment_timeouts_s
from baton.selftest.parties import Endpoint, GatewayKey
from tests.unit.selftest.fake_orchestrator import ADDRESS, PRIVATE_KEY


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("https://o.example:8935", "https://o.example:8935"),
        ("https://o.example:8935/", "https://o.example:8935"),
        ("o.example:1234", "https://o.example:1234"),
        ("o.example", "https://o.example:8935"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("https://[::1]:8935", "https://[::1]:8935"),
    ],
)
def test_addresses_are_read(text: str, uri: str) -> None:
    assert Endpoint.parse(text, default_port=8935).uri == uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://o.example",
        "https://",
        "https://o.example/segment",
        "https://a:b@o.example",
        "https://o.example:99999",
        "o.example?x",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- any text will do
        Endpoint.parse(text)


def test_without_a_port_the_scheme_decides() -> None:
    assert Endpoint.parse("https://o.example").port == 443
    assert Endpoint.parse("http://o.example").port == 80


def test_key_signs_for_its_address_and_none_signs_nothing() -> None:
    key = GatewayKey.from_private_key(PRIVATE_KEY)
    assert key.address == ADDRESS
    assert verify_message(ADDRESS, b"text", key.sign(b"text"))
    assert (GatewayKey().address, GatewayKey().sign(b"text")) == (ZERO_ADDRESS, b"")


@pytest.mark.parametrize("raw", [b"", b"\x01", bytes(32), b"\xff" * 32, b"\x01" * 33])
def test_what_is_no_key_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- any text will do
        GatewayKey.from_private_key(raw)


@pytest.mark.parametrize(
    ("duration_ms", "header_s", "total_s"), [(500, 2.0, 8.0), (2000, 2.0, 8.0), (4000, 2.0, 16.0), (10_000, 5.0, 40.0)]
)
def test_gateway_waits_longer_for_longer_segments(duration_ms: int, header_s: float, total_s: float) -> None:
    assert segment_timeouts_s(duration_ms) == (header_s, total_s)
