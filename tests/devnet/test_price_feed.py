"""Prices in a currency by a real feed contract: conversion, bad answers, an endpoint that is down at the start."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path

import pytest

from baton.chain.price_feed import ChainPriceFeed
from baton.chain.rpc import JsonRpc
from baton.devnet import Devnet
from baton.kernel.clock import ManualClock
from baton.kernel.errors import StartError
from baton.kernel.ids import Address
from baton.kernel.metrics import SilentMetrics
from baton.payments.feed import FeedError, FeedFault, judge
from baton.payments.ports import ChainUnavailableError
from baton.payments.rates import RateWatch
from baton.storage.kept_money import RateFile
from tests.support import run

NOWHERE = "http://127.0.0.1:9"


@asynccontextmanager
async def feed(devnet: Devnet, *, url: str = "") -> AsyncIterator[ChainPriceFeed]:
    async with JsonRpc(url or devnet.rpc_url, timeout_s=5.0) as rpc:
        yield ChainPriceFeed(rpc=rpc, address=devnet.addresses.price_feed)


async def chain_time(devnet: Devnet) -> int:
    return int((await devnet.chain.rpc.ask("eth_getBlockByNumber", "latest", False))["timestamp"], 16)


async def watch(devnet: Devnet, source: ChainPriceFeed, store: Path) -> RateWatch:
    return RateWatch(
        feed=source,
        store=RateFile(path=store, feed_hex="0x" + devnet.addresses.price_feed.hex()),
        clock=ManualClock(now=await chain_time(devnet)),
        metrics=SilentMetrics(),
        step_most=Fraction(1),
    )


def test_answers_of_the_contract(devnet: Devnet) -> None:
    async def scenario() -> None:
        async with feed(devnet) as source:
            await devnet.set_price(2_500_00000000)
            reading = await source.read()
            assert (reading.description, reading.decimals, reading.answer) == ("ETH / USD", 8, 2_500_00000000)
            assert judge(reading, now_s=await chain_time(devnet)).wei("usd") == Fraction(10**18, 2500)

    run(scenario())


@pytest.mark.parametrize(
    ("answer", "age_s", "fault"),
    [
        (0, 0, FeedFault.NOT_POSITIVE),
        (-2_500_00000000, 0, FeedFault.NOT_POSITIVE),
        (2_500_00000000, 90_000, FeedFault.STALE),
    ],
)
def test_answers_that_are_no_price(devnet: Devnet, answer: int, age_s: int, fault: FeedFault) -> None:
    async def scenario() -> None:
        async with feed(devnet) as source:
            await devnet.set_price(answer, age_s=age_s)
            with pytest.raises(FeedError) as raised:
                judge(await source.read(), now_s=await chain_time(devnet))
            assert raised.value.fault is fault

    run(scenario())


def test_endpoint_that_is_down_at_the_start(devnet: Devnet, tmp_path: Path) -> None:
    async def scenario() -> None:
        kept = tmp_path / "price-feed.json"
        async with feed(devnet, url=NOWHERE) as source:
            with pytest.raises(StartError, match="no rate was kept"):
                await (await watch(devnet, source, kept)).start()
        async with feed(devnet) as source:
            await devnet.set_price(2_000_00000000)
            await (await watch(devnet, source, kept)).start()
        async with feed(devnet, url=NOWHERE) as source:
            rates = await watch(devnet, source, kept)
            await rates.start()
            assert rates.rate is not None
            assert rates.rate.price == 2000

    run(scenario())


def test_an_address_without_a_feed(devnet: Devnet) -> None:
    async def scenario() -> None:
        async with JsonRpc(devnet.rpc_url, timeout_s=5.0) as rpc:
            with pytest.raises(ChainUnavailableError, match="no contract code"):
                await ChainPriceFeed(rpc=rpc, address=Address(b"\x77" * 20)).read()
            with pytest.raises(ChainUnavailableError):
                await ChainPriceFeed(rpc=rpc, address=devnet.addresses.controller).read()

    run(scenario())
