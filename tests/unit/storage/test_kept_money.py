"""Prices and exchange rates on the disk: exact, private, and harmless when somebody else wrote them."""

import json
import stat
from fractions import Fraction
from pathlib import Path

import pytest

from baton.kernel.amounts import PriceText
from baton.kernel.ids import Address
from baton.payments.ports import FeedReading, KeptRate, OperatorPrices, SetPrice
from baton.storage.kept_money import PricesFile, RateFile

FEED = "0x" + "fe" * 20
RATE = KeptRate(FeedReading("ETH / USD", 8, 250_012_345_678, 1_700_000_000), Fraction(250_012_345_678, 10**8 * 7))
PRICES = OperatorPrices(
    (
        SetPrice(None, PriceText(Fraction(1, 3), "usd"), 10**12, "1200/1"),
        SetPrice(Address(b"\x0a" * 20), PriceText(Fraction(0)), 1, ""),
    ),
    (10**18, 0),
)


def test_rate_survives_exactly(tmp_path: Path) -> None:
    path = tmp_path / "price-feed.json"
    assert RateFile(path=path, feed_hex=FEED).read() is None
    RateFile(path=path, feed_hex=FEED).write(RATE)
    assert RateFile(path=path, feed_hex=FEED).read() == RATE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_rate_of_another_feed_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "price-feed.json"
    RateFile(path=path, feed_hex=FEED).write(RATE)
    assert RateFile(path=path, feed_hex="0x" + "00" * 20).read() is None


def test_prices_survive_exactly(tmp_path: Path) -> None:
    file = PricesFile(path=tmp_path / "prices.json")
    assert file.read() == OperatorPrices()
    file.write(PRICES)
    assert file.read() == PRICES
    file.write(OperatorPrices())
    assert not (tmp_path / "prices.json").exists()


RATE_DOCUMENT = {
    "version": 1,
    "feed": FEED,
    "description": "ETH / USD",
    "decimals": 8,
    "answer": "1",
    "updated_at": 1,
    "rate": "1/2",
}


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"rate": "0/1"},
        {"rate": "1/0"},
        {"rate": "-1/2"},
        {"rate": "1" * 5000},
        {"rate": 0.5},
        {"answer": "9" * 100},
        {"answer": 1},
        {"answer": "-1"},
        {"decimals": True},
        {"updated_at": 10**30},
        {"description": "x" * 300},
        {"description": None},
    ],
    ids=str,
)
def test_rate_files_that_are_not_believed(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "price-feed.json"
    path.write_text(json.dumps(RATE_DOCUMENT))
    assert RateFile(path=path, feed_hex=FEED).read() is not None
    path.write_text(json.dumps({**RATE_DOCUMENT, **change}))
    assert RateFile(path=path, feed_hex=FEED).read() is None


ROW = {"gateway": "default", "price": "1/3", "currency": "usd", "units": "1", "configured": ""}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        {"version": 1},
        {"version": 1, "prices": [7]},
        {"version": 1, "prices": [ROW, ROW]},
        {"version": 1, "prices": [{**ROW, "price": "-1"}]},
        {"version": 1, "prices": [{**ROW, "price": "1e999999"}]},
        {"version": 1, "prices": [{**ROW, "currency": "u s d"}]},
        {"version": 1, "prices": [{**ROW, "units": "0"}]},
        {"version": 1, "prices": [{**ROW, "gateway": "0x12"}]},
        {"version": 1, "prices": [], "max_face_value": 7},
        {"version": 1, "prices": [], "max_face_value": {"wei": "-1", "configured": "0"}},
    ],
    ids=lambda document: str(document)[:60],
)
def test_price_files_that_are_not_believed(tmp_path: Path, document: bytes | dict[str, object]) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    assert PricesFile(path=path).read() == OperatorPrices()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    file = PricesFile(path=tmp_path / "real.json")
    file.write(PRICES)
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    assert PricesFile(path=tmp_path / "link.json").read() == OperatorPrices()
