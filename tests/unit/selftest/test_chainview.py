"""Endpoints that answer anything but a chain's words: each is a reason, in bounded memory."""

import json

import pytest
from aiohttp import web

from baton.kernel.ids import Address
from baton.selftest.chainview import ChainView
from baton.selftest.http2 import PeerError
from tests.support import run

BROKER = Address(b"\x11" * 20)
SENDER = Address(b"\x22" * 20)


def rpc(result: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()


async def answered(body: bytes, *, status: int, ask_sender: bool, face_value_wei: int = 1) -> object:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        view = ChainView(rpc_url=f"http://127.0.0.1:{runner.addresses[0][1]}/", ticket_broker=BROKER)
        if ask_sender:
            return await view.sender_fault(SENDER, face_value_wei=face_value_wei)
        return await view.last_seen_l1_block()
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 500, "with status 500"),
        (b"", 200, "with a result"),
        (b"<html>", 200, "with a result"),
        (b"[" * 100_000, 200, "with a result"),
        (b"[]", 200, "with a result"),
        (b'{"error": {"code": -32005}}', 200, "with a result"),
        (b'{"result": "' + b"0" * (5 << 20) + b'"}', 200, "bytes"),
        (rpc(None), 200, "names no L1 block"),
        (rpc({"number": "0x1"}), 200, "names no L1 block"),
        (rpc({"l1BlockNumber": 5}), 200, "names no L1 block"),
        (rpc({"l1BlockNumber": "many"}), 200, "names no L1 block"),
    ],
    ids=range(11),
)
def test_block_of_no_chain(body: bytes, status: int, reason: str) -> None:
    with pytest.raises(PeerError, match=reason):
        run(answered(body, status=status, ask_sender=False))


@pytest.mark.parametrize("result", [None, "0x", "0x" + "00" * 96, "0x" + "00" * 160, "0xzz", 7, {}], ids=str)
def test_sender_of_no_broker(result: object) -> None:
    with pytest.raises(PeerError, match="does not tell what stands behind a sender"):
        run(answered(rpc(result), status=200, ask_sender=True))


@pytest.mark.parametrize(
    ("deposit", "withdraw_round", "reserve", "fault"),
    [
        (1, 0, 1, None),
        (1, 5, 1, "deposit and reserve for sender 0x2222222222222222222222222222222222222222 is set to unlock soon"),
        (1, 0, 0, "no sender reserve"),
        (0, 0, 1, "no sender deposit"),
        (1, 0, 1, "ticket faceValue 2 > max faceValue 1"),
    ],
)
def test_sender_that_cannot_pay_is_told_why(deposit: int, withdraw_round: int, reserve: int, fault: str | None) -> None:
    words = b"".join(number.to_bytes(32, "big") for number in (deposit, withdraw_round, reserve, 0))
    face_value_wei = 2 if fault and "faceValue" in fault else 1
    told = run(answered(rpc("0x" + words.hex()), status=200, ask_sender=True, face_value_wei=face_value_wei))
    assert told == fault


def test_nobody_there() -> None:
    view = ChainView(rpc_url="http://127.0.0.1:9", ticket_broker=BROKER)
    with pytest.raises(PeerError, match="the chain does not answer: "):
        run(view.last_seen_l1_block())
