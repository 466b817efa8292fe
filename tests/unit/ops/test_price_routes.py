"""Prices on the management port and by ``baton price``: shapes, texts, and what a restart makes of a change."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from baton.app.prices import Prices
from baton.chain.rpc import JsonRpc
from baton.config.model import GatewayPrice, PaymentSettings
from baton.kernel.amounts import PriceText, price_text
from baton.kernel.clock import ManualClock
from baton.kernel.metrics import SilentMetrics
from baton.ops.cli import group
from baton.storage.data_dir import DataDir
from tests.support import run

from .rig import Rig

GATEWAY = "0x" + "aB" * 20
OTHER = "0x" + "01" * 20
CHANGE = "/setPriceForBroadcaster"


def price(text: str) -> PriceText:
    found = price_text(text)
    assert found is not None
    return found


SETTINGS = PaymentSettings(
    price=price("1200"),
    price_per_gateway=(GatewayPrice(OTHER, price("2.5"), 1),),
    price_feed_hex="",
)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[DataDir]:
    with DataDir.acquire(tmp_path / "data") as found:
        yield found


@asynccontextmanager
async def node(data_dir: DataDir) -> AsyncIterator[tuple[Rig, httpx.AsyncClient]]:
    """A management port in front of real prices; every call of it is a start of the node."""
    async with JsonRpc("http://127.0.0.1:9", timeout_s=1.0) as rpc:
        prices = Prices(settings=SETTINGS, rpc=rpc, data_dir=data_dir, clock=ManualClock(), metrics=SilentMetrics())
        await prices.start()
        rig = Rig(data_dir.path, prices=prices)
        async with rig.running() as client:
            yield rig, client


def ask(data_dir: DataDir, method: str, path: str, **form: str) -> httpx.Response:
    async def scenario() -> httpx.Response:
        async with node(data_dir) as (rig, client):
            if method == "GET":
                return await client.get(path)
            return await client.post(path, data=form, headers=rig.token)

    return run(scenario())


def in_force(data_dir: DataDir) -> dict[str, Any]:
    found: dict[str, Any] = ask(data_dir, "GET", "/status").json()["BroadcasterPrices"]
    return found


def test_status_has_prices_as_rationals(data_dir: DataDir) -> None:
    assert in_force(data_dir) == {"default": "1200", OTHER: "5/2"}


def test_price_of_one_gateway(data_dir: DataDir) -> None:
    answer = ask(data_dir, "POST", CHANGE, pricePerUnit="7", pixelsPerUnit="2", broadcasterEthAddr=GATEWAY)
    assert answer.status_code == 200
    assert answer.text == f"Price per pixel set to 7 wei for 2 pixels for broadcaster {GATEWAY}"
    assert in_force(data_dir) == {"default": "1200", OTHER: "5/2", GATEWAY.lower(): "7/2"}


@pytest.mark.parametrize(
    ("form", "wei"),
    [
        ({"pricePerUnit": "0.5", "pixelsPerUnit": "1e3"}, "1/2000"),
        ({"pricePerUnit": "1/3", "pixelsPerUnit": "1"}, "1/3"),
        ({"pricePerUnit": "0", "pixelsPerUnit": "1"}, "0"),
        ({"pricePerUnit": "1", "pixelsPerUnit": "0.5"}, "2"),
        ({"pricePerUnit": "1", "pixelsPerUnit": "1000000000000", "currency": "ETH"}, "1000000"),
        ({"pricePerUnit": "1", "pixelsPerUnit": "3", "currency": "wei"}, "1/3"),
    ],
    ids=str,
)
def test_amounts_are_exact(data_dir: DataDir, form: dict[str, str], wei: str) -> None:
    assert ask(data_dir, "POST", CHANGE, **form, broadcasterEthAddr="default").status_code == 200
    assert in_force(data_dir)["default"] == wei


GOOD = {"pricePerUnit": "1", "pixelsPerUnit": "1", "broadcasterEthAddr": "default"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"pricePerUnit": ""}, "missing form param: pricePerUnit"),
        ({"pixelsPerUnit": ""}, "missing form param: pixelsPerUnit"),
        ({"broadcasterEthAddr": ""}, "missing form param: broadcasterEthAddr"),
        ({"broadcasterEthAddr": "0x12"}, "broadcasterEthAddr is not a valid eth address, provided 0x12"),
        ({"pricePerUnit": "x"}, "error parsing pricePerUnit value: x"),
        ({"pricePerUnit": "1e99999999"}, "error parsing pricePerUnit value: 1e99999999"),
        ({"pricePerUnit": "-1"}, "price unit must be greater than or equal to 0, provided -1"),
        ({"pixelsPerUnit": "x"}, "error parsing pixelsPerUnit value: x"),
        ({"pixelsPerUnit": "0"}, "pixels per unit must be greater than 0, provided 0"),
        ({"pixelsPerUnit": "-1"}, "pixels per unit must be greater than 0, provided -1"),
        (
            {"currency": "USD"},
            "error converting price: PriceFeedWatcher is not initialized: no price feed converts usd",
        ),
        ({"pricePerUnit": "10", "currency": "eth"}, "error converting price: price cannot be converted to int64"),
        ({"currency": "U S"}, "error converting price: no such currency or number of pixels: U S, 1"),
    ],
    ids=str,
)
def test_what_is_refused_and_how(data_dir: DataDir, change: dict[str, str], text: str) -> None:
    answer = ask(data_dir, "POST", CHANGE, **{**GOOD, **change})
    assert (answer.status_code, answer.text) == (400, f"{text}\n")
    assert in_force(data_dir) == {"default": "1200", OTHER: "5/2"}


def test_price_by_the_form_of_the_whole_configuration(data_dir: DataDir) -> None:
    path = "/setOrchestratorConfig"
    assert ask(data_dir, "POST", path, pricePerUnit="9", pixelsPerUnit="3").text == ""
    assert in_force(data_dir)["default"] == "3"
    refused = ask(data_dir, "POST", path, pricePerUnit="1", pixelsPerUnit="1", feeShare="10", blockRewardCut="5")
    assert refused.status_code == 500
    assert "is not supported yet by this version, nothing was changed" in refused.text
    assert ask(data_dir, "POST", path, pricePerUnit="x", pixelsPerUnit="1").status_code == 400
    assert ask(data_dir, "POST", path).status_code == 200
    assert in_force(data_dir)["default"] == "3"


def test_limit_of_face_values(data_dir: DataDir) -> None:
    path = "/setMaxFaceValue"
    assert ask(data_dir, "POST", path, maxfacevalue="1e18").text == "ticket max face value set"
    assert ask(data_dir, "GET", "/baton/prices").json()["max_face_value_wei"] == str(10**18)
    assert ask(data_dir, "POST", path).text == "missing form param: maxfacevalue\n"
    assert ask(data_dir, "POST", path, maxfacevalue="much").text == "maxfacevalue not set to number\n"
    too_low = ask(data_dir, "POST", path, maxfacevalue="5")
    assert too_low.status_code == 400
    assert "must be above the value of a ticket" in too_low.text


@pytest.mark.parametrize("path", [CHANGE, "/setMaxFaceValue", "/setOrchestratorConfig", "/baton/prices"])
def test_changes_need_the_operator(data_dir: DataDir, path: str) -> None:
    async def scenario() -> list[int]:
        async with node(data_dir) as (_, client):
            posted = await client.post(path, data=GOOD)
            got = await client.get(path, params=GOOD)
            return [posted.status_code, got.status_code]

    posted, got = run(scenario())
    assert posted == 401
    assert got == (200 if path == "/baton/prices" else 405)
    assert in_force(data_dir)["default"] == "1200"


def test_origin_is_told(data_dir: DataDir) -> None:
    def row() -> dict[str, str]:
        settings = ask(data_dir, "GET", "/baton/status").json()["settings"]
        return next(row for row in settings if row["name"] == "price-per-unit")

    assert (row()["value"], row()["source"]) == ("1200", "command line")
    ask(data_dir, "POST", CHANGE, **{**GOOD, "pricePerUnit": "5"})
    assert (row()["value"], row()["source"], row()["where"]) == ("5", "set at run time", "baton price")


def test_a_price_that_cannot_be_kept_is_not_set(data_dir: DataDir) -> None:
    async def scenario() -> list[httpx.Response]:
        async with node(data_dir) as (rig, client):
            data_dir.prices.mkdir()  # nothing can be moved over a folder
            return [
                await client.post(path, data={**GOOD, **extra}, headers=rig.token)
                for path, extra in ((CHANGE, {}), ("/baton/prices", {"price": "5"}), ("/setMaxFaceValue", FACE))
            ]

    answers = run(scenario())
    assert [answer.status_code for answer in answers] == [500, 500, 500]
    assert "cannot be kept" in answers[0].text
    data_dir.prices.rmdir()
    assert in_force(data_dir)["default"] == "1200"


FACE = {"maxfacevalue": "1e18"}


# Our own route, by our own command.


def command(data_dir: DataDir, *args: str) -> Result:
    async def scenario() -> Result:
        async with node(data_dir) as (rig, _):
            where = ("--cli-addr", f"127.0.0.1:{rig.port.port}", "--data-dir", str(data_dir.path))
            return await asyncio.to_thread(CliRunner().invoke, group, ["price", *where, *args])

    return run(scenario())


def test_command_shows_prices(data_dir: DataDir) -> None:
    shown = command(data_dir)
    assert shown.exit_code == 0
    rows = [line.split() for line in shown.output.splitlines()]
    assert ["default", "1200", "1", "1200", "by", "configuration"] in rows
    assert [OTHER, "2.5", "1", "5/2", "by", "configuration"] in rows


def test_command_changes_and_takes_back(data_dir: DataDir) -> None:
    changed = command(data_dir, "--price-per-unit", "0.001eth", "--pixels-per-unit", "1e12", "--gateway", GATEWAY)
    assert changed.exit_code == 0, changed.output
    assert in_force(data_dir)[GATEWAY.lower()] == "1000"
    # Without pixels, those of the price that is replaced.
    assert command(data_dir, "--price-per-unit", "0.002eth", "--gateway", GATEWAY).exit_code == 0
    assert in_force(data_dir)[GATEWAY.lower()] == "2000"
    assert command(data_dir, "--remove", "--gateway", GATEWAY).exit_code == 0
    assert command(data_dir, "--price-per-unit", "3").exit_code == 0
    assert in_force(data_dir) == {"default": "3", OTHER: "5/2"}


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--price-per-unit", "free"], "price must be a number with an optional currency"),
        (["--price-per-unit", "1", "--pixels-per-unit", "0"], "units must be a whole number above 0"),
        (["--price-per-unit", "1", "--gateway", "0x12"], "gateway must be default or an address"),
        (["--price-per-unit", "1usd"], "no price feed converts usd"),
        (["--remove", "--price-per-unit", "1"], "--remove takes no price"),
        (["--gateway", GATEWAY], "need --price-per-unit or --remove"),
    ],
)
def test_command_says_what_is_wrong(data_dir: DataDir, args: list[str], text: str) -> None:
    result = command(data_dir, *args)
    assert result.exit_code != 0
    assert text in result.output + result.stderr
    assert in_force(data_dir) == {"default": "1200", OTHER: "5/2"}


def test_off_chain_there_are_no_prices(tmp_path: Path) -> None:
    async def scenario() -> list[tuple[int, str]]:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            answers = [await client.post(CHANGE, data=GOOD, headers=rig.token), await client.get("/baton/prices")]
            return [(answer.status_code, answer.text) for answer in answers]

    changed, shown = run(scenario())
    assert changed == (500, "missing ETH client\n")
    assert shown == (409, '{"error":"off-chain nobody pays: there are no prices"}')
