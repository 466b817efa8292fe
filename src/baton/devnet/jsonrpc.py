"""Asks a JSON-RPC endpoint, one connection per question, so that any event loop may hold the same object."""

import json
from typing import Any

import aiohttp

__all__ = ["Rpc", "RpcError"]

_TIMEOUT_S = 20.0


class RpcError(Exception):
    """The endpoint answered with an error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        """As JSON-RPC has it. The ``message`` of a revert ends with its text, ``data`` are its bytes in hex."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    @property
    def reason(self) -> str:
        """The text of a revert without the words before it; the whole message when there is none."""
        return self.message.removeprefix("execution reverted: ")


class Rpc:
    """One endpoint by its URL. Holds no connection and no loop."""

    __slots__ = ("url",)

    def __init__(self, url: str) -> None:
        """``url`` is http."""
        self.url = url

    async def ask(self, method: str, *params: object) -> Any:  # noqa: ANN401 -- whatever JSON the method answers
        """The result of one call.

        Raises:
            RpcError: the endpoint says no.
            aiohttp.ClientError, TimeoutError: the endpoint cannot be reached, or takes longer than 20 s.
        """
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.post(self.url, json=question) as response:
            answer = json.loads(await response.read())
        if error := answer.get("error"):
            raise RpcError(int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
        return answer["result"]
