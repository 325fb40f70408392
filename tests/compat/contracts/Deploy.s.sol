// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Sample} from "./Sample.sol";

/// The part of forge's cheat codes that a deployment needs.
interface Broadcast {
    function startBroadcast() external;
    function stopBroadcast() external;
}

/// Deploys a sample and changes it.
contract Deploy {
    Broadcast private constant VM = Broadcast(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external returns (Sample sample) {
        VM.startBroadcast();
        sample = new Sample(7);
        sample.setNumber(8, "by a script");
        VM.stopBroadcast();
    }
}
