// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IL2LPTDataCache} from "./Interfaces.sol";
import {Manager} from "./Manager.sol";

/// Holds all bonded LPT and all ETH of senders, and mints rewards (chain.md 4.4). Not behind a proxy.
contract Minter is Manager {
    uint256 private constant WHOLE = 1000000000;

    uint256 public inflation;
    uint256 public inflationChange;
    uint256 public targetBondingRate;
    uint256 public currentMintableTokens;
    uint256 public currentMintedTokens;

    event SetCurrentRewardTokens(uint256 currentMintableTokens, uint256 currentInflation);

    modifier onlyBondingManager() {
        require(msg.sender == named("BondingManager"), "msg.sender not BondingManager");
        _;
    }

    modifier onlyRoundsManager() {
        require(msg.sender == named("RoundsManager"), "msg.sender not RoundsManager");
        _;
    }

    modifier onlyBondingManagerOrJobsManager() {
        require(
            msg.sender == named("BondingManager") || msg.sender == named("JobsManager"),
            "msg.sender not BondingManager or JobsManager"
        );
        _;
    }

    modifier onlyMinterOrJobsManager() {
        require(
            msg.sender == named("Minter") || msg.sender == named("JobsManager"),
            "msg.sender not Minter or JobsManager"
        );
        _;
    }

    constructor(address controller_, uint256 inflation_, uint256 inflationChange_, uint256 targetBondingRate_)
        Manager(controller_)
    {
        inflation = inflation_;
        inflationChange = inflationChange_;
        targetBondingRate = targetBondingRate_;
    }

    function setInflationChange(uint256 inflationChange_) external onlyControllerOwner {
        inflationChange = inflationChange_;
        emit ParameterUpdate("inflationChange");
    }

    function setTargetBondingRate(uint256 targetBondingRate_) external onlyControllerOwner {
        targetBondingRate = targetBondingRate_;
        emit ParameterUpdate("targetBondingRate");
    }

    /// The successor takes the tokens and the ETH.
    function migrateToNewMinter(address newMinter) external onlyControllerOwner whenSystemPaused {
        require(newMinter != address(this) && newMinter != address(0), "new Minter must be another contract");
        token().transfer(newMinter, token().balanceOf(address(this)));
        Minter(newMinter).depositETH{value: address(this).balance}();
    }

    function createReward(uint256 fracNum, uint256 fracDenom)
        external
        onlyBondingManager
        whenSystemNotPaused
        returns (uint256)
    {
        uint256 minted = (currentMintableTokens * ((fracNum * WHOLE) / fracDenom)) / WHOLE;
        currentMintedTokens += minted;
        require(currentMintedTokens <= currentMintableTokens, "minted tokens cannot exceed mintable tokens");
        token().mint(address(this), minted);
        return minted;
    }

    function trustedTransferTokens(address to, uint256 amount) external onlyBondingManager whenSystemNotPaused {
        token().transfer(to, amount);
    }

    function trustedBurnTokens(uint256 amount) external onlyBondingManager whenSystemNotPaused {
        token().burn(amount);
    }

    /// With 2300 gas, as the real one: a contract that does much on receiving cannot be paid.
    function trustedWithdrawETH(address to, uint256 amount)
        external
        onlyBondingManagerOrJobsManager
        whenSystemNotPaused
    {
        (bool paid,) = to.call{value: amount, gas: 0}("");
        if (!paid) revert();
    }

    function depositETH() external payable onlyMinterOrJobsManager whenSystemNotPaused returns (bool) {
        return true;
    }

    function setCurrentRewardTokens() external onlyRoundsManager whenSystemNotPaused {
        uint256 supply = getGlobalTotalSupply();
        uint256 rate = supply == 0 ? 0 : (bondingManager().getTotalBonded() * WHOLE) / supply;
        if (rate < targetBondingRate) {
            inflation += inflationChange;
        } else if (rate > targetBondingRate) {
            inflation = inflationChange > inflation ? 0 : inflation - inflationChange;
        }
        currentMintableTokens = (supply * inflation) / WHOLE;
        currentMintedTokens = 0;
        emit SetCurrentRewardTokens(currentMintableTokens, inflation);
    }

    function getController() external view returns (address) {
        return address(controller);
    }

    function getGlobalTotalSupply() public view returns (uint256) {
        return token().totalSupply() + IL2LPTDataCache(named("L2LPTDataCache")).l1CirculatingSupply();
    }
}
