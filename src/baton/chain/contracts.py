"""Where the protocol's contracts are: all addresses through the Controller, by name, read at start (chain.md 2)."""

from dataclasses import dataclass

from baton.chain.abi import Function, contract_id
from baton.chain.rpc import JsonRpc
from baton.kernel.ids import ZERO_ADDRESS, Address
from baton.payments.ports import ChainUnavailableError

__all__ = ["Contracts", "find_contracts"]

_GET_CONTRACT = Function("getContract", ("bytes32",), ("address",))


@dataclass(frozen=True, slots=True)
class Contracts:
    """Addresses of what a node talks to."""

    controller: Address
    token: Address
    service_registry: Address
    bonding_manager: Address
    ticket_broker: Address
    rounds_manager: Address
    minter: Address


_NAMES = ("LivepeerToken", "ServiceRegistry", "BondingManager", "TicketBroker", "RoundsManager", "Minter")
_NEEDED = frozenset({"BondingManager", "TicketBroker", "RoundsManager"})


async def find_contracts(rpc: JsonRpc, controller: Address) -> Contracts:
    """Ask the Controller for every address, in one batch.

    Raises:
        ChainUnavailableError: it cannot be asked, or does not know what payments need.
    """
    answers = await rpc.batch([_GET_CONTRACT.call(controller, contract_id(name)) for name in _NAMES])
    found: list[Address] = []
    for name, answer in zip(_NAMES, answers, strict=True):
        (text,) = _GET_CONTRACT.read(answer)
        address = Address(bytes.fromhex(text.removeprefix("0x")))
        if address == ZERO_ADDRESS and name in _NEEDED:
            message = f"the controller at 0x{controller.hex()} knows no {name}"
            raise ChainUnavailableError(message)
        found.append(address)
    return Contracts(controller, *found)
