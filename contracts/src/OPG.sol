// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Authorization} from "./ERC20Authorization.sol";

/// @title The native coin as an ERC-20 token.
/// @notice A balance here is the account's native balance: there is nothing to wrap. Nobody has a
/// privilege here, nothing mints or burns, and the contract holds no coin.
/// @dev Predeployed by the genesis file at 0x…0a02. Coin moves through a precompile that accepts
/// this contract alone, so that whatever is wrong here is wrong with everybody's coin: keep it small.
contract OPG is ERC20, ERC20Permit, ERC20Authorization {
    /// @notice Where the chain's native-move precompile stands. It takes `abi.encode(from, to, value)`
    /// and answers one word, 1.
    address public constant NATIVE_MOVE = 0x0000000000000000000000000000000000000a10;

    /// @notice The coin that the genesis file allocated, in the smallest unit.
    /// @dev The chain mints none and burns base fees without keeping a sum of them.
    uint256 public immutable GENESIS_SUPPLY;

    /// @notice The precompile refused, ran out of gas, or does not exist on this chain.
    error NativeMoveFailed();

    constructor(uint256 genesisSupply) ERC20("OpenGradient", "OPG") ERC20Permit("OpenGradient") {
        GENESIS_SUPPLY = genesisSupply;
    }

    /// @notice The account's native balance.
    function balanceOf(address account) public view override returns (uint256) {
        return account.balance;
    }

    /// @notice An upper bound of the coin in existence: what the genesis file allocated. Base fees
    /// that were burned since (EIP-1559) are not subtracted.
    function totalSupply() public view override returns (uint256) {
        return GENESIS_SUPPLY;
    }

    /// @notice The version in this token's EIP-712 domain.
    function version() external view returns (string memory) {
        return _EIP712Version();
    }

    /// @dev Neither side is zero: OpenZeppelin's `_transfer` refuses that, and nothing here calls
    /// `_mint` or `_burn`. Coin sent to this contract could never leave it, so that is refused as well.
    function _update(address from, address to, uint256 value) internal override {
        if (to == address(this)) revert ERC20InvalidReceiver(to);
        uint256 balance = from.balance;
        if (balance < value) revert ERC20InsufficientBalance(from, balance, value);
        (bool success, bytes memory answer) = NATIVE_MOVE.call(abi.encode(from, to, value));
        // A call to an address without code succeeds, and answers nothing.
        if (!success || answer.length != 32) revert NativeMoveFailed();
        emit Transfer(from, to, value);
    }
}
