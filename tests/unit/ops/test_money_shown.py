"""Money on the management port and in the operator's tables: bounded, without secrets, clear where there is none."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from baton.kernel.ids import Address, SessionId, to_checksum_hex
from baton.ops.commands.amounts import amount_text, price_text
from baton.ops.commands.status import render
from baton.ops.commands.tickets import render_balances, render_tickets
from baton.ops.money import BalanceRow, Balances, MoneyStatus, MoneyViewError, TicketRow, Tickets
from tests.support import run
from tests.unit.ops.rig import Rig

WHO = Address(bytes(range(1, 21)))
NAME = to_checksum_hex(WHO)
SESSION = SessionId("0123456789abcdef0123456789abcdef")
HOSTILE = SessionId("\x1b[2J\udcff\n evil stream")
ETH = 10**18


@dataclass
class Shown:
    """A node's money as the test wants it."""

    rows: int = 2
    broken: bool = False
    asked: int = 0
    fresh: bool = True

    def status(self) -> MoneyStatus:
        return MoneyStatus(
            network="devnet",
            recipient=WHO,
            active=True,
            round=3500,
            l1_block=20_000_000,
            chain_age_s=3.21,
            chain_fresh=self.fresh,
            price_wei_per_px=Fraction(2401, 2),
            tickets=120,
            winners=3,
            pending=(2, 24 * ETH // 1000),
            refusals={"signature": 4, "nonce_seen": 0},
        )

    async def tickets(self, *, limit: int) -> Tickets:
        self.asked = limit
        if self.broken:
            message = "the record of money cannot be asked: database is locked\x1b[2J"
            raise MoneyViewError(message)
        row = TicketRow(WHO, SESSION, 12 * ETH // 1000, 3500, "pending", "", 12.34)
        done = TicketRow(WHO, HOSTILE, 2**255, 3499, "redeemed", "why\x1b[2J", 9.0, bytes([7]) * 32, 5)
        states = {"redeemed": (1, 2**255), "pending": (self.rows, self.rows * 12 * ETH // 1000)}
        return Tickets(states=states, newest=(row, done)[: self.rows])

    async def balances(self, *, limit: int) -> Balances:
        self.asked = limit
        rows = (
            BalanceRow(WHO, SESSION, Fraction(10**12, 3), Fraction(5), Fraction(1212), 60.0),
            BalanceRow(WHO, HOSTILE, Fraction(-7), Fraction(0), None, 90_000.0),
        )
        return Balances(accounts=self.rows, credit_wei=10**12 // 3, debt_wei=7, newest=rows[: self.rows])


def asked(rig: Rig, path: str) -> tuple[int, dict[str, Any]]:
    async def story() -> tuple[int, dict[str, Any]]:
        async with rig.running() as client:
            answer = await client.get(path)
            return answer.status_code, answer.json()

    return run(story())


def printed(show: Callable[[Mapping[str, Any], Console], None], answer: Mapping[str, Any]) -> str:
    """The lines that people see, columns one blank apart."""
    text = io.StringIO()
    show(answer, Console(file=text, width=160, highlight=False, markup=False, emoji=False))
    return "".join(" ".join(line.split()) + "\n" for line in text.getvalue().split("\n"))


def test_tickets_are_told_by_state_and_the_newest_one_by_one(tmp_path: Path) -> None:
    view = Shown()
    status, answer = asked(Rig(tmp_path, money=view), "/baton/tickets")
    assert status == 200
    assert view.asked == 200, "bounded"
    assert answer["states"] == [
        {"state": "pending", "tickets": 2, "face_value_wei": "24000000000000000"},
        {"state": "redeemed", "tickets": 1, "face_value_wei": str(2**255)},
    ]
    assert answer["newest"][0] == {
        "sender": NAME,
        "session": "01234567",
        "face_value_wei": "12000000000000000",
        "round": 3500,
        "state": "pending",
        "reason": "",
        "age_s": 12.3,
        "tx_hash": None,
        "paid_wei": None,
    }
    assert answer["newest"][1]["tx_hash"] == "0x" + "07" * 32
    assert answer["newest"][1]["paid_wei"] == "5"
    assert "\x1b" not in json.dumps(answer, ensure_ascii=False)


def test_no_value_of_the_view_can_carry_what_makes_a_ticket_win() -> None:
    told = {field.name for field in fields(TicketRow)} | {field.name for field in fields(BalanceRow)}
    assert not {name for name in told if "rand" in name or "sig" in name or "nonce" in name or "seed" in name}


def test_balances_are_told_with_what_is_held(tmp_path: Path) -> None:
    view = Shown()
    status, answer = asked(Rig(tmp_path, money=view), "/baton/balances")
    assert (status, view.asked) == (200, 200)
    assert (answer["accounts"], answer["credit_wei"], answer["debt_wei"]) == (2, "333333333333", "7")
    assert answer["newest"][0] == {
        "sender": NAME,
        "session": "01234567",
        "balance_wei": "333333333333",
        "held_wei": "5",
        "price_wei_per_unit": "1212",
        "used_s": 60.0,
    }
    assert answer["newest"][1]["balance_wei"] == "-7"
    assert "\x1b" not in json.dumps(answer, ensure_ascii=False)


@pytest.mark.parametrize("path", ["/baton/tickets", "/baton/balances"])
def test_off_chain_node_says_that_nobody_pays_it(tmp_path: Path, path: str) -> None:
    status, answer = asked(Rig(tmp_path), path)
    assert status == 409
    assert answer["error"].startswith("this node is off-chain")


@pytest.mark.parametrize("path", ["/baton/tickets", "/baton/balances"])
def test_money_is_read_and_never_changed_there(tmp_path: Path, path: str) -> None:
    async def story() -> None:
        rig = Rig(tmp_path, money=Shown())
        async with rig.running() as client:
            assert (await client.post(path, headers=rig.token)).status_code == 405
            assert (await client.get(path, headers={"Origin": "https://example.org"})).status_code == 403

    run(story())


def test_record_that_cannot_be_asked_is_said(tmp_path: Path) -> None:
    status, answer = asked(Rig(tmp_path, money=Shown(broken=True)), "/baton/tickets")
    assert status == 503
    assert answer == {"error": "the record of money cannot be asked: database is locked\\x1b[2J"}


def test_status_has_a_section_of_money(tmp_path: Path) -> None:
    _, answer = asked(Rig(tmp_path, money=Shown()), "/baton/status")
    assert answer["money"] == {
        "network": "devnet",
        "recipient": NAME,
        "active": True,
        "round": 3500,
        "l1_block": 20_000_000,
        "chain_age_s": 3.2,
        "chain_fresh": True,
        "price_wei_per_px": "2401/2",
        "tickets": 120,
        "winners": 3,
        "pending": 2,
        "pending_face_value_wei": "24000000000000000",
        "refusals": {"nonce_seen": 0, "signature": 4},
    }
    shown = printed(render, answer)
    for words in (
        f"devnet, paid to {NAME}, active",
        "round 3500, L1 block 20000000, read 3.2s ago\n",
        "1200.5 wei per pixel",
        "120 received, 3 won; 2 wait with 0.024 ETH",
        "ticket: signature",
    ):
        assert words in shown
    assert "nonce_seen" not in shown
    assert "too old, no terms are made" in printed(
        render, {**answer, "money": {**answer["money"], "chain_fresh": False}}
    )


def test_status_of_an_off_chain_node_has_none(tmp_path: Path) -> None:
    _, answer = asked(Rig(tmp_path), "/baton/status")
    assert answer["money"] is None
    assert "wei" not in printed(render, answer)


def test_tables_say_how_many_there_are(tmp_path: Path) -> None:
    _, tickets = asked(Rig(tmp_path, money=Shown()), "/baton/tickets")
    shown = printed(render_tickets, tickets)
    assert f"{NAME} 01234567 0.012 ETH 3500 pending 12.3s\n" in shown
    assert "the newest 2 of 3" in shown
    _, balances = asked(Rig(tmp_path, money=Shown()), "/baton/balances")
    shown = printed(render_balances, {**balances, "accounts": 999})
    assert "999 accounts, 333.333333 gwei paid ahead, 7 wei owed" in shown
    assert "the newest 2 of 999" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("answer", [{}, {"newest": "x", "states": 7}, {"newest": [7, None], "states": [{}]}])
def test_answer_of_another_version_breaks_no_table(answer: dict[str, Any]) -> None:
    assert printed(render_tickets, answer)
    assert printed(render_balances, answer)
    assert printed(render, {"money": answer})


@pytest.mark.parametrize(
    ("wei", "text"),
    [
        (0, "0 wei"),
        ("-7", "-7 wei"),
        (999_999, "999999 wei"),
        (10**6, "0.001 gwei"),
        (1_500_000_000, "1.5 gwei"),
        (10**14, "0.0001 ETH"),
        (str(12 * 10**15), "0.012 ETH"),
        (2**255, "57896044618658097711785492504343953926634992332820282019728.792004 ETH"),
        ("-" + str(3 * ETH), "-3 ETH"),
        (None, ""),
        ("x", ""),
        ("NaN", ""),
        ("Infinity", ""),
        ("1e999999", ""),
        ("0.5", ""),
    ],
)
def test_amounts_are_short(wei: object, text: str) -> None:
    assert amount_text(wei) == text


@pytest.mark.parametrize(
    ("price", "text"),
    [
        ("1212", "1212"),
        ("2401/2", "1200.5"),
        ("1/3", "0.333333333333"),
        ("0", "0"),
        (None, ""),
        ("1/0", ""),
        ("x/y", ""),
        ("1e999999999", ""),
        ("NaN", ""),
    ],
)
def test_prices_are_short(price: object, text: str) -> None:
    assert price_text(price) == text
