//! The EVM over a [`View`]: its database, its environment, and how its changes reach the state.

use crate::{
    precompile::Precompiles,
    state::{Account, Key},
    transaction::EVM_FORK,
    view::{StateError, View},
};
use alloy_primitives::{Address, B256, U256};
use og_crypto::keccak256;
use og_types::Header;
use revm::{
    Database, DatabaseRef, ExecuteEvm as _, MainBuilder as _,
    bytecode::Bytecode,
    context::{
        BlockEnv, CfgEnv, ContextTr as _, Evm, TxEnv,
        result::{EVMError, ExecutionResult, InvalidTransaction},
    },
    database_interface::DBErrorMarker,
    handler::{EthFrame, MainnetContext, instructions::EthInstructions},
    interpreter::interpreter::EthInterpreter,
    state::{AccountInfo, EvmState},
};

const RANDAO_DOMAIN: &[u8] = b"_OG_RANDAO_V1";
const MS_PER_SECOND: u64 = 1000;

/// What an inspector of the EVM finds around it.
pub type Context<'view, 'cache> = MainnetContext<&'view mut View<'cache>>;

/// The EVM over a view, watched by an inspector, or by nobody.
pub(crate) type Machine<'view, 'cache, I = ()> = Evm<
    Context<'view, 'cache>,
    I,
    EthInstructions<EthInterpreter, Context<'view, 'cache>>,
    Precompiles,
    EthFrame<EthInterpreter>,
>;

impl DBErrorMarker for StateError {}

impl Database for View<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        self.basic_ref(address)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, StateError> {
        self.keep_code(code_hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.storage_ref(address, slot)
    }

    fn block_hash(&mut self, height: u64) -> Result<B256, StateError> {
        self.block_hash_ref(height)
    }
}

impl DatabaseRef for View<'_> {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let account = self.account(address)?;
        Ok((!account.is_empty()).then(|| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            code: None,
            account_id: None,
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StateError> {
        self.code(code_hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        View::storage(self, address, slot)
    }

    fn block_hash_ref(&self, height: u64) -> Result<B256, StateError> {
        Ok(View::block_hash(self, height)?.unwrap_or_default())
    }
}

impl View<'_> {
    /// Takes over what a transaction changed.
    pub(crate) fn apply(&mut self, changes: EvmState) -> Result<(), StateError> {
        for (address, changed) in changes {
            if !changed.is_touched() {
                continue;
            }
            if changed.is_selfdestructed() {
                // Since EIP-6780 only an account of the same transaction can go, and its
                // storage never reached the state.
                self.set_account(address, &Account::default());
                continue;
            }
            if self.account(address)?.code_hash != changed.info.code_hash
                && let Some(code) = &changed.info.code
                && !code.is_empty()
            {
                let code = code.original_bytes();
                self.set(Key::code(changed.info.code_hash), Some(code));
            }
            for (slot, value) in changed.changed_storage_slots() {
                self.set_storage(address, *slot, value.present_value);
            }
            let account = Account {
                nonce: changed.info.nonce,
                balance: changed.info.balance,
                code_hash: changed.info.code_hash,
            };
            self.set_account(address, &account);
        }
        Ok(())
    }
}

/// What contracts see of the block that `header` describes.
///
/// `TIMESTAMP` is in whole seconds, so that blocks less than a second apart may show the same.
/// `PREVRANDAO` is derived from the parent: whoever proposes the parent can try several, so it is
/// biased by proposers and known one block ahead. Never draw lots with it.
pub(crate) fn block_environment(header: &Header, fee_recipient: Address) -> BlockEnv {
    let randao = keccak256(&[
        RANDAO_DOMAIN,
        &header.parent.0,
        &header.height.to_be_bytes(),
    ]);
    BlockEnv {
        number: U256::from(header.height),
        beneficiary: fee_recipient,
        timestamp: U256::from(header.timestamp_ms.checked_div(MS_PER_SECOND).unwrap_or(0)),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas,
        prevrandao: Some(randao),
        ..BlockEnv::default()
    }
}

/// The EVM's configuration for this chain.
pub(crate) fn configuration(chain_id: u64) -> CfgEnv {
    CfgEnv::new_with_spec(EVM_FORK).with_chain_id(chain_id)
}

/// An EVM that reads `view`, watched by `inspector`.
pub(crate) fn machine<'view, 'cache, I>(
    view: &'view mut View<'cache>,
    configuration: CfgEnv,
    block: BlockEnv,
    inspector: I,
) -> Machine<'view, 'cache, I> {
    MainnetContext::new(view, EVM_FORK)
        .with_cfg(configuration)
        .with_block(block)
        .build_mainnet_with_inspector(inspector)
        .with_precompiles(Precompiles::new())
}

/// Why a transaction did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunError {
    /// It is not valid in this state; the state is unchanged.
    Invalid {
        /// What is wrong with it.
        reason: String,
        /// Whether it is merely early or late: its nonce or its fee may fit another block.
        is_untimely: bool,
    },
    /// The state could not be read; the view has noted the key if it is merely missing.
    State(StateError),
}

impl From<EVMError<StateError>> for RunError {
    fn from(error: EVMError<StateError>) -> Self {
        match error {
            EVMError::Database(error) => Self::State(error),
            EVMError::Transaction(error) => Self::Invalid {
                reason: error.to_string(),
                is_untimely: matches!(
                    error,
                    InvalidTransaction::NonceTooHigh { .. }
                        | InvalidTransaction::NonceTooLow { .. }
                        | InvalidTransaction::GasPriceLessThanBasefee
                ),
            },
            other => Self::Invalid {
                reason: other.to_string(),
                is_untimely: false,
            },
        }
    }
}

/// Runs one transaction and, if it is valid, takes over its changes.
pub(crate) fn run(
    machine: &mut Machine<'_, '_>,
    transaction: TxEnv,
) -> Result<ExecutionResult, RunError> {
    let outcome = machine.transact(transaction)?;
    machine
        .ctx
        .db_mut()
        .apply(outcome.state)
        .map_err(RunError::State)?;
    Ok(outcome.result)
}
