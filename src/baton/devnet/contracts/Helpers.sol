// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// LPT that circulates on L1, as the bridge reports it (chain.md 4.4).
contract L2LPTDataCache {
    uint256 public l1CirculatingSupply;
    address public immutable keeper;

    constructor(uint256 l1CirculatingSupply_) {
        l1CirculatingSupply = l1CirculatingSupply_;
        keeper = msg.sender;
    }

    function setL1CirculatingSupply(uint256 l1CirculatingSupply_) external {
        require(msg.sender == keeper, "caller must be the keeper of the cache");
        l1CirculatingSupply = l1CirculatingSupply_;
    }
}

/// Where the treasury's share of rewards goes. It keeps what it gets.
contract Treasury {
    receive() external payable {}
}

/// A price feed as oracles publish it (chain.md 3.11). Its keeper writes answers with the time they are of.
contract PriceFeed {
    struct Answer {
        int256 answer;
        uint256 updatedAt;
    }

    uint8 public immutable decimals;
    string public description;
    uint256 public constant version = 4;
    address public immutable keeper;
    uint80 private last;
    mapping(uint80 => Answer) private answers;

    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    constructor(string memory description_, uint8 decimals_, int256 answer) {
        description = description_;
        decimals = decimals_;
        keeper = msg.sender;
        write(answer, block.timestamp);
    }

    /// Any answer at any time: stale, zero and negative ones are what a reader must survive.
    function update(int256 answer, uint256 updatedAt) external {
        require(msg.sender == keeper, "caller must be the keeper of the feed");
        write(answer, updatedAt);
    }

    function getRoundData(uint80 roundId) public view returns (uint80, int256, uint256, uint256, uint80) {
        Answer storage found = answers[roundId];
        require(roundId != 0 && roundId <= last, "No data present");
        return (roundId, found.answer, found.updatedAt, found.updatedAt, roundId);
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(last);
    }

    function write(int256 answer, uint256 updatedAt) private {
        last++;
        answers[last] = Answer(answer, updatedAt);
        emit AnswerUpdated(answer, last, updatedAt);
    }
}

/// Many reads in one call, all of one block (chain.md 3.12). The starter puts it at its address of all chains.
contract Multicall3 {
    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory returnData) {
        returnData = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            (bool success, bytes memory data) = calls[i].target.call(calls[i].callData);
            require(success || calls[i].allowFailure, "Multicall3: call failed");
            returnData[i] = Result(success, data);
        }
    }
}
