"""Stake, pool, rewards and their arithmetic (chain.md 4.2 and 16)."""

import pytest

from baton.devnet import Account, Devnet
from baton.kernel.ids import Address
from tests.devnet.evm import Evm, Reverted
from tests.devnet.tickets import Ticket, redeem
from tests.support import run

ETHER = 10**18
LPT = 10**18
NEVER = 2**256 - 1
ZERO = bytes(20)
ACTIVATED = "65d72d782835d64c3287844a829608d5abdc7e864cc9affe96d910ab3db665e9"
DEACTIVATED = "fee3e693fc72d0a0a673805f3e606c551f4c677b9072444b90dd2d0406bc995c"
BOND = "e5917769f276ddca9f2ee7c6b0b33e1d1e1b61008010ce622c632dd20d168a23"
UNBOND = "2d5d98d189bee5496a08db2a5948cb7e5e786f09d17d0c3f228eb41776c24a06"
REBOND = "9f5b64cc71e1e26ff178caaa7877a04d8ce66fde989251870e80e6fbee690c17"
REWARD = "619caafabdd75649b302ba8419e48cccf64f37f1983ac4727cfb38b57703ffc9"
TREASURY = "40e200718fe552021167687e5491d09f5931275b6f88f14a462650f0effb5237"
TRANSCODER = ",".join(["uint256"] * 10)
DELEGATOR = "uint256,uint256,address,uint256,uint256,uint256,uint256"
POOL = ",".join(["uint256"] * 5)
BONDING = "bonding_manager"


def give_lpt(devnet: Devnet, evm: Evm, account: Account, amount: int) -> None:
    """LPT, and leave for the bonding manager to take it."""
    evm.send(devnet.accounts.deployer, "livepeer_token", "transfer(address,uint256)", account.address, amount)
    evm.send(account, "livepeer_token", "approve(address,uint256)", evm.address(BONDING), amount)


def bond(devnet: Devnet, evm: Evm, account: Account, amount: int, to: Account | None = None) -> tuple[str, ...]:
    """Topics of a bond of fresh LPT."""
    give_lpt(devnet, evm, account, amount)
    logs = evm.send(account, BONDING, "bond(uint256,address)", amount, (to or account).address)
    return tuple(log.topic for log in logs)


def pool(evm: Evm) -> list[str]:
    """Addresses from the largest stake to the smallest."""
    found = []
    here = evm.read(BONDING, "getFirstTranscoderInPool()", returns="address")
    while int(here, 16):
        found.append(here)
        here = evm.read(BONDING, "getNextTranscoderInPool(address)", here, returns="address")
    assert evm.read(BONDING, "getTranscoderPoolSize()") == len(found)
    return found


def shown(*accounts: Account) -> list[str]:
    return ["0x" + account.address.hex() for account in accounts]


def fails(evm: Evm, sender: Account, text: str, signature: str, *arguments: object) -> None:
    with pytest.raises(Reverted) as caught:
        evm.send(sender, BONDING, signature, *arguments)
    assert str(caught.value) == text


def test_orchestrator_is_active_from_the_next_round(devnet: Devnet, evm: Evm) -> None:
    newcomer, now = devnet.accounts.spare[0], run(devnet.current_round())
    assert evm.read(BONDING, "transcoderStatus(address)", newcomer.address) == 0
    assert evm.read(BONDING, "delegatorStatus(address)", newcomer.address) == 2
    topics = bond(devnet, evm, newcomer, 10 * LPT)
    assert {ACTIVATED, BOND} <= set(topics)
    assert evm.read(BONDING, "transcoderStatus(address)", newcomer.address) == 1
    assert evm.read(BONDING, "delegatorStatus(address)", newcomer.address) == 0
    record = evm.read(BONDING, "getTranscoder(address)", newcomer.address, returns=TRANSCODER)
    assert record[3:6] == (now + 1, now + 1, NEVER)
    assert not evm.read(BONDING, "isActiveTranscoder(address)", newcomer.address, returns="bool")
    assert evm.read(BONDING, "getTotalBonded()") == 50_000 * LPT
    run(devnet.next_round())
    assert evm.read(BONDING, "isActiveTranscoder(address)", newcomer.address, returns="bool")
    assert evm.read(BONDING, "delegatorStatus(address)", newcomer.address) == 1
    assert evm.read(BONDING, "getTotalBonded()") == 50_010 * LPT


