//! What a genesis file must be, and how its accounts enter the state with block 1.

use crate::{
    fees::MAX_BASE_FEE_PER_GAS,
    rules::RulesError,
    state::{Account, Key},
    view::View,
};
use alloy_primitives::{KECCAK256_EMPTY, U256, keccak256};
use og_types::{
    Genesis,
    limits::{MAX_CODE_BYTES, MAX_GENESIS_ACCOUNTS, MAX_GENESIS_SLOTS, MAX_NAME_BYTES},
};

/// Least gas per block: every transaction that may be sent fits into an empty block.
pub const MIN_BLOCK_GAS: u64 = crate::transaction::MAX_TRANSACTION_GAS;
/// Most gas per block.
pub const MAX_BLOCK_GAS: u64 = 1_000_000_000;

/// Checks every part of a genesis file but its validators.
pub(crate) fn check(genesis: &Genesis) -> Result<(), RulesError> {
    let out_of_range = |field, found: u64, minimum, maximum| RulesError::OutOfRange {
        field,
        found,
        minimum,
        maximum,
    };
    let within = |field, found: u64, minimum: u64, maximum: u64| {
        (minimum..=maximum)
            .contains(&found)
            .then_some(())
            .ok_or(out_of_range(field, found, minimum, maximum))
    };
    let length = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    within("version", genesis.version.into(), 1, 1)?;
    within(
        "network (length in bytes)",
        length(genesis.network.len()),
        1,
        length(MAX_NAME_BYTES),
    )?;
    // EIP-2294 bounds chain ids so that `2 * id + 36` fits into 64 bits.
    within("chain_id", genesis.chain_id, 1, 9_223_372_036_854_775_771)?;
    within("epoch_length", genesis.epoch_length, 2, u64::MAX)?;
    within("gas_limit", genesis.gas_limit, MIN_BLOCK_GAS, MAX_BLOCK_GAS)?;
    within(
        "base_fee_per_gas",
        genesis.base_fee_per_gas,
        0,
        MAX_BASE_FEE_PER_GAS,
    )?;
    within(
        "alloc (accounts)",
        length(genesis.alloc.len()),
        0,
        length(MAX_GENESIS_ACCOUNTS),
    )?;
    let mut total = U256::ZERO;
    for account in genesis.alloc.values() {
        within(
            "alloc.code (length in bytes)",
            length(account.code.len()),
            0,
            length(MAX_CODE_BYTES),
        )?;
        within(
            "alloc.storage (slots)",
            length(account.storage.len()),
            0,
            length(MAX_GENESIS_SLOTS),
        )?;
        total = total.saturating_add(account.balance);
    }
    // Amounts are 128-bit in records and receipts, and no sum of balances may overflow.
    if total > U256::from(u128::MAX) {
        return Err(RulesError::Supply);
    }
    Ok(())
}

/// Writes the accounts of the genesis file.
pub(crate) fn allocate(genesis: &Genesis, view: &mut View<'_>) {
    for (address, allocated) in &genesis.alloc {
        let has_code = !allocated.code.is_empty();
        let code_hash = if has_code {
            keccak256(&allocated.code)
        } else {
            KECCAK256_EMPTY
        };
        let account = Account {
            // Contracts start at nonce 1 (EIP-161).
            nonce: u64::from(has_code),
            balance: allocated.balance,
            code_hash,
        };
        view.set_account(*address, &account);
        if has_code {
            view.set(Key::code(code_hash), Some(allocated.code.clone()));
        }
        for (slot, value) in &allocated.storage {
            view.set_storage(*address, (*slot).into(), (*value).into());
        }
    }
}
