"""A recipient that is killed: takes payments on SQLite as fast as it can and says on a pipe what was accepted.

Lines, each written whole after the record took what it says:

    Q <account> <recipient rand hash> <seed> <wei> <units>   terms and price of the payments that follow
    P <account> <nonce> <winners>                            a payment of one ticket was answered
    D <account> <units>                                      work was settled
"""

import asyncio
import os
from pathlib import Path

from baton.kernel.clock import SystemClock
from baton.payments.facevalue import Economics
from tests.payments.gatewayside import Sender
from tests.payments.nodes import EV_WEI, Node, running

__all__ = ["ACCOUNTS", "FACE_VALUE_WEI", "UNITS", "live"]

ACCOUNTS = 6
UNITS = 1000
FACE_VALUE_WEI = 2 * EV_WEI
_TICKETS_OF_A_QUOTE = 40


def live(folder: str, pipe: int, round_number: int) -> None:
    """Run until killed."""
    asyncio.run(_live(Path(folder), pipe, round_number))


async def _live(folder: Path, pipe: int, round_number: int) -> None:
    async with (
        running(folder / "money.sqlite3", clock=SystemClock(), shared=False) as node,
        asyncio.TaskGroup() as group,
    ):
        # About every second ticket wins.
        node.economics = Economics(ev_wei=EV_WEI, redeem_gas=2, max_face_value_wei=FACE_VALUE_WEI)
        for number in range(ACCOUNTS):
            group.create_task(_pay(node, f"{round_number}-{number}", pipe))


async def _pay(node: Node, key: str, pipe: int) -> None:
    gateway = Sender()

    def say(line: str) -> None:
        os.write(pipe, f"{line}\n".encode("ascii"))

    while True:
        offer = await node.recipient.offer(gateway.address, key)
        price = offer.price.price
        name, seed = offer.terms.recipient_rand_hash, offer.terms.terms.seed
        say(f"Q {key} {name.hex()} {seed} {price.wei_per_unit} {price.units}")
        for nonce in range(1, _TICKETS_OF_A_QUOTE + 1):
            receipt = await node.recipient.receive(gateway.pay(offer, nonce), key)
            assert receipt.tickets == 1, receipt
            say(f"P {key} {nonce} {receipt.winners}")
            if nonce % 4 == 0:
                hold = await node.recipient.admit(gateway.address, key, units=UNITS)
                assert hold is not None
                await node.recipient.settle(hold, units=UNITS)
                say(f"D {key} {UNITS}")
