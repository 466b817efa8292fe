"""Calls to the network's contracts as bytes: the few functions that a node reads, as a literal table (chain.md 3)."""

from dataclasses import dataclass
from typing import Any

from baton.chain.rpc import Call, briefly
from baton.kernel.crypto import keccak256
from baton.kernel.ids import Address
from baton.payments.ports import ChainUnavailableError

__all__ = ["Function", "contract_id"]

_MAX_RESULT_CHARS = 1 << 20


def contract_id(name: str) -> bytes:
    """The name under which the Controller knows a contract."""
    return keccak256(name.encode("ascii"))


@dataclass(frozen=True, slots=True)
class Function:
    """One function of a contract, by name and canonical types."""

    name: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("uint256",)

    @property
    def selector(self) -> bytes:
        """The four bytes that call it."""
        return keccak256(f"{self.name}({','.join(self.inputs)})".encode("ascii"))[:4]

    def call(self, contract: Address, *arguments: object, block: str = "latest") -> Call:
        """The ``eth_call`` that asks it at a block."""
        from eth_abi.abi import encode

        data = self.selector + encode(self.inputs, list(arguments))
        return Call("eth_call", ({"to": "0x" + contract.hex(), "data": "0x" + data.hex()}, block))

    def read(self, result: object) -> tuple[Any, ...]:
        """The values in its answer; addresses come as lower-case hex.

        Raises:
            ChainUnavailableError: the call failed, or what came back is not of these types.
        """
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        if isinstance(result, ChainUnavailableError):
            raise result
        if not isinstance(result, str) or not result.startswith("0x") or len(result) > _MAX_RESULT_CHARS:
            message = f"{self.name} answers {briefly(result)}"
            raise ChainUnavailableError(message)
        if result == "0x":
            message = f"no contract code at the address that {self.name} was asked of"
            raise ChainUnavailableError(message)
        try:
            return tuple(decode(self.outputs, bytes.fromhex(result[2:])))
        except (DecodingError, ValueError, OverflowError) as error:
            message = f"{self.name} answers {len(result)} characters that are not {','.join(self.outputs)}"
            raise ChainUnavailableError(message) from error
