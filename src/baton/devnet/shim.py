"""The RPC endpoint that nodes of a devnet see: anvil behind it, Arbitrum's face before it, faults on demand.

Anvil knows no L1 clock, so headers get their ``l1BlockNumber`` here: the clock contract's last event up to that block.
Only what endpoints of the real network answer is answered. ``GET`` and ``PUT /faults`` read and set how it misbehaves.
"""

import asyncio
import contextlib
import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from baton.devnet.deploy import Addresses
from baton.devnet.endpoint_view import METHODS, Refusal, asked, told
from baton.devnet.faults import Faults, L1Field, Misdeed, Rule
from baton.devnet.options import DevnetOptions
from baton.devnet.tools import DevnetError
from baton.kernel.crypto import keccak256
from baton.kernel.ids import to_checksum_hex

__all__ = ["Shim", "running_shim"]

log = structlog.get_logger("baton.devnet")

_MAX_BODY_BYTES = 8 << 20
_MAX_BATCH = 1000
_MAX_KNOWN_BLOCKS = 10_000
_TICKS_BACK = 64
_TIMEOUT_S = 30.0
_MAX_PARALLEL = 64
_HEADERS = frozenset({"eth_getBlockByNumber", "eth_getBlockByHash"})
_PARSE_ERROR, _INVALID_REQUEST, _NO_METHOD, _INTERNAL = -32700, -32600, -32601, -32603


class _Cut(Exception):  # noqa: N818 -- a fault on purpose
    """The request gets something else than JSON-RPC, by this rule."""

    def __init__(self, rule: Rule) -> None:
        """``rule`` says what."""
        super().__init__(rule.misdeed.value)
        self.rule = rule


