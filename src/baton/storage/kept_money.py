"""Prices that an operator set while the node ran, and the last exchange rate: two small files of the data directory.

Exact: numbers are texts like ``41/100``. A file that cannot be read or understood counts as none and is said so in the
log, since a node that does not start earns nothing either. Blocking; call it from a thread or at start.
"""

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import structlog

from baton.kernel.amounts import PriceText, price_text, rational
from baton.kernel.ids import address_from_hex, to_checksum_hex
from baton.payments.ports import FeedReading, KeptRate, OperatorPrices, SetPrice
from baton.storage.files import write_private

__all__ = ["PricesFile", "RateFile"]

log = structlog.get_logger("baton.storage")

_VERSION = 1
_LARGEST_FILE_BYTES = 8 << 20
_MOST_PRICES = 10_000
_MOST_WEI = 10**30
_MOST_WORD = 2**256
_MOST_UNIX_S = 2**40
_MOST_DIGITS = 400
_MOST_CHARS = 200

T = TypeVar("T")


class RateFile:
    """The last good rate of one feed, in the file ``price-feed.json``. Satisfies ``RateStore``."""

    def __init__(self, *, path: Path, feed_hex: str) -> None:
        """A rate that was kept of another feed than ``feed_hex`` counts as none."""
        self._path = path
        self._feed_hex = feed_hex

    def read(self) -> KeptRate | None:
        """What was kept of this feed."""
        return _read(self._path, self._parse)

    def write(self, kept: KeptRate) -> None:
        """Keep a rate.

        Raises:
            OSError: it cannot be written.
        """
        reading = kept.reading
        document = {
            "version": _VERSION,
            "feed": self._feed_hex,
            "description": reading.description,
            "decimals": reading.decimals,
            "answer": str(reading.answer),
            "updated_at": reading.updated_at_s,
            "rate": f"{kept.rate.numerator}/{kept.rate.denominator}",
        }
        write_private(self._path, json.dumps(document).encode() + b"\n")

    def _parse(self, document: dict[str, Any]) -> KeptRate | None:
        if document.get("feed") != self._feed_hex:
            return None
        reading = FeedReading(
            description=_text(document.get("description")),
            decimals=_whole(document.get("decimals"), 0, 255),
            answer=_whole(int(_digits(document.get("answer"))), 0, _MOST_WORD),
            updated_at_s=_whole(document.get("updated_at"), 0, _MOST_UNIX_S),
        )
        above, _, below = _text(document.get("rate"), most=2 * _MOST_DIGITS + 1).partition("/")
        divisor = int(_digits(below))
        rate = Fraction(int(_digits(above)), divisor) if divisor else Fraction(0)
        if rate <= 0:
            message = "a rate is not above 0"
            raise ValueError(message)
        return KeptRate(reading, rate)


class PricesFile:
    """What an operator set, in the file ``prices.json``. Satisfies ``PriceStore``."""

    def __init__(self, *, path: Path) -> None:
        """Nothing is read yet."""
        self._path = path

    def read(self) -> OperatorPrices:
        """What was kept."""
        return _read(self._path, _parse_prices) or OperatorPrices()

    def write(self, prices: OperatorPrices) -> None:
        """Keep them; nothing to keep needs no file.

        Raises:
            OSError: they cannot be written.
        """
        if prices == OperatorPrices():
            self._path.unlink(missing_ok=True)
            return
        document: dict[str, Any] = {
            "version": _VERSION,
            "prices": [
                {
                    "gateway": "default" if row.gateway is None else to_checksum_hex(row.gateway),
                    "price": str(row.price.amount),
                    "currency": row.price.currency,
                    "units": str(row.units),
                    "configured": row.replaced,
                }
                for row in prices.prices
            ],
        }
        if prices.max_face_value_wei is not None:
            limit, configured = prices.max_face_value_wei
            document["max_face_value"] = {"wei": str(limit), "configured": str(configured)}
        write_private(self._path, json.dumps(document, indent=1).encode() + b"\n")


def _parse_prices(document: dict[str, Any]) -> OperatorPrices:
    rows = document.get("prices")
    if not isinstance(rows, list) or len(rows) > _MOST_PRICES:
        message = "no list of prices"
        raise ValueError(message)
    limit = document.get("max_face_value")
    if limit is not None and not isinstance(limit, dict):
        message = "no limit of face values"
        raise ValueError(message)
    found = [_parse_price(row) for row in rows]
    if len({row.gateway for row in found}) < len(found):
        message = "two prices for one gateway"
        raise ValueError(message)
    face = None
    if limit is not None:
        wei, configured = (int(_digits(limit.get(name))) for name in ("wei", "configured"))
        face = (_whole(wei, 0, _MOST_WEI), configured)
    return OperatorPrices(tuple(found), face)


def _parse_price(row: object) -> SetPrice:
    if not isinstance(row, dict):
        message = "a price is no object"
        raise TypeError(message)
    amount = rational(_text(row.get("price")))
    currency = price_text(f"0{_text(row.get('currency'))}")
    if amount is None or amount < 0 or currency is None:
        message = "a price is no number that is not negative"
        raise ValueError(message)
    gateway = _text(row.get("gateway"))
    return SetPrice(
        gateway=None if gateway == "default" else address_from_hex(gateway),
        price=PriceText(amount, currency.currency),
        units=_whole(int(_digits(row.get("units"))), 1, _MOST_WEI),
        replaced=_text(row.get("configured")),
    )


def _read(path: Path, parse: Callable[[dict[str, Any]], T]) -> T | None:
    try:
        return parse(_content(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as problem:
        log.warning("kept file ignored", path=str(path), reason=str(problem))
        return None


def _content(path: Path) -> dict[str, Any]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        content = stream.read(_LARGEST_FILE_BYTES + 1)
    if len(content) > _LARGEST_FILE_BYTES:
        message = "too long to be ours"
        raise ValueError(message)
    document = json.loads(content)
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        message = "not a file of this version"
        raise ValueError(message)
    return document


def _text(value: object, *, most: int = _MOST_CHARS) -> str:
    if not isinstance(value, str) or len(value) > most:
        message = "a text is missing or too long"
        raise ValueError(message)
    return value


def _digits(value: object) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or len(value) > _MOST_DIGITS:
        message = "a number is no digits"
        raise ValueError(message)
    return value


def _whole(value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        message = "a number is missing or out of range"
        raise ValueError(message)
    return value
