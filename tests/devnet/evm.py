"""A reader and sender of contract calls for the devnet's own suite: raw JSON-RPC and ``eth_abi``, nothing of the
devnet's own encoding, so that the two are never wrong together.

Functions are named by their signatures. What reverts raises ``Reverted`` with its text, or ``Panic(0x..)``.
"""

import json
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sha3
from eth_abi.abi import decode, encode

from baton.devnet import Account, Devnet
from tests.node import eventually

__all__ = ["Evm", "Reverted", "keccak", "split_types"]

_TIMEOUT_S = 20.0


class Reverted(Exception):  # noqa: N818  # the chain's word for it
    """A call reverted; ``str`` is its text."""


def keccak(data: bytes) -> bytes:
    return bytes(sha3.keccak_256(data).digest())


def split_types(text: str) -> list[str]:
    """``a,(b,c)[],d`` as three types."""
    found, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append(text[start:place])
            start = place + 1
    return [*found, text[start:]] if text else []


def _reason(error: Mapping[str, Any]) -> str:
    data = bytes.fromhex(str(error.get("data") or "0x").removeprefix("0x"))
    if data[:4] == bytes.fromhex("08c379a0"):
        return str(decode(["string"], data[4:])[0])
    if data[:4] == bytes.fromhex("4e487b71"):
        return f"Panic({int.from_bytes(data[4:], 'big'):#x})"
    return str(error.get("message"))


@dataclass(frozen=True, slots=True)
class Log:
    """An event: its first topic, the others as numbers, its data as words."""

    address: str
    topic: str
    indexed: tuple[int, ...]
    data: bytes

    @property
    def words(self) -> tuple[int, ...]:
        return tuple(int.from_bytes(self.data[at : at + 32], "big") for at in range(0, len(self.data), 32))


class Evm:
    """One chain."""

    def __init__(self, devnet: Devnet, *, url: str | None = None) -> None:
        self.devnet = devnet
        self.url = url or devnet.control_url

    def post(self, body: object) -> Any:
        request = urllib.request.Request(  # noqa: S310  # a loopback URL of the fixture
            self.url, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310  # likewise
            return json.load(response)

    def ask(self, method: str, *params: object) -> Any:
        answer = self.post({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
        if "error" in answer:
            raise Reverted(_reason(answer["error"]))
        return answer["result"]

    def address(self, contract: str) -> str:
        address: bytes = getattr(self.devnet.addresses, contract)
        return "0x" + address.hex()

    def _data(self, signature: str, arguments: Sequence[object]) -> str:
        types = split_types(signature[signature.index("(") + 1 : -1])
        return "0x" + (keccak(signature.encode())[:4] + encode(types, list(arguments))).hex()

    def read(self, contract: str, signature: str, *arguments: object, returns: str = "uint256") -> Any:
        """What a call at the newest block returns: one value, or a tuple."""
        question = {"to": self.address(contract), "data": self._data(signature, arguments)}
        answer = bytes.fromhex(self.ask("eth_call", question, "latest").removeprefix("0x"))
        values = decode(split_types(returns), answer)
        return values[0] if len(values) == 1 else values

    def send(
        self, sender: Account, contract: str, signature: str, *arguments: object, value: int = 0
    ) -> tuple[Log, ...]:
        """The events of a call that succeeded."""
        transaction = {"from": sender.address_hex, "to": self.address(contract), "value": hex(value)}
        transaction |= {"maxPriorityFeePerGas": "0x0", "gas": hex(10**7)}
        transaction |= {"data": self._data(signature, arguments)}
        self.ask("eth_call", transaction, "latest")  # what would revert tells why, and is not sent
        sent = self.ask("eth_sendTransaction", transaction)
        # The chain answers the sender a moment before the block is there.
        receipt = eventually(lambda: self.ask("eth_getTransactionReceipt", sent), what=f"{signature} is mined")
        assert receipt["status"] == "0x1"
        return tuple(
            Log(
                entry["address"],
                entry["topics"][0].removeprefix("0x"),
                tuple(int(topic, 16) for topic in entry["topics"][1:]),
                bytes.fromhex(entry["data"].removeprefix("0x")),
            )
            for entry in receipt["logs"]
        )
