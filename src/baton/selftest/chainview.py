"""What a paying gateway reads of the chain: the newest L1 block, and whether its own account can pay (payments.md 16).

Satisfies ``PayerView`` over JSON-RPC. Answers are bounded in size and time; an endpoint that gives none is a
``PeerError`` like everything else that keeps a gateway from streaming.
"""

import json
from typing import Any

import aiohttp

from baton.kernel.crypto import keccak256
from baton.kernel.ids import Address, to_checksum_hex
from baton.selftest.http2 import PeerError, reason_of

__all__ = ["ChainView"]

_TIMEOUT_S = 5.0
_MAX_ANSWER_BYTES = 4 << 20
_WORD = 32
_SENDER_INFO = keccak256(b"getSenderInfo(address)")[:4]
_HTTP_OK = 200


class ChainView:
    """The chain behind one RPC endpoint; keeps no connection and no answer."""

    def __init__(self, *, rpc_url: str, ticket_broker: Address) -> None:
        """Nothing is asked yet."""
        self._rpc_url = rpc_url
        self._ticket_broker = ticket_broker

    async def last_seen_l1_block(self) -> int:
        """The L1 block of the newest block. Raises ``PeerError``."""
        block = await self._ask("eth_getBlockByNumber", "latest", False)
        try:
            return int(block["l1BlockNumber"], 16)
        except (TypeError, KeyError, ValueError) as error:
            message = "the chain's newest block names no L1 block"
            raise PeerError(message) from error

    async def sender_fault(self, sender: Address, *, face_value_wei: int) -> str | None:
        """Why the account cannot pay under such a face value, in the network's words; None when it can.

        One that unlocks its funds pays no more here, in whatever round they go. Raises ``PeerError``.
        """
        data = _SENDER_INFO + sender.rjust(_WORD, b"\x00")
        call = {"to": "0x" + self._ticket_broker.hex(), "data": "0x" + data.hex()}
        answer = await self._ask("eth_call", call, "latest")
        try:
            raw = bytes.fromhex(str(answer).removeprefix("0x"))
            deposit_wei, withdraw_round, reserve_wei, _ = (
                int.from_bytes(raw[at : at + _WORD], "big") for at in range(0, len(raw), _WORD)
            )
        except ValueError as error:
            message = "the ticket broker does not tell what stands behind a sender"
            raise PeerError(message) from error
        if withdraw_round:
            return f"deposit and reserve for sender {to_checksum_hex(sender)} is set to unlock soon"
        if reserve_wei == 0:
            return "no sender reserve"
        if deposit_wei == 0:
            return "no sender deposit"
        if face_value_wei > deposit_wei:
            return f"ticket faceValue {face_value_wei} > max faceValue {deposit_wei}"
        return None

    async def _ask(self, method: str, *params: object) -> Any:  # noqa: ANN401 -- what the method returns
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=False) as client,
                client.post(self._rpc_url, json=request) as response,
            ):
                body = await response.content.read(_MAX_ANSWER_BYTES + 1)
                while len(body) <= _MAX_ANSWER_BYTES and (more := await response.content.read(1 << 16)):
                    body += more
                if response.status != _HTTP_OK or len(body) > _MAX_ANSWER_BYTES:
                    message = f"the chain answers {method} with status {response.status} and {len(body)} bytes"
                    raise PeerError(message)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            message = f"the chain does not answer: {reason_of(error)}"
            raise PeerError(message) from error
        try:
            answer = json.loads(body)
            if isinstance(answer, dict) and "result" in answer:
                return answer["result"]
        except (ValueError, RecursionError):
            pass
        message = f"the chain does not answer {method} with a result"
        raise PeerError(message)
