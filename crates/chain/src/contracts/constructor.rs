//! Runs a contract's constructor to get its account for a genesis file.

use crate::evm::configuration;
use crate::transaction::EVM_FORK;
use alloy_primitives::{Address, B256, Bytes, U256};
use og_types::{GenesisAccount, limits::MAX_CODE_BYTES};
use revm::{
    MainBuilder as _, SystemCallEvm as _,
    bytecode::Bytecode,
    context::{Context, result::ExecutionResult},
    database::InMemoryDB,
    handler::MainnetContext,
    state::{AccountInfo, EvmState},
};
use std::collections::BTreeMap;

/// Why a constructor gives no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstructorError {
    /// It reverts, with this data.
    #[error("the constructor of {0} reverts with {1}")]
    Reverted(Address, Bytes),
    /// It fails otherwise; with the EVM's name for it.
    #[error("the constructor of {0} fails: {1}")]
    Failed(Address, String),
    /// It returns more code than a contract may have (EIP-170).
    #[error("the code of {0} has {1} bytes, more than {MAX_CODE_BYTES}")]
    CodeLength(Address, usize),
    /// It changes an account beside its own, which its own account cannot carry.
    #[error("the constructor of {0} changes the account {1}")]
    OtherAccount(Address, Address),
}

/// Runs `creation_code` with the ABI-encoded `arguments` as the constructor of a contract at
/// `address` on chain `chain_id`: immutables are filled in, and what it stores is kept.
///
/// The constructor sees an empty world: no other account, no balance, block number and time zero.
/// Its events are lost. Unlike in a transaction, its address has code while it runs.
///
/// # Errors
/// [`ConstructorError`] if it gives no account, or one that is not all it did.
pub fn construct(
    address: Address,
    chain_id: u64,
    creation_code: &[u8],
    arguments: &[u8],
) -> Result<GenesisAccount, ConstructorError> {
    let code = [creation_code, arguments].concat();
    let mut database = InMemoryDB::default();
    let info = AccountInfo::from_bytecode(Bytecode::new_legacy(code.into()));
    database.insert_account_info(address, info);
    let context: MainnetContext<InMemoryDB> = Context::new(database, EVM_FORK);
    let outcome = context
        .with_cfg(configuration(chain_id))
        .modify_block_chained(|block| block.timestamp = U256::ZERO)
        .build_mainnet()
        .system_call(address, Bytes::new())
        .map_err(|error| ConstructorError::Failed(address, error.to_string()))?;
    let code = match outcome.result {
        ExecutionResult::Success { output, .. } => output.into_data(),
        ExecutionResult::Revert { output, .. } => {
            return Err(ConstructorError::Reverted(address, output));
        }
        ExecutionResult::Halt { reason, .. } => {
            return Err(ConstructorError::Failed(address, reason.to_string()));
        }
    };
    if code.len() > MAX_CODE_BYTES {
        return Err(ConstructorError::CodeLength(address, code.len()));
    }
    Ok(GenesisAccount {
        code,
        storage: storage(address, &outcome.state)?,
        ..GenesisAccount::default()
    })
}

/// What was stored at `address`, which is all that may have changed.
fn storage(address: Address, state: &EvmState) -> Result<BTreeMap<B256, B256>, ConstructorError> {
    let mut storage = BTreeMap::new();
    for (changed, account) in state.iter().filter(|(_, account)| account.is_touched()) {
        if *changed != address {
            return Err(ConstructorError::OtherAccount(address, *changed));
        }
        for (slot, value) in account.changed_storage_slots() {
            storage.insert((*slot).into(), value.present_value.into());
        }
    }
    Ok(storage)
}
