"""JSON-RPC to one Ethereum endpoint: batched reads with time limits, and errors that say what happened.

Answers are a stranger's: their size, shape and numbers are checked before anything is believed. An endpoint's address
often carries its key, so it is never shown, not even where the endpoint itself says it: errors reach logs and peers.
"""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import aiohttp

from baton.kernel.redaction import HIDDEN
from baton.payments.ports import ChainUnavailableError

__all__ = ["Call", "CallRevertedError", "JsonRpc", "briefly", "quantity"]

_MAX_ANSWER_BYTES = 16 << 20
_MAX_QUANTITY_CHARS = 66
_MAX_WORD = 2**256 - 1
_MAX_TEXT_CHARS = 300
_LEAST_KEY_CHARS = 8
_REVERTED = 3
_OK = 200


@dataclass(frozen=True, slots=True)
class Call:
    """One request: method and parameters as JSON values."""

    method: str
    params: tuple[Any, ...] = ()


class CallRevertedError(ChainUnavailableError):
    """The contract refused; the text is the node's, the reason inside it the contract's."""


class JsonRpc:
    """One endpoint. Use as a context, from the event loop."""

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        """``timeout_s`` bounds each exchange as a whole."""
        self._url = url
        self._hidden = _hidden(url)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(timeout_s, 5.0))
        self._session: aiohttp.ClientSession | None = None
        self._last_id = 0

    async def __aenter__(self) -> Self:
        """The endpoint itself; nothing is asked yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        await self.close()

    async def close(self) -> None:
        """Close its connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, method: str, *params: Any) -> Any:  # noqa: ANN401 -- JSON
        """The result of one call.

        Raises:
            CallRevertedError: a contract refused.
            ChainUnavailableError: no usable answer.
        """
        (result,) = await self.batch([Call(method, params)])
        if isinstance(result, ChainUnavailableError):
            raise result
        return result

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Results of several calls in their order; a call that failed by itself has its error in its place.

        Raises:
            ChainUnavailableError: no usable answer for the batch as a whole.
        """
        first = self._last_id + 1
        self._last_id += len(calls)
        asked = [
            {"jsonrpc": "2.0", "id": first + index, "method": call.method, "params": list(call.params)}
            for index, call in enumerate(calls)
        ]
        answer = await self._post(asked[0] if len(asked) == 1 else asked)
        rows = answer if isinstance(answer, list) else [answer]
        by_id = {row["id"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), int)}
        if isinstance(answer, dict) and "error" in answer and answer.get("id") is None:
            raise self._error(answer["error"])
        return [self._result(by_id.get(request["id"])) for request in asked]

    async def _post(self, document: object) -> Any:  # noqa: ANN401 -- JSON
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=False)
        try:
            async with self._session.post(
                self._url, json=document, headers={"accept": "application/json"}, allow_redirects=False
            ) as response:
                raw = await response.content.read(_MAX_ANSWER_BYTES + 1)
                while not response.content.at_eof() and len(raw) <= _MAX_ANSWER_BYTES:
                    raw += await response.content.read(_MAX_ANSWER_BYTES + 1 - len(raw))
                status = response.status
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            message = f"the endpoint does not answer: {type(error).__name__}"
            raise ChainUnavailableError(message) from error
        if len(raw) > _MAX_ANSWER_BYTES:
            message = f"the endpoint answers with more than {_MAX_ANSWER_BYTES} bytes"
            raise ChainUnavailableError(message)
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError) as error:
            message = f"the endpoint answers status {status} and no JSON"
            raise ChainUnavailableError(message) from error
        if status != _OK and not (isinstance(answer, dict) and "error" in answer):
            message = f"the endpoint answers status {status}"
            raise ChainUnavailableError(message)
        if not isinstance(answer, (dict, list)):
            message = "the endpoint answers what no endpoint says"
            raise ChainUnavailableError(message)
        return answer

    def _result(self, row: object) -> Any:  # noqa: ANN401 -- JSON
        if not isinstance(row, dict):
            return ChainUnavailableError("the endpoint left a call without an answer")
        if row.get("error") is not None:
            return self._error(row["error"])
        if "result" not in row:
            return ChainUnavailableError("the endpoint left a call without an answer")
        return row["result"]

    def _error(self, error: object) -> ChainUnavailableError:
        """A node's error, its words cut short and without the key in our address."""
        code, text = None, ""
        if isinstance(error, dict):
            code, said = error.get("code"), error.get("message")
            text = said if isinstance(said, str) else ""
        for key in self._hidden:
            text = text.replace(key, HIDDEN)
        shown = "".join(c if c.isprintable() else " " for c in text[:_MAX_TEXT_CHARS])
        if code == _REVERTED or "revert" in shown:
            return CallRevertedError(shown)
        return ChainUnavailableError(f"the endpoint says: {shown}")


def _hidden(url: str) -> tuple[str, ...]:
    """What of an address may be a key: the password, and longer parts of user, path and query; the longest first."""
    parts = urlsplit(url)
    words = (parts.username or "", *parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)))
    found = {word for word in words if len(word) >= _LEAST_KEY_CHARS} | {parts.password or ""}
    return tuple(sorted({*found, *map(unquote, found)} - {""}, key=len, reverse=True))


def quantity(value: object, *, most: int = _MAX_WORD) -> int:
    """A number of the chain: hex text, or a plain number as some nodes send it.

    Raises:
        ChainUnavailableError: neither, or below zero, or above ``most``.
    """
    number = value if isinstance(value, int) and not isinstance(value, bool) else -1
    if isinstance(value, str) and value.startswith("0x") and len(value) <= _MAX_QUANTITY_CHARS:
        with contextlib.suppress(ValueError):
            number = int(value, 16)
    if not 0 <= number <= most:
        message = f"no number: {briefly(value)}"
        raise ChainUnavailableError(message)
    return number


def briefly(value: object) -> str:
    """A stranger's value for a log line: texts and small numbers themselves, of anything else its kind."""
    if isinstance(value, str):
        return repr(value[:_MAX_QUANTITY_CHARS])
    return str(value) if isinstance(value, int) and abs(value) <= _MAX_WORD else type(value).__name__