def test_cuts_and_what_forbids_to_change_them(devnet: Devnet, evm: Evm) -> None:
    orchestrator, nobody = devnet.accounts.orchestrator, devnet.accounts.spare[0]
    cuts = "transcoder(uint256,uint256)"
    fails(evm, nobody, "invalid rewardCut percentage", cuts, 1_000_001, 0)
    fails(evm, nobody, "invalid feeShare percentage", cuts, 0, 1_000_001)
    fails(evm, nobody, "transcoder must be registered", cuts, 0, 0)
    text = "caller can't be active or must have already called reward for the current round"
    fails(evm, orchestrator, text, cuts, 0, 0)
    evm.send(orchestrator, BONDING, "reward()")
    evm.send(orchestrator, BONDING, cuts, 7, 9)
    assert evm.read(BONDING, "getTranscoder(address)", orchestrator.address, returns=TRANSCODER)[1:3] == (7, 9)
    run(devnet.lock_round())
    fails(evm, nobody, "can't update transcoder params, current round is locked", cuts, 1_000_001, 0)
    run(devnet.next_round(initialize=False))
    fails(evm, nobody, "current round is not initialized", cuts, 0, 0)
    run(devnet.pause())
    fails(evm, nobody, "system is paused", cuts, 0, 0)


@pytest.mark.parametrize(
    ("signature", "arguments"),
    [
        ("bond(uint256,address)", (1, ZERO)),
        ("unbond(uint256)", (1,)),
        ("rebond(uint256)", (0,)),
        ("rebondFromUnbonded(address,uint256)", (ZERO, 0)),
        ("withdrawStake(uint256)", (0,)),
        ("withdrawFees(address,uint256)", (ZERO, 0)),
        ("claimEarnings(uint256)", (0,)),
        ("transferBond(address,uint256,address,address,address,address)", (ZERO, 1, ZERO, ZERO, ZERO, ZERO)),
        ("reward()", ()),
        ("rewardForTranscoder(address)", (ZERO,)),
    ],
)
def test_nothing_moves_in_a_round_that_nobody_initialized(
    devnet: Devnet, evm: Evm, signature: str, arguments: tuple[object, ...]
) -> None:
    run(devnet.next_round(initialize=False))
    fails(evm, devnet.accounts.orchestrator, "current round is not initialized", signature, *arguments)
    run(devnet.pause())
    fails(evm, devnet.accounts.orchestrator, "system is paused", signature, *arguments)


def test_stake_is_locked_and_comes_back(devnet: Devnet, evm: Evm) -> None:
    one, now = devnet.accounts.spare[0], run(devnet.current_round())
    fails(evm, one, "delegation amount must be greater than 0", "bond(uint256,address)", 0, one.address)
    bond(devnet, evm, one, 10 * LPT)
    fails(evm, one, "caller must be bonded", "unbond(uint256)", 1)  # still pending
    run(devnet.next_round())
    fails(evm, one, "unbond amount must be greater than 0", "unbond(uint256)", 0)
    fails(evm, one, "amount is greater than bonded amount", "unbond(uint256)", 10 * LPT + 1)
    (unbond,) = (log for log in evm.send(one, BONDING, "unbond(uint256)", 4 * LPT) if log.topic == UNBOND)
    assert unbond.words == (0, 4 * LPT, now + 8)
    lock = "getDelegatorUnbondingLock(address,uint256)"
    assert evm.read(BONDING, lock, one.address, 0, returns="uint256,uint256") == (4 * LPT, now + 8)
    fails(evm, one, "invalid unbonding lock ID", "rebond(uint256)", 1)
    fails(evm, one, "withdraw round must be before or equal to the current round", "withdrawStake(uint256)", 0)
    (rebond,) = (log for log in evm.send(one, BONDING, "rebond(uint256)", 0) if log.topic == REBOND)
    assert rebond.words == (0, 4 * LPT)
    fails(evm, one, "caller must be unbonded", "rebondFromUnbonded(address,uint256)", one.address, 0)
    assert evm.read(BONDING, "transcoderTotalStake(address)", one.address) == 10 * LPT


