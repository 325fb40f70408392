//! `debug_*`: transactions and calls run again, watched by one of Geth's built-in tracers.

use crate::{
    calls::{Call, call_error},
    chain::Chain,
    error::{internal, invalid, server},
    eth::{found_block, indexed},
    states::States,
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::{
    common::TraceResult,
    geth::{GethDebugTracingCallOptions, GethDebugTracingOptions, GethTrace},
};
use jsonrpsee::{
    core::{RpcResult, async_trait},
    proc_macros::rpc,
    types::ErrorObjectOwned,
};
use og_chain::{Block, Rules, Simulation, SimulationError, Source};
use revm::context::TxEnv;
use revm_inspectors::tracing::{DebugInspector, DebugInspectorError, TransactionContext};
use std::sync::Arc;

mod budget;

use budget::Budget;

type BlockTrace = Vec<TraceResult<GethTrace, String>>;

/// Geth's methods for debugging.
#[rpc(server)]
pub(crate) trait DebugApi {
    /// What a transaction did, step by step or call by call.
    #[method(name = "debug_traceTransaction")]
    async fn trace_transaction(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<GethTrace>;

    /// What a call would do on the state after a block.
    #[method(name = "debug_traceCall")]
    async fn trace_call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        options: Option<GethDebugTracingCallOptions>,
    ) -> RpcResult<GethTrace>;

    /// What each transaction of a block did.
    #[method(name = "debug_traceBlockByNumber")]
    async fn trace_block_by_number(
        &self,
        number: BlockNumberOrTag,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<BlockTrace>;

    /// What each transaction of a block did.
    #[method(name = "debug_traceBlockByHash")]
    async fn trace_block_by_hash(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<BlockTrace>;

    /// What each transaction of a block did, given the block's bytes as `debug_getRawBlock` gives them.
    #[method(name = "debug_traceBlock")]
    async fn trace_block(
        &self,
        block: Bytes,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<BlockTrace>;

    /// A block's bytes: canonical CBOR, as validators exchange it, not Ethereum's RLP.
    #[method(name = "debug_getRawBlock")]
    async fn raw_block(&self, block: BlockId) -> RpcResult<Bytes>;

    /// A transaction's bytes (EIP-2718).
    #[method(name = "debug_getRawTransaction")]
    async fn raw_transaction(&self, hash: B256) -> RpcResult<Option<Bytes>>;
}

/// Answers them for one validator.
pub(crate) struct Debug<C>(pub(crate) Arc<States<C>>);

#[async_trait]
impl<C: Chain> DebugApiServer for Debug<C> {
    async fn trace_transaction(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<GethTrace> {
        let chain = self.0.chain();
        let found = indexed(&**chain, move |index| index.transaction(&hash)).await?;
        let (block, position) = found.ok_or_else(|| server("transaction not found"))?;
        let traces = self.trace(block, Some(position as usize), options);
        let traced = traces.await?.pop();
        let (_, trace) = traced.ok_or_else(|| server("transaction not found"))?;
        Ok(trace)
    }

    async fn trace_call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        options: Option<GethDebugTracingCallOptions>,
    ) -> RpcResult<GethTrace> {
        let options = options.unwrap_or_default();
        if options.tx_index.is_some() {
            return Err(invalid(
                "txIndex is not supported: trace on the state after the block, or trace the transaction itself",
            ));
        }
        let tracing = options.tracing_options;
        let mut inspector = tracer(&tracing)?;
        let call = Call {
            request,
            block,
            state_overrides: options.state_overrides,
            block_overrides: options.block_overrides.map(Box::new),
        };
        let ready = self.0.prepare(call).await?;
        let height = ready.header.height;
        self.0.run(height, |state| {
            let mut simulation = ready.simulation(state)?;
            let request = ready.request.to_evm(&simulation).map_err(call_error)?;
            let mut budget = Budget::new(&tracing);
            trace_one(&mut simulation, request, &mut inspector, &mut budget, None)
        })
    }

    async fn trace_block_by_number(
        &self,
        number: BlockNumberOrTag,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<BlockTrace> {
        self.trace_all(self.block(number.into()).await?, options)
            .await
    }

    async fn trace_block_by_hash(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<BlockTrace> {
        self.trace_all(self.block(hash.into()).await?, options)
            .await
    }

    async fn trace_block(
        &self,
        block: Bytes,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<BlockTrace> {
        let block = Block::from_bytes(&block).map_err(|error| {
            invalid(format!(
                "not a block of this chain (canonical CBOR, see debug_getRawBlock): {error}"
            ))
        })?;
        let known = self.block(B256::from(block.hash().0).into()).await?;
        self.trace_all(known, options).await
    }

    async fn raw_block(&self, block: BlockId) -> RpcResult<Bytes> {
        let block = self.block(block).await?;
        Ok(Bytes::copy_from_slice(block.bytes()))
    }

    async fn raw_transaction(&self, hash: B256) -> RpcResult<Option<Bytes>> {
        let chain = self.0.chain();
        if let Some(waiting) = chain.pending_transaction(&hash) {
            return Ok(Some(waiting.raw().clone()));
        }
        let found = indexed(&**chain, move |index| index.transaction(&hash)).await?;
        Ok(found.and_then(|(block, position)| {
            let raw = block.transactions().get(position as usize);
            raw.cloned()
        }))
    }
}

impl<C: Chain> Debug<C> {
    async fn block(&self, block: BlockId) -> RpcResult<Block> {
        let found = indexed(&**self.0.chain(), move |index| found_block(index, block)).await?;
        found.ok_or_else(|| server("block not found"))
    }

    async fn trace_all(
        &self,
        block: Block,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<BlockTrace> {
        let traces = self.trace(block, None, options).await?;
        let results = traces.into_iter().map(|(hash, result)| {
            let tx_hash = Some(hash);
            TraceResult::Success { result, tx_hash }
        });
        Ok(results.collect())
    }

    /// Runs a block's transactions again and traces one of them, or all.
    async fn trace(
        &self,
        block: Block,
        only: Option<usize>,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<Vec<(B256, GethTrace)>> {
        let options = options.unwrap_or_default();
        tracer(&options)?;
        let Some(parent) = block.header().height.checked_sub(1) else {
            return Err(server("genesis is not traceable"));
        };
        let rules = self.0.chain().rules().clone();
        self.0.run(parent, |state| {
            trace_transactions(&rules, &block, only, &options, state)
        })
    }
}

fn trace_transactions(
    rules: &Rules,
    block: &Block,
    only: Option<usize>,
    options: &GethDebugTracingOptions,
    state: &dyn Source,
) -> RpcResult<Vec<(B256, GethTrace)>> {
    let header = block.header();
    let mut simulation = Simulation::within(rules, header, state);
    let mut budget = Budget::new(options);
    let mut traces = Vec::new();
    let transactions = block.decoded_transactions();
    let transactions = transactions.map_err(|error| internal(&error))?;
    for (position, transaction) in transactions.iter().enumerate() {
        let request = TxEnv::from(transaction);
        if only.is_some_and(|only| only != position) {
            let ran = simulation.run(request).map_err(rerun_error)?;
            simulation
                .commit(ran.state)
                .map_err(|error| internal(&error))?;
            continue;
        }
        let context = TransactionContext {
            block_hash: Some(B256::from(block.hash().0)),
            tx_index: Some(position),
            tx_hash: Some(transaction.hash()),
        };
        let trace = trace_one(
            &mut simulation,
            request,
            &mut tracer(options)?,
            &mut budget,
            Some(context),
        )?;
        traces.push((transaction.hash(), trace));
        if only.is_some() {
            break;
        }
    }
    Ok(traces)
}

/// Runs one transaction, watched, and takes over what it changed.
fn trace_one(
    simulation: &mut Simulation<'_>,
    request: TxEnv,
    inspector: &mut DebugInspector,
    budget: &mut Budget,
    context: Option<TransactionContext>,
) -> RpcResult<GethTrace> {
    let ran = simulation.inspect(request.clone(), (&mut *inspector, &mut *budget));
    budget.check()?;
    let ran = ran.map_err(rerun_error)?;
    let environment = simulation.environment.clone();
    let mut before = simulation.state();
    let trace = inspector
        .get_result(context, &request, &environment, &ran, &mut before)
        .map_err(|error| match error {
            DebugInspectorError::Database(error) => internal(&error),
            other => invalid(other.to_string()),
        })?;
    let committed = simulation.commit(ran.state);
    committed.map_err(|error| internal(&error))?;
    Ok(trace)
}

fn tracer(options: &GethDebugTracingOptions) -> RpcResult<DebugInspector> {
    DebugInspector::new(options.clone()).map_err(|error| {
        invalid(format!(
            "{error}: tracers are callTracer, prestateTracer, 4byteTracer, flatCallTracer, muxTracer, noopTracer, and struct logs where none is named"
        ))
    })
}

fn rerun_error(error: SimulationError) -> ErrorObjectOwned {
    match error {
        SimulationError::State(error) => internal(&error),
        other => server(other.to_string()),
    }
}
