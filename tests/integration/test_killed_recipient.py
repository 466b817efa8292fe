"""SIGKILL in a loop while payments come in: what was acknowledged is on record, and nothing is there twice."""

import multiprocessing
import os
import random
import selectors
import signal
import time
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import pytest

from baton.payments.errors import Fault
from baton.payments.messages import OfferedTerms, ReceivedPayment
from baton.payments.ticket import MAX_WIN_PROB, win_probability
from tests.payments.gatewayside import Sender
from tests.payments.killed import ACCOUNTS, FACE_VALUE_WEI, UNITS, live
from tests.payments.memory import FixedRounds
from tests.payments.nodes import EV_WEI, ME, Node, running
from tests.support import run

ROUNDS = int(os.environ.get("BATON_KILL_ROUNDS", "12"))
WIN_PROB = win_probability(face_value_wei=FACE_VALUE_WEI, ev_wei=EV_WEI)
VALUE = Fraction(FACE_VALUE_WEI * WIN_PROB, MAX_WIN_PROB)
GATEWAY = Sender()
_FIRST_WORD_S = 40.0

Name = tuple[bytes, int]
"""Recipient rand hash and nonce of a ticket."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """What a payer must know to send a ticket again."""

    recipient_rand_hash: bytes
    seed: int
    price: tuple[int, int]

    def pay(self, nonce: int) -> ReceivedPayment:
        rounds = FixedRounds()
        terms = OfferedTerms(
            recipient=ME,
            face_value_wei=FACE_VALUE_WEI,
            win_prob=WIN_PROB,
            recipient_rand_hash=self.recipient_rand_hash,
            seed=self.seed,
            expiration_block=rounds.last_seen_l1_block + 40,
            creation_round=rounds.last_initialized_round,
            creation_round_block_hash=rounds.round_block_hash,
        )
        return ReceivedPayment(GATEWAY.address, self.price, terms, ((nonce, GATEWAY.sign(terms, nonce)),))


@dataclass
class Heard:
    """What one account's payer was told before the end."""

    quotes: list[Quoted] = field(default_factory=list)
    nonces: set[Name] = field(default_factory=set)
    winners: int = 0
    units: int = 0

    @property
    def price(self) -> Fraction:
        """The account's price, which its first ticket pinned."""
        return Fraction(*self.quotes[0].price)


def _one_life(folder: Path, number: int, *, after_s: float) -> dict[str, Heard]:
    """Everything that a node said from its start until it was killed, so long after its first acceptance."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.payments.killed", "baton.storage.migrations"])
    inlet, outlet = os.pipe()
    process = context.Process(target=_child, args=(str(folder), DupFd(outlet), number))
    process.start()
    os.close(outlet)
    try:
        said = _listen(inlet, after_s=after_s)
        assert process.is_alive(), f"the node ended by itself: {process.exitcode}, after {said[-300:]!r}"
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        while data := os.read(inlet, 1 << 16):
            said += data
        return _understood(said)
    finally:
        os.close(inlet)
        process.kill()
        process.join()
        process.close()


def _child(folder: str, outlet: Any, number: int) -> None:
    live(folder, outlet.detach(), number)


def _listen(pipe: int, *, after_s: float) -> bytes:
    """What comes over ``pipe`` until so long after the first acceptance."""
    said = b""
    end, accepted = time.monotonic() + _FIRST_WORD_S, False
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while (rest := end - time.monotonic()) > 0 and selector.select(rest):
            data = os.read(pipe, 1 << 16)
            if not data:
                break
            said += data
            if not accepted and b"\nP " in said:
                end, accepted = time.monotonic() + after_s, True
    return said


def _understood(said: bytes) -> dict[str, Heard]:
    accounts: dict[str, Heard] = defaultdict(Heard)
    for line in said[: said.rfind(b"\n") + 1].decode("ascii").splitlines():
        word, key, first, *more = line.split(" ")
        account = accounts[key]
        if word == "Q":
            seed, wei, units = map(int, more)
            account.quotes.append(Quoted(bytes.fromhex(first), seed, (wei, units)))
        elif word == "P":
            account.nonces.add((account.quotes[-1].recipient_rand_hash, int(first)))
            account.winners += int(more[0])
        else:
            account.units += int(first)
    return accounts


async def _reconcile(node: Node, heard: dict[str, Heard]) -> None:
    """One step of each account may have been on its way when the end came; everything else is exact."""
    states = {key.key: state for key, state in await node.store.accounts()}
    quote_of = {quote.recipient_rand_hash: key for key, account in heard.items() for quote in account.quotes}
    on_record: dict[str, set[Name]] = defaultdict(set)
    for rand_hash, nonce, _ in await node.store.nonces():
        on_record[quote_of[rand_hash]].add((rand_hash, nonce))
    winners: dict[str, set[Name]] = defaultdict(set)
    for kept in await node.tickets.newest(limit=10_000):
        ticket = kept.winner.ticket
        winners[kept.account_key].add((ticket.recipient_rand_hash, ticket.sender_nonce))
    assert states.keys() == on_record.keys()
    for key, account in heard.items():
        there = on_record[key]
        assert account.nonces <= there, "a credit that was acknowledged is lost"
        assert len(there) <= len(account.nonces) + 1
        assert account.winners <= len(winners[key]) <= account.winners + 1, "a winner is lost"
        assert winners[key] <= there
        if there:
            spent = len(there) * VALUE - states[key].balance_wei
            assert spent in {account.units * account.price, (account.units + UNITS) * account.price}


@pytest.mark.slow
@pytest.mark.timeout(60 + 8 * ROUNDS)
def test_every_acknowledged_payment_is_on_record_after_kills(tmp_path: Path) -> None:
    chance = random.Random(2026)  # noqa: S311 -- moments, not secrets
    heard: dict[str, Heard] = {}
    for number in range(ROUNDS):
        heard.update(_one_life(tmp_path, number, after_s=chance.uniform(0.0, 0.6)))

    async def story() -> None:
        async with running(tmp_path / "money.sqlite3", shared=False) as node:
            await _reconcile(node, heard)
            before = await node.store.accounts()
            for key, account in heard.items():
                for quote in account.quotes[-1:]:
                    nonces = [nonce for name, nonce in account.nonces if name == quote.recipient_rand_hash]
                    for nonce in nonces[:2]:
                        receipt = await node.recipient.receive(quote.pay(nonce), key)
                        assert [error.fault for error in receipt.errors] == [Fault.NONCE_SEEN]
                        assert receipt.credited_wei == 0
            assert await node.store.accounts() == before
            # And the stream goes on under the terms it has.
            key, account = next((key, account) for key, account in heard.items() if account.nonces)
            assert (await node.recipient.receive(account.quotes[-1].pay(1000), key)).tickets == 1

    run(story(), deadline_s=50)
    payments = sum(len(account.nonces) for account in heard.values())
    assert payments > 5 * ROUNDS
    assert len(heard) == ROUNDS * ACCOUNTS
    print(f"{ROUNDS} kills, {payments} payments, {sum(a.winners for a in heard.values())} winners")  # noqa: T201 -- the figure is worth telling