def test_full_unbond_resigns_and_stake_can_be_withdrawn(devnet: Devnet, evm: Evm) -> None:
    one = devnet.accounts.orchestrator
    now = run(devnet.current_round())
    logs = evm.send(one, BONDING, "unbond(uint256)", 50_000 * LPT)
    assert {DEACTIVATED, UNBOND} <= {log.topic for log in logs}
    assert pool(evm) == []
    assert evm.read(BONDING, "getTranscoder(address)", one.address, returns=TRANSCODER)[5] == now + 1
    assert evm.read(BONDING, "isActiveTranscoder(address)", one.address, returns="bool")  # to the end of the round
    assert evm.read(BONDING, "getDelegator(address)", one.address, returns=DELEGATOR)[2] == "0x" + "00" * 20
    run(devnet.next_round(7))
    assert not evm.read(BONDING, "isActiveTranscoder(address)", one.address, returns="bool")
    fails(evm, one, "caller must be bonded", "rebond(uint256)", 0)
    fails(evm, one, "caller must be an active transcoder", "reward()")
    evm.send(one, BONDING, "withdrawStake(uint256)", 0)
    assert evm.read("livepeer_token", "balanceOf(address)", one.address) == 50_000 * LPT
    fails(evm, one, "invalid unbonding lock ID", "withdrawStake(uint256)", 0)


def test_delegators_move_and_orchestrators_do_not(devnet: Devnet, evm: Evm) -> None:
    orchestrator, one, delegator = devnet.accounts.orchestrator, *devnet.accounts.spare[:2]
    bond(devnet, evm, one, LPT)
    bond(devnet, evm, delegator, 5 * LPT, to=orchestrator)
    text = "registered transcoders can't delegate towards other addresses"
    fails(evm, one, text, "bond(uint256,address)", 0, orchestrator.address)
    assert evm.read(BONDING, "transcoderTotalStake(address)", orchestrator.address) == 50_005 * LPT
    evm.send(delegator, BONDING, "bond(uint256,address)", 0, one.address)
    assert evm.read(BONDING, "transcoderTotalStake(address)", orchestrator.address) == 50_000 * LPT
    assert evm.read(BONDING, "transcoderTotalStake(address)", one.address) == 6 * LPT
    assert evm.read(BONDING, "nextRoundTotalActiveStake()") == 50_006 * LPT


def test_others_may_add_to_a_stake_and_nothing_else(devnet: Devnet, evm: Evm) -> None:
    orchestrator, delegator, other = devnet.accounts.orchestrator, *devnet.accounts.spare[:2]
    bond(devnet, evm, delegator, 5 * LPT, to=orchestrator)
    give_lpt(devnet, evm, other, LPT)
    add = "bondForWithHint(uint256,address,address,address,address,address,address)"
    hints = (ZERO, ZERO, ZERO, ZERO)
    to = orchestrator.address
    fails(evm, other, "INVALID_DELEGATOR", add, LPT, ZERO, to, *hints)
    fails(evm, other, "INVALID_DELEGATE", add, LPT, delegator.address, ZERO, *hints)
    fails(evm, other, "INVALID_DELEGATE_CHANGE", add, LPT, delegator.address, other.address, *hints)
    fails(evm, other, "ILLEGAL_CLAIM_EARNINGS", add, LPT, delegator.address, to, *hints)
    evm.send(orchestrator, BONDING, "reward()")
    evm.send(other, BONDING, add, LPT, delegator.address, to, *hints)
    assert evm.read(BONDING, "getDelegator(address)", delegator.address, returns=DELEGATOR)[0] == 6 * LPT


def test_bond_can_be_given_away(devnet: Devnet, evm: Evm) -> None:
    orchestrator, one, other = devnet.accounts.orchestrator, *devnet.accounts.spare[:2]
    bond(devnet, evm, one, 5 * LPT, to=orchestrator)
    run(devnet.next_round())
    give = "transferBond(address,uint256,address,address,address,address)"
    fails(evm, one, "INVALID_DELEGATOR", give, ZERO, LPT, ZERO, ZERO, ZERO, ZERO)
    evm.send(one, BONDING, give, other.address, 2 * LPT, ZERO, ZERO, ZERO, ZERO)
    stakes = [evm.read(BONDING, "getDelegator(address)", each.address, returns=DELEGATOR)[0] for each in (one, other)]
    assert stakes == [3 * LPT, 2 * LPT]
    assert evm.read(BONDING, "transcoderTotalStake(address)", orchestrator.address) == 50_005 * LPT


