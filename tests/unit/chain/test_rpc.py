"""An endpoint's answers are a stranger's: whatever it says, a caller gets numbers, or an error without secrets."""

import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from baton.chain.abi import Function
from baton.chain.rpc import Call, CallRevertedError, JsonRpc, quantity
from baton.payments.ports import ChainUnavailableError
from tests.support import run

KEY = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"


def asked(answer: Callable[[object], str], story: Callable[[JsonRpc], Awaitable[None]]) -> None:
    """Tell a story of an endpoint that answers each document with the text that ``answer`` makes."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=answer(await request.json()), content_type="application/json")

    async def whole() -> None:
        application = web.Application()
        application.router.add_post("/{rest:.*}", handle)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            async with JsonRpc(f"http://user:pa%24sword@{host}:{port}/v3/{KEY}?token={KEY[::-1]}") as rpc:
                await story(rpc)
        finally:
            await runner.cleanup()

    run(whole())


@pytest.mark.parametrize(
    "answer",
    [
        '[{"id": [], "result": "0x1"}, {"id": {}, "result": "0x1"}]',
        '[{"id": "1", "result": "0x1"}, {"id": null, "error": {"message": "x"}}]',
        '[{"id": 3, "result": "0x1"}, 7, null, []]',
        "[]",
        '{"id": 1, "error": {"code": [], "message": {"deep": 1}}}',
        '[{"id": 1, "error": "no object"}, {"id": 2}]',
    ],
)
def test_a_batch_without_sound_answers_has_an_error_in_every_place(answer: str) -> None:
    async def story(rpc: JsonRpc) -> None:
        results = await rpc.batch([Call("one"), Call("two")])
        assert [type(result) for result in results] == [ChainUnavailableError] * 2

    asked(lambda _document: answer, story)


def test_answers_are_found_by_their_number_whatever_their_order() -> None:
    def answer(document: object) -> str:
        assert isinstance(document, list)
        rows = [{"id": row["id"], "result": row["method"]} for row in reversed(document)]
        return json.dumps([{"id": [1], "result": "bad"}, *rows])

    async def story(rpc: JsonRpc) -> None:
        assert await rpc.batch([Call("one"), Call("two")]) == ["one", "two"]

    asked(answer, story)


@pytest.mark.parametrize("message", [f"project {KEY} is over its limit", f"{KEY[::-1]}: revert", "user:pa$sword"])
def test_the_key_in_an_address_is_not_shown_when_the_endpoint_says_it(message: str) -> None:
    async def story(rpc: JsonRpc) -> None:
        with pytest.raises(ChainUnavailableError) as caught:
            await rpc.call("eth_chainId")
        assert "***" in str(caught.value)
        assert not any(secret in str(caught.value) for secret in (KEY, KEY[::-1], "pa$sword"))
        assert isinstance(caught.value, CallRevertedError) == ("revert" in message)

    asked(lambda _document: json.dumps({"id": None, "error": {"code": -32000, "message": message}}), story)


@pytest.mark.parametrize("value", [-1, True, 2**256, 10**4000, 1.0, None, "", "0x", "1", "0x" + "1" * 65, [], {"a": 1}])
def test_what_is_no_number_of_the_chain_is_refused(value: object) -> None:
    with pytest.raises(ChainUnavailableError, match="no number"):
        quantity(value)


def test_numbers_come_as_text_or_as_numbers() -> None:
    assert [quantity(value) for value in ("0x0", "0xff", 0, 255)] == [0, 255, 0, 255]
    assert quantity("0x" + "f" * 64) == 2**256 - 1


def test_an_answer_nested_as_deep_as_a_parser_takes_is_refused_by_its_kind() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ChainUnavailableError, match="answers list"):
        Function("f").read(value)
    with pytest.raises(ChainUnavailableError, match="no number: list"):
        quantity(value)
