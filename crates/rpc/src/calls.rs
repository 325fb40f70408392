//! Running the EVM for nothing: `eth_call`, `eth_estimateGas`, `eth_createAccessList`.

use crate::{
    chain::Chain,
    error::{internal, invalid, reverted, server},
    overrides::{override_block, override_state},
    states::States,
};
use alloy_eips::{BlockId, eip2930::AccessListResult};
use alloy_primitives::{Bytes, TxKind, U256};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};
use og_chain::{
    CallError, CallOutcome, CallRequest, Rules, Simulation, Source, call::MAX_CALL_GAS,
};
use og_types::Header;
use revm_inspectors::access_list::AccessListInspector;
use std::sync::Arc;

/// An estimate is at most this part above the least gas that suffices.
const ESTIMATE_PRECISION: u64 = 64;
/// How the EVM's names for want of gas begin.
const OUT_OF_GAS: &str = "OutOfGas";
/// Times that a call runs until its access list is that of the call with this list.
const MAX_ACCESS_LIST_RUNS: usize = 16;

/// A call, and where it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) request: TransactionRequest,
    pub(crate) block: Option<BlockId>,
    pub(crate) state_overrides: Option<StateOverride>,
    pub(crate) block_overrides: Option<Box<BlockOverrides>>,
}

/// A call that is ready to run.
pub(crate) struct Ready {
    rules: Arc<Rules>,
    pub(crate) header: Header,
    pub(crate) request: CallRequest,
    state_overrides: StateOverride,
    block_overrides: BlockOverrides,
}

impl Ready {
    /// The state and the block that the call sees.
    pub(crate) fn simulation<'state>(
        &self,
        state: &'state dyn Source,
    ) -> RpcResult<Simulation<'state>> {
        let mut simulation = Simulation::after(&self.rules, &self.header, state);
        override_block(&mut simulation, &self.block_overrides)?;
        override_state(&mut simulation, &self.state_overrides)?;
        Ok(simulation)
    }
}

impl<C: Chain> States<C> {
    /// Checks a call and finds the block after which it runs.
    pub(crate) async fn prepare(&self, call: Call) -> RpcResult<Ready> {
        let rules = self.chain().rules().clone();
        let request = call_request(&rules, call.request)?;
        Ok(Ready {
            header: self.header(call.block).await?,
            rules,
            request,
            state_overrides: call.state_overrides.unwrap_or_default(),
            block_overrides: call.block_overrides.map(|one| *one).unwrap_or_default(),
        })
    }

    /// What a call returns.
    pub(crate) async fn call(&self, call: Call) -> RpcResult<Bytes> {
        let ready = self.prepare(call).await?;
        self.run(ready.header.height, |state| {
            let mut simulation = ready.simulation(state)?;
            let (output, _) = success(run(&mut simulation, &ready.request)?)?;
            Ok(output)
        })
    }

    /// The gas that a transaction like this call needs.
    pub(crate) async fn estimate(&self, call: Call) -> RpcResult<u64> {
        let ready = self.prepare(call).await?;
        self.run(ready.header.height, |state| {
            estimate(&mut ready.simulation(state)?, &ready.request)
        })
    }

    /// What a call accesses, and the gas that it uses if it says so before.
    pub(crate) async fn access_list(&self, call: Call) -> RpcResult<AccessListResult> {
        let ready = self.prepare(call).await?;
        self.run(ready.header.height, |state| {
            access_list(&mut ready.simulation(state)?, ready.request)
        })
    }
}

fn run(simulation: &mut Simulation<'_>, request: &CallRequest) -> RpcResult<CallOutcome> {
    let ran = request.run(simulation).map_err(call_error)?;
    Ok(ran.result.into())
}

/// Searches the least gas that suffices, from what the call uses when it has plenty: a call
/// may need more than it uses, since a part is held back from calls within and refunds come last.
fn estimate(simulation: &mut Simulation<'_>, request: &CallRequest) -> RpcResult<u64> {
    let affordable = affordable_gas(simulation, request)?;
    let mut enough = request.gas.unwrap_or(MAX_CALL_GAS).min(affordable);
    let with_gas = |gas| CallRequest {
        gas: Some(gas),
        ..request.clone()
    };
    let first = match with_gas(enough).run(simulation) {
        Err(CallError::Invalid(_)) if affordable < MAX_CALL_GAS => {
            return Err(beyond_allowance(affordable));
        }
        ran => CallOutcome::from(ran.map_err(call_error)?.result),
    };
    if matches!(&first, CallOutcome::Halt { reason, .. } if reason.starts_with(OUT_OF_GAS)) {
        return Err(beyond_allowance(enough));
    }
    let (_, used) = success(first)?;
    let mut too_little = used.saturating_sub(1);
    let mut guess = used;
    while too_little + 1 < enough && enough - too_little > enough / ESTIMATE_PRECISION {
        let gas = guess.min(enough - 1);
        let suffices = match with_gas(gas).run(simulation) {
            Ok(ran) => ran.result.is_success(),
            // Not enough to begin, although refunds make it use no more in the end.
            Err(CallError::Invalid(_)) => false,
            Err(error) => return Err(call_error(error)),
        };
        if suffices {
            enough = gas;
        } else {
            too_little = too_little.max(gas);
        }
        guess = too_little + (enough - too_little) / 2;
    }
    Ok(enough)
}

