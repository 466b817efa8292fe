// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// The L1 block number as the chain last recorded it. On Arbitrum `block.number` is this; a development chain has only
/// its own height, so the contracts of the devnet ask here, and the RPC shim fills the header field
/// `l1BlockNumber` from its events. Anybody may turn the clock: there is nothing to steal here.
contract L1Clock {
    uint256 public number;
    bytes32 public salt;
    bool public hashesAreZero;

    /// The number from this block on: the shim finds that of old blocks by it, whose state nobody keeps.
    event Ticked(uint256 number);

    constructor(uint256 number_, bytes32 salt_) {
        salt = salt_;
        set(number_);
    }

    /// L1 comes in jumps: one block, several at once, or none for minutes.
    function advance(uint256 l1Blocks) external {
        set(number + l1Blocks);
    }

    /// Also backwards, which a node must survive.
    function set(uint256 number_) public {
        number = number_;
        emit Ticked(number_);
    }

    /// Like `blockhash` on Arbitrum: a value that nobody can foretell from L1 (chain.md 4.1).
    function hashOf(uint256 l1Block) external view returns (bytes32) {
        return hashesAreZero ? bytes32(0) : keccak256(abi.encode(salt, l1Block));
    }

    function setSalt(bytes32 salt_) external {
        salt = salt_;
    }

    /// A chain that gives no hashes makes every ticket of the round unredeemable; tests want to see that.
    function setHashesAreZero(bool hashesAreZero_) external {
        hashesAreZero = hashesAreZero_;
    }
}
