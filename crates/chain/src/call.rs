//! Calls that nobody signed: `eth_call` and its like.

use crate::{
    evm::Context,
    simulate::{Simulation, SimulationError},
    transaction::MAX_TRANSACTION_GAS,
    view::StateError,
};
use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_sol_types::{Panic, Revert, SolError as _};
use og_types::limits::MAX_TRANSACTION_BYTES;
use revm::{
    Inspector,
    context::{
        TxEnv,
        either::Either,
        result::{ExecutionResult, ResultAndState},
    },
};

/// Most gas that a call may use: as much as a transaction, so that what a call does can be sent.
pub const MAX_CALL_GAS: u64 = MAX_TRANSACTION_GAS;

/// A call as `eth_call` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// On whose behalf; nobody signs, so anybody's.
    pub from: Address,
    /// Whom to call, or `None` to create a contract.
    pub to: Option<Address>,
    /// Gas to offer, [`MAX_CALL_GAS`] by default and at most.
    pub gas: Option<u64>,
    /// The highest price per gas. Nothing is charged.
    pub gas_price: u128,
    /// The highest tip per gas, where the price includes the base fee (EIP-1559).
    pub max_priority_fee_per_gas: Option<u128>,
    /// The caller's nonce; the one that it has by default.
    pub nonce: Option<u64>,
    /// Value to send; `from` must have it.
    pub value: U256,
    /// Input data.
    pub data: Bytes,
    /// Accounts and slots to be accessed (EIP-2930).
    pub access_list: AccessList,
    /// Accounts that take on code (EIP-7702).
    pub authorization_list: Vec<SignedAuthorization>,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// It returned.
    Success {
        /// What it returned.
        output: Bytes,
        /// Gas it used.
        gas_used: u64,
    },
    /// It reverted.
    Revert {
        /// The revert data.
        output: Bytes,
        /// Gas it used.
        gas_used: u64,
    },
    /// It failed otherwise, for example for want of gas.
    Halt {
        /// The EVM's name for it.
        reason: String,
        /// Gas it used.
        gas_used: u64,
    },
}

impl CallOutcome {
    /// The message in the revert data, where it is one of Solidity's `Error` or `Panic`.
    pub fn revert_reason(&self) -> Option<String> {
        match self {
            Self::Revert { output, .. } => Revert::abi_decode(output)
                .map(|revert| revert.reason)
                .or_else(|_| Panic::abi_decode(output).map(|panic| panic.to_string()))
                .ok(),
            Self::Success { .. } | Self::Halt { .. } => None,
        }
    }
}

/// Why a call did not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// More gas than a call may use.
    #[error("gas is {0}, above the cap of {MAX_CALL_GAS}")]
    Gas(u64),
    /// More input than a transaction could carry.
    #[error(
        "data has {0} bytes, more than the {MAX_TRANSACTION_BYTES} that a transaction may have"
    )]
    Data(usize),
    /// The caller does not have the value that it sends.
    #[error("insufficient funds for transfer: have {balance}, value is {value}")]
    Funds {
        /// What it has.
        balance: U256,
        /// What it sends.
        value: U256,
    },
    /// The EVM refuses to begin.
    #[error("{0}")]
    Invalid(String),
    /// The state is corrupt.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<SimulationError> for CallError {
    fn from(error: SimulationError) -> Self {
        match error {
            SimulationError::State(error) => Self::State(error),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl CallRequest {
    /// Runs it; its changes are not taken over.
    ///
    /// # Errors
    /// [`CallError`] if it does not begin.
    pub fn run(&self, simulation: &mut Simulation<'_>) -> Result<ResultAndState, CallError> {
        let transaction = self.to_evm(simulation)?;
        Ok(simulation.run(transaction)?)
    }

    /// Runs it as [`run`](Self::run) does, watched by `inspector`.
    ///
    /// # Errors
    /// [`CallError`] if it does not begin.
    pub fn inspect<'view, 'state, I>(
        &self,
        simulation: &'view mut Simulation<'state>,
        inspector: I,
    ) -> Result<ResultAndState, CallError>
    where
        I: Inspector<Context<'view, 'state>>,
    {
        let transaction = self.to_evm(simulation)?;
        Ok(simulation.inspect(transaction, inspector)?)
    }

    /// The transaction as the EVM takes it, with what is not said filled in from the simulation.
    ///
    /// # Errors
    /// [`CallError`] if it asks for too much, or for value that the caller does not have.
    pub fn to_evm(&self, simulation: &Simulation<'_>) -> Result<TxEnv, CallError> {
        let gas_limit = self.gas.unwrap_or(MAX_CALL_GAS);
        if gas_limit > MAX_CALL_GAS {
            return Err(CallError::Gas(gas_limit));
        }
        if self.data.len() > MAX_TRANSACTION_BYTES {
            return Err(CallError::Data(self.data.len()));
        }
        let account = simulation.account(self.from)?;
        if account.balance < self.value {
            return Err(CallError::Funds {
                balance: account.balance,
                value: self.value,
            });
        }
        let authorizations = self.authorization_list.iter().cloned();
        let mut transaction = TxEnv {
            caller: self.from,
            gas_limit,
            gas_price: self.gas_price,
            gas_priority_fee: self.max_priority_fee_per_gas,
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            data: self.data.clone(),
            nonce: self.nonce.unwrap_or(account.nonce),
            chain_id: Some(simulation.configuration.chain_id),
            access_list: self.access_list.clone(),
            authorization_list: authorizations.map(Either::Left).collect(),
            ..TxEnv::default()
        };
        transaction
            .derive_tx_type()
            .map_err(|error| CallError::Invalid(format!("{error:?}")))?;
        Ok(transaction)
    }
}

impl From<ExecutionResult> for CallOutcome {
    fn from(result: ExecutionResult) -> Self {
        let gas_used = result.tx_gas_used();
        match result {
            ExecutionResult::Success { output, .. } => Self::Success {
                output: output.into_data(),
                gas_used,
            },
            ExecutionResult::Revert { output, .. } => Self::Revert { output, gas_used },
            ExecutionResult::Halt { reason, .. } => Self::Halt {
                reason: reason.to_string(),
                gas_used,
            },
        }
    }
}
