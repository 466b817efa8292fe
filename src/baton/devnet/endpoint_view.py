"""What an endpoint tells of its chain: questions and answers, changed as the faults want it. Pure.

A frozen head is told consistently: nothing above it exists for the reader, and "latest" is that block.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from baton.devnet.faults import Faults

__all__ = ["METHODS", "Refusal", "asked", "told"]

_TAG_AT: Mapping[str, int] = MappingProxyType(
    {
        "eth_call": 1,
        "eth_estimateGas": 1,
        "eth_getBalance": 1,
        "eth_getBlockByNumber": 0,
        "eth_getCode": 1,
        "eth_getStorageAt": 2,
        "eth_getTransactionCount": 1,
    }
)
"""Where a method has its block."""

METHODS = frozenset(
    {
        *_TAG_AT,
        "eth_accounts",
        "eth_blockNumber",
        "eth_chainId",
        "eth_feeHistory",
        "eth_gasPrice",
        "eth_getBlockByHash",
        "eth_getLogs",
        "eth_getTransactionByHash",
        "eth_getTransactionReceipt",
        "eth_maxPriorityFeePerGas",
        "eth_sendRawTransaction",
        "eth_syncing",
        "net_version",
        "web3_clientVersion",
    }
)
"""What the endpoint answers (chain.md 15.3). Nothing that only a development chain has: no node may come to need it."""

_MINED = frozenset({"eth_getTransactionReceipt", "eth_getTransactionByHash"})
_LIMIT_CODE = -32005


class Refusal(Exception):  # noqa: N818 -- an answer, not a failure of ours
    """The endpoint answers this question with an error."""

    def __init__(self, code: int, message: str) -> None:
        """As JSON-RPC has it."""
        super().__init__(message)
        self.code = code
        self.message = message


def asked(method: str, params: list[Any], *, head: int, faults: Faults) -> list[Any] | None:
    """The parameters as they go to the chain, whose newest block is ``head``; None when the answer is empty.

    Raises:
        Refusal: a range of logs that is too wide.
    """
    if method == "eth_getLogs" and params and isinstance(params[0], dict):
        return _logs_asked(params[0], head=head, faults=faults)
    frozen = faults.frozen_head
    if frozen is None or method not in _TAG_AT:
        return params
    at = _TAG_AT[method]
    if len(params) <= at:
        return [*params, hex(frozen)] if len(params) == at else params
    tag = params[at]
    if tag == "latest" or (tag == "pending" and method != "eth_getTransactionCount"):
        return [*params[:at], hex(frozen), *params[at + 1 :]]
    number = _number(tag)
    if number is not None and number > frozen and method == "eth_getBlockByNumber":
        return None
    return params


def _logs_asked(question: dict[str, Any], *, head: int, faults: Faults) -> list[Any] | None:
    if "blockHash" in question:
        return [question]
    newest = (head if faults.frozen_head is None else faults.frozen_head) - faults.logs_behind
    first = _number(question.get("fromBlock", "latest"))
    last = _number(question.get("toBlock", "latest"))
    first = newest if first is None else first
    last = newest if last is None else min(last, newest)
    if faults.max_log_range is not None and last - first + 1 > faults.max_log_range:
        raise Refusal(_LIMIT_CODE, faults.log_range_message)
    if first > last:
        return None
    return [{**question, "fromBlock": hex(max(first, 0)), "toBlock": hex(last)}]


def _number(tag: object) -> int | None:
    """The block that a tag names; None for the words that move with the head."""
    if tag == "earliest":
        return 0
    if isinstance(tag, str) and tag.startswith("0x"):
        try:
            return int(tag, 16)
        except ValueError:
            return None
    return None


def told(method: str, result: Any, *, faults: Faults, gas_price_wei: int) -> Any:  # noqa: ANN401 -- any JSON
    """The chain's answer as the reader gets it; headers are finished by whoever knows the L1 clock."""
    if method == "eth_gasPrice":
        return hex(gas_price_wei)
    if method == "eth_maxPriorityFeePerGas":
        return "0x0"  # Arbitrum serves in order of arrival; tips buy nothing
    if method == "eth_getLogs" and isinstance(result, list):
        return [log for log in result if not (log["topics"] and log["topics"][0] in faults.dropped_log_topics)]
    return result if faults.frozen_head is None else _told_of_frozen(method, result, faults.frozen_head)


def _told_of_frozen(method: str, result: Any, frozen: int) -> Any:  # noqa: ANN401 -- any JSON
    if method == "eth_blockNumber":
        return hex(frozen)
    if method in _MINED and isinstance(result, dict) and (_number(result.get("blockNumber")) or 0) > frozen:
        return None
    return result
