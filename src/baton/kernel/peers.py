"""Who stands behind a network address, as far as limits are concerned. Pure."""

import ipaddress

__all__ = ["network_of"]

_IPV6_NETWORK_BITS = 64


def network_of(host: str) -> str:
    """The part of an address that one customer holds whole, as a key: an IPv4 address, or the /64 of an IPv6 one.

    Text that is no address is its own key.
    """
    if ":" not in host:
        return host
    try:
        whole = int(ipaddress.IPv6Address(host.partition("%")[0]))
    except ValueError:
        return host
    return str(whole >> _IPV6_NETWORK_BITS)