def small_pool(devnet: Devnet, evm: Evm) -> tuple[Account, ...]:
    """Five orchestrators with stakes 5 to 1 beside the first one, and no more places than that.

    Nobody signs for them: the chain sends in anybody's name.
    """
    members = tuple(Account(f"member {index}", Address(bytes([index]) * 20), bytes(32)) for index in range(1, 6))
    for index, member in enumerate(members):
        run(devnet.set_balance(member, ETHER))
        bond(devnet, evm, member, (5 - index) * LPT)
    # Places can only be added; the slot of the limit is set to what there is.
    evm.ask("anvil_setStorageAt", evm.address(BONDING), limit_slot(evm), f"0x{6:064x}")
    assert evm.read(BONDING, "getTranscoderPoolMaxSize()") == 6
    return members


def limit_slot(evm: Evm) -> str:
    """Where the pool keeps its limit: the only word that says 100 among the first."""
    words = [int(evm.ask("eth_getStorageAt", evm.address(BONDING), hex(slot), "latest"), 16) for slot in range(24)]
    assert words.count(100) == 1
    return hex(words.index(100))


def test_pool_is_sorted_and_full_pools_prefer_more_stake(devnet: Devnet, evm: Evm) -> None:
    first, newcomer = devnet.accounts.orchestrator, devnet.accounts.spare[0]
    members = small_pool(devnet, evm)
    assert pool(evm) == shown(first, *members)
    assert ACTIVATED not in bond(devnet, evm, newcomer, LPT)  # as much as the last one is not enough
    assert pool(evm) == shown(first, *members)
    now = run(devnet.current_round())
    topics = bond(devnet, evm, newcomer, LPT)
    assert topics.index(DEACTIVATED) < topics.index(ACTIVATED)
    assert pool(evm)[-1:] == shown(newcomer)
    assert evm.read(BONDING, "getTranscoder(address)", members[4].address, returns=TRANSCODER)[5] == now + 1
    # A place becomes free, and who was evicted does not come back by itself.
    run(devnet.next_round())
    evm.send(newcomer, BONDING, "unbond(uint256)", 2 * LPT)
    assert pool(evm) == shown(first, *members[:4])
    evm.send(members[4], BONDING, "transcoder(uint256,uint256)", 0, 0)
    assert pool(evm) == shown(first, *members)


def test_less_stake_sorts_anew_and_evicts_nobody(devnet: Devnet, evm: Evm) -> None:
    members = small_pool(devnet, evm)
    run(devnet.next_round())
    evm.send(members[0], BONDING, "unbond(uint256)", 5 * LPT - 1)
    assert pool(evm) == shown(devnet.accounts.orchestrator, *members[1:], members[0])


@pytest.mark.parametrize("wrong", [(9, 9), (5, 0), (0, 5), (1, 5), (4, 2), (0, 1), (5, 1)])
def test_wrong_hint_is_no_error(devnet: Devnet, evm: Evm, wrong: tuple[int, int]) -> None:
    members, newcomer = small_pool(devnet, evm), devnet.accounts.spare[0]
    give_lpt(devnet, evm, newcomer, 3 * LPT + 1)
    prev, following = (bytes([index]) * 20 if index else ZERO for index in wrong)
    signature = "bondWithHint(uint256,address,address,address,address,address)"
    evm.send(newcomer, BONDING, signature, 3 * LPT + 1, newcomer.address, ZERO, ZERO, prev, following)
    assert pool(evm) == shown(devnet.accounts.orchestrator, *members[:2], newcomer, *members[2:4])


