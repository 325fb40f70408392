//! `eth_simulateV1`: blocks that are not, of calls that nobody signed, one on top of another.
//!
//! As in Ethereum's execution APIs; error codes are Geth's.

use crate::{
    calls::call_request,
    chain::Chain,
    error::{internal, invalid, reverted, server, with_code},
    overrides::{override_block, override_state},
    states::States,
    views,
};
use alloy_consensus::{Header as EthereumHeader, TxEnvelope, transaction::Recovered};
use alloy_eips::BlockId;
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{
    Block as BlockJson, BlockTransactions, Header as HeaderJson, Log as LogJson,
    Transaction as TransactionJson, TransactionRequest,
    simulate::{
        MAX_SIMULATE_BLOCKS, SimBlock, SimCallResult, SimulateError, SimulatePayload,
        SimulatedBlock,
    },
};
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};
use og_chain::{
    CallOutcome, Rules, Simulation, SimulationError, Source, call::MAX_CALL_GAS,
    fees::next_base_fee,
};
use og_types::Header;
use revm::context::{
    TxEnv,
    result::{ExecutionResult, InvalidTransaction},
};
use revm_inspectors::transfer::TransferInspector;
use std::sync::Arc;

/// Gas that all calls of one simulation may use.
const MAX_GAS: u64 = 4 * MAX_CALL_GAS;

const CODE_NONCE_TOO_LOW: i32 = -38010;
const CODE_NONCE_TOO_HIGH: i32 = -38011;
const CODE_BASE_FEE_TOO_LOW: i32 = -38012;
const CODE_INTRINSIC_GAS: i32 = -38013;
const CODE_INSUFFICIENT_FUNDS: i32 = -38014;
const CODE_BLOCK_GAS: i32 = -38015;
const CODE_NUMBER_ORDER: i32 = -38020;
const CODE_TIME_ORDER: i32 = -38021;
const CODE_SENDER_HAS_CODE: i32 = -38024;
const CODE_INIT_CODE: i32 = -38025;
const CODE_TOO_MANY_BLOCKS: i32 = -38026;

impl<C: Chain> States<C> {
    /// Runs blocks of calls on the state after a block.
    pub(crate) async fn simulate(
        &self,
        payload: SimulatePayload,
        block: Option<BlockId>,
    ) -> RpcResult<Vec<SimulatedBlock>> {
        if payload.block_state_calls.is_empty() {
            return Err(invalid("empty input: blockStateCalls names no block"));
        }
        let base = self.header(block).await?;
        let rules = self.chain().rules().clone();
        let height = base.height;
        self.run(height, |state| simulate(&rules, &base, payload, state))
    }
}

fn simulate(
    rules: &Arc<Rules>,
    base: &Header,
    payload: SimulatePayload,
    state: &dyn Source,
) -> RpcResult<Vec<SimulatedBlock>> {
    let mut simulation = Simulation::after(rules, base, state);
    simulation.set_strict(payload.validation);
    let mut run = Run {
        rules,
        simulation,
        transfers: payload.trace_transfers,
        full: payload.return_full_transactions,
        gas_left: MAX_GAS,
        parent: Parent {
            number: base.height,
            timestamp: views::timestamp(base),
            hash: B256::from(og_crypto::block_hash(base).0),
        },
        base_fee: if payload.validation {
            next_base_fee(base)
        } else {
            0
        },
    };
    let mut blocks = Vec::new();
    for block in payload.block_state_calls {
        for block in with_gaps(run.parent.number, base.height, block)? {
            blocks.push(run.block(block)?);
        }
    }
    Ok(blocks)
}

/// The block, after empty ones where its number leaves some out.
fn with_gaps(parent: u64, base: u64, block: SimBlock) -> RpcResult<Vec<SimBlock>> {
    let next = parent + 1;
    let number = block
        .block_number_override()
        .map_or(next, |number| number.saturating_to());
    if number < next {
        return Err(with_code(
            CODE_NUMBER_ORDER,
            format!("block numbers must be in order: {number} <= {parent}"),
        ));
    }
    if number - base > MAX_SIMULATE_BLOCKS {
        return Err(with_code(
            CODE_TOO_MANY_BLOCKS,
            format!("too many blocks: at most {MAX_SIMULATE_BLOCKS} after block {base}"),
        ));
    }
    let gaps = (next..number).map(|_| SimBlock::default());
    Ok(gaps.chain([block]).collect())
}

/// The block before the one that is simulated.
struct Parent {
    number: u64,
    timestamp: u64,
    hash: B256,
}

/// A simulation that runs.
struct Run<'state> {
    rules: &'state Rules,
    simulation: Simulation<'state>,
    transfers: bool,
    full: bool,
    gas_left: u64,
    parent: Parent,
    base_fee: u64,
}

