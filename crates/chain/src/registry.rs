//! The Registry predeploy: which models and nodes exist, in a contract that anyone can read.
//!
//! Source and compiled artifact are in `contracts/`. Nodes are fixed at genesis in this version;
//! models can be registered by anyone. The chain reads the contract's storage directly, so the
//! layout below is part of the rules.

use alloy_primitives::{Address, B256, Bytes, U256, address};
use alloy_sol_types::sol;
use og_crypto::keccak256;
use og_types::{GenesisAccount, ModelId, NodeId};
use std::collections::BTreeMap;

/// Where the Registry stands on every chain.
pub const REGISTRY: Address = address!("0x0000000000000000000000000000000000000a01");

/// Slot of `mapping(bytes32 => address) modelOwner`.
const MODEL_OWNER_SLOT: u8 = 0;
/// Slot of `mapping(bytes32 => address) nodePayee`.
const NODE_PAYEE_SLOT: u8 = 1;

/// Runtime code, as `contracts/build.mjs` compiles it.
const CODE: &[u8] = include_bytes!("../../../contracts/artifacts/Registry.runtime.bin");

sol! {
    /// The contract's interface.
    #[derive(Debug, PartialEq, Eq)]
    interface Registry {
        event ModelRegistered(bytes32 indexed id, address indexed owner, string name);
        error ModelAlreadyRegistered(bytes32 id);
        error NameLength(uint256 length);
        function registerModel(bytes32 id, string calldata name) external;
        function modelOwner(bytes32 id) external view returns (address);
        function nodePayee(bytes32 id) external view returns (address);
    }
}

/// The storage slot of `key` in the mapping at `slot`.
fn mapping_slot(key: &[u8; 32], slot: u8) -> U256 {
    keccak256(&[key, &U256::from(slot).to_be_bytes::<32>()]).into()
}

/// The slot with the owner of a model; zero there means that the model is not registered.
pub fn model_owner_slot(model: &ModelId) -> U256 {
    mapping_slot(&model.0, MODEL_OWNER_SLOT)
}

/// The slot with the payee of a node; zero there means that the node is not registered.
pub fn node_payee_slot(node: &NodeId) -> U256 {
    mapping_slot(&node.0, NODE_PAYEE_SLOT)
}

/// The address in a slot's low 20 bytes.
pub(crate) fn address_in(value: U256) -> Address {
    Address::from_word(value.into())
}

/// The Registry's account for a genesis file, with these nodes (and who is paid for their work)
/// and these models (all owned by `model_owner`). Allocate it at [`REGISTRY`].
///
/// An address of zero means "not registered", so a node or model with it is not.
pub fn predeploy(
    nodes: &[(NodeId, Address)],
    models: &[ModelId],
    model_owner: Address,
) -> GenesisAccount {
    let mut storage: BTreeMap<B256, B256> = BTreeMap::new();
    let nodes = nodes
        .iter()
        .map(|(node, payee)| (node_payee_slot(node), *payee));
    let models = models
        .iter()
        .map(|model| (model_owner_slot(model), model_owner));
    for (slot, address) in nodes.chain(models) {
        storage.insert(slot.into(), address.into_word());
    }
    GenesisAccount {
        balance: U256::ZERO,
        code: Bytes::from_static(CODE),
        storage,
    }
}
