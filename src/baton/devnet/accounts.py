"""The people of a devnet: accounts with keys that anybody can compute. Never send anything of value to them.

A key is the Keccak-256 hash of a fixed text and the account's name, so every devnet has the same people.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import coincurve

from baton.devnet.options import DevnetOptions
from baton.kernel.crypto import keccak256, public_key_to_address
from baton.kernel.ids import Address, to_checksum_hex

__all__ = ["Account", "Accounts", "account"]

_PREFIX = b"public test key of the Baton devnet: "


@dataclass(frozen=True, slots=True)
class Account:
    """One account."""

    name: str
    address: Address
    private_key: bytes = field(repr=False)
    """32 bytes, known to the whole world."""

    @property
    def address_hex(self) -> str:
        """The checksummed address."""
        return to_checksum_hex(self.address)


def account(name: str) -> Account:
    """The account of that name, the same on every devnet."""
    key = keccak256(_PREFIX + name.encode("utf-8"))
    return Account(name, Address(public_key_to_address(coincurve.PrivateKey(key).public_key)), key)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Everybody, by what they are."""

    deployer: Account
    """Owns the controller and every setting, keeps clock and feed, and holds the LPT that nobody got."""
    keeper: Account
    """Initializes rounds."""
    reward_caller: Account
    """Named by the first orchestrator as the one who may call reward for it."""
    orchestrators: tuple[Account, ...]
    gateways: tuple[Account, ...]
    spare: tuple[Account, ...]
    """ETH, and nothing else about them."""

    @classmethod
    def of(cls, options: DevnetOptions) -> "Accounts":
        """As many as the options say."""
        return cls(
            deployer=account("deployer"),
            keeper=account("keeper"),
            reward_caller=account("reward caller"),
            orchestrators=tuple(account(f"orchestrator {index}") for index in range(options.orchestrators)),
            gateways=tuple(account(f"gateway {index}") for index in range(options.gateways)),
            spare=tuple(account(f"account {index}") for index in range(options.accounts)),
        )

    @property
    def orchestrator(self) -> Account:
        """The first orchestrator."""
        return self.orchestrators[0]

    @property
    def gateway(self) -> Account:
        """The first gateway."""
        return self.gateways[0]

    def __iter__(self) -> Iterator[Account]:
        yield from (self.deployer, self.keeper, self.reward_caller)
        yield from (*self.orchestrators, *self.gateways, *self.spare)
