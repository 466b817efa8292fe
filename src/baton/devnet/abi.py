"""The devnet's contracts as data: their interfaces and code, and calls to them as bytes.

Artefacts are made by ``scripts/contracts`` from ``contracts/*.sol``; a test compiles anew and compares.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from baton.kernel.crypto import keccak256

__all__ = ["Artefact", "Function", "artefact", "artefact_names"]

_FOLDER = "artefacts"
_SELECTOR_BYTES = 4


@dataclass(frozen=True, slots=True)
class Function:
    """One function: its name and the canonical types of what goes in and comes out."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def signature(self) -> str:
        """As it is hashed: ``transfer(address,uint256)``."""
        return f"{self.name}({','.join(self.inputs)})"

    @property
    def selector(self) -> bytes:
        """The four bytes that call it."""
        return keccak256(self.signature.encode("ascii"))[:_SELECTOR_BYTES]

    def encode(self, arguments: Sequence[object]) -> str:
        """Call data in hex. Addresses are bytes or hex, structs are tuples. Raises what ``eth_abi`` raises."""
        from eth_abi.abi import encode

        return "0x" + (self.selector + encode(self.inputs, list(arguments))).hex()

    def decode(self, result_hex: str) -> Any:  # noqa: ANN401 -- what the types say
        """What it returned: one value, or a tuple of several. Addresses come as lower-case hex."""
        from eth_abi.abi import decode

        values = decode(self.outputs, bytes.fromhex(result_hex.removeprefix("0x")))
        return values[0] if len(values) == 1 else values


@dataclass(frozen=True, slots=True)
class Artefact:
    """A compiled contract."""

    name: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes
    functions: Mapping[str, Function]

    def creation(self, *arguments: object) -> str:
        """What a transaction without a recipient carries to make one, in hex."""
        from eth_abi.abi import encode

        entry = next((entry for entry in self.abi if entry["type"] == "constructor"), {"inputs": ()})
        types = [_canonical(each) for each in entry["inputs"]]
        return "0x" + (self.bytecode + encode(types, list(arguments))).hex()


def artefact_names() -> tuple[str, ...]:
    """Every contract there is, sorted."""
    folder = files("baton.devnet").joinpath(_FOLDER)
    return tuple(sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")))


@functools.cache
def artefact(name: str) -> Artefact:
    """The compiled contract of that name. Raises ``FileNotFoundError`` for one that does not exist."""
    document = json.loads(files("baton.devnet").joinpath(_FOLDER, f"{name}.json").read_bytes())
    functions = {
        entry["name"]: Function(
            entry["name"],
            tuple(_canonical(each) for each in entry["inputs"]),
            tuple(_canonical(each) for each in entry["outputs"]),
        )
        for entry in document["abi"]
        if entry["type"] == "function"
    }
    return Artefact(
        name=name,
        abi=tuple(document["abi"]),
        bytecode=bytes.fromhex(document["bytecode"]),
        functions=MappingProxyType(functions),
    )


def _canonical(entry: Mapping[str, Any]) -> str:
    """The type as it is hashed: structs become tuples."""
    kind = str(entry["type"])
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(_canonical(each) for each in entry["components"])
    return f"({inner}){kind.removeprefix('tuple')}"
