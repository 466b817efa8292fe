"""Kinds of values that only the node's own settings have: its network, its limits, its verbosity. Pure."""

import re

from baton.config import values
from baton.config.values import BadValueError, Base, Kind, Raw, read_text

__all__ = ["level_from_verbosity", "megapixels", "network", "sessions"]

_WARNING_VERBOSITY, _INFO_VERBOSITY, _DEBUG_VERBOSITY = 1, 3, 5


def level_from_verbosity(word: str) -> str:
    """Also understand the reference's numbers: 0 is errors only, its default 3 is info, above 4 is debug."""
    if not word.isascii() or not word.isdigit() or len(word) > 3:  # noqa: PLR2004 -- three digits are verbosity enough
        return word
    number = int(word)
    if number >= _DEBUG_VERBOSITY:
        return "debug"
    if number >= _INFO_VERBOSITY:
        return "info"
    return "warning" if number >= _WARNING_VERBOSITY else "error"


_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PUBLIC_NETWORKS = frozenset({"arbitrum-one-mainnet", "mainnet", "rinkeby", "arbitrum-one-rinkeby"})


def _read_network(raw: Raw, _base: Base) -> str:
    name = read_text(raw)
    if name in _PUBLIC_NETWORKS:
        message = (
            f"{name!r} is not supported yet by this version: it takes tickets and cannot redeem the winning ones, so "
            "on a public network it would work for nothing; use offchain, devnet or a private network"
        )
        raise BadValueError(message)
    if not _NETWORK.fullmatch(name):
        message = "must be offchain, devnet, or the name of a private network in letters, digits, dots and dashes"
        raise BadValueError(message)
    return name


_MOST_SESSIONS = 1_000_000


def _read_sessions(raw: Raw, base: Base) -> int:
    text = read_text(raw)
    if text == "auto":
        message = "'auto' cannot be used by a node with its own transcoder"
        raise BadValueError(message)
    try:
        return int(str(values.count(1, _MOST_SESSIONS).read(text, base)))
    except BadValueError:
        # The reference's sentence, and what it does not say: 'auto' is refused beside a transcoder of the node's own.
        message = "must be 'auto' or greater than zero (a number here: 'auto' is for remote transcoders)"
        raise BadValueError(message) from None


_MOST_MEGAPIXELS = 1_000_000


def _read_megapixels(raw: Raw, base: Base) -> int:
    return int(str(values.count(0, _MOST_MEGAPIXELS).read(raw, base))) * 1_000_000


def network() -> Kind:
    """A network that this version works in."""
    return Kind("network name", _read_network)


def sessions() -> Kind:
    """A number of sessions, at least one."""
    return Kind("number above 0", _read_sessions)


def megapixels() -> Kind:
    """Millions of pixels per second, read as pixels per second."""
    return Kind("millions of pixels per second", _read_megapixels)
