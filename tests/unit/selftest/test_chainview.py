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


async def answered(body: bytes, *, status: int, ask_sender: bool) -> object:
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
            return await view.sender_fault(SENDER, face_value_wei=1)
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


def test_nobody_there() -> None:
    view = ChainView(rpc_url="http://127.0.0.1:9", ticket_broker=BROKER)
    with pytest.raises(PeerError, match="the chain does not answer: "):
        run(view.last_seen_l1_block())
