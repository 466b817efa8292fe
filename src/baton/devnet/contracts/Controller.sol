// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IManager} from "./Interfaces.sol";

/// The registry that names every contract (chain.md 2 and 3.1). Born paused.
contract Controller {
    struct Entry {
        address contractAddress;
        bytes20 gitCommitHash;
    }

    address public owner;
    bool public paused;
    mapping(bytes32 => Entry) private registry;

    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    event Pause();
    event Unpause();
    event SetContractInfo(bytes32 id, address contractAddress, bytes20 gitCommitHash);

    modifier onlyOwner() {
        require(msg.sender == owner, "Ownable: caller is not the owner");
        _;
    }

    constructor() {
        owner = msg.sender;
        paused = true;
        emit OwnershipTransferred(address(0), msg.sender);
    }

    function transferOwnership(address newOwner) external onlyOwner {
        require(newOwner != address(0), "Ownable: new owner is the zero address");
        emit OwnershipTransferred(owner, newOwner);
        owner = newOwner;
    }

    function pause() external onlyOwner {
        require(!paused, "Pausable: paused");
        paused = true;
        emit Pause();
    }

    function unpause() external onlyOwner {
        require(paused, "Pausable: not paused");
        paused = false;
        emit Unpause();
    }

    function setContractInfo(bytes32 id, address contractAddress, bytes20 gitCommitHash) external onlyOwner {
        registry[id] = Entry(contractAddress, gitCommitHash);
        emit SetContractInfo(id, contractAddress, gitCommitHash);
    }

    function updateController(bytes32 id, address controller) external onlyOwner {
        IManager(registry[id].contractAddress).setController(controller);
    }

    /// An unknown id is the zero address, not an error.
    function getContract(bytes32 id) external view returns (address) {
        return registry[id].contractAddress;
    }

    function getContractInfo(bytes32 id) external view returns (address, bytes20) {
        return (registry[id].contractAddress, registry[id].gitCommitHash);
    }
}
