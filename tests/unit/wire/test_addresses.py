import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.wire.clients.addresses import refused_because


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.1", "192.167.1.1", "100.63.0.1"])
def test_public_ipv4_passes(address: str) -> None:
    assert refused_because(address) is None


@pytest.mark.parametrize("address", ["2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "2003::1"])
def test_public_ipv6_passes(address: str) -> None:
    assert refused_because(address) is None


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "shared"),
        ("100.127.255.255", "shared"),
        ("169.254.169.254", "link-local"),
        ("192.0.0.170", "reserved"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4"),
        ("198.19.0.1", "benchmark"),
        ("203.0.113.9", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "reserved"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("::ffff:0:127.0.0.1", "reserved"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b:1::1", "NAT64"),
        ("2002:7f00:1::", "6to4"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("fc00::1", "private"),
        ("fd12:3456::1", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "reserved"),
        ("ff02::1", "multicast"),
        ("100::1", "reserved"),
        ("4000::1", "reserved"),
        ("localhost", "not an address"),
        ("2130706433", "not an address"),
        ("127.1", "not an address"),
        ("0177.0.0.1", "not an address"),
        ("", "not an address"),
    ],
)
def test_what_is_not_the_public_internet_is_refused(address: str, why: str) -> None:
    assert refused_because(address) == why


@given(st.integers(0, 2**32 - 1))
def test_no_ipv4_address_passes_that_the_standard_library_calls_special(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if refused_because(str(address)) is None:
        assert address.is_global
        assert not any((address.is_multicast, address.is_reserved, address.is_loopback, address.is_link_local))


@given(st.integers(0, 2**128 - 1) | st.integers(0x2000 << 112, 0x4000 << 112))
def test_no_ipv6_address_passes_that_leads_back_into_ipv4(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    if refused_because(str(address)) is None:
        assert address.is_global
        assert address.ipv4_mapped is None
        assert address.sixtofour is None
        assert address.teredo is None
        assert not address.is_multicast