/// What the calls of a block came to.
#[derive(Default)]
struct Ran {
    gas_used: u64,
    logs: u64,
    results: Vec<SimCallResult>,
    transactions: Vec<Recovered<TxEnvelope>>,
}

impl Run<'_> {
    fn block(&mut self, block: SimBlock) -> RpcResult<SimulatedBlock> {
        self.enter(&block)?;
        let mut ran = Ran::default();
        for (position, request) in block.calls.into_iter().enumerate() {
            self.call(position, request, &mut ran)
                .map_err(|error| at(position, error))?;
        }
        let header = self.header(&ran);
        let hash = header.hash_slow();
        self.parent = Parent {
            number: header.number,
            timestamp: header.timestamp,
            hash,
        };
        self.simulation.set_block_hash(header.number, hash);
        Ok(self.json(header, hash, ran))
    }

    /// Sets what contracts see of the block, and changes accounts.
    fn enter(&mut self, block: &SimBlock) -> RpcResult<()> {
        let environment = &mut self.simulation.environment;
        environment.number = U256::from(self.parent.number.saturating_add(1));
        environment.timestamp = U256::from(self.parent.timestamp.saturating_add(1));
        environment.basefee = self.base_fee;
        environment.prevrandao = Some(B256::ZERO);
        if let Some(overrides) = &block.block_overrides {
            override_block(&mut self.simulation, overrides)?;
        }
        let timestamp: u64 = self.simulation.environment.timestamp.saturating_to();
        if timestamp <= self.parent.timestamp {
            return Err(with_code(
                CODE_TIME_ORDER,
                format!(
                    "block timestamps must be in order: {timestamp} <= {}",
                    self.parent.timestamp
                ),
            ));
        }
        if let Some(overrides) = &block.state_overrides {
            override_state(&mut self.simulation, overrides)?;
        }
        Ok(())
    }

    fn call(
        &mut self,
        position: usize,
        mut request: TransactionRequest,
        ran: &mut Ran,
    ) -> RpcResult<()> {
        let block_gas_left = self
            .simulation
            .environment
            .gas_limit
            .saturating_sub(ran.gas_used);
        let gas = request.gas.unwrap_or(block_gas_left);
        if gas > block_gas_left {
            return Err(with_code(
                CODE_BLOCK_GAS,
                format!("block gas limit reached: {gas} > {block_gas_left}"),
            ));
        }
        request.gas = Some(gas.min(self.gas_left));
        let call = call_request(self.rules, request.clone())?;
        let transaction = call
            .to_evm(&self.simulation)
            .map_err(|error| with_code(CODE_INSUFFICIENT_FUNDS, error.to_string()))?;
        ran.transactions.push(unsigned(request, &transaction)?);
        let transfers = TransferInspector::new(false).with_logs(true);
        let outcome = if self.transfers {
            self.simulation.inspect(transaction, transfers)
        } else {
            self.simulation.run(transaction)
        }
        .map_err(refused)?;
        self.simulation
            .commit(outcome.state)
            .map_err(|error| internal(&error))?;
        let gas_used = outcome.result.tx_gas_used();
        self.gas_left = self.gas_left.saturating_sub(gas_used);
        ran.gas_used += gas_used;
        ran.results
            .push(self.result(position, outcome.result, &mut ran.logs, &ran.transactions));
        Ok(())
    }

    /// What a call came to. The block's hash is not known yet.
    fn result(
        &self,
        position: usize,
        result: ExecutionResult,
        logs_before: &mut u64,
        transactions: &[Recovered<TxEnvelope>],
    ) -> SimCallResult {
        let gas_used = result.tx_gas_used();
        let environment = &self.simulation.environment;
        let logs = result.logs().iter().map(|log| {
            let log_index = Some(*logs_before);
            *logs_before += 1;
            LogJson {
                inner: log.clone(),
                block_number: Some(environment.number.saturating_to()),
                block_timestamp: Some(environment.timestamp.saturating_to()),
                transaction_hash: transactions.last().map(|one| *one.tx_hash()),
                transaction_index: Some(position as u64),
                log_index,
                ..LogJson::default()
            }
        });
        let logs = logs.collect();
        let outcome = CallOutcome::from(result);
        let reason = outcome.revert_reason();
        let (return_data, error) = match outcome {
            CallOutcome::Success { output, .. } => (output, None),
            CallOutcome::Revert { output, .. } => {
                let error = reverted(reason, output.clone());
                let error = SimulateError {
                    code: SimulateError::EXECUTION_REVERTED_CODE,
                    message: error.message().to_owned(),
                    data: Some(output.clone()),
                };
                (output, Some(error))
            }
            CallOutcome::Halt { reason, .. } => {
                let error = SimulateError {
                    code: SimulateError::VM_EXECUTION_ERROR_CODE,
                    message: reason,
                    data: None,
                };
                (Default::default(), Some(error))
            }
        };
        SimCallResult {
            return_data,
            logs,
            gas_used,
            max_used_gas: None,
            status: error.is_none(),
            error,
        }
    }

    fn header(&self, ran: &Ran) -> EthereumHeader {
        let environment = &self.simulation.environment;
        EthereumHeader {
            parent_hash: self.parent.hash,
            beneficiary: environment.beneficiary,
            number: environment.number.saturating_to(),
            gas_limit: environment.gas_limit,
            gas_used: ran.gas_used,
            timestamp: environment.timestamp.saturating_to(),
            base_fee_per_gas: Some(environment.basefee),
            mix_hash: environment.prevrandao.unwrap_or_default(),
            logs_bloom: alloy_primitives::logs_bloom(
                ran.results
                    .iter()
                    .flat_map(|result| &result.logs)
                    .map(|log| &log.inner),
            ),
            ..EthereumHeader::default()
        }
    }

    fn json(&self, header: EthereumHeader, hash: B256, mut ran: Ran) -> SimulatedBlock {
        for log in ran.results.iter_mut().flat_map(|result| &mut result.logs) {
            log.block_hash = Some(hash);
        }
        let transactions = if self.full {
            let transactions = (0..).zip(ran.transactions);
            BlockTransactions::Full(
                transactions
                    .map(|(position, inner)| TransactionJson {
                        inner,
                        block_hash: Some(hash),
                        block_number: Some(header.number),
                        transaction_index: Some(position),
                        effective_gas_price: None,
                        block_timestamp: Some(header.timestamp),
                    })
                    .collect(),
            )
        } else {
            BlockTransactions::Hashes(ran.transactions.iter().map(|one| *one.tx_hash()).collect())
        };
        SimulatedBlock {
            inner: BlockJson {
                header: HeaderJson {
                    hash,
                    inner: header,
                    total_difficulty: None,
                    size: None,
                },
                uncles: Vec::new(),
                transactions,
                withdrawals: None,
            },
            calls: ran.results,
        }
    }
}

