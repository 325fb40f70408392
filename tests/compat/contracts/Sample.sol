// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// What the clients' tests call: state, events, payments, and each way to fail.
contract Sample {
    /// A number that anybody may change.
    uint256 public number;
    /// What each address paid.
    mapping(address who => uint256 value) public paid;

    event NumberChanged(address indexed by, uint256 indexed number, string note);
    event Paid(address indexed by, uint256 value);

    error Forbidden(address who, uint256 number);

    constructor(uint256 first) payable {
        number = first;
    }

    receive() external payable {
        pay();
    }

    function setNumber(uint256 next, string calldata note) external {
        number = next;
        emit NumberChanged(msg.sender, next, note);
    }

    function pay() public payable {
        paid[msg.sender] += msg.value;
        emit Paid(msg.sender, msg.value);
    }

    /// Passes the value on: a call within a call.
    function forward(address payable to) external payable {
        (bool done, ) = to.call{value: msg.value}("");
        require(done, "the receiver refused");
    }

    function failWithReason() external {
        number = 0;
        revert("the sample says no");
    }

    function failWithCustomError(uint256 with) external {
        number = 0;
        revert Forbidden(msg.sender, with);
    }

    /// Panics with code 0x12 if the divisor is zero.
    function divide(uint256 dividend, uint256 divisor) external pure returns (uint256) {
        return dividend / divisor;
    }

    function failWithNothing() external {
        number = 0;
        revert();
    }
}
