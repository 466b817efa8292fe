"""What an operator of a node on a chain sees of money: tickets, balances, standing, and a chain that goes away."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from baton.devnet import Devnet
from baton.devnet.faults import Faults, Misdeed, Rule
from tests.clips import make_segments
from tests.e2e.commands import baton
from tests.e2e.test_paid_node import EV_WEI, LADDER, PRICE, paid_node
from tests.node import eventually, running_node
from tests.peer.gateway import PeerGateway
from tests.peer.keys import PeerKey
from tests.peer.paying import PeerSession, fee_estimate, price_of
from tests.support import run

pytestmark = [pytest.mark.node]


def test_winners_and_balances_are_shown_without_their_secrets(devnet: Devnet, tmp_path: Path) -> None:
    (body,) = make_segments(tmp_path, count=1)
    payer = PeerKey(devnet.accounts.gateway.private_key)
    options = ("--ticket-ev", str(EV_WEI), "--max-face-value", str(EV_WEI + 1))
    with paid_node(devnet, tmp_path, *options) as node, PeerGateway(node.url, key=payer) as gateway:
        where = ("--cli-addr", node.management_url.removeprefix("http://"))

        def told(*arguments: str) -> str:
            done = baton(tmp_path, *arguments, *where)
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert told("tickets") == "no ticket has won yet\n"
        assert told("tickets", "--balances") == "no gateway has paid yet\n"
        info = gateway.get_orchestrator()
        book = PeerSession(payer, info)
        spent = book.pay(fee_estimate(LADDER, duration_ms=2000, price=price_of(info)))
        answer = gateway.post(replace(gateway.compose(body, info=info, profiles=LADDER), payment=spent.payment))
        assert (answer.status, answer.error) == (200, ""), answer.text
        book.settle(spent, pixels=sum(part.pixels for part in answer.result.data.segments))

        tickets = json.loads(told("tickets", "--json"))
        assert [state["state"] for state in tickets["states"]] == ["pending"]
        assert tickets["newest"][0]["sender"] == payer.checksum_hex
        assert tickets["newest"][0]["session"] == info.auth_token.session_id[:8]
        assert tickets["newest"][0]["face_value_wei"] == str(EV_WEI + 1)
        balances = json.loads(told("tickets", "--balances", "--json"))
        (account,) = balances["newest"]
        assert account["balance_wei"] == balances["credit_wei"] == str(int(book.credit))
        assert (account["held_wei"], account["sender"]) == ("0", payer.checksum_hex)
        assert node.manage("/EthChainID").text == str(devnet.options.chain_id)
        assert int.from_bytes(node.manage("/currentBlock").content, "big") > 0
        money = node.status()["money"]
        assert (money["network"], money["active"], money["chain_fresh"]) == ("devnet", True, True)
        assert (money["price_wei_per_px"], money["winners"]) == (str(PRICE), spent.tickets)
        everything = [told("tickets"), told("tickets", "--balances"), told("status"), told("status", "--json")]
        everything += [json.dumps(tickets), json.dumps(balances)]
        with sqlite3.connect(node.data_dir / "money.sqlite3") as database:
            secrets = database.execute("select recipient_rand, signature, recipient_rand_hash from tickets").fetchall()
        assert secrets
        for text in everything:
            assert info.auth_token.session_id not in text
            for values in secrets:
                assert not any(value.hex() in text or str(int.from_bytes(value, "big")) in text for value in values)
        gateway.end_all()


def test_node_that_cannot_see_its_chain_is_not_ready_until_it_can(devnet: Devnet, tmp_path: Path) -> None:
    with paid_node(devnet, tmp_path, "--chain-stale-after", "5s") as node:
        assert node.manage("/readyz").status_code == 200
        try:
            run(devnet.misbehave(Faults(rules=(Rule(misdeed=Misdeed.ERROR, message="out of order"),))))
            eventually(lambda: node.manage("/readyz").status_code == 503, deadline_s=20, what="the node is not ready")
            assert node.manage("/readyz").json()["reasons"] == [
                {"fact": "chain", "reason": "the chain could not be read for over 5 seconds"}
            ]
            assert node.status()["money"]["chain_fresh"] is False
            assert node.manage("/healthz").status_code == 200
        finally:
            run(devnet.misbehave(Faults()))
        eventually(lambda: node.manage("/readyz").status_code == 200, deadline_s=20, what="the node is ready again")


def test_off_chain_node_says_so(tmp_path: Path) -> None:
    with running_node(tmp_path / "data") as node:
        done = baton(tmp_path, "tickets", "--cli-addr", node.management_url.removeprefix("http://"))
        assert done.returncode == 1
        assert "this node is off-chain" in done.stderr
