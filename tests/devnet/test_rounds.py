"""Rounds by L1 time (chain.md 4.1)."""

import pytest

from baton.devnet import Devnet
from tests.devnet.evm import Evm, Reverted, keccak
from tests.support import run

NEW_ROUND = "22f2fc17c5daf07db2379b3a03a8ef20a183f761097a58fce219c8a14619e786"


def test_round_follows_the_l1_clock_and_not_the_chain(devnet: Devnet, evm: Evm) -> None:
    start = evm.read("rounds_manager", "blockNum()")
    now = evm.read("rounds_manager", "currentRound()")
    assert start % 50 == 0
    assert (now, evm.read("rounds_manager", "currentRoundStartBlock()")) == (start // 50, start)
    run(devnet.mine(200))
    assert evm.read("rounds_manager", "currentRound()") == now
    assert run(devnet.advance_l1(49)) == start + 49
    assert evm.read("rounds_manager", "currentRound()") == now
    assert evm.read("rounds_manager", "currentRoundInitialized()", returns="bool")
    run(devnet.advance_l1())
    assert evm.read("rounds_manager", "currentRound()") == now + 1
    assert evm.read("rounds_manager", "lastInitializedRound()") == now
    assert not evm.read("rounds_manager", "currentRoundInitialized()", returns="bool")


def test_initialization_stores_a_hash_and_tells_it(devnet: Devnet, evm: Evm) -> None:
    number = run(devnet.next_round(initialize=False))
    logs = evm.send(devnet.accounts.spare[0], "rounds_manager", "initializeRound()")
    (new_round,) = [log for log in logs if log.topic == NEW_ROUND]
    stored = evm.read("rounds_manager", "blockHashForRound(uint256)", number, returns="bytes32")
    assert new_round.indexed == (number,)
    assert new_round.data == stored != bytes(32)
    block = evm.read("rounds_manager", "blockNum()") - 1
    assert evm.read("rounds_manager", "blockHash(uint256)", block, returns="bytes32") == stored
    with pytest.raises(Reverted, match=r"^round already initialized$"):
        evm.send(devnet.accounts.spare[0], "rounds_manager", "initializeRound()")


def test_initialization_waits_for_the_end_of_a_pause(devnet: Devnet, evm: Evm) -> None:
    run(devnet.next_round(initialize=False))
    run(devnet.pause())
    with pytest.raises(Reverted, match=r"^system is paused$"):
        evm.send(devnet.accounts.spare[0], "rounds_manager", "initializeRound()")
    run(devnet.unpause())
    evm.send(devnet.accounts.spare[0], "rounds_manager", "initializeRound()")


def test_skipped_round_never_gets_a_hash(devnet: Devnet, evm: Evm) -> None:
    number = run(devnet.next_round(3))
    hashes = [
        evm.read("rounds_manager", "blockHashForRound(uint256)", each, returns="bytes32")
        for each in range(number - 3, number + 1)
    ]
    assert [found != bytes(32) for found in hashes] == [True, False, False, True]


def test_last_tenth_of_a_round_is_locked(devnet: Devnet, evm: Evm) -> None:
    run(devnet.advance_l1(44))
    assert not evm.read("rounds_manager", "currentRoundLocked()", returns="bool")
    run(devnet.advance_l1())
    assert evm.read("rounds_manager", "currentRoundLocked()", returns="bool")
    run(devnet.next_round())
    run(devnet.lock_round())
    assert evm.read("rounds_manager", "currentRoundLocked()", returns="bool")


def test_another_round_length_counts_from_the_running_round(devnet: Devnet, evm: Evm) -> None:
    now = run(devnet.current_round())
    start = evm.read("rounds_manager", "currentRoundStartBlock()")
    run(devnet.advance_l1(10))
    evm.send(devnet.accounts.deployer, "rounds_manager", "setRoundLength(uint256)", 20)
    assert evm.read("rounds_manager", "lastRoundLengthUpdateRound()") == now
    assert evm.read("rounds_manager", "lastRoundLengthUpdateStartBlock()") == start
    run(devnet.set_l1_block(start + 45))
    assert evm.read("rounds_manager", "currentRound()") == now + 2
    assert evm.read("rounds_manager", "currentRoundStartBlock()") == start + 40


@pytest.mark.parametrize(
    ("back", "text"),
    [(0, "can only retrieve past block hashes"), (257, "can only retrieve hashes for last 256 blocks")],
)
def test_hash_of_a_block_out_of_reach_reverts(evm: Evm, back: int, text: str) -> None:
    now = evm.read("rounds_manager", "blockNum()")
    with pytest.raises(Reverted, match=f"^{text}$"):
        evm.read("rounds_manager", "blockHash(uint256)", now - back, returns="bytes32")
    assert evm.read("rounds_manager", "blockHash(uint256)", now - 256, returns="bytes32") != bytes(32)


def test_chain_without_hashes_gives_rounds_without(devnet: Devnet, evm: Evm) -> None:
    evm.send(devnet.accounts.deployer, "l1_clock", "setHashesAreZero(bool)", True)
    number = run(devnet.next_round())
    assert evm.read("rounds_manager", "blockHashForRound(uint256)", number, returns="bytes32") == bytes(32)
    assert run(devnet.is_round_initialized())


def test_settings_are_the_owners_alone(devnet: Devnet, evm: Evm) -> None:
    for contract, signature in (
        ("rounds_manager", "setRoundLength(uint256)"),
        ("ticket_broker", "setUnlockPeriod(uint256)"),
        ("bonding_manager", "setNumActiveTranscoders(uint256)"),
        ("minter", "setInflationChange(uint256)"),
    ):
        with pytest.raises(Reverted, match=r"^caller must be Controller owner$"):
            evm.send(devnet.accounts.spare[0], contract, signature, 1)
    with pytest.raises(Reverted, match=r"^caller must be Controller$"):
        evm.send(devnet.accounts.deployer, "ticket_broker", "setController(address)", bytes(20))
    with pytest.raises(Reverted, match=r"^caller must be RoundsManager$"):
        evm.send(devnet.accounts.deployer, "bonding_manager", "setCurrentRoundTotalActiveStake()")


def test_minter_trusts_its_contracts_alone(devnet: Devnet, evm: Evm) -> None:
    someone = devnet.accounts.spare[0]
    for signature, arguments, text in (
        ("createReward(uint256,uint256)", (1, 1), "msg.sender not BondingManager"),
        ("setCurrentRewardTokens()", (), "msg.sender not RoundsManager"),
        ("trustedWithdrawETH(address,uint256)", (someone.address, 1), "msg.sender not BondingManager or JobsManager"),
        ("depositETH()", (), "msg.sender not Minter or JobsManager"),
        ("trustedTransferTokens(address,uint256)", (someone.address, 1), "msg.sender not BondingManager"),
    ):
        with pytest.raises(Reverted, match=f"^{text}$"):
            evm.send(someone, "minter", signature, *arguments)


def test_inflation_falls_when_much_is_bonded_and_rises_when_little_is(devnet: Devnet, evm: Evm) -> None:
    # The first round began with nothing bonded, the second with 0.2 % of all LPT: both times a step up.
    assert evm.read("minter", "inflation()") == 251_000
    supply = evm.read("minter", "getGlobalTotalSupply()")
    assert supply == 25_000_000 * 10**18
    assert evm.read("minter", "currentMintableTokens()") == supply * 251_000 // 10**9
    evm.send(devnet.accounts.deployer, "minter", "setTargetBondingRate(uint256)", 1_999_999)
    run(devnet.next_round())
    assert evm.read("minter", "inflation()") == 250_500
    evm.send(devnet.accounts.deployer, "minter", "setTargetBondingRate(uint256)", 2_000_000)
    run(devnet.next_round())
    assert evm.read("minter", "inflation()") == 250_500
    evm.send(devnet.accounts.deployer, "minter", "setInflationChange(uint256)", 10**9)
    evm.send(devnet.accounts.deployer, "minter", "setTargetBondingRate(uint256)", 0)
    run(devnet.next_round())
    assert evm.read("minter", "inflation()") == 0


def test_supply_on_l1_counts_as_supply(devnet: Devnet, evm: Evm) -> None:
    evm.send(devnet.accounts.deployer, "l2_lpt_data_cache", "setL1CirculatingSupply(uint256)", 10**24)
    assert evm.read("minter", "getGlobalTotalSupply()") == 26_000_000 * 10**18


def test_lpt_moves_by_allowance_and_by_permit(devnet: Devnet, evm: Evm) -> None:
    owner, someone = devnet.accounts.deployer, devnet.accounts.spare[0]
    assert evm.read("livepeer_token", "symbol()", returns="string") == "LPT"
    with pytest.raises(Reverted, match="allowance"):
        evm.send(someone, "livepeer_token", "transferFrom(address,address,uint256)", owner.address, someone.address, 5)
    evm.send(owner, "livepeer_token", "approve(address,uint256)", someone.address, 5)
    logs = evm.send(
        someone, "livepeer_token", "transferFrom(address,address,uint256)", owner.address, someone.address, 3
    )
    assert keccak(b"Transfer(address,address,uint256)").hex() in {log.topic for log in logs}
    assert evm.read("livepeer_token", "balanceOf(address)", someone.address) == 3
    assert evm.read("livepeer_token", "allowance(address,address)", owner.address, someone.address) == 2
    with pytest.raises(Reverted, match="missing role"):
        evm.send(someone, "livepeer_token", "mint(address,uint256)", someone.address, 1)
