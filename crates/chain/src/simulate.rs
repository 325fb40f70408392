//! Simulations: transactions that nobody signed, or that ran before, on any state, in any environment, perhaps watched.

use crate::{
    evm::{Context, block_environment, configuration, machine},
    execute::{fee_recipient, prologue, start},
    rules::Rules,
    state::{Account, Key, Source},
    transaction::Transaction,
    view::{StateError, View},
};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use og_crypto::keccak256;
use og_types::Header;
use revm::{
    ExecuteEvm as _, InspectEvm as _, Inspector,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        result::{EVMError, InvalidTransaction, ResultAndState},
    },
    state::EvmState,
};

/// A state that can be changed at will, and the environment in which transactions run on it.
///
/// If [`missing`](Self::missing) names keys, the source did not know them, and what happened since is guesswork. Nothing
/// of a simulation reaches the chain.
#[derive(Debug)]
pub struct Simulation<'state> {
    view: View<'state>,
    /// What is checked of a transaction before it runs.
    pub configuration: CfgEnv,
    /// What contracts see of the block.
    pub environment: BlockEnv,
}

/// Why a transaction of a simulation did not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// The transaction is not valid in this state.
    #[error("{0}")]
    Transaction(InvalidTransaction),
    /// The EVM refuses to begin for another reason.
    #[error("{0}")]
    Environment(String),
    /// The state is corrupt, or the source does not know a key of it.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<EVMError<StateError>> for SimulationError {
    fn from(error: EVMError<StateError>) -> Self {
        match error {
            EVMError::Database(error) => Self::State(error),
            EVMError::Transaction(error) => Self::Transaction(error),
            other => Self::Environment(other.to_string()),
        }
    }
}

impl<'state> Simulation<'state> {
    /// The state after the block of `header`, in that block's environment. Whoever sends a transaction needs no key, no
    /// right nonce, and pays for no gas.
    pub fn after(rules: &Rules, header: &Header, source: &'state dyn Source) -> Self {
        let mut view = View::new(source);
        view.limit_block_hashes(header.height.saturating_sub(1));
        let mut simulation = Self::new(rules, header, view);
        simulation.set_strict(false);
        simulation
    }

    /// Chooses whether whoever sends a transaction must be able to: by nonce, balance and price, and having no code.
    pub const fn set_strict(&mut self, strict: bool) {
        let configuration = &mut self.configuration;
        configuration.disable_base_fee = !strict;
        configuration.disable_balance_check = !strict;
        configuration.disable_block_gas_limit = !strict;
        configuration.disable_eip3607 = !strict;
        configuration.disable_fee_charge = !strict;
        configuration.disable_nonce_check = !strict;
    }

    /// The state in which the first transaction of `header`'s block runs, under all of the chain's rules. `source` is
    /// the state of the block's parent.
    pub fn within(rules: &Rules, header: &Header, source: &'state dyn Source) -> Self {
        let mut view = start(rules, header, source);
        prologue(header, &mut view);
        Self::new(rules, header, view)
    }

    fn new(rules: &Rules, header: &Header, view: View<'state>) -> Self {
        Self {
            view,
            configuration: configuration(rules.chain_id()),
            environment: block_environment(header, fee_recipient(rules, header)),
        }
    }

    /// The state as it is now.
    pub const fn state(&self) -> &View<'state> {
        &self.view
    }

    /// The keys that were asked for and that the source does not know.
    pub fn missing(&self) -> Option<Vec<Key>> {
        self.view.missing()
    }

    /// Runs a transaction; its changes are not taken over.
    ///
    /// # Errors
    /// [`SimulationError`] if it does not begin. One that fails is a result.
    pub fn run(&mut self, transaction: TxEnv) -> Result<ResultAndState, SimulationError> {
        let mut machine = machine(
            &mut self.view,
            self.configuration.clone(),
            self.environment.clone(),
            (),
        );
        Ok(machine.transact(transaction)?)
    }

    /// Runs a transaction as [`run`](Self::run) does, watched by `inspector`.
    ///
    /// # Errors
    /// [`SimulationError`] if it does not begin.
    pub fn inspect<'view, I>(
        &'view mut self,
        transaction: TxEnv,
        inspector: I,
    ) -> Result<ResultAndState, SimulationError>
    where
        I: Inspector<Context<'view, 'state>>,
    {
        let mut machine = machine(
            &mut self.view,
            self.configuration.clone(),
            self.environment.clone(),
            inspector,
        );
        Ok(machine.inspect_tx(transaction)?)
    }

    /// Takes over what a transaction changed.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn commit(&mut self, changes: EvmState) -> Result<(), StateError> {
        self.view.apply(changes)
    }

    /// An account as it is now.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn account(&self, address: Address) -> Result<Account, StateError> {
        self.view.account(address)
    }

    /// Gives an account another balance and nonce; its code stays, unless [`set_code`](Self::set_code) changes it.
    pub fn set_account(&mut self, address: Address, account: &Account) {
        self.view.set_account(address, account);
    }

    /// Gives an account other code.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn set_code(&mut self, address: Address, code: Bytes) -> Result<(), StateError> {
        let mut account = self.view.account(address)?;
        account.code_hash = KECCAK256_EMPTY;
        if !code.is_empty() {
            account.code_hash = keccak256(&[&code]);
            self.view.set(Key::code(account.code_hash), Some(code));
        }
        self.view.set_account(address, &account);
        Ok(())
    }

    /// Empties an account's storage.
    pub fn clear_storage(&mut self, address: Address) {
        self.view.clear_storage(address);
    }

    /// Writes one slot of an account's storage.
    pub fn set_storage(&mut self, address: Address, slot: B256, value: B256) {
        let value = U256::from_be_bytes(value.0);
        self.view.set_storage(address, slot.into(), value);
    }

    /// What `BLOCKHASH` says of the block at `height`.
    pub fn set_block_hash(&mut self, height: u64, hash: B256) {
        self.view
            .set(Key::block_hash(height), Some(hash.to_vec().into()));
    }
}

/// A block's transaction as the EVM takes it.
impl From<&Transaction> for TxEnv {
    fn from(transaction: &Transaction) -> Self {
        transaction.to_evm()
    }
}
