//! Calls that change nothing: `eth_call` and what estimates gas.

use crate::{
    evm::{RunError, block_environment, configuration, machine, run},
    execute::fee_recipient,
    rules::Rules,
    state::{Attempt, Cache},
    transaction::MAX_TRANSACTION_GAS,
    view::{StateError, View},
};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_sol_types::{Panic, Revert, SolError as _};
use og_types::{Header, limits::MAX_TRANSACTION_BYTES};
use revm::context::{TxEnv, result::ExecutionResult};

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
    /// What `GASPRICE` shows. Nothing is charged.
    pub gas_price: u128,
    /// Value to send; `from` must have it.
    pub value: U256,
    /// Input data.
    pub data: Bytes,
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

/// Runs a call on the state after the block of `header`, in that block's environment.
///
/// # Errors
/// [`CallError`] if it does not begin. A call that fails is an outcome.
pub fn call(
    rules: &Rules,
    header: &Header,
    request: &CallRequest,
    cache: &Cache,
) -> Result<Attempt<CallOutcome>, CallError> {
    let gas_limit = request.gas.unwrap_or(MAX_CALL_GAS);
    if gas_limit > MAX_CALL_GAS {
        return Err(CallError::Gas(gas_limit));
    }
    if request.data.len() > MAX_TRANSACTION_BYTES {
        return Err(CallError::Data(request.data.len()));
    }
    let mut view = View::new(cache);
    let outcome = run_call(rules, header, request, gas_limit, &mut view);
    match view.missing() {
        Some(keys) => Ok(Attempt::Missing(keys)),
        None => outcome.map(Attempt::Done),
    }
}

fn run_call(
    rules: &Rules,
    header: &Header,
    request: &CallRequest,
    gas_limit: u64,
    view: &mut View<'_>,
) -> Result<CallOutcome, CallError> {
    let account = view.account(request.from)?;
    if account.balance < request.value {
        return Err(CallError::Funds {
            balance: account.balance,
            value: request.value,
        });
    }
    let mut configuration = configuration(rules.chain_id());
    configuration.disable_base_fee = true;
    configuration.disable_balance_check = true;
    configuration.disable_eip3607 = true;
    configuration.disable_block_gas_limit = true;
    let block = block_environment(header, fee_recipient(rules, header));
    let transaction = TxEnv {
        caller: request.from,
        gas_limit,
        gas_price: request.gas_price,
        kind: request.to.map_or(TxKind::Create, TxKind::Call),
        value: request.value,
        data: request.data.clone(),
        nonce: account.nonce,
        chain_id: Some(rules.chain_id()),
        ..TxEnv::default()
    };
    match run(&mut machine(view, configuration, block), transaction) {
        Ok(result) => Ok(outcome(result)),
        Err(RunError::State(error)) => Err(error.into()),
        Err(RunError::Invalid { reason, .. }) => Err(CallError::Invalid(reason)),
    }
}

fn outcome(result: ExecutionResult) -> CallOutcome {
    let gas_used = result.tx_gas_used();
    match result {
        ExecutionResult::Success { output, .. } => CallOutcome::Success {
            output: output.into_data(),
            gas_used,
        },
        ExecutionResult::Revert { output, .. } => CallOutcome::Revert { output, gas_used },
        ExecutionResult::Halt { reason, .. } => CallOutcome::Halt {
            reason: reason.to_string(),
            gas_used,
        },
    }
}
