"""A local chain with the protocol on it: contracts, their starter, a clock for L1 and a proxy that can misbehave."""

from baton.devnet.accounts import Account, Accounts
from baton.devnet.deploy import Addresses, BrokerRule
from baton.devnet.faults import Faults, Misdeed, Rule
from baton.devnet.handle import Devnet
from baton.devnet.jsonrpc import RpcError
from baton.devnet.options import DevnetOptions
from baton.devnet.starter import running_devnet
from baton.devnet.tools import DevnetError, default_cache

__all__ = [
    "Account",
    "Accounts",
    "Addresses",
    "BrokerRule",
    "Devnet",
    "DevnetError",
    "DevnetOptions",
    "Faults",
    "Misdeed",
    "RpcError",
    "Rule",
    "default_cache",
    "running_devnet",
]
