// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Manager, ManagerProxyTarget} from "./Manager.sol";
import {SortedList} from "./SortedList.sol";

/// What the BondingManager keeps, and its views (chain.md 3.3 and 4.2).
abstract contract BondingState is ManagerProxyTarget {
    using SortedList for SortedList.List;

    enum DelegatorStatus {
        Pending,
        Bonded,
        Unbonded
    }
    enum TranscoderStatus {
        NotRegistered,
        Registered
    }

    struct UnbondingLock {
        uint256 amount;
        uint256 withdrawRound;
    }

    struct Delegator {
        uint256 bondedAmount;
        uint256 fees;
        address delegateAddress;
        uint256 delegatedAmount;
        uint256 startRound;
        uint256 lastClaimRound;
        uint256 nextUnbondingLockId;
        mapping(uint256 => UnbondingLock) unbondingLocks;
    }

    struct EarningsPool {
        uint256 totalStake;
        uint256 transcoderRewardCut;
        uint256 transcoderFeeShare;
        uint256 cumulativeRewardFactor;
        uint256 cumulativeFeeFactor;
    }

    struct Transcoder {
        uint256 lastRewardRound;
        uint256 rewardCut;
        uint256 feeShare;
        uint256 lastActiveStakeUpdateRound;
        uint256 activationRound;
        uint256 deactivationRound;
        uint256 activeCumulativeRewards;
        uint256 cumulativeRewards;
        uint256 cumulativeFees;
        uint256 lastFeeRound;
        /// The round of the reward before the last one: its factor holds while the current round has its own.
        uint256 earlierRewardRound;
        mapping(uint256 => EarningsPool) pools;
    }

    uint256 internal constant PERC = 1000000;
    uint256 internal constant PRECISE = 1e27;
    uint256 internal constant NEVER = type(uint256).max;

    uint64 public unbondingPeriod;
    uint256 public currentRoundTotalActiveStake;
    uint256 public nextRoundTotalActiveStake;
    uint256 public treasuryRewardCutRate;
    uint256 public nextRoundTreasuryRewardCutRate;
    uint256 public treasuryBalanceCeiling;
    mapping(address => Delegator) internal delegators;
    mapping(address => Transcoder) internal transcoders;
    SortedList.List internal pool;
    mapping(address => address) public transcoderToRewardCaller;

    event Bond(
        address indexed newDelegate,
        address indexed oldDelegate,
        address indexed delegator,
        uint256 additionalAmount,
        uint256 bondedAmount
    );
    event EarningsClaimed(
        address indexed delegate,
        address indexed delegator,
        uint256 rewards,
        uint256 fees,
        uint256 startRound,
        uint256 endRound
    );
    event Rebond(address indexed delegate, address indexed delegator, uint256 unbondingLockId, uint256 amount);
    event Reward(address indexed transcoder, uint256 amount);
    event RewardCallerSet(address indexed transcoder, address indexed rewardCaller);
    event TranscoderActivated(address indexed transcoder, uint256 activationRound);
    event TranscoderDeactivated(address indexed transcoder, uint256 deactivationRound);
    event TranscoderUpdate(address indexed transcoder, uint256 rewardCut, uint256 feeShare);
    event TransferBond(
        address indexed oldDelegator,
        address indexed newDelegator,
        uint256 oldUnbondingLockId,
        uint256 newUnbondingLockId,
        uint256 amount
    );
    event TreasuryReward(address indexed transcoder, address treasury, uint256 amount);
    event Unbond(
        address indexed delegate,
        address indexed delegator,
        uint256 unbondingLockId,
        uint256 amount,
        uint256 withdrawRound
    );
    event WithdrawFees(address indexed delegator, address recipient, uint256 amount);
    event WithdrawStake(address indexed delegator, uint256 unbondingLockId, uint256 amount, uint256 withdrawRound);

    constructor(address controller_) Manager(controller_) {}

    function round() internal view returns (uint256) {
        return roundsManager().currentRound();
    }

    function isRegisteredTranscoder(address transcoder_) public view returns (bool) {
        Delegator storage del = delegators[transcoder_];
        return del.delegateAddress == transcoder_ && del.bondedAmount > 0;
    }

    function isActiveTranscoder(address transcoder_) public view returns (bool) {
        Transcoder storage t = transcoders[transcoder_];
        uint256 current = round();
        return t.activationRound <= current && current < t.deactivationRound;
    }

    function transcoderStatus(address transcoder_) external view returns (TranscoderStatus) {
        return isRegisteredTranscoder(transcoder_) ? TranscoderStatus.Registered : TranscoderStatus.NotRegistered;
    }

    function delegatorStatus(address delegator) public view returns (DelegatorStatus) {
        Delegator storage del = delegators[delegator];
        if (del.bondedAmount == 0) {
            return DelegatorStatus.Unbonded;
        }
        return del.startRound > round() ? DelegatorStatus.Pending : DelegatorStatus.Bonded;
    }

    function transcoderTotalStake(address transcoder_) public view returns (uint256) {
        return delegators[transcoder_].delegatedAmount;
    }

    function getTotalBonded() external view returns (uint256) {
        return currentRoundTotalActiveStake;
    }

    function getTranscoderPoolMaxSize() external view returns (uint256) {
        return pool.maxSize;
    }

    function getTranscoderPoolSize() external view returns (uint256) {
        return pool.size;
    }

    function getFirstTranscoderInPool() external view returns (address) {
        return pool.head;
    }

    function getNextTranscoderInPool(address transcoder_) external view returns (address) {
        return pool.nodes[transcoder_].next;
    }

    function getTranscoder(address transcoder_)
        external
        view
        returns (
            uint256 lastRewardRound,
            uint256 rewardCut,
            uint256 feeShare,
            uint256 lastActiveStakeUpdateRound,
            uint256 activationRound,
            uint256 deactivationRound,
            uint256 activeCumulativeRewards,
            uint256 cumulativeRewards,
            uint256 cumulativeFees,
            uint256 lastFeeRound
        )
    {
        Transcoder storage t = transcoders[transcoder_];
        lastRewardRound = t.lastRewardRound;
        rewardCut = t.rewardCut;
        feeShare = t.feeShare;
        lastActiveStakeUpdateRound = t.lastActiveStakeUpdateRound;
        activationRound = t.activationRound;
        deactivationRound = t.deactivationRound;
        activeCumulativeRewards = t.activeCumulativeRewards;
        cumulativeRewards = t.cumulativeRewards;
        cumulativeFees = t.cumulativeFees;
        lastFeeRound = t.lastFeeRound;
    }

    function getTranscoderEarningsPoolForRound(address transcoder_, uint256 round_)
        external
        view
        returns (
            uint256 totalStake,
            uint256 transcoderRewardCut,
            uint256 transcoderFeeShare,
            uint256 cumulativeRewardFactor,
            uint256 cumulativeFeeFactor
        )
    {
        EarningsPool storage p = transcoders[transcoder_].pools[round_];
        return (
            p.totalStake,
            p.transcoderRewardCut,
            p.transcoderFeeShare,
            p.cumulativeRewardFactor,
            p.cumulativeFeeFactor
        );
    }

    function getDelegator(address delegator)
        external
        view
        returns (
            uint256 bondedAmount,
            uint256 fees,
            address delegateAddress,
            uint256 delegatedAmount,
            uint256 startRound,
            uint256 lastClaimRound,
            uint256 nextUnbondingLockId
        )
    {
        Delegator storage del = delegators[delegator];
        return (
            del.bondedAmount,
            del.fees,
            del.delegateAddress,
            del.delegatedAmount,
            del.startRound,
            del.lastClaimRound,
            del.nextUnbondingLockId
        );
    }

    function getDelegatorUnbondingLock(address delegator, uint256 unbondingLockId)
        external
        view
        returns (uint256 amount, uint256 withdrawRound)
    {
        UnbondingLock storage lock = delegators[delegator].unbondingLocks[unbondingLockId];
        return (lock.amount, lock.withdrawRound);
    }

    function isValidUnbondingLock(address delegator, uint256 unbondingLockId) public view returns (bool) {
        return delegators[delegator].unbondingLocks[unbondingLockId].withdrawRound > 0;
    }
}
