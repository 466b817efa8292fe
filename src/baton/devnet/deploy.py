"""Puts the protocol on an empty chain: contracts, proxies, their names in the controller, their parameters.

Names and order answer to chain.md 2 and 15.2. Whoever reads this chain starts at the controller, as on Arbitrum One.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from baton.devnet.abi import artefact
from baton.devnet.accounts import Account
from baton.devnet.options import DevnetOptions
from baton.devnet.transactions import Chain, Contract
from baton.kernel.crypto import keccak256
from baton.kernel.ids import Address, to_checksum_hex

__all__ = ["MULTICALL_ADDRESS", "Addresses", "BrokerRule", "contract_id", "contracts_at", "deploy"]

MULTICALL_ADDRESS = Address(bytes.fromhex("cA11bde05977b3631167028862bE2a173976CA11"))
"""Where Multicall3 is on every chain (chain.md 1.2)."""

_COMMIT = bytes(20)
_SALT = keccak256(b"hashes of the devnet's L1 blocks")
_ARTEFACTS: Mapping[str, str] = {
    "controller": "Controller",
    "l1_clock": "L1Clock",
    "livepeer_token": "LivepeerToken",
    "l2_lpt_data_cache": "L2LPTDataCache",
    "treasury": "Treasury",
    "minter": "Minter",
    "bonding_manager": "BondingManager",
    "rounds_manager": "RoundsManager",
    "ticket_broker": "FullCoverTicketBroker",
    "service_registry": "ServiceRegistry",
    "ai_service_registry": "ServiceRegistry",
    "price_feed": "PriceFeed",
    "multicall": "Multicall3",
}


class BrokerRule(Enum):
    """What a sender must still have for a winning ticket to be redeemed (chain.md 4.3 row 12)."""

    ANY_FUNDS = "any funds"
    """Until July 2026: anything at all; the ticket is used up for whatever is there."""
    FULL_COVER = "full cover"
    """Since: deposit and whole reserve cover the face value, else the ticket stays unused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where everything is. A node is told ``controller``, and perhaps ``price_feed``; it finds the rest."""

    controller: Address
    l1_clock: Address
    livepeer_token: Address
    l2_lpt_data_cache: Address
    treasury: Address
    minter: Address
    bonding_manager: Address
    rounds_manager: Address
    ticket_broker: Address
    service_registry: Address
    ai_service_registry: Address
    price_feed: Address
    multicall: Address
    any_funds_target: Address
    """Code of the broker under ``BrokerRule.ANY_FUNDS``."""
    full_cover_target: Address
    """Code of the broker under ``BrokerRule.FULL_COVER``."""


def contract_id(name: str) -> bytes:
    """The 32 bytes by which the controller knows a name."""
    return keccak256(name.encode("utf-8"))


def contracts_at(addresses: Addresses) -> Mapping[str, Contract]:
    """Every contract by its field in ``Addresses``."""
    return {field: Contract(field, getattr(addresses, field), artefact(name)) for field, name in _ARTEFACTS.items()}


async def deploy(chain: Chain, owner: Account, options: DevnetOptions) -> Addresses:
    """Deploy, register and set everything; the controller is unpaused at the end. No round is initialized yet."""
    controller = await chain.create(owner, "Controller")

    async def register(name: str, address: Address) -> None:
        await chain.transact(owner, controller, "setContractInfo", contract_id(name), address, _COMMIT)

    async def proxied(name: str, target: Contract) -> Address:
        await register(f"{name}Target", target.address)
        proxy = await chain.create(owner, "ManagerProxy", controller.address, contract_id(f"{name}Target"))
        await register(name, proxy.address)
        return proxy.address

    clock = await chain.create(owner, "L1Clock", options.first_l1_block, _SALT)
    token = await chain.create(owner, "LivepeerToken")
    cache = await chain.create(owner, "L2LPTDataCache", 0)
    treasury = await chain.create(owner, "Treasury")
    inflation = (options.inflation, options.inflation_change, options.target_bonding_rate)
    minter = await chain.create(owner, "Minter", controller.address, *inflation)
    plain = {"L1Clock": clock, "LivepeerToken": token, "L2LPTDataCache": cache, "Treasury": treasury, "Minter": minter}
    for name, contract in plain.items():
        await register(name, contract.address)
    any_funds = await chain.create(owner, "AnyFundsTicketBroker", controller.address)
    full_cover = await chain.create(owner, "FullCoverTicketBroker", controller.address)
    broker = await proxied("TicketBroker", full_cover)
    await register("JobsManager", broker)
    feed = await chain.create(owner, "PriceFeed", "ETH / USD", 8, options.eth_usd)
    ai_registry = await chain.create(owner, "ServiceRegistry", controller.address)
    multicall = await chain.create(owner, "Multicall3")
    code = await chain.rpc.ask("eth_getCode", multicall.address_hex, "latest")
    await chain.rpc.ask("anvil_setCode", to_checksum_hex(MULTICALL_ADDRESS), code)
    addresses = Addresses(
        controller=controller.address,
        l1_clock=clock.address,
        livepeer_token=token.address,
        l2_lpt_data_cache=cache.address,
        treasury=treasury.address,
        minter=minter.address,
        bonding_manager=await proxied(
            "BondingManager", await chain.create(owner, "BondingManager", controller.address)
        ),
        rounds_manager=await proxied("RoundsManager", await chain.create(owner, "RoundsManager", controller.address)),
        ticket_broker=broker,
        service_registry=await proxied(
            "ServiceRegistry", await chain.create(owner, "ServiceRegistry", controller.address)
        ),
        ai_service_registry=ai_registry.address,
        price_feed=feed.address,
        multicall=MULTICALL_ADDRESS,
        any_funds_target=any_funds.address,
        full_cover_target=full_cover.address,
    )
    await _set_parameters(chain, owner, contracts_at(addresses), options)
    return addresses


async def _set_parameters(
    chain: Chain, owner: Account, contracts: Mapping[str, Contract], options: DevnetOptions
) -> None:
    settings: tuple[tuple[str, str, tuple[object, ...]], ...] = (
        ("rounds_manager", "setRoundLength", (options.round_length,)),
        ("rounds_manager", "setRoundLockAmount", (options.round_lock_amount,)),
        ("bonding_manager", "setUnbondingPeriod", (options.unbonding_period,)),
        ("bonding_manager", "setNumActiveTranscoders", (options.pool_size,)),
        ("bonding_manager", "setTreasuryRewardCutRate", (options.treasury_reward_cut_rate,)),
        ("bonding_manager", "setTreasuryBalanceCeiling", (options.treasury_balance_ceiling_wei,)),
        ("ticket_broker", "setUnlockPeriod", (options.unlock_period,)),
        ("ticket_broker", "setTicketValidityPeriod", (options.ticket_validity_period,)),
        ("livepeer_token", "grantRole", (contract_id("MINTER_ROLE"), owner.address)),
        ("livepeer_token", "grantRole", (contract_id("MINTER_ROLE"), contracts["minter"].address)),
        ("livepeer_token", "mint", (owner.address, options.supply_wei)),
        ("controller", "unpause", ()),
    )
    for name, function, arguments in settings:
        await chain.transact(owner, contracts[name], function, *arguments)
