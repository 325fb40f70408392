//! The named maximum of every list, body and window that an outsider can fill.

/// Bytes of one encoded [`Record`](crate::Record), signature included.
pub const MAX_RECORD_BYTES: usize = 1024;
/// Records in one block.
pub const MAX_RECORDS_PER_BLOCK: usize = 4096;
/// Records that one call hands to a validator, or asks it about.
pub const MAX_SUBMITTED_RECORDS: usize = 512;
/// Blocks that one answer proves to be final.
pub const MAX_PROVEN_BLOCKS: usize = 50;
/// Bytes of one raw Ethereum transaction.
pub const MAX_TRANSACTION_BYTES: usize = 128 * 1024;
/// Transactions in one block.
pub const MAX_TRANSACTIONS_PER_BLOCK: usize = 4096;
/// Bytes of one encoded block, header included.
pub const MAX_BLOCK_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of one encoded inference request or response.
pub const MAX_PAYLOAD_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of evidence attached to a receipt.
pub const MAX_EVIDENCE_BYTES: usize = 1024 * 1024;
/// Bytes of one encoded receipt.
pub const MAX_RECEIPT_BYTES: usize = 10 * 1024 * 1024;
/// Bytes of one encoded finality certificate.
pub const MAX_FINALIZATION_BYTES: usize = 4096;
/// Headers between a receipt's block and the descendant whose certificate made it final.
pub const MAX_DESCENDANTS: usize = 256;
/// Sibling hashes in one inclusion proof (a tree has at most 2^32 leaves).
pub const MAX_PROOF_SIBLINGS: usize = 32;
/// Tensors in one request or response.
pub const MAX_TENSORS: usize = 64;
/// Dimensions of one tensor.
pub const MAX_DIMENSIONS: usize = 8;
/// Bytes of a tensor's name.
pub const MAX_NAME_BYTES: usize = 128;
/// Milliseconds a record stays admissible: `valid_until_ms - valid_from_ms` is at most this.
///
/// Request ids are remembered as used for this long and no longer.
pub const MAX_VALIDITY_WINDOW_MS: u64 = 10 * 60 * 1000;
/// Validators in one set.
pub const MAX_VALIDATORS: usize = 256;
/// Accounts allocated in a genesis file.
pub const MAX_GENESIS_ACCOUNTS: usize = 100_000;
/// Bytes of one contract's code in a genesis file (EIP-170).
pub const MAX_CODE_BYTES: usize = 24_576;
/// Storage slots of one account in a genesis file.
pub const MAX_GENESIS_SLOTS: usize = 100_000;
/// Keys that one proof of state is about.
pub const MAX_STATE_ENTRIES: usize = 256;
/// Bytes of the database's proof of one key.
pub const MAX_STATE_ENTRY_PROOF_BYTES: usize = 8 * 1024;
/// Bytes of one encoded proof of state.
pub const MAX_STATE_PROOF_BYTES: usize = 10 * 1024 * 1024;