def test_reward_and_fees_are_the_vectors_of_the_specification(devnet: Devnet, evm: Evm) -> None:
    # 25,000,000 LPT, inflation 250000, 50,000 of 12,000,000 LPT at work, cuts 10 % and 5 %.
    orchestrator, giant, delegator = devnet.accounts.orchestrator, *devnet.accounts.spare[:2]
    owner = devnet.accounts.deployer
    evm.send(orchestrator, BONDING, "unbond(uint256)", 10_000 * LPT)
    bond(devnet, evm, delegator, 10_000 * LPT, to=orchestrator)
    bond(devnet, evm, giant, 11_950_000 * LPT)
    assert evm.read("minter", "inflation()") == 251_000
    evm.send(owner, "minter", "setInflationChange(uint256)", 1_000)
    evm.send(owner, "minter", "setTargetBondingRate(uint256)", 0)
    run(devnet.next_round())
    assert evm.read("minter", "currentMintableTokens()") == 6250000000000000000000
    logs = evm.send(orchestrator, BONDING, "reward()")
    amounts = {log.topic: log.words[-1] for log in logs if log.topic in {REWARD, TREASURY}}
    assert amounts == {TREASURY: 2604166250000000000, REWARD: 23437496250000000000}
    assert evm.read("minter", "currentMintedTokens()") == 26041662500000000000
    assert evm.read("livepeer_token", "balanceOf(address)", evm.address("treasury")) == 2604166250000000000
    now = run(devnet.current_round())
    earnings = "getTranscoderEarningsPoolForRound(address,uint256)"
    found = evm.read(BONDING, earnings, orchestrator.address, now, returns=POOL)
    assert found == (50_000 * LPT, 100_000, 50_000, 1000421874932500000000000000, 0)
    record = evm.read(BONDING, "getTranscoder(address)", orchestrator.address, returns=TRANSCODER)
    assert (record[0], record[6], record[7]) == (now, 0, 2343749625000000000)
    fails(evm, orchestrator, "caller has already called reward for the current round", "reward()")

    run(devnet.next_round())
    assert evm.read(BONDING, "transcoderTotalStake(address)", orchestrator.address) == 50023437496250000000000
    redeem(evm, devnet.accounts.keeper, Ticket.of(devnet, evm, face_value=ETHER))
    found = evm.read(BONDING, earnings, orchestrator.address, now + 1, returns=POOL)
    assert (found[0], found[4]) == (50023437496250000000000, 999953146969854366788)
    record = evm.read(BONDING, "getTranscoder(address)", orchestrator.address, returns=TRANSCODER)
    assert record[8] == 950002342651507281
    pending = [
        evm.read(BONDING, f"{name}(address,uint256)", delegator.address, 0) for name in ("pendingStake", "pendingFees")
    ]
    assert pending == [10004218749325000000000, 9999531469698543]
    run(devnet.next_round())
    evm.send(delegator, BONDING, "claimEarnings(uint256)", 0)
    claimed = evm.read(BONDING, "getDelegator(address)", delegator.address, returns=DELEGATOR)
    assert claimed[:2] == (10004218749325000000000, 9999531469698543)


def test_full_treasury_gets_nothing_from_the_next_round_on(devnet: Devnet, evm: Evm) -> None:
    orchestrator = devnet.accounts.orchestrator
    evm.send(devnet.accounts.deployer, BONDING, "setTreasuryBalanceCeiling(uint256)", 1)
    for rate in (10**26, 10**26, 0):
        assert evm.read(BONDING, "treasuryRewardCutRate()") == rate
        evm.send(orchestrator, BONDING, "reward()")
        run(devnet.next_round())


def test_reward_caller_may_call_for_its_orchestrator(devnet: Devnet, evm: Evm) -> None:
    orchestrator, caller = devnet.accounts.orchestrator, devnet.accounts.reward_caller
    named = evm.read(BONDING, "transcoderToRewardCaller(address)", orchestrator.address, returns="address")
    assert named == "0x" + caller.address.hex()
    text = "caller must be a reward caller set by the transcoder"
    fails(evm, devnet.accounts.spare[0], text, "rewardForTranscoder(address)", orchestrator.address)
    evm.send(caller, BONDING, "rewardForTranscoderWithHint(address,address,address)", orchestrator.address, ZERO, ZERO)
    text = "caller has already called reward for the current round"
    fails(evm, caller, text, "rewardForTranscoder(address)", orchestrator.address)
    evm.send(orchestrator, BONDING, "setRewardCaller(address)", ZERO)
    run(devnet.next_round())
    text = "caller must be a reward caller set by the transcoder"
    fails(evm, caller, text, "rewardForTranscoder(address)", orchestrator.address)
    evm.send(orchestrator, BONDING, "reward()")
    run(devnet.pause())
    fails(evm, orchestrator, "system is paused", "setRewardCaller(address)", ZERO)


def test_fees_come_from_the_broker_alone(devnet: Devnet, evm: Evm) -> None:
    signature = "updateTranscoderWithFees(address,uint256,uint256)"
    orchestrator = devnet.accounts.orchestrator
    fails(evm, orchestrator, "caller must be TicketBroker", signature, orchestrator.address, 1, 1)
