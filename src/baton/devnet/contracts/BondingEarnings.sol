// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {BondingState} from "./BondingState.sol";
import {SortedList} from "./SortedList.sol";

/// Who earns what, and who is in the pool of the next round (chain.md 4.2, pool membership and arithmetic).
abstract contract BondingEarnings is BondingState {
    using SortedList for SortedList.List;

    /// Both numbers ignore the round, as on the real chain.
    function pendingStake(address delegator, uint256) external view returns (uint256 stake) {
        (stake,) = pending(delegator);
    }

    function pendingFees(address delegator, uint256) external view returns (uint256 fees) {
        (, fees) = pending(delegator);
    }

    function pending(address delegator) internal view returns (uint256 stake, uint256 fees) {
        Delegator storage del = delegators[delegator];
        Transcoder storage t = transcoders[del.delegateAddress];
        (stake, fees) = (del.bondedAmount, del.fees);
        if (del.lastClaimRound < round() && del.delegateAddress != address(0)) {
            EarningsPool storage start = t.pools[del.lastClaimRound];
            uint256 startFactor = orOne(start.cumulativeRewardFactor);
            (uint256 rewardFactor, uint256 feeFactor) = latestFactors(t, round());
            fees += (stake * (feeFactor - start.cumulativeFeeFactor)) / startFactor;
            stake = (stake * rewardFactor) / startFactor;
        }
        if (delegator == del.delegateAddress) {
            stake += t.cumulativeRewards;
            fees += t.cumulativeFees;
        }
    }

    function orOne(uint256 factor) internal pure returns (uint256) {
        return factor == 0 ? PRECISE : factor;
    }

    /// The factors in force at the end of `round_`: those of the round, else of the last round that changed them.
    function latestFactors(Transcoder storage t, uint256 round_)
        internal
        view
        returns (uint256 rewardFactor, uint256 feeFactor)
    {
        rewardFactor = t.pools[round_].cumulativeRewardFactor;
        if (rewardFactor == 0) {
            uint256 rewarded = t.lastRewardRound < round_ ? t.lastRewardRound : t.earlierRewardRound;
            rewardFactor = orOne(t.pools[rewarded].cumulativeRewardFactor);
        }
        feeFactor = t.pools[round_].cumulativeFeeFactor;
        if (feeFactor == 0 && t.lastFeeRound < round_) {
            feeFactor = t.pools[t.lastFeeRound].cumulativeFeeFactor;
        }
    }

    /// Writes the factors of a round down before somebody's claim starts to count from them.
    function settleFactors(address delegate, uint256 round_) internal {
        Transcoder storage t = transcoders[delegate];
        EarningsPool storage p = t.pools[round_];
        (uint256 rewardFactor, uint256 feeFactor) = latestFactors(t, round_);
        if (p.cumulativeRewardFactor == 0) {
            p.cumulativeRewardFactor = rewardFactor;
        }
        if (p.cumulativeFeeFactor == 0) {
            p.cumulativeFeeFactor = feeFactor;
        }
    }

    /// Claims everything up to the current round.
    function claim(address delegator) internal {
        Delegator storage del = delegators[delegator];
        uint256 current = round();
        if (del.lastClaimRound >= current) {
            return;
        }
        address delegate = del.delegateAddress;
        if (delegate != address(0)) {
            (uint256 stake, uint256 fees) = pending(delegator);
            if (delegator == delegate) {
                transcoders[delegate].cumulativeRewards = 0;
                transcoders[delegate].cumulativeFees = 0;
            }
            settleFactors(delegate, current);
            emit EarningsClaimed(
                delegate, delegator, stake - del.bondedAmount, fees - del.fees, del.lastClaimRound + 1, current
            );
            (del.bondedAmount, del.fees) = (stake, fees);
        }
        del.lastClaimRound = current;
    }

    /// Brings the stake of the current round forward from the round that last changed it, and returns it.
    function stakeNow(Transcoder storage t, uint256 current) internal returns (EarningsPool storage p) {
        p = t.pools[current];
        if (t.lastActiveStakeUpdateRound < current) {
            p.totalStake = t.pools[t.lastActiveStakeUpdateRound].totalStake;
        }
        p.transcoderRewardCut = t.rewardCut;
        p.transcoderFeeShare = t.feeShare;
    }

    function setNextStake(address transcoder_, uint256 stake) private {
        Transcoder storage t = transcoders[transcoder_];
        uint256 current = round();
        if (t.lastActiveStakeUpdateRound < current) {
            t.pools[current].totalStake = t.pools[t.lastActiveStakeUpdateRound].totalStake;
        }
        t.pools[current + 1].totalStake = stake;
        t.lastActiveStakeUpdateRound = current + 1;
    }

    function increaseStake(address delegate, uint256 amount, address prev, address next) internal {
        uint256 stake = transcoderTotalStake(delegate) + amount;
        if (isRegisteredTranscoder(delegate)) {
            if (pool.contains(delegate)) {
                pool.updateKey(delegate, stake, prev, next);
                nextRoundTotalActiveStake += amount;
                setNextStake(delegate, stake);
            } else {
                tryToJoin(delegate, stake, prev, next);
            }
        }
        delegators[delegate].delegatedAmount = stake;
    }

    function decreaseStake(address delegate, uint256 amount, address prev, address next) internal {
        uint256 stake = transcoderTotalStake(delegate) - amount;
        if (pool.contains(delegate)) {
            pool.updateKey(delegate, stake, prev, next);
            nextRoundTotalActiveStake -= amount;
            setNextStake(delegate, stake);
        }
        delegators[delegate].delegatedAmount = stake;
    }

    /// A full pool gives the place of its last member to a newcomer with more stake; equal stake is not enough.
    function tryToJoin(address transcoder_, uint256 stake, address prev, address next) internal {
        if (pool.isFull()) {
            address last = pool.tail;
            if (stake <= transcoderTotalStake(last)) {
                return;
            }
            leavePool(last);
        }
        pool.insert(transcoder_, stake, prev, next);
        nextRoundTotalActiveStake += stake;
        setNextStake(transcoder_, stake);
        Transcoder storage t = transcoders[transcoder_];
        t.activationRound = round() + 1;
        t.deactivationRound = NEVER;
        emit TranscoderActivated(transcoder_, t.activationRound);
    }

    /// It stays active to the end of the current round.
    function leavePool(address transcoder_) internal {
        pool.remove(transcoder_);
        nextRoundTotalActiveStake -= transcoderTotalStake(transcoder_);
        uint256 deactivationRound = round() + 1;
        transcoders[transcoder_].deactivationRound = deactivationRound;
        emit TranscoderDeactivated(transcoder_, deactivationRound);
    }

    /// Fees of one redeemed ticket. Division by zero when there never was active stake, as on the real chain.
    function addFees(address transcoder_, uint256 fees) internal {
        Transcoder storage t = transcoders[transcoder_];
        uint256 current = round();
        uint256 rewarded = t.lastRewardRound;
        uint256 activeRewards = t.activeCumulativeRewards;
        EarningsPool storage p = t.pools[current];
        if (rewarded < current) {
            p = stakeNow(t, current);
            // A reward later in this round starts from the same number.
            activeRewards = t.cumulativeRewards;
        } else {
            rewarded = t.earlierRewardRound;
        }
        uint256 shared = (fees * p.transcoderFeeShare) / PERC;
        uint256 ownStakeFees = (shared * ((activeRewards * PRECISE) / p.totalStake)) / PRECISE;
        (, uint256 feeFactor) = latestFactors(t, current);
        t.cumulativeFees += ownStakeFees + fees - shared;
        uint256 rewardFactor = orOne(t.pools[rewarded].cumulativeRewardFactor);
        p.cumulativeFeeFactor = feeFactor + (rewardFactor * ((shared * PRECISE) / p.totalStake)) / PRECISE;
        t.lastFeeRound = current;
    }
}
