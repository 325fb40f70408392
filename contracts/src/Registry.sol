// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Which models and inference nodes exist on this chain.
/// @notice Predeployed by the genesis file. Nobody has a privilege here: anyone may register a
/// model, nobody may change or remove one.
/// @dev The chain reads both mappings' storage when it judges records, so their slots (0 and 1)
/// are part of the protocol: never reorder or insert state variables before them.
contract Registry {
    /// @notice Longest name of a model, in bytes.
    uint256 public constant MAX_NAME_BYTES = 128;

    /// @notice Who registered a model (its id is the SHA-256 of its file); zero if nobody did.
    mapping(bytes32 id => address owner) public modelOwner;

    /// @notice Who is paid for a node's work (its id is its Ed25519 public key); zero if the node
    /// is not registered.
    /// @dev Nodes are fixed by the genesis file in this version: no function writes here.
    mapping(bytes32 id => address payee) public nodePayee;

    event ModelRegistered(bytes32 indexed id, address indexed owner, string name);

    /// @notice The model has been registered before; the first registration stands.
    error ModelAlreadyRegistered(bytes32 id);

    /// @notice A name must have 1 to MAX_NAME_BYTES bytes.
    error NameLength(uint256 length);

    /// @notice Registers a model under a name for people. The first registration wins.
    function registerModel(bytes32 id, string calldata name) external {
        uint256 length = bytes(name).length;
        if (length == 0 || length > MAX_NAME_BYTES) revert NameLength(length);
        if (modelOwner[id] != address(0)) revert ModelAlreadyRegistered(id);
        modelOwner[id] = msg.sender;
        emit ModelRegistered(id, msg.sender, name);
    }
}
