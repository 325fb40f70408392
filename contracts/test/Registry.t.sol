// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Registry} from "../src/Registry.sol";
import {VM} from "./Vm.sol";

contract RegistryTest {
    Registry private registry = new Registry();
    bytes32 private constant MODEL = bytes32(uint256(42));

    function test_the_first_registration_stands() external {
        VM.expectEmit(address(registry));
        emit Registry.ModelRegistered(MODEL, address(this), "digits");
        registry.registerModel(MODEL, "digits");
        assert(registry.modelOwner(MODEL) == address(this));
        VM.prank(address(0xbeef));
        VM.expectRevert(abi.encodeWithSelector(Registry.ModelAlreadyRegistered.selector, MODEL));
        registry.registerModel(MODEL, "mine");
        assert(registry.modelOwner(MODEL) == address(this));
    }

    function test_names_are_bounded() external {
        uint256 longest = registry.MAX_NAME_BYTES();
        uint256[2] memory wrong = [0, longest + 1];
        for (uint256 i = 0; i < wrong.length; ++i) {
            VM.expectRevert(abi.encodeWithSelector(Registry.NameLength.selector, wrong[i]));
            registry.registerModel(MODEL, string(new bytes(wrong[i])));
        }
        registry.registerModel(MODEL, string(new bytes(longest)));
        registry.registerModel(bytes32(0), "x");
    }

    function test_nobody_registers_nodes() external view {
        assert(registry.nodePayee(MODEL) == address(0));
    }
}
