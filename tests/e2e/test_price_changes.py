"""Prices of a running node, for its operator and gateways: a currency, a change, a restart, a feed that is gone."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from baton.devnet import Devnet
from tests.clips import make_segments
from tests.e2e.commands import ROOT, environment
from tests.e2e.test_paid_node import LADDER, paid_node
from tests.node import Node
from tests.peer.gateway import PeerGateway
from tests.peer.keys import PeerKey
from tests.peer.paying import PeerSession, fee_estimate, price_of
from tests.support import run

pytestmark = [pytest.mark.node]

DOLLARS = ("--price-per-unit", "0.41USD", "--pixels-per-unit", "1e12")


def baton_price(node: Node, folder: Path, *args: str) -> dict[str, Any]:
    """What ``baton price --json`` prints."""
    where = ("--cli-addr", f"127.0.0.1:{node.management_port}", "--data-dir", str(node.data_dir), "--json")
    done = subprocess.run(
        [sys.executable, "-m", "baton", "price", *where, *args],
        env=environment(folder),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_prices_in_dollars_change_without_touching_streams_that_run(devnet: Devnet, tmp_path: Path) -> None:
    payer = PeerKey(devnet.accounts.gateway.private_key)
    run(devnet.set_price(2_500_00000000))
    feed = "0x" + devnet.addresses.price_feed.hex()
    bodies = make_segments(tmp_path, count=2)
    with (
        paid_node(devnet, tmp_path, *DOLLARS, "--price-feed-addr", feed) as node,
        PeerGateway(node.url, key=payer) as gateway,
    ):
        shown = baton_price(node, tmp_path)
        assert (shown["prices"][0]["wei_per_unit"], shown["rate"]["price"]) == ("164", "2500")
        info = gateway.get_orchestrator()
        price = price_of(info)
        assert 164 <= price <= 246
        book = PeerSession(payer, info)
        for seq, body in enumerate(bodies):
            spent = book.pay(fee_estimate(LADDER, duration_ms=2000, price=price))
            answer = gateway.post(
                replace(gateway.compose(body, info=info, seq=seq, profiles=LADDER), payment=spent.payment)
            )
            assert (answer.status, answer.error) == (200, ""), answer.text
            assert price_of(answer.result.info) == price
            book.settle(spent, pixels=sum(part.pixels for part in answer.result.data.segments))
            book.learn(answer.result.info)
            if seq == 0:
                changed = baton_price(node, tmp_path, "--price-per-unit", "4.10USD")
                assert changed["prices"][0]["wei_per_unit"] == "1640"
        assert 1640 <= price_of(gateway.get_orchestrator()) <= 2460
        gateway.end_all()
        # The endpoint is there, the feed says nothing that can be believed: the last rate and the change hold.
        run(devnet.set_price(0))
        node.kill()
        node.start()
        again = baton_price(node, tmp_path)
        assert again["prices"][0]["wei_per_unit"] == "1640"
        assert again["prices"][0]["set_at_run_time"] is True
        assert 1640 <= price_of(gateway.get_orchestrator()) <= 2460
        assert "livepeer_price_feed_rate" in node.manage("/metrics").text
        gateway.end_all()


def test_a_currency_that_the_feed_does_not_know_ends_the_start(devnet: Devnet, tmp_path: Path) -> None:
    run(devnet.set_price(2_500_00000000))
    feed = "0x" + devnet.addresses.price_feed.hex()
    with (
        pytest.raises(AssertionError, match="ended with 2 before it was ready") as ended,
        paid_node(devnet, tmp_path, "--price-per-unit", "1EUR", "--price-feed-addr", feed),
    ):
        pass
    assert "Error converting price: price feed does not have EUR as a currency (ETH/USD)" in str(ended.value)