fn beyond_allowance(gas: u64) -> ErrorObjectOwned {
    server(format!("gas required exceeds allowance ({gas})"))
}

/// The gas that the caller can pay for at the price that it names.
fn affordable_gas(simulation: &Simulation<'_>, request: &CallRequest) -> RpcResult<u64> {
    if request.gas_price == 0 {
        return Ok(MAX_CALL_GAS);
    }
    let account = simulation.account(request.from);
    let balance = account.map_err(|error| internal(&error))?.balance;
    let left = balance.checked_sub(request.value).ok_or_else(|| {
        call_error(CallError::Funds {
            balance,
            value: request.value,
        })
    })?;
    let gas = left / U256::from(request.gas_price);
    Ok(gas.saturating_to::<u64>().min(MAX_CALL_GAS))
}

/// Runs the call until the list of what it accesses is that of the call with this list: gas that it saves or costs may
/// change what the call does.
fn access_list(
    simulation: &mut Simulation<'_>,
    mut request: CallRequest,
) -> RpcResult<AccessListResult> {
    for _ in 0..MAX_ACCESS_LIST_RUNS {
        let mut inspector = AccessListInspector::new(request.access_list.clone());
        let ran = request
            .inspect(simulation, &mut inspector)
            .map_err(call_error)?;
        let mut found = inspector.into_access_list();
        found.0.sort_by_key(|item| item.address);
        if found == request.access_list {
            let gas_used = U256::from(ran.result.tx_gas_used());
            return Ok(AccessListResult {
                access_list: found,
                gas_used,
                error: success(ran.result.into())
                    .err()
                    .map(|error| error.message().to_owned()),
            });
        }
        request.access_list = found;
    }
    Err(server(
        "the access list changes with every run: name the accounts yourself",
    ))
}

/// A call's output, and the gas that it used.
fn success(outcome: CallOutcome) -> RpcResult<(Bytes, u64)> {
    let reason = outcome.revert_reason();
    match outcome {
        CallOutcome::Success { output, gas_used } => Ok((output, gas_used)),
        CallOutcome::Revert { output, .. } => Err(reverted(reason, output)),
        CallOutcome::Halt { reason, .. } => Err(server(format!("execution failed: {reason}"))),
    }
}

pub(crate) fn call_error(error: CallError) -> ErrorObjectOwned {
    match error {
        CallError::State(_) => internal(&error),
        CallError::Data(_) => invalid(error.to_string()),
        CallError::Gas(_) | CallError::Funds { .. } | CallError::Invalid(_) => {
            server(error.to_string())
        }
    }
}

/// A request as the EVM takes it.
pub(crate) fn call_request(rules: &Rules, request: TransactionRequest) -> RpcResult<CallRequest> {
    check_request(rules, &request)?;
    Ok(CallRequest {
        from: request.from.unwrap_or_default(),
        to: match request.to {
            Some(TxKind::Call(to)) => Some(to),
            Some(TxKind::Create) | None => None,
        },
        // Tools offer a whole block's gas when they do not know better.
        gas: request.gas.map(|gas| gas.min(MAX_CALL_GAS)),
        gas_price: request.gas_price.or(request.max_fee_per_gas).unwrap_or(0),
        max_priority_fee_per_gas: request.max_priority_fee_per_gas,
        nonce: request.nonce,
        value: request.value.unwrap_or_default(),
        data: request.input.into_input().unwrap_or_default(),
        access_list: request.access_list.unwrap_or_default(),
        authorization_list: request.authorization_list.unwrap_or_default(),
    })
}

fn check_request(rules: &Rules, request: &TransactionRequest) -> RpcResult<()> {
    if let Some(id) = request.chain_id
        && id != rules.chain_id()
    {
        let ours = rules.chain_id();
        return Err(invalid(format!("chainId is {id}, this chain is {ours}")));
    }
    if let (Some(input), Some(data)) = (&request.input.input, &request.input.data)
        && input != data
    {
        return Err(invalid(
            "input and data are both given and differ: leave one out",
        ));
    }
    let has_new_fees =
        request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some();
    if request.gas_price.is_some() && has_new_fees {
        return Err(invalid(
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified: leave one out",
        ));
    }
    if request.max_fee_per_blob_gas.is_some()
        || request.blob_versioned_hashes.is_some()
        || request.sidecar.is_some()
    {
        return Err(invalid(
            "blob transactions (EIP-4844) are not part of this chain",
        ));
    }
    Ok(())
}
