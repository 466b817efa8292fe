// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {BondingEarnings} from "./BondingEarnings.sol";
import {BondingState} from "./BondingState.sol";
import {SortedList} from "./SortedList.sol";

/// Stake, orchestrators and their rewards (chain.md 3.3, 4.2 and the reward callers of 5). The code behind the proxy.
contract BondingManager is BondingEarnings {
    using SortedList for SortedList.List;

    constructor(address controller_) BondingState(controller_) {}

    // Parameters

    function setUnbondingPeriod(uint64 unbondingPeriod_) external onlyControllerOwner {
        unbondingPeriod = unbondingPeriod_;
        emit ParameterUpdate("unbondingPeriod");
    }

    function setNumActiveTranscoders(uint256 numActiveTranscoders) external onlyControllerOwner {
        pool.setMaxSize(numActiveTranscoders);
        emit ParameterUpdate("numActiveTranscoders");
    }

    function setTreasuryRewardCutRate(uint256 cutRate) external onlyControllerOwner {
        require(cutRate <= PRECISE, "_cutRate is invalid precise percentage");
        nextRoundTreasuryRewardCutRate = cutRate;
        emit ParameterUpdate("nextRoundTreasuryRewardCutRate");
    }

    function setTreasuryBalanceCeiling(uint256 ceiling) external onlyControllerOwner {
        treasuryBalanceCeiling = ceiling;
        emit ParameterUpdate("treasuryBalanceCeiling");
    }

    function setCurrentRoundTotalActiveStake() external {
        require(msg.sender == named("RoundsManager"), "caller must be RoundsManager");
        currentRoundTotalActiveStake = nextRoundTotalActiveStake;
        treasuryRewardCutRate = nextRoundTreasuryRewardCutRate;
    }

    // Orchestrators

    function transcoder(uint256 rewardCut, uint256 feeShare) external {
        transcoderWithHint(rewardCut, feeShare, address(0), address(0));
    }

    function transcoderWithHint(uint256 rewardCut, uint256 feeShare, address prev, address next) public whenSystemNotPaused inInitializedRound {
        require(
            !roundsManager().currentRoundLocked(), "can't update transcoder params, current round is locked"
        );
        require(rewardCut <= PERC, "invalid rewardCut percentage");
        require(feeShare <= PERC, "invalid feeShare percentage");
        require(isRegisteredTranscoder(msg.sender), "transcoder must be registered");
        Transcoder storage t = transcoders[msg.sender];
        require(
            !isActiveTranscoder(msg.sender) || t.lastRewardRound == round(),
            "caller can't be active or must have already called reward for the current round"
        );
        t.rewardCut = rewardCut;
        t.feeShare = feeShare;
        if (!pool.contains(msg.sender)) {
            tryToJoin(msg.sender, transcoderTotalStake(msg.sender), prev, next);
        }
        emit TranscoderUpdate(msg.sender, rewardCut, feeShare);
    }

    function setRewardCaller(address rewardCaller) external whenSystemNotPaused {
        transcoderToRewardCaller[msg.sender] = rewardCaller;
        emit RewardCallerSet(msg.sender, rewardCaller);
    }

    function reward() external {
        rewardWithHint(address(0), address(0));
    }

    function rewardWithHint(address prev, address next) public whenSystemNotPaused inInitializedRound {
        mintReward(msg.sender, prev, next);
    }

    function rewardForTranscoder(address transcoder_) external {
        rewardForTranscoderWithHint(transcoder_, address(0), address(0));
    }

    function rewardForTranscoderWithHint(address transcoder_, address prev, address next) public whenSystemNotPaused inInitializedRound {
        require(
            transcoderToRewardCaller[transcoder_] == msg.sender,
            "caller must be a reward caller set by the transcoder"
        );
        mintReward(transcoder_, prev, next);
    }

    function mintReward(address transcoder_, address prev, address next) private {
        uint256 current = round();
        require(isActiveTranscoder(transcoder_), "caller must be an active transcoder");
        Transcoder storage t = transcoders[transcoder_];
        require(t.lastRewardRound != current, "caller has already called reward for the current round");
        EarningsPool storage p = stakeNow(t, current);
        uint256 minted = minter().createReward(p.totalStake, currentRoundTotalActiveStake);
        uint256 kept = minted - payTreasury(transcoder_, minted);

        uint256 commission = (kept * t.rewardCut) / PERC;
        uint256 shared = kept - commission;
        t.activeCumulativeRewards = t.cumulativeRewards;
        uint256 onOwnRewards = (shared * ((t.activeCumulativeRewards * PRECISE) / p.totalStake)) / PRECISE;
        t.cumulativeRewards += onOwnRewards + commission;
        uint256 factor = orOne(t.pools[t.lastRewardRound].cumulativeRewardFactor);
        p.cumulativeRewardFactor = factor + (factor * ((shared * PRECISE) / p.totalStake)) / PRECISE;
        (t.earlierRewardRound, t.lastRewardRound) = (t.lastRewardRound, current);
        increaseStake(transcoder_, kept, prev, next);
        emit Reward(transcoder_, kept);
    }

    /// The treasury's share of a reward. A full treasury gets nothing from the next round on.
    function payTreasury(address transcoder_, uint256 minted) private returns (uint256 share) {
        address treasury = named("Treasury");
        if (treasuryBalanceCeiling > 0 && nextRoundTreasuryRewardCutRate > 0) {
            if (token().balanceOf(treasury) >= treasuryBalanceCeiling) {
                nextRoundTreasuryRewardCutRate = 0;
                emit ParameterUpdate("nextRoundTreasuryRewardCutRate");
            }
        }
        share = (minted * treasuryRewardCutRate) / PRECISE;
        if (share > 0) {
            minter().trustedTransferTokens(treasury, share);
            emit TreasuryReward(transcoder_, treasury, share);
        }
    }

    function updateTranscoderWithFees(address transcoder_, uint256 fees, uint256) external whenSystemNotPaused {
        require(msg.sender == named("TicketBroker"), "caller must be TicketBroker");
        require(isRegisteredTranscoder(transcoder_), "transcoder must be registered");
        addFees(transcoder_, fees);
    }

    // Delegators

    function bond(uint256 amount, address to) external {
        bondForWithHint(amount, msg.sender, to, address(0), address(0), address(0), address(0));
    }

    function bondWithHint(
        uint256 amount,
        address to,
        address oldDelegateNewPosPrev,
        address oldDelegateNewPosNext,
        address currDelegateNewPosPrev,
        address currDelegateNewPosNext
    ) external {
        bondForWithHint(
            amount,
            msg.sender,
            to,
            oldDelegateNewPosPrev,
            oldDelegateNewPosNext,
            currDelegateNewPosPrev,
            currDelegateNewPosNext
        );
    }

    function bondForWithHint(
        uint256 amount,
        address owner,
        address to,
        address oldDelegateNewPosPrev,
        address oldDelegateNewPosNext,
        address currDelegateNewPosPrev,
        address currDelegateNewPosNext
    ) public whenSystemNotPaused inInitializedRound {
        if (msg.sender != owner) {
            checkThirdParty(owner, to);
        }
        claim(owner);
        Delegator storage del = delegators[owner];
        address oldDelegate = del.delegateAddress;
        uint256 moved = amount;
        if (delegatorStatus(owner) == DelegatorStatus.Unbonded) {
            del.startRound = round() + 1;
        } else if (oldDelegate != to) {
            require(
                !isRegisteredTranscoder(owner), "registered transcoders can't delegate towards other addresses"
            );
            del.startRound = round() + 1;
            moved += del.bondedAmount;
        }
        require(moved > 0, "delegation amount must be greater than 0");
        if (moved > amount) {
            decreaseStake(oldDelegate, moved - amount, oldDelegateNewPosPrev, oldDelegateNewPosNext);
        }
        settleFactors(to, round());
        del.delegateAddress = to;
        del.bondedAmount += amount;
        increaseStake(to, moved, currDelegateNewPosPrev, currDelegateNewPosNext);
        if (amount > 0) {
            token().transferFrom(msg.sender, address(minter()), amount);
        }
        emit Bond(to, oldDelegate, owner, amount, del.bondedAmount);
    }

    /// Others may add to somebody's stake, and change nothing else about it.
    function checkThirdParty(address owner, address to) private view {
        require(owner != address(0), "INVALID_DELEGATOR");
        require(to != address(0) && to != owner, "INVALID_DELEGATE");
        address delegate = delegators[owner].delegateAddress;
        require(delegate == to, "INVALID_DELEGATE_CHANGE");
        require(
            !isActiveTranscoder(delegate) || transcoders[delegate].lastRewardRound == round(),
            "ILLEGAL_CLAIM_EARNINGS"
        );
    }

    function unbond(uint256 amount) external {
        unbondWithHint(amount, address(0), address(0));
    }

    function unbondWithHint(uint256 amount, address prev, address next) public whenSystemNotPaused inInitializedRound {
        require(delegatorStatus(msg.sender) == DelegatorStatus.Bonded, "caller must be bonded");
        claim(msg.sender);
        (uint256 id, uint256 withdrawRound, address delegate) = lockStake(msg.sender, amount, prev, next);
        emit Unbond(delegate, msg.sender, id, amount, withdrawRound);
    }

    function lockStake(address delegator, uint256 amount, address prev, address next)
        private
        returns (uint256 id, uint256 withdrawRound, address delegate)
    {
        Delegator storage del = delegators[delegator];
        require(amount > 0, "unbond amount must be greater than 0");
        require(amount <= del.bondedAmount, "amount is greater than bonded amount");
        delegate = del.delegateAddress;
        id = del.nextUnbondingLockId++;
        withdrawRound = round() + unbondingPeriod;
        del.unbondingLocks[id] = UnbondingLock(amount, withdrawRound);
        del.bondedAmount -= amount;
        if (del.bondedAmount == 0) {
            del.delegateAddress = address(0);
            del.startRound = 0;
            if (pool.contains(delegator)) {
                leavePool(delegator);
            }
        }
        decreaseStake(delegate, amount, prev, next);
    }

    function rebond(uint256 unbondingLockId) external {
        rebondWithHint(unbondingLockId, address(0), address(0));
    }

    function rebondWithHint(uint256 unbondingLockId, address prev, address next) public whenSystemNotPaused inInitializedRound {
        require(delegatorStatus(msg.sender) != DelegatorStatus.Unbonded, "caller must be bonded");
        claim(msg.sender);
        returnStake(msg.sender, unbondingLockId, prev, next);
    }

    function rebondFromUnbonded(address to, uint256 unbondingLockId) external {
        rebondFromUnbondedWithHint(to, unbondingLockId, address(0), address(0));
    }

    function rebondFromUnbondedWithHint(address to, uint256 unbondingLockId, address prev, address next)
        public
        whenSystemNotPaused
        inInitializedRound
    {
        require(delegatorStatus(msg.sender) == DelegatorStatus.Unbonded, "caller must be unbonded");
        claim(msg.sender);
        settleFactors(to, round());
        delegators[msg.sender].startRound = round() + 1;
        delegators[msg.sender].delegateAddress = to;
        returnStake(msg.sender, unbondingLockId, prev, next);
    }

    function returnStake(address delegator, uint256 id, address prev, address next) private {
        require(isValidUnbondingLock(delegator, id), "invalid unbonding lock ID");
        Delegator storage del = delegators[delegator];
        uint256 amount = del.unbondingLocks[id].amount;
        delete del.unbondingLocks[id];
        del.bondedAmount += amount;
        increaseStake(del.delegateAddress, amount, prev, next);
        emit Rebond(del.delegateAddress, delegator, id, amount);
    }

    function transferBond(
        address delegator,
        uint256 amount,
        address oldDelegateNewPosPrev,
        address oldDelegateNewPosNext,
        address newDelegateNewPosPrev,
        address newDelegateNewPosNext
    ) external whenSystemNotPaused inInitializedRound {
        require(delegatorStatus(msg.sender) == DelegatorStatus.Bonded, "caller must be bonded");
        require(delegator != address(0) && delegator != msg.sender, "INVALID_DELEGATOR");
        claim(msg.sender);
        claim(delegator);
        (uint256 oldId, uint256 withdrawRound, address delegate) =
            lockStake(msg.sender, amount, oldDelegateNewPosPrev, oldDelegateNewPosNext);
        delete delegators[msg.sender].unbondingLocks[oldId];
        Delegator storage del = delegators[delegator];
        uint256 newId = del.nextUnbondingLockId++;
        del.unbondingLocks[newId] = UnbondingLock(amount, withdrawRound);
        emit TransferBond(msg.sender, delegator, oldId, newId, amount);
        if (delegatorStatus(delegator) == DelegatorStatus.Unbonded) {
            settleFactors(delegate, round());
            del.startRound = round() + 1;
            del.delegateAddress = delegate;
        }
        returnStake(delegator, newId, newDelegateNewPosPrev, newDelegateNewPosNext);
    }

    /// The argument is ignored: always to the current round.
    function claimEarnings(uint256) external whenSystemNotPaused inInitializedRound {
        claim(msg.sender);
    }

    function withdrawStake(uint256 unbondingLockId) external whenSystemNotPaused inInitializedRound {
        require(isValidUnbondingLock(msg.sender, unbondingLockId), "invalid unbonding lock ID");
        UnbondingLock memory lock = delegators[msg.sender].unbondingLocks[unbondingLockId];
        require(
            lock.withdrawRound <= round(), "withdraw round must be before or equal to the current round"
        );
        delete delegators[msg.sender].unbondingLocks[unbondingLockId];
        minter().trustedTransferTokens(msg.sender, lock.amount);
        emit WithdrawStake(msg.sender, unbondingLockId, lock.amount, lock.withdrawRound);
    }

    function withdrawFees(address recipient, uint256 amount) external whenSystemNotPaused inInitializedRound {
        claim(msg.sender);
        require(recipient != address(0), "invalid recipient");
        Delegator storage del = delegators[msg.sender];
        require(del.fees >= amount, "insufficient fees to withdraw");
        del.fees -= amount;
        minter().trustedWithdrawETH(recipient, amount);
        emit WithdrawFees(msg.sender, recipient, amount);
    }
}
