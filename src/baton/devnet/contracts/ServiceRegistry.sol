// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Manager, ManagerProxyTarget} from "./Manager.sol";

/// Any text of anybody, by sender (chain.md 4.5). Deployed twice: behind a proxy and in the controller for
/// transcoding, plain and unregistered for AI.
contract ServiceRegistry is ManagerProxyTarget {
    mapping(address => string) private uris;

    event ServiceURIUpdate(address indexed addr, string serviceURI);

    constructor(address controller_) Manager(controller_) {}

    function setServiceURI(string calldata serviceURI) external {
        uris[msg.sender] = serviceURI;
        emit ServiceURIUpdate(msg.sender, serviceURI);
    }

    function getServiceURI(address addr) external view returns (string memory) {
        return uris[addr];
    }
}