/// The transaction with a signature of zeros: it names the transaction in the simulated block.
fn unsigned(request: TransactionRequest, transaction: &TxEnv) -> RpcResult<Recovered<TxEnvelope>> {
    let new_fee = |fee: Option<u128>| fee.or(request.gas_price.is_none().then_some(0));
    let request = TransactionRequest {
        to: Some(transaction.kind),
        gas: Some(transaction.gas_limit),
        max_fee_per_gas: new_fee(request.max_fee_per_gas),
        max_priority_fee_per_gas: new_fee(request.max_priority_fee_per_gas),
        nonce: Some(transaction.nonce),
        chain_id: transaction.chain_id,
        ..request
    };
    let envelope = request
        .build_typed_simulate_transaction()
        .map_err(|error| invalid(error.to_string()))?;
    let envelope = envelope.map_eip4844(Into::into);
    Ok(Recovered::new_unchecked(envelope, transaction.caller))
}

fn at(position: usize, error: ErrorObjectOwned) -> ErrorObjectOwned {
    with_code(
        error.code(),
        format!("call {position}: {}", error.message()),
    )
}

fn refused(error: SimulationError) -> ErrorObjectOwned {
    let SimulationError::Transaction(reason) = &error else {
        return match error {
            SimulationError::State(error) => internal(&error),
            other => server(other.to_string()),
        };
    };
    let code = match reason {
        InvalidTransaction::NonceTooLow { .. } => CODE_NONCE_TOO_LOW,
        InvalidTransaction::NonceTooHigh { .. } => CODE_NONCE_TOO_HIGH,
        InvalidTransaction::GasPriceLessThanBasefee => CODE_BASE_FEE_TOO_LOW,
        InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
        | InvalidTransaction::GasFloorMoreThanGasLimit { .. } => CODE_INTRINSIC_GAS,
        InvalidTransaction::LackOfFundForMaxFee { .. } => CODE_INSUFFICIENT_FUNDS,
        InvalidTransaction::CallerGasLimitMoreThanBlock => CODE_BLOCK_GAS,
        InvalidTransaction::RejectCallerWithCode => CODE_SENDER_HAS_CODE,
        InvalidTransaction::CreateInitCodeSizeLimit => CODE_INIT_CODE,
        _ => return server(reason.to_string()),
    };
    with_code(code, reason.to_string())
}
