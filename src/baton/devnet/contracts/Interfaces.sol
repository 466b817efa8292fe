// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// What the contracts of the devnet know of one another. The protocol they follow is that of chain.md 3 and 4.

interface IController {
    function owner() external view returns (address);

    function paused() external view returns (bool);

    function getContract(bytes32 id) external view returns (address);
}

interface IManager {
    function setController(address controller) external;
}

/// The L1 clock of the devnet: on Arbitrum its number is what `block.number` reads.
interface IL1Clock {
    function number() external view returns (uint256);

    function hashOf(uint256 l1Block) external view returns (bytes32);
}

interface IRoundsManager {
    function currentRound() external view returns (uint256);

    function currentRoundInitialized() external view returns (bool);

    function currentRoundLocked() external view returns (bool);

    function blockHashForRound(uint256 round) external view returns (bytes32);
}

interface IBondingManager {
    function setCurrentRoundTotalActiveStake() external;

    function getTotalBonded() external view returns (uint256);

    function getTranscoderPoolSize() external view returns (uint256);

    function isActiveTranscoder(address transcoder) external view returns (bool);

    function updateTranscoderWithFees(address transcoder, uint256 fees, uint256 round) external;
}

interface IMinter {
    function createReward(uint256 fracNum, uint256 fracDenom) external returns (uint256);

    function setCurrentRewardTokens() external;

    function trustedTransferTokens(address to, uint256 amount) external;

    function trustedWithdrawETH(address to, uint256 amount) external;

    function depositETH() external payable returns (bool);
}

interface IToken {
    function balanceOf(address account) external view returns (uint256);

    function totalSupply() external view returns (uint256);

    function mint(address to, uint256 amount) external;

    function burn(uint256 amount) external;

    function transfer(address to, uint256 amount) external returns (bool);

    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

interface IL2LPTDataCache {
    function l1CirculatingSupply() external view returns (uint256);
}
