//! The block header: everything a block commits to, and all that its hash covers.

use crate::ids::{BlockHash, ValidatorId};
use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

/// A block's header. Its keccak256 is the block's hash, and what validators sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Format version, 1.
    pub version: u16,
    /// The chain.
    pub chain_id: u64,
    /// Distance from genesis, which is 0.
    pub height: u64,
    /// The parent block; for genesis the hash of the genesis file.
    pub parent: BlockHash,
    /// Epoch of consensus in which the block was proposed.
    pub epoch: u64,
    /// View of consensus, counted within the epoch, in which it was proposed.
    pub view: u64,
    /// View in which the parent was proposed.
    pub parent_view: u64,
    /// Who proposed it.
    pub proposer: ValidatorId,
    /// Time of the proposal, Unix milliseconds; greater than the parent's.
    pub timestamp_ms: u64,
    /// Most gas that its transactions may use.
    pub gas_limit: u64,
    /// Gas that its transactions used.
    pub gas_used: u64,
    /// Base fee per gas (EIP-1559), in the token's smallest unit.
    pub base_fee_per_gas: u64,
    /// Root of the list of transactions.
    pub transactions_root: B256,
    /// Root of the list of transaction receipts.
    pub receipts_root: B256,
    /// Root of the list of records.
    pub records_root: B256,
    /// Canonical root of the state after the block.
    pub state_root: B256,
    /// Root of the state's log of operations after the block, from which a peer can sync.
    pub state_operations_root: B256,
    /// First operation of that log that is still active.
    pub state_operations_floor: u64,
    /// Number of operations in that log.
    pub state_operations_size: u64,
    /// Hash of the set of validators of the next epoch.
    pub next_validators: B256,
}

canonical_struct!(Header, max_bytes = Header::MAX_ENCODED_BYTES, {
    version,
    chain_id,
    height,
    parent,
    epoch,
    view,
    parent_view,
    proposer,
    timestamp_ms,
    gas_limit,
    gas_used,
    base_fee_per_gas,
    transactions_root,
    receipts_root,
    records_root,
    state_root,
    state_operations_root,
    state_operations_floor,
    state_operations_size,
    next_validators,
});

impl Header {
    /// Largest encoding: a byte of array head, the version in 3, 11 more integers of at most 9,
    /// 8 hashes of 34.
    pub const MAX_ENCODED_BYTES: usize = 1 + 3 + 11 * 9 + 8 * 34;
}
