// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Manager, ManagerProxyTarget} from "./Manager.sol";

/// Rounds by L1 time (chain.md 4.1). The current round moves by itself, the initialized one when somebody says so.
contract RoundsManager is ManagerProxyTarget {
    uint256 private constant WHOLE = 1000000;
    uint256 private constant HASHES_BACK = 256;

    uint256 public roundLength;
    uint256 public roundLockAmount;
    uint256 public lastInitializedRound;
    uint256 public lastRoundLengthUpdateRound;
    uint256 public lastRoundLengthUpdateStartBlock;
    mapping(uint256 => bytes32) private hashes;
    mapping(uint256 => uint256) public lipUpgradeRound;

    event NewRound(uint256 indexed round, bytes32 blockHash);

    constructor(address controller_) Manager(controller_) {}

    /// The arithmetic starts anew at the start of the current round.
    function setRoundLength(uint256 roundLength_) external onlyControllerOwner {
        require(roundLength_ > 0, "round length cannot be 0");
        if (roundLength > 0) {
            (lastRoundLengthUpdateRound, lastRoundLengthUpdateStartBlock) = (currentRound(), currentRoundStartBlock());
        }
        roundLength = roundLength_;
        emit ParameterUpdate("roundLength");
    }

    function setRoundLockAmount(uint256 roundLockAmount_) external onlyControllerOwner {
        require(roundLockAmount_ <= WHOLE, "round lock amount must be a valid percentage");
        roundLockAmount = roundLockAmount_;
        emit ParameterUpdate("roundLockAmount");
    }

    function setLIPUpgradeRound(uint256 lip, uint256 round) external onlyControllerOwner {
        require(lipUpgradeRound[lip] == 0, "LIP upgrade round already set");
        lipUpgradeRound[lip] = round;
        emit ParameterUpdate("lipUpgradeRound");
    }

    /// Anybody may call it, nobody is paid for it.
    function initializeRound() external whenSystemNotPaused {
        uint256 round = currentRound();
        require(lastInitializedRound < round, "round already initialized");
        lastInitializedRound = round;
        bytes32 roundHash = blockHash(blockNum() - 1);
        hashes[round] = roundHash;
        bondingManager().setCurrentRoundTotalActiveStake();
        minter().setCurrentRewardTokens();
        emit NewRound(round, roundHash);
    }

    function blockNum() public view returns (uint256) {
        return l1Clock().number();
    }

    function blockHash(uint256 l1Block) public view returns (bytes32) {
        uint256 now_ = blockNum();
        require(l1Block < now_, "can only retrieve past block hashes");
        require(now_ <= HASHES_BACK || l1Block >= now_ - HASHES_BACK, "can only retrieve hashes for last 256 blocks");
        return l1Clock().hashOf(l1Block);
    }

    /// Zero for a round that nobody initialized, for ever.
    function blockHashForRound(uint256 round) external view returns (bytes32) {
        return hashes[round];
    }

    function currentRound() public view returns (uint256) {
        return lastRoundLengthUpdateRound + (blockNum() - lastRoundLengthUpdateStartBlock) / roundLength;
    }

    function currentRoundStartBlock() public view returns (uint256) {
        uint256 passed = (blockNum() - lastRoundLengthUpdateStartBlock) / roundLength;
        return lastRoundLengthUpdateStartBlock + passed * roundLength;
    }

    function currentRoundInitialized() external view returns (bool) {
        return lastInitializedRound == currentRound();
    }

    function currentRoundLocked() external view returns (bool) {
        uint256 lock = (roundLength * roundLockAmount) / WHOLE;
        return blockNum() - currentRoundStartBlock() >= roundLength - lock;
    }
}
