//! What a transaction did: the receipts that a header commits to.

use alloy_primitives::{Address, B256, Bytes};
use og_crypto::merkle::list_root;
use og_types::{Amount, Canonical, canonical_struct};

/// Largest encoding of one transaction's receipt, in bytes.
///
/// Gas bounds it well below: a byte of log data costs 8 gas, so [`MAX_TRANSACTION_GAS`] buys 2 MiB.
///
/// [`MAX_TRANSACTION_GAS`]: crate::transaction::MAX_TRANSACTION_GAS
pub const MAX_TRANSACTION_RECEIPT_BYTES: usize = 4 * 1024 * 1024;
/// Logs of one transaction; each costs 375 gas.
const MAX_LOGS: usize = 65_536;

/// An event that a contract emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The contract.
    pub address: Address,
    /// Indexed parameters, at most 4.
    pub topics: Vec<B256>,
    /// The other parameters, ABI-encoded.
    pub data: Bytes,
}

canonical_struct!(Log, max_bytes = MAX_TRANSACTION_RECEIPT_BYTES, {
    address,
    topics <= 4,
    data <= MAX_TRANSACTION_RECEIPT_BYTES,
});

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionReceipt {
    /// The transaction.
    pub transaction_hash: B256,
    /// Its position in the block.
    pub transaction_index: u32,
    /// EIP-2718 type.
    pub transaction_type: u8,
    /// Who sent it.
    pub from: Address,
    /// Whom it called, or `None` if it created a contract.
    pub to: Option<Address>,
    /// The contract that it created, where it did and succeeded.
    pub contract_address: Option<Address>,
    /// Whether it ran to its end; a failed transaction has no effect but its fee.
    pub success: bool,
    /// Gas it used.
    pub gas_used: u64,
    /// Gas that the block used up to and with it.
    pub cumulative_gas_used: u64,
    /// What it paid per gas.
    pub effective_gas_price: Amount,
    /// Events, in order.
    pub logs: Vec<Log>,
}

canonical_struct!(TransactionReceipt, max_bytes = MAX_TRANSACTION_RECEIPT_BYTES, {
    transaction_hash,
    transaction_index,
    transaction_type,
    from,
    to,
    contract_address,
    success,
    gas_used,
    cumulative_gas_used,
    effective_gas_price,
    logs <= MAX_LOGS,
});

/// The root of a list of receipts; each leaf is a receipt's canonical bytes.
pub fn receipts_root(receipts: &[TransactionReceipt]) -> B256 {
    let encoded: Vec<_> = receipts.iter().map(Canonical::to_bytes).collect();
    list_root(&encoded)
}
