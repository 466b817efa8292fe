"""Which addresses a stranger may make us connect to: the public Internet, and nothing that only looks like it. Pure.

A segment's URL comes from a gateway (video.md 4.2 step 16, 11.1 item 7). Whoever follows it blindly reads the
operator's own network and cloud metadata for strangers. The tables follow IANA's registries of special-purpose
addresses. Forms that carry an IPv4 address inside an IPv6 one (mapped, NAT64, 6to4, Teredo) are refused whole: where
they lead is decided by machines we know nothing of.
"""

import ipaddress

__all__ = ["refused_because"]

_REFUSED_V4 = tuple(
    (ipaddress.IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmark"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
"""The only part of IPv6 handed out for public use."""

_REFUSED_V6 = tuple(
    (ipaddress.IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "reserved"),  # Teredo, benchmarks, ORCHID and other protocol assignments
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        # Outside of 2000::/3 all is refused; these rows only give the reason a name.
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
    )
)


def refused_because(address: str) -> str | None:
    """Why nothing may be fetched from ``address`` (a literal IPv4 or IPv6 address), or None when it is public.

    Text that is no address is refused too, so that a name never gets past here unresolved.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "not an address"
    if isinstance(parsed, ipaddress.IPv4Address):
        return next((why for network, why in _REFUSED_V4 if parsed in network), None)
    why = next((why for network, why in _REFUSED_V6 if parsed in network), None)
    if why is None and parsed not in _GLOBAL_V6:
        return "reserved"
    return why
