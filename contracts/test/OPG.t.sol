// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC3009, IERC3009Cancel} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {OPG} from "../src/OPG.sol";
import {VM} from "./Vm.sol";

/// @dev Stands where the chain has its precompile, which forge does not: moves coin by cheatcode.
contract NativeMove {
    fallback(bytes calldata input) external returns (bytes memory) {
        (address from, address to, uint256 value) = abi.decode(input, (address, address, uint256));
        VM.deal(from, from.balance - value);
        VM.deal(to, to.balance + value);
        return abi.encode(1);
    }
}

/// @dev What the contract does around the precompile. The precompile itself, and both together,
/// are tested in `crates/chain/src/tests`.
contract OPGTest {
    uint256 private constant KEY = 0xa11ce;
    uint256 private constant SUPPLY = 1e24;
    bytes32 private constant TRANSFER_TYPE =
        keccak256(
            "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
    bytes32 private constant RECEIVE_TYPE =
        keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
    bytes32 private constant CANCEL_TYPE = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
    bytes32 private constant NONCE = bytes32(uint256(5));

    OPG private opg = new OPG(SUPPLY);
    address private alice = VM.addr(KEY);
    address private bob = address(0xb0b);

    function setUp() external {
        VM.etch(opg.NATIVE_MOVE(), type(NativeMove).runtimeCode);
        VM.allowCheatcodes(opg.NATIVE_MOVE());
        VM.deal(alice, 100);
        VM.deal(bob, 0);
        VM.warp(1_800_000_000);
    }

    function test_it_describes_the_coin() external view {
        assert(_same(opg.name(), "OpenGradient") && _same(opg.symbol(), "OPG") && _same(opg.version(), "1"));
        assert(opg.decimals() == 18 && opg.totalSupply() == SUPPLY && opg.balanceOf(alice) == 100);
    }

    function test_a_transfer_moves_coin(uint256 value) external {
        value %= 101;
        VM.expectEmit(address(opg));
        emit IERC20.Transfer(alice, bob, value);
        VM.prank(alice);
        assert(opg.transfer(bob, value));
        assert(alice.balance == 100 - value && bob.balance == value);
    }

    function test_nobody_spends_more_than_there_is() external {
        VM.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, alice, 100, 101));
        VM.prank(alice);
        opg.transfer(bob, 101);
    }

    function test_it_receives_nothing_itself() external {
        VM.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(opg)));
        VM.prank(alice);
        opg.transfer(address(opg), 1);
        (bool success, ) = address(opg).call{value: 1}("");
        assert(!success);
    }

    function test_without_the_precompile_nothing_is_pretended() external {
        VM.etch(opg.NATIVE_MOVE(), "");
        VM.expectRevert(abi.encodeWithSelector(OPG.NativeMoveFailed.selector));
        VM.prank(alice);
        opg.transfer(bob, 1);
        // And where it reverts.
        VM.etch(opg.NATIVE_MOVE(), hex"5f5ffd");
        VM.expectRevert(abi.encodeWithSelector(OPG.NativeMoveFailed.selector));
        VM.prank(alice);
        opg.transfer(bob, 1);
    }

    function test_an_allowance_is_spent() external {
        VM.prank(alice);
        opg.approve(address(this), 5);
        opg.transferFrom(alice, bob, 3);
        assert(bob.balance == 3 && opg.allowance(alice, address(this)) == 2);
    }

    function test_a_permit_allows() external {
        bytes32 message = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                alice,
                bob,
                7,
                0,
                block.timestamp
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = _sign(message);
        opg.permit(alice, bob, 7, block.timestamp, v, r, s);
        assert(opg.allowance(alice, bob) == 7 && opg.nonces(alice) == 1);
    }

    function test_transfer_with_authorization() external {
        (uint8 v, bytes32 r, bytes32 s) = _sign(_message(TRANSFER_TYPE));
        VM.expectEmit(address(opg));
        emit IERC3009.AuthorizationUsed(alice, NONCE);
        opg.transferWithAuthorization(alice, bob, 9, 0, type(uint256).max, NONCE, v, r, s);
        assert(bob.balance == 9 && opg.authorizationState(alice, NONCE));
        VM.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, alice, NONCE));
        opg.transferWithAuthorization(alice, bob, 9, 0, type(uint256).max, NONCE, abi.encodePacked(r, s, v));
    }

    function test_receive_with_authorization() external {
        (uint8 v, bytes32 r, bytes32 s) = _sign(_message(RECEIVE_TYPE));
        VM.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, bob));
        opg.receiveWithAuthorization(alice, bob, 9, 0, type(uint256).max, NONCE, v, r, s);
        VM.prank(bob);
        opg.receiveWithAuthorization(alice, bob, 9, 0, type(uint256).max, NONCE, v, r, s);
        assert(bob.balance == 9);
        VM.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, alice, NONCE));
        VM.prank(bob);
        opg.receiveWithAuthorization(alice, bob, 9, 0, type(uint256).max, NONCE, abi.encodePacked(r, s, v));
    }

    function test_cancel_authorization() external {
        (uint8 v, bytes32 r, bytes32 s) = _sign(keccak256(abi.encode(CANCEL_TYPE, alice, NONCE)));
        VM.expectEmit(address(opg));
        emit IERC3009Cancel.AuthorizationCanceled(alice, NONCE);
        opg.cancelAuthorization(alice, NONCE, v, r, s);
        bytes memory used = abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, alice, NONCE);
        VM.expectRevert(used);
        opg.cancelAuthorization(alice, NONCE, abi.encodePacked(r, s, v));
        (v, r, s) = _sign(_message(TRANSFER_TYPE));
        VM.expectRevert(used);
        opg.transferWithAuthorization(alice, bob, 9, 0, type(uint256).max, NONCE, v, r, s);
    }

    function test_no_key_but_the_authorizers_is_good(uint128 key) external {
        if (key == 0 || key == KEY) return;
        (uint8 v, bytes32 r, bytes32 s) = _sign(key, _message(TRANSFER_TYPE));
        VM.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009InvalidSignature.selector));
        opg.transferWithAuthorization(alice, bob, 9, 0, type(uint256).max, NONCE, v, r, s);
    }

    function _message(bytes32 kind) private view returns (bytes32) {
        return keccak256(abi.encode(kind, alice, bob, 9, 0, type(uint256).max, NONCE));
    }

    function _sign(bytes32 message) private view returns (uint8 v, bytes32 r, bytes32 s) {
        return _sign(KEY, message);
    }

    function _sign(uint256 key, bytes32 message) private view returns (uint8 v, bytes32 r, bytes32 s) {
        return VM.sign(key, keccak256(abi.encodePacked(hex"1901", opg.DOMAIN_SEPARATOR(), message)));
    }

    function _same(string memory left, string memory right) private pure returns (bool) {
        return keccak256(bytes(left)) == keccak256(bytes(right));
    }
}
