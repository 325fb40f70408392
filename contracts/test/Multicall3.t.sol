// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Multicall3} from "../src/Multicall3.sol";
import {VM} from "./Vm.sol";

/// @dev Something to call: it answers, refuses, and takes coin.
contract Target {
    error Refused(uint256 why);

    function double(uint256 value) external payable returns (uint256) {
        return 2 * value;
    }

    function refuse(uint256 why) external payable {
        revert Refused(why);
    }
}

contract Multicall3Test {
    Multicall3 private multicall = new Multicall3();
    Target private target = new Target();
    bytes private good = abi.encodeCall(Target.double, 21);
    bytes private bad = abi.encodeCall(Target.refuse, 7);

    function test_aggregate_gives_all_answers_and_the_block() external {
        VM.roll(1234);
        Multicall3.Call[] memory calls = _calls(good, good);
        (uint256 height, bytes[] memory answers) = multicall.aggregate(calls);
        assert(height == 1234);
        assert(answers.length == 2);
        assert(abi.decode(answers[0], (uint256)) == 42);
        assert(abi.decode(answers[1], (uint256)) == 42);
    }

    function test_aggregate_reverts_with_any_call() external {
        Multicall3.Call[] memory calls = _calls(good, bad);
        _expectError("Multicall3: call failed");
        multicall.aggregate(calls);
    }

    function test_try_aggregate_tells_failures_unless_success_is_required() external {
        Multicall3.Call[] memory calls = _calls(bad, good);
        _assertFirstFailed(multicall.tryAggregate(false, calls));
        _expectError("Multicall3: call failed");
        multicall.tryAggregate(true, calls);
    }

    function test_try_block_and_aggregate_tells_failures_and_the_block() external {
        VM.roll(1234);
        Multicall3.Call[] memory calls = _calls(bad, good);
        (uint256 height, bytes32 hash, Multicall3.Result[] memory results) = multicall.tryBlockAndAggregate(false, calls);
        assert(height == 1234);
        assert(hash == 0);
        _assertFirstFailed(results);
    }

    function test_block_and_aggregate_requires_success() external {
        VM.roll(1234);
        (uint256 height, , Multicall3.Result[] memory results) = multicall.blockAndAggregate(_calls(good, good));
        assert(height == 1234);
        assert(results.length == 2 && results[0].success && results[1].success);
        Multicall3.Call[] memory calls = _calls(good, bad);
        _expectError("Multicall3: call failed");
        multicall.blockAndAggregate(calls);
    }

    function test_aggregate3_lets_those_calls_fail_that_may() external {
        Multicall3.Call3[] memory calls = new Multicall3.Call3[](2);
        calls[0] = Multicall3.Call3(address(target), true, bad);
        calls[1] = Multicall3.Call3(address(target), false, good);
        _assertFirstFailed(multicall.aggregate3(calls));
        calls[0].allowFailure = false;
        _expectError("Multicall3: call failed");
        multicall.aggregate3(calls);
    }

    function test_aggregate3_of_nothing_is_nothing() external {
        assert(multicall.aggregate3(new Multicall3.Call3[](0)).length == 0);
    }

    function test_aggregate3_value_hands_out_exactly_what_was_sent() external {
        Multicall3.Call3Value[] memory calls = new Multicall3.Call3Value[](2);
        calls[0] = Multicall3.Call3Value(address(target), false, 3, good);
        calls[1] = Multicall3.Call3Value(address(0xbeef), false, 4, "");
        Multicall3.Result[] memory results = multicall.aggregate3Value{value: 7}(calls);
        assert(abi.decode(results[0].returnData, (uint256)) == 42);
        assert(address(target).balance == 3 && address(0xbeef).balance == 4);
        VM.deal(address(multicall), 100);
        _expectError("Multicall3: value mismatch");
        multicall.aggregate3Value{value: 6}(calls);
    }

    function test_aggregate3_value_keeps_the_value_of_a_failed_call() external {
        Multicall3.Call3Value[] memory calls = new Multicall3.Call3Value[](1);
        calls[0] = Multicall3.Call3Value(address(target), true, 3, bad);
        assert(!multicall.aggregate3Value{value: 3}(calls)[0].success);
        assert(address(multicall).balance == 3 && address(target).balance == 0);
        calls[0].allowFailure = false;
        _expectError("Multicall3: call failed");
        multicall.aggregate3Value{value: 3}(calls);
    }

    function test_aggregate3_value_cannot_wrap_around_what_was_sent() external {
        VM.deal(address(multicall), 5);
        Multicall3.Call3Value[] memory calls = new Multicall3.Call3Value[](2);
        calls[0] = Multicall3.Call3Value(address(0xbeef), false, 5, "");
        calls[1] = Multicall3.Call3Value(address(0xbeef), true, type(uint256).max - 4, "");
        VM.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        multicall.aggregate3Value(calls);
    }

    function test_the_getters_tell_of_the_block_and_the_chain() external {
        VM.roll(1000);
        VM.warp(1_800_000_000);
        VM.fee(9);
        VM.coinbase(address(0xc0));
        VM.prevrandao(bytes32(uint256(77)));
        assert(multicall.getBlockNumber() == 1000);
        assert(multicall.getBlockHash(998) == blockhash(998));
        assert(multicall.getLastBlockHash() == blockhash(999));
        assert(multicall.getCurrentBlockTimestamp() == 1_800_000_000);
        assert(multicall.getCurrentBlockCoinbase() == address(0xc0));
        assert(multicall.getCurrentBlockDifficulty() == 77);
        assert(multicall.getCurrentBlockGasLimit() == block.gaslimit);
        assert(multicall.getBasefee() == 9);
        assert(multicall.getChainId() == block.chainid);
        assert(multicall.getEthBalance(address(this)) == address(this).balance);
    }

    function _calls(bytes memory first, bytes memory second) private view returns (Multicall3.Call[] memory calls) {
        calls = new Multicall3.Call[](2);
        calls[0] = Multicall3.Call(address(target), first);
        calls[1] = Multicall3.Call(address(target), second);
    }

    function _assertFirstFailed(Multicall3.Result[] memory results) private pure {
        assert(results.length == 2);
        assert(!results[0].success && results[1].success);
        assert(keccak256(results[0].returnData) == keccak256(abi.encodeWithSelector(Target.Refused.selector, 7)));
        assert(abi.decode(results[1].returnData, (uint256)) == 42);
    }

    function _expectError(string memory reason) private {
        VM.expectRevert(abi.encodeWithSignature("Error(string)", reason));
    }
}
