"""Brings a fresh chain to life: money for everybody, orchestrators in the pool, gateways with deposit and reserve."""

from collections.abc import Mapping

from baton.devnet.accounts import Account, Accounts
from baton.devnet.options import DevnetOptions
from baton.devnet.transactions import Chain, Contract

__all__ = ["fund_gateway", "give_ether", "register_orchestrator", "settle"]


async def give_ether(chain: Chain, account: Account, amount_wei: int) -> None:
    """Set an account's balance."""
    await chain.rpc.ask("anvil_setBalance", account.address_hex, hex(amount_wei))


async def register_orchestrator(
    chain: Chain,
    contracts: Mapping[str, Contract],
    *,
    owner: Account,
    account: Account,
    stake_wei: int,
    options: DevnetOptions,
) -> None:
    """Give it LPT, bond them to itself, set its cuts and its address. It is active from the next round on."""
    bonding = contracts["bonding_manager"]
    token = contracts["livepeer_token"]
    await chain.transact(owner, token, "transfer", account.address, stake_wei)
    await chain.transact(account, token, "approve", bonding.address, stake_wei)
    await chain.transact(account, bonding, "bond", stake_wei, account.address)
    await chain.transact(account, bonding, "transcoder", options.reward_cut, options.fee_share)
    for registry in ("service_registry", "ai_service_registry"):
        await chain.transact(account, contracts[registry], "setServiceURI", options.service_uri)


async def fund_gateway(
    chain: Chain, contracts: Mapping[str, Contract], *, account: Account, deposit_wei: int, reserve_wei: int
) -> None:
    """Add to deposit and reserve. Cancels a running unlock, as on the real chain."""
    await chain.transact(
        account,
        contracts["ticket_broker"],
        "fundDepositAndReserve",
        deposit_wei,
        reserve_wei,
        value_wei=deposit_wei + reserve_wei,
    )


async def settle(chain: Chain, contracts: Mapping[str, Contract], accounts: Accounts, options: DevnetOptions) -> None:
    """Two rounds' worth of preparation: at the end the orchestrators are active in an initialized round."""
    rounds = contracts["rounds_manager"]
    await chain.transact(accounts.keeper, rounds, "initializeRound")
    for each in accounts.orchestrators:
        await register_orchestrator(
            chain, contracts, owner=accounts.deployer, account=each, stake_wei=options.stake_wei, options=options
        )
    if accounts.orchestrators:
        caller = accounts.reward_caller.address
        await chain.transact(accounts.orchestrator, contracts["bonding_manager"], "setRewardCaller", caller)
    for each in accounts.gateways:
        await fund_gateway(
            chain, contracts, account=each, deposit_wei=options.deposit_wei, reserve_wei=options.reserve_wei
        )
    await chain.transact(accounts.keeper, contracts["l1_clock"], "advance", options.round_length)
    await chain.transact(accounts.keeper, rounds, "initializeRound")