class Shim:
    """Answers questions for one chain."""

    def __init__(
        self, *, url: str, addresses: Addresses, options: DevnetOptions, client: aiohttp.ClientSession
    ) -> None:
        """``url`` is anvil's."""
        self._url = url
        self._clock = to_checksum_hex(addresses.l1_clock)
        self._client = client
        self._gas_price_wei = options.gas_price_wei
        self._first_l1_block = options.first_l1_block
        self._faults = Faults()
        self._seen: dict[int, int] = {}
        """How many calls each rule has met, by its place."""
        self._l1_blocks: OrderedDict[str, int] = OrderedDict()
        """L1 numbers by block hash; a block never changes its own."""

    async def get_faults(self, request: web.Request) -> web.Response:
        """``GET /faults``."""
        del request
        return web.json_response({**self._faults.document(), "gas_price_wei": self._gas_price_wei})

    async def put_faults(self, request: web.Request) -> web.Response:
        """``PUT /faults``: the whole of it, counting anew; ``gas_price_wei`` may be among it."""
        try:
            document = await request.json()
            gas_price_wei = int(document.pop("gas_price_wei", self._gas_price_wei))
            self._faults = Faults.of(document)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        self._gas_price_wei = gas_price_wei
        self._seen = {}
        return web.json_response({})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """``POST /``: one question or a batch of them."""
        try:
            body = json.loads(await request.read())
        except (ValueError, RecursionError):
            return web.json_response(_error(None, _PARSE_ERROR, "parse error"))
        try:
            if not isinstance(body, list):
                return web.json_response(await self._answer(body))
            if not 0 < len(body) <= _MAX_BATCH:
                return web.json_response(_error(None, _INVALID_REQUEST, "batch is empty or too large"))
            return web.json_response([await self._answer(question) for question in body])
        except _Cut as cut:
            return self._cut(request, cut.rule)

    def _cut(self, request: web.Request, rule: Rule) -> web.Response:
        if rule.misdeed is Misdeed.DROP:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        headers = {} if rule.retry_after_s is None else {"Retry-After": str(rule.retry_after_s)}
        status = rule.code if rule.misdeed is Misdeed.STATUS else 200
        return web.Response(status=status, text=rule.message, headers=headers)

    async def _answer(self, question: object) -> dict[str, Any]:
        """The JSON-RPC answer to one question."""
        asker = question.get("id") if isinstance(question, dict) else None
        try:
            return {"jsonrpc": "2.0", "id": asker, "result": await self._outcome(question)}
        except Refusal as refusal:
            return _error(asker, refusal.code, refusal.message)
        except _ChainSaysNoError as no:
            return {"jsonrpc": "2.0", "id": asker, "error": no.error}
        except (ValueError, IndexError):
            return _error(asker, _INVALID_REQUEST, "invalid parameters")
        except (aiohttp.ClientError, TimeoutError) as error:
            return _error(asker, _INTERNAL, f"the chain does not answer: {type(error).__name__}")

    async def _outcome(self, question: object) -> Any:  # noqa: ANN401 -- any JSON
        if not isinstance(question, dict) or not isinstance(question.get("method"), str):
            raise Refusal(_INVALID_REQUEST, "invalid request")
        method, params = question["method"], question.get("params") or []
        if method not in METHODS:
            raise Refusal(_NO_METHOD, f"the method {method} does not exist/is not available")
        if not isinstance(params, list):
            raise Refusal(_INVALID_REQUEST, "parameters must be a list")
        swallowed = await self._misbehave(method)
        if swallowed and method == "eth_sendRawTransaction":
            return "0x" + keccak256(bytes.fromhex(str(params[0]).removeprefix("0x"))).hex()
        return await self._result(method, params)

    async def _misbehave(self, method: str) -> bool:
        """Do what the first rule that fits says; whether a transaction shall be swallowed."""
        rule = self._rule_for(method)
        if rule is None:
            return False
        if rule.misdeed is Misdeed.DELAY:
            await asyncio.sleep(rule.delay_s)
            return False
        if rule.misdeed is Misdeed.SWALLOW:
            return True
        if rule.misdeed is Misdeed.ERROR:
            raise Refusal(rule.code, rule.message)
        raise _Cut(rule)

    def _rule_for(self, method: str) -> Rule | None:
        for place, rule in enumerate(self._faults.rules):
            if rule.methods and method not in rule.methods:
                continue
            seen = self._seen.get(place, 0)
            if seen < rule.after or rule.times is None or seen < rule.after + rule.times:
                self._seen[place] = seen + 1
                if seen >= rule.after:
                    return rule
        return None

    async def _result(self, method: str, params: list[Any]) -> Any:  # noqa: ANN401 -- any JSON
        faults = self._faults
        head = int(await self._ask("eth_blockNumber"), 16) if method == "eth_getLogs" else 0
        sent = asked(method, params, head=head, faults=faults)
        if sent is None:
            return [] if method == "eth_getLogs" else None
        result = told(method, await self._ask(method, *sent), faults=faults, gas_price_wei=self._gas_price_wei)
        if method in _HEADERS and isinstance(result, dict):
            return await self._with_l1(result, faults)
        return result

    async def _with_l1(self, header: dict[str, Any], faults: Faults) -> dict[str, Any]:
        if faults.l1_field is L1Field.ABSENT:
            return {name: value for name, value in header.items() if name != "l1BlockNumber"}
        number = await self._l1_block(header)
        return {**header, "l1BlockNumber": hex(number) if faults.l1_field is L1Field.HEX else number}

    async def _l1_block(self, header: dict[str, Any]) -> int:
        """The L1 number when the block of ``header`` was made."""
        block_hash, number = str(header["hash"]), int(header["number"], 16)
        known = self._l1_blocks.get(block_hash)
        if known is None:
            known = self._l1_blocks[block_hash] = await self._last_tick(number)
            if len(self._l1_blocks) > _MAX_KNOWN_BLOCKS:
                self._l1_blocks.popitem(last=False)
        return known

    async def _last_tick(self, number: int) -> int:
        """What the clock showed after block ``number``. It ticks often, so the first look finds it nearly always."""
        for back in (_TICKS_BACK, number):
            question = {"address": self._clock, "fromBlock": hex(max(0, number - back)), "toBlock": hex(number)}
            if ticks := await self._ask("eth_getLogs", question):
                return int(ticks[-1]["data"], 16)
        return self._first_l1_block  # before the clock was deployed

    async def _ask(self, method: str, *params: Any) -> Any:  # noqa: ANN401 -- any JSON
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self._client.post(self._url, json=question) as response:
            answer = await response.json()
        if "error" in answer:
            raise _ChainSaysNoError(answer["error"])
        return answer["result"]


class _ChainSaysNoError(Exception):
    """Anvil's error, told on as it is."""

    def __init__(self, error: object) -> None:
        super().__init__(str(error))
        self.error = error


def _error(asker: object, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": asker, "error": {"code": code, "message": message}}


@contextlib.asynccontextmanager
async def running_shim(*, url: str, addresses: Addresses, options: DevnetOptions) -> AsyncIterator[str]:
    """Serve the chain at ``url`` on loopback; gives the URL for nodes.

    Raises:
        DevnetError: the port is taken.
    """
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=_MAX_PARALLEL)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as client:
        shim = Shim(url=url, addresses=addresses, options=options, client=client)
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.add_routes(
            [web.post("/", shim.serve), web.get("/faults", shim.get_faults), web.put("/faults", shim.put_faults)]
        )
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", options.port)
            try:
                await site.start()
            except OSError as error:
                message = f"port {options.port} of 127.0.0.1 cannot be bound: {error.strerror}"
                failure = DevnetError(message)
                failure.is_about_the_port = True
                raise failure from error
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
