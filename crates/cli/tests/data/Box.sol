// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A contract for the tests of `og tx`: keeps a number, and refuses some.
/// Box.json is its artifact: solc --optimize --evm-version osaka, without metadata.
contract Box {
    string public label;
    uint256 public value;

    event Stored(address indexed by, uint256 value);

    error TooLarge(uint256 most);

    constructor(string memory label_, uint256 value_) payable {
        label = label_;
        value = value_;
    }

    function store(uint256 value_) external {
        require(value_ != 13, "unlucky");
        if (value_ > 1000) revert TooLarge(1000);
        value = value_;
        emit Stored(msg.sender, value_);
    }
}
