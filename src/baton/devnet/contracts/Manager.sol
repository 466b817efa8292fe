// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {
    IBondingManager,
    IController,
    IL1Clock,
    IMinter,
    IRoundsManager,
    IToken
} from "./Interfaces.sol";

/// What every contract of the protocol has: its controller, the guards that ask it, and the way to the others.
abstract contract Manager {
    IController public controller;

    event SetController(address controller);
    event ParameterUpdate(string param);

    modifier onlyController() {
        require(msg.sender == address(controller), "caller must be Controller");
        _;
    }

    modifier onlyControllerOwner() {
        require(msg.sender == controller.owner(), "caller must be Controller owner");
        _;
    }

    modifier whenSystemNotPaused() {
        require(!controller.paused(), "system is paused");
        _;
    }

    modifier whenSystemPaused() {
        require(controller.paused(), "system is not paused");
        _;
    }

    modifier inInitializedRound() {
        require(roundsManager().currentRoundInitialized(), "current round is not initialized");
        _;
    }

    constructor(address controller_) {
        controller = IController(controller_);
    }

    function setController(address controller_) external onlyController {
        controller = IController(controller_);
        emit SetController(controller_);
    }

    function named(string memory name) internal view returns (address) {
        return controller.getContract(keccak256(bytes(name)));
    }

    function token() internal view returns (IToken) {
        return IToken(named("LivepeerToken"));
    }

    function minter() internal view returns (IMinter) {
        return IMinter(named("Minter"));
    }

    function roundsManager() internal view returns (IRoundsManager) {
        return IRoundsManager(named("RoundsManager"));
    }

    function bondingManager() internal view returns (IBondingManager) {
        return IBondingManager(named("BondingManager"));
    }

    function l1Clock() internal view returns (IL1Clock) {
        return IL1Clock(named("L1Clock"));
    }
}

/// A contract behind a proxy keeps its state there, so the proxy's own two words come first in both.
abstract contract ManagerProxyTarget is Manager {
    bytes32 public targetContractId;
}

/// State and address stay here; the code is whatever the controller has registered as the target (chain.md 2).
contract ManagerProxy is ManagerProxyTarget {
    constructor(address controller_, bytes32 targetContractId_) Manager(controller_) {
        targetContractId = targetContractId_;
    }

    receive() external payable {
        passOn();
    }

    fallback() external payable {
        passOn();
    }

    function passOn() private {
        address target = controller.getContract(targetContractId);
        require(target != address(0), "target contract must be registered");
        assembly {
            calldatacopy(0, 0, calldatasize())
            let done := delegatecall(gas(), target, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch done
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }
}
