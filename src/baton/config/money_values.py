"""Kinds of values that only money has: prices, amounts of wei, an endpoint of the chain. Pure.

The rules are operator.md 4 and 5.2, with the reference's words where it has some. What it logs and ignores, like prices
of gateways that cannot be read, is refused here: whoever wrote them meant them.
"""

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

from baton.config import values
from baton.config.model import GatewayPrice
from baton.config.values import BadValueError, Base, Kind, Raw, read_text
from baton.kernel.amounts import PriceText, price_text, rational, whole

__all__ = ["endpoint", "gateway_prices", "percent", "price", "units", "wei"]

_MOST_WEI = 10**30
_MOST_UNITS = 10**30
_MOST_GATEWAYS = 10_000
_MOST_URL_CHARS = 2000


def _read_price(raw: Raw, _base: Base) -> PriceText | None:
    text = read_text(raw)
    if not text:
        return None
    found = price_text(text)
    if found is None:
        message = "must be a valid integer with an optional currency, such as 1200, 0.5 or 0.41USD"
        raise BadValueError(message)
    return found


def price() -> Kind:
    """A number that is not negative and perhaps a currency; empty for none."""
    return Kind("price with an optional currency", _read_price)


def _read_units(raw: Raw, _base: Base) -> int:
    found = whole(read_text(raw))
    if found is None:
        message = "must be a valid integer, such as 1 or 1e12"
        raise BadValueError(message)
    if found <= 0:
        message = "must be > 0"
        raise BadValueError(message)
    if found > _MOST_UNITS:
        message = "must be at most 1e30"
        raise BadValueError(message)
    return found


def units() -> Kind:
    """How many units of work a price is for."""
    return Kind("whole number above 0, like 1e12", _read_units)


def _read_wei(raw: Raw, _base: Base) -> int:
    found = whole(read_text(raw))
    if found is None:
        message = "must be a valid integer"
        raise BadValueError(message)
    if found < 0:
        message = "must be greater than 0"
        raise BadValueError(message)
    if found > _MOST_WEI:
        message = "must be at most 1e30 wei"
        raise BadValueError(message)
    return found


def wei() -> Kind:
    """An amount of wei, not negative."""
    return Kind("wei", _read_wei)


_MOST_PERCENT = 100_000


def _read_percent(raw: Raw, _base: Base) -> Fraction:
    found = rational(read_text(raw).removesuffix("%").strip())
    if found is None or not 0 <= found <= _MOST_PERCENT:
        message = f"must be a number of percent from 0 to {_MOST_PERCENT}, such as 50%"
        raise BadValueError(message)
    return 1 + found / 100


def percent() -> Kind:
    """Percent on top of something, read as the factor that they make of it: ``50%`` is 3/2."""
    return Kind("percent", _read_percent)


def _read_endpoint(raw: Raw, _base: Base) -> str:
    text = read_text(raw)
    if not text:
        return ""
    if "," in text:
        message = "must be one address: several endpoints are not supported yet by this version"
        raise BadValueError(message)
    try:
        parts = urlsplit(text)
        possible = parts.hostname and parts.port != 0
    except ValueError:
        possible = False
    if possible and parts.scheme in {"ws", "wss"}:
        message = "must start with http:// or https://; this version asks its endpoint by HTTP alone"
        raise BadValueError(message)
    if not possible or parts.scheme not in {"http", "https"} or not text.isprintable() or len(text) > _MOST_URL_CHARS:
        message = "must be the address of a JSON-RPC endpoint, http://host:port or https://host"
        raise BadValueError(message)
    return text


def endpoint() -> Kind:
    """A JSON-RPC endpoint by HTTP; empty for none."""
    return Kind("URL", _read_endpoint)


def _read_gateway_prices(raw: Raw, base: Base) -> tuple[GatewayPrice, ...]:
    text = read_text(raw)
    if not text:
        return ()
    try:
        # Numbers stay text until they are read exactly, and bounded.
        document = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        message = "gateway prices could not be parsed: neither JSON nor the path of a file"
        raise BadValueError(message) from None
    if not isinstance(document, dict) or document.keys() - {"gateways", "broadcasters"}:
        message = 'gateway prices could not be parsed: the form is {"gateways": [...]}'
        raise BadValueError(message)
    lists = [document.get(key) or [] for key in ("gateways", "broadcasters")]
    if not all(isinstance(rows, list) for rows in lists) or sum(map(len, lists)) > _MOST_GATEWAYS:
        message = f"gateway prices could not be parsed: gateways must be a list of at most {_MOST_GATEWAYS}"
        raise BadValueError(message)
    found: dict[str, GatewayPrice] = {}
    for number, row in enumerate([*lists[0], *lists[1]], start=1):
        entry = _gateway_price(row, number, base)
        if entry.gateway_hex in found:
            message = f"names gateway {entry.gateway_hex} twice"
            raise BadValueError(message)
        found[entry.gateway_hex] = entry
    return tuple(found.values())


def _gateway_price(row: object, number: int, base: Base) -> GatewayPrice:
    if not isinstance(row, dict):
        message = f"gateway prices could not be parsed: entry {number} is no object"
        raise BadValueError(message)
    fields: Mapping[str, Any] = {str(key).lower(): value for key, value in row.items()}
    account = fields.get("ethaddress")
    gateway = str(values.account().read(account, base)) if isinstance(account, str) else ""
    amount = _number(fields.get("priceperunit"))
    pixels = _number(fields.get("pixelsperunit"))
    currency = fields.get("currency") or ""
    named = price_text(f"0{currency}") if isinstance(currency, str) else None
    wrong = [
        key
        for key, bad in (
            ("ethaddress", not gateway),
            ("priceperunit", amount is None or amount < 0),
            ("pixelsperunit", pixels is None or pixels.denominator != 1 or not 0 < pixels <= _MOST_UNITS),
            ("currency", named is None),
        )
        if bad
    ]
    if wrong or amount is None or pixels is None or named is None:
        message = f"gateway prices could not be parsed: entry {number} has no usable {' and '.join(wrong)}"
        raise BadValueError(message)
    return GatewayPrice(gateway, PriceText(amount, named.currency), pixels.numerator)


def _number(value: object) -> Fraction | None:
    return rational(value) if isinstance(value, str) else None


def gateway_prices() -> Kind:
    """``{"gateways": [{"ethaddress", "priceperunit", "currency", "pixelsperunit"}]}`` (operator.md 5.2)."""
    return Kind("JSON or path", _read_gateway_prices)
