"""A node on a chain, as its operator and a paying gateway see it: contracts, tickets, winners, restarts."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from eth_account import Account

from baton.devnet import Devnet, DevnetOptions, running_devnet
from tests.clips import make_segments
from tests.e2e.commands import ROOT, environment
from tests.node import Node, running_node
from tests.peer.gateway import PeerGateway
from tests.peer.keys import PeerKey
from tests.peer.paying import PeerSession, credit_only, fee_estimate, price_of
from tests.peer.segments import preset
from tests.support import run
from tests.unit.storage.test_reference_tickets import database, row, ticket

pytestmark = [pytest.mark.node]

LADDER = (preset("P144p30fps16x9"),)
PRICE = 1200
EV_WEI = 10**15
"""So much that one ticket pays for a segment, and nearly every one wins under a face value just above it."""


def key_file(folder: Path, private_key: bytes) -> Path:
    made = folder / "UTC--orchestrator"
    made.write_text(json.dumps(Account.encrypt(private_key, "", kdf="pbkdf2", iterations=1000)))
    made.chmod(0o600)
    return made


@contextmanager
def paid_node(devnet: Devnet, folder: Path, *flags: str, data: str = "data") -> Iterator[Node]:
    place = key_file(folder, devnet.accounts.orchestrator.private_key)
    options = (
        *("--network", "devnet", "--eth-url", devnet.rpc_url, "--block-polling-interval", "200ms", "--monitor"),
        *("--eth-controller", "0x" + devnet.addresses.controller.hex(), "--eth-keystore-path", str(place)),
        *("--price-per-unit", str(PRICE), "--encoder-preset", "ultrafast", *flags),
    )
    with running_node(folder / data, *options) as node:
        yield node


def winners(node: Node) -> list[tuple[bytes, str]]:
    with sqlite3.connect(node.data_dir / "money.sqlite3") as database:
        return database.execute("select ticket_hash, state from tickets order by won_at_s").fetchall()


@pytest.fixture
def payer(devnet: Devnet) -> PeerKey:
    return PeerKey(devnet.accounts.gateway.private_key)


def test_a_stream_is_paid_on_a_real_chain_and_outlives_a_kill(devnet: Devnet, payer: PeerKey, tmp_path: Path) -> None:
    bodies = make_segments(tmp_path, count=3)
    options = ("--ticket-ev", str(EV_WEI), "--max-face-value", str(EV_WEI + 1))
    with paid_node(devnet, tmp_path, *options) as node, PeerGateway(node.url, key=payer) as gateway:
        info = gateway.get_orchestrator()
        assert info.ticket_params.recipient == devnet.accounts.orchestrator.address
        assert info.address == devnet.accounts.orchestrator.address
        assert int.from_bytes(info.ticket_params.expiration_block, "big") == run(devnet.l1_block()) + 40
        price = price_of(info)
        assert PRICE < price <= PRICE * Fraction(3, 2)
        book = PeerSession(payer, info)
        for seq, body in enumerate(bodies[:2]):
            spent = book.pay(fee_estimate(LADDER, duration_ms=2000, price=price))
            answer = gateway.post(
                replace(gateway.compose(body, info=info, seq=seq, profiles=LADDER), payment=spent.payment)
            )
            assert (answer.status, answer.error) == (200, ""), answer.text
            assert price_of(answer.result.info) == price
            book.settle(spent, pixels=sum(part.pixels for part in answer.result.data.segments))
            book.learn(answer.result.info)
        used = spent.payment
        kept = winners(node)
        assert kept
        assert {state for _, state in kept} == {"pending"}
        node.kill()
        node.start()
        assert winners(node) == kept
        # A gateway whose connection broke opens a new one.
        with PeerGateway(node.url, key=payer) as again:
            # What was paid before is still there, what was sent before does not count again, and the price stays.
            answer = again.post(replace(again.compose(bodies[2], info=info, seq=2, profiles=LADDER), payment=used))
            assert answer.status == 400
            assert answer.text.startswith("invalid ticket senderNonce: already seen sender=0x")
            spent = book.pay(fee_estimate(LADDER, duration_ms=2000, price=price))
            answer = again.post(
                replace(again.compose(bodies[2], info=info, seq=3, profiles=LADDER), payment=spent.payment)
            )
            assert (answer.status, answer.error) == (200, ""), answer.text
            assert price_of(answer.result.info) == price
            again.end_all()


def test_nobody_works_for_nothing(devnet: Devnet, payer: PeerKey, tmp_path: Path) -> None:
    (body,) = make_segments(tmp_path, count=1)
    with paid_node(devnet, tmp_path) as node, PeerGateway(node.url, key=payer) as gateway:
        info = gateway.get_orchestrator()
        answer = gateway.post(
            replace(gateway.compose(body, info=info, seq=0, profiles=LADDER), payment=credit_only(info, key=payer))
        )
        assert (answer.status, answer.text.strip()) == (400, "Insufficient balance")
        free = credit_only(info, key=payer)
        free.expected_price.pricePerUnit = 0
        answer = gateway.post(replace(gateway.compose(body, info=info, seq=0, profiles=LADDER), payment=free))
        assert (answer.status, answer.text.strip()) == (400, "Insufficient balance")
        # Somebody without a deposit gets no terms at all.
        with PeerGateway(node.url) as stranger, pytest.raises(Exception, match="insufficient sender reserve"):
            stranger.get_orchestrator()
        gateway.end_all()


def test_winners_of_the_reference_are_taken_over_and_said_once(devnet: Devnet, tmp_path: Path) -> None:
    won = ticket(recipient=devnet.accounts.orchestrator.address)
    database(tmp_path / "lpdb.sqlite3", row(won), row(ticket(nonce=2)))
    with paid_node(devnet, tmp_path, data="baton") as node:
        assert winners(node) == [(won.hash, "pending")]
        told = [line.fields for line in node.log() if line.event == "tickets of the reference imported"]
        assert [(fields["kept"], fields["other_recipient"]) for fields in told] == [(1, 1)]


def test_the_probe_pays(devnet: Devnet, tmp_path: Path) -> None:
    with paid_node(devnet, tmp_path) as node:
        key = tmp_path / "payer.key"
        key.write_text(devnet.accounts.gateway.private_key.hex())
        key.chmod(0o600)
        done = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "baton",
                    "probe",
                    node.url,
                    "--file",
                    str(ROOT / "src/baton/selftest/media/clip.mp4"),
                ),
                *("--key-file", str(key), "--pay"),
            ],
            env=environment(tmp_path),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "livepeer_tickets_recv" in node.manage("/metrics").text


@pytest.mark.parametrize(
    ("flags", "code", "reason"),
    [
        (("--eth-url", "http://127.0.0.1:9"), 8, "the chain behind --eth-url cannot be used"),
        (("--eth-controller", "0x" + "11" * 20), 8, "no contract code"),
    ],
)
def test_a_chain_that_cannot_be_read_ends_the_start(
    devnet: Devnet, tmp_path: Path, flags: tuple[str, ...], code: int, reason: str
) -> None:
    with (
        pytest.raises(AssertionError, match=f"ended with {code} before it was ready") as ended,
        paid_node(devnet, tmp_path, *flags),
    ):
        pass
    assert reason in str(ended.value)


def test_a_public_chain_under_a_private_name_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_devnet(DevnetOptions(chain_id=42161)) as public:
            await asyncio.to_thread(start, public)

    def start(public: Devnet) -> None:
        expected = pytest.raises(AssertionError, match="ended with 8 before it was ready")
        with expected as ended, paid_node(public, tmp_path):
            pass
        assert "--eth-url leads to Arbitrum One" in str(ended.value)

    run(story(), deadline_s=60)
