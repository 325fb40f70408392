//! `eth_call` and `eth_estimateGas`: running the EVM on the newest final state, for nothing.

use crate::{
    chain::{Chain, ReadError},
    error::{internal, invalid, reverted, server},
};
use alloy_primitives::{Bytes, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};
use og_chain::{Attempt, Cache, CallError, CallOutcome, CallRequest, call::MAX_CALL_GAS};
use og_types::Header;
use std::{future::Future, time::Duration};
use tokio::sync::Semaphore;

/// How long a call may take, waiting for its turn included.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls that run at the same time; more wait.
const MAX_CONCURRENT_CALLS: usize = 8;
/// Times that a call begins anew because a block became final meanwhile.
const MAX_RESTARTS: usize = 8;
/// An estimate is at most this part above the least gas that suffices.
const ESTIMATE_PRECISION: u64 = 64;

/// The bounds on all calls together.
pub(crate) struct Calls(Semaphore);

impl Default for Calls {
    fn default() -> Self {
        Self(Semaphore::new(MAX_CONCURRENT_CALLS))
    }
}

impl Calls {
    /// Runs a call and gives its output.
    pub(crate) async fn call<C: Chain>(
        &self,
        chain: &C,
        request: TransactionRequest,
    ) -> RpcResult<Bytes> {
        let request = call_request(chain, request)?;
        let (output, _) = self.bounded(run(chain, &request, Question::Output)).await?;
        Ok(output)
    }

    /// The gas that a transaction like `request` needs.
    pub(crate) async fn estimate<C: Chain>(
        &self,
        chain: &C,
        request: TransactionRequest,
    ) -> RpcResult<u64> {
        let request = call_request(chain, request)?;
        let (_, gas) = self.bounded(run(chain, &request, Question::Gas)).await?;
        Ok(gas)
    }

    async fn bounded<T>(&self, call: impl Future<Output = RpcResult<T>>) -> RpcResult<T> {
        let in_turn = async {
            // The semaphore is never closed; without a permit the call would be unbounded.
            let _permit = self.0.acquire().await;
            call.await
        };
        match tokio::time::timeout(CALL_TIMEOUT, in_turn).await {
            Ok(result) => result,
            Err(_) => Err(server(format!(
                "execution timeout: the call took longer than {} s",
                CALL_TIMEOUT.as_secs()
            ))),
        }
    }
}

/// A call on one state, with what has been read of that state so far.
struct Session<'a, C> {
    chain: &'a C,
    header: Header,
    cache: Cache,
}

/// Why a session ended before its call did.
enum Interruption {
    /// A newer block is final.
    NewState,
    Error(ErrorObjectOwned),
}

impl From<ErrorObjectOwned> for Interruption {
    fn from(error: ErrorObjectOwned) -> Self {
        Self::Error(error)
    }
}

impl From<ReadError> for Interruption {
    fn from(error: ReadError) -> Self {
        Self::Error(internal(&error))
    }
}

/// What is asked of a call.
#[derive(Clone, Copy)]
enum Question {
    /// What it returns.
    Output,
    /// The gas it needs.
    Gas,
}

/// A call's output, and the gas that it used or needs.
type Answer = (Bytes, u64);

/// Runs a call on the newest final state; from the start if another becomes the newest.
async fn run<C: Chain>(chain: &C, request: &CallRequest, question: Question) -> RpcResult<Answer> {
    for _ in 0..MAX_RESTARTS {
        let view = chain.state(Vec::new()).await.map_err(|e| internal(&e))?;
        let mut session = Session {
            chain,
            header: view.header,
            cache: Cache::default(),
        };
        let answer = match question {
            Question::Output => session.run(request).await.and_then(success),
            Question::Gas => session.estimate(request).await,
        };
        match answer {
            Ok(answer) => return Ok(answer),
            Err(Interruption::Error(error)) => return Err(error),
            Err(Interruption::NewState) => {}
        }
    }
    Err(server("blocks come faster than this call runs: try again"))
}

