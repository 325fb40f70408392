//! JSON-RPC to one validator: the few methods that the commands need.

use super::{body, http};
use crate::failure::failure;
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::time::Duration;

/// Tip for a block's proposer, in the token's smallest unit per gas.
const PRIORITY_FEE: u128 = 1_000_000_000;
/// How long a transaction may take to be final.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_PAUSE: Duration = Duration::from_millis(200);

/// A connection to one validator.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    http: reqwest::Client,
    url: String,
}

/// What the commands want to know of a block.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Block {
    pub(crate) number: U64,
    pub(crate) hash: B256,
    pub(crate) state_root: B256,
    base_fee_per_gas: U256,
}

/// What became of a transaction.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionOutcome {
    status: U64,
    block_number: U64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    id: usize,
    #[serde(default)]
    result: Value,
    error: Option<RpcError>,
}

/// What a validator refuses, and why.
#[derive(Clone, Debug, Deserialize, thiserror::Error)]
#[error("{message} (code {code})")]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    message: String,
}

impl Rpc {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            http: http(),
            url: url.to_owned(),
        }
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> anyhow::Result<T> {
        let answer: Answer = self.post(&request(0, method, &params)).await?;
        if let Some(error) = answer.error {
            return Err(error).with_context(|| format!("{method} was refused"));
        }
        serde_json::from_value(answer.result)
            .with_context(|| format!("{method} was answered with something else than expected"))
    }

    /// Calls one method with each of `params` in one batch; the answers in the same order.
    pub(crate) async fn batch(
        &self,
        method: &str,
        params: &[Value],
    ) -> anyhow::Result<Vec<Result<Value, RpcError>>> {
        let requests: Vec<_> = params
            .iter()
            .enumerate()
            .map(|(id, params)| request(id, method, params))
            .collect();
        let mut answers: Vec<Answer> = self.post(&Value::Array(requests)).await?;
        answers.sort_by_key(|answer| answer.id);
        ensure!(
            answers.len() == params.len(),
            "{} answers to {} calls of {method}",
            answers.len(),
            params.len()
        );
        let outcomes = answers
            .into_iter()
            .map(|answer| answer.error.map_or(Ok(answer.result), Err));
        Ok(outcomes.collect())
    }

    async fn post<T: DeserializeOwned>(&self, request: &Value) -> anyhow::Result<T> {
        let response = self
            .http
            .post(&self.url)
            .json(request)
            .send()
            .await
            .map_err(|error| {
                failure(
                    format!("no answer from the validator at {}: {error}", self.url),
                    "check that the network runs: `og devnet status --dir DIR`",
                )
            })?;
        let bytes = body(response).await?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{} does not speak JSON-RPC", self.url))
    }

    pub(crate) async fn block_number(&self) -> anyhow::Result<u64> {
        let height: U64 = self.call("eth_blockNumber", json!([])).await?;
        Ok(height.to())
    }

    /// The block at `height`, if there is one yet.
    pub(crate) async fn block(&self, height: u64) -> anyhow::Result<Option<Block>> {
        let height = format!("{height:#x}");
        self.call("eth_getBlockByNumber", json!([height, false]))
            .await
    }

    /// Calls a contract without changing anything.
    pub(crate) async fn read(&self, to: Address, input: Bytes) -> anyhow::Result<Bytes> {
        self.call("eth_call", json!([{ "to": to, "input": input }, "latest"]))
            .await
    }

    /// Calls a contract in a transaction and waits until that is final and has succeeded; its hash.
    pub(crate) async fn write(
        &self,
        signer: &PrivateKeySigner,
        to: Address,
        input: Bytes,
        gas_limit: u64,
    ) -> anyhow::Result<B256> {
        let chain_id: U64 = self.call("eth_chainId", json!([])).await?;
        let nonce: U64 = self
            .call(
                "eth_getTransactionCount",
                json!([signer.address(), "latest"]),
            )
            .await?;
        let head = self
            .block(self.block_number().await?)
            .await?
            .context("the validator does not know its own newest block")?;
        let base_fee: u128 = head.base_fee_per_gas.to();
        let transaction = TxEip1559 {
            chain_id: chain_id.to(),
            nonce: nonce.to(),
            gas_limit,
            // Twice the base fee outlasts six full blocks, each of which raises it by an eighth.
            max_fee_per_gas: base_fee.saturating_mul(2).saturating_add(PRIORITY_FEE),
            max_priority_fee_per_gas: PRIORITY_FEE,
            to: TxKind::Call(to),
            input,
            ..TxEip1559::default()
        };
        let signature = signer.sign_hash_sync(&transaction.signature_hash())?;
        let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
        let hash: B256 = self
            .call("eth_sendRawTransaction", json!([Bytes::from(raw)]))
            .await?;
        self.wait_for_transaction(hash).await?;
        Ok(hash)
    }

    /// Waits until a transaction is final, and fails if it was reverted.
    async fn wait_for_transaction(&self, hash: B256) -> anyhow::Result<()> {
        let wait = async {
            loop {
                let outcome: Option<TransactionOutcome> = self
                    .call("eth_getTransactionReceipt", json!([hash]))
                    .await?;
                if let Some(outcome) = outcome {
                    return anyhow::Ok(outcome);
                }
                tokio::time::sleep(POLL_PAUSE).await;
            }
        };
        let outcome = tokio::time::timeout(RECEIPT_TIMEOUT, wait)
            .await
            .with_context(|| format!("transaction {hash} is not in a block after a minute"))??;
        if outcome.status != U64::from(1) {
            bail!(
                "transaction {hash} was reverted in block {}",
                outcome.block_number
            );
        }
        Ok(())
    }
}

fn request(id: usize, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}
