"""A devnet as the JSON document that ``baton devnet --json`` prints, and back. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from baton.devnet.accounts import Account, Accounts
from baton.devnet.deploy import Addresses
from baton.devnet.options import DevnetOptions
from baton.kernel.ids import address_from_hex, to_checksum_hex

__all__ = ["WARNING", "parse", "render"]

WARNING = "These are public test keys: anybody can compute them. Never send anything of value to these accounts."


def render(
    *, rpc_url: str, control_url: str, addresses: Addresses, accounts: Accounts, options: DevnetOptions
) -> dict[str, Any]:
    """Everything about a devnet; amounts above 2^53 are strings, so that no reader rounds them."""
    return {
        "rpc_url": rpc_url,
        "control_url": control_url,
        "chain_id": options.chain_id,
        "warning": WARNING,
        "addresses": {field.name: to_checksum_hex(getattr(addresses, field.name)) for field in fields(addresses)},
        "accounts": {
            "deployer": _account(accounts.deployer),
            "keeper": _account(accounts.keeper),
            "reward_caller": _account(accounts.reward_caller),
            "orchestrators": [_account(each) for each in accounts.orchestrators],
            "gateways": [_account(each) for each in accounts.gateways],
            "spare": [_account(each) for each in accounts.spare],
        },
        "options": {
            name: str(value) if isinstance(value, int) and value >= 1 << 53 else value
            for name, value in asdict(options).items()
        },
    }


def parse(document: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``Devnet``. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for another document."""
    accounts = document["accounts"]
    options: dict[str, Any] = {
        name: int(value) if isinstance(value, str) and name != "service_uri" else value
        for name, value in document["options"].items()
    }
    return {
        "rpc_url": str(document["rpc_url"]),
        "control_url": str(document["control_url"]),
        "addresses": Addresses(**{name: address_from_hex(text) for name, text in document["addresses"].items()}),
        "accounts": Accounts(
            deployer=_parsed(accounts["deployer"]),
            keeper=_parsed(accounts["keeper"]),
            reward_caller=_parsed(accounts["reward_caller"]),
            orchestrators=tuple(_parsed(each) for each in accounts["orchestrators"]),
            gateways=tuple(_parsed(each) for each in accounts["gateways"]),
            spare=tuple(_parsed(each) for each in accounts["spare"]),
        ),
        "options": DevnetOptions(**options),
    }


def _account(account: Account) -> dict[str, str]:
    return {"name": account.name, "address": account.address_hex, "private_key": "0x" + account.private_key.hex()}


def _parsed(entry: Mapping[str, str]) -> Account:
    key = bytes.fromhex(entry["private_key"].removeprefix("0x"))
    return Account(entry["name"], address_from_hex(entry["address"]), key)