impl<C: Chain> Session<'_, C> {
    async fn run(&mut self, request: &CallRequest) -> Result<CallOutcome, Interruption> {
        loop {
            let (rules, header, request) = (
                self.chain.rules().clone(),
                self.header.clone(),
                request.clone(),
            );
            let cache = std::mem::take(&mut self.cache);
            let ran = tokio::task::spawn_blocking(move || {
                let attempt = og_chain::call(&rules, &header, &request, &cache);
                (attempt, cache)
            });
            let (attempt, cache) = ran.await.map_err(|error| internal(&error))?;
            self.cache = cache;
            match attempt.map_err(call_error)? {
                Attempt::Done(outcome) => return Ok(outcome),
                Attempt::Missing(keys) => {
                    let view = self.chain.state(keys.clone()).await?;
                    if view.header != self.header {
                        return Err(Interruption::NewState);
                    }
                    for (key, value) in keys.into_iter().zip(view.values) {
                        self.cache.insert(key, value);
                    }
                }
            }
        }
    }

    /// Searches the least gas that suffices, from what the call uses when it has plenty: a call
    /// may need more than it uses, since a part is held back from calls within and refunds come last.
    async fn estimate(&mut self, request: &CallRequest) -> Result<Answer, Interruption> {
        let mut enough = request.gas.unwrap_or(MAX_CALL_GAS);
        let (output, used) = success(self.run(request).await?)?;
        let mut too_little = used.saturating_sub(1);
        let mut guess = used;
        while too_little + 1 < enough && enough - too_little > enough / ESTIMATE_PRECISION {
            let attempt = CallRequest {
                gas: Some(guess.min(enough - 1)),
                ..request.clone()
            };
            let gas = attempt.gas.unwrap_or(guess);
            match self.run(&attempt).await {
                Ok(CallOutcome::Success { .. }) => enough = gas,
                Ok(_) => too_little = too_little.max(gas),
                Err(error) => return Err(error),
            }
            guess = too_little + (enough - too_little) / 2;
        }
        Ok((output, enough))
    }
}

fn success(outcome: CallOutcome) -> Result<Answer, Interruption> {
    let reason = outcome.revert_reason();
    match outcome {
        CallOutcome::Success { output, gas_used } => Ok((output, gas_used)),
        CallOutcome::Revert { output, .. } => Err(reverted(reason, output).into()),
        CallOutcome::Halt { reason, .. } => {
            Err(server(format!("execution failed: {reason}")).into())
        }
    }
}

fn call_error(error: CallError) -> ErrorObjectOwned {
    match error {
        CallError::State(_) => internal(&error),
        CallError::Data(_) => invalid(error.to_string()),
        CallError::Gas(_) | CallError::Funds { .. } | CallError::Invalid(_) => {
            server(error.to_string())
        }
    }
}

fn call_request<C: Chain>(chain: &C, request: TransactionRequest) -> RpcResult<CallRequest> {
    if let Some(id) = request.chain_id
        && id != chain.rules().chain_id()
    {
        let ours = chain.rules().chain_id();
        return Err(invalid(format!("chainId is {id}, this chain is {ours}")));
    }
    if let (Some(input), Some(data)) = (&request.input.input, &request.input.data)
        && input != data
    {
        return Err(invalid(
            "input and data are both given and differ: leave one out",
        ));
    }
    if request.gas_price.is_some() && request.max_fee_per_gas.is_some() {
        return Err(invalid(
            "gasPrice and maxFeePerGas are both given: leave one out",
        ));
    }
    Ok(CallRequest {
        from: request.from.unwrap_or_default(),
        to: match request.to {
            Some(TxKind::Call(to)) => Some(to),
            Some(TxKind::Create) | None => None,
        },
        // Tools offer a whole block's gas when they do not know better.
        gas: request.gas.map(|gas| gas.min(MAX_CALL_GAS)),
        gas_price: request.gas_price.or(request.max_fee_per_gas).unwrap_or(0),
        value: request.value.unwrap_or_default(),
        data: request.input.into_input().unwrap_or_default(),
    })
}
