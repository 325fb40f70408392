//! JSON-RPC to one validator: the few methods that the commands need.

use super::{body, http};
use crate::{failure::failure, output::printable};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use anyhow::{Context as _, ensure};
use og_node::network::Endpoints;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Ethereum's code for a call that reverted.
const CODE_REVERTED: i64 = 3;

/// Which validator to ask.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RpcArgs {
    /// JSON-RPC of a validator, for example http://127.0.0.1:8545.
    #[arg(long, value_name = "URL", conflicts_with = "dir")]
    rpc: Option<String>,
    /// Folder of a network on this machine, whose first validator is asked.
    #[arg(long, value_name = "DIR", default_value = "devnet")]
    dir: PathBuf,
}

impl RpcArgs {
    pub(crate) fn rpc(&self) -> anyhow::Result<Rpc> {
        match &self.rpc {
            Some(url) => Ok(Rpc::new(url)),
            None => Ok(Rpc::new(&Endpoints::read(&self.dir)?.rpc)),
        }
    }

    /// The network's folder, if that names the validator.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.rpc.is_none().then_some(&*self.dir)
    }
}

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
    pub(crate) base_fee_per_gas: U256,
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
    pub(crate) message: String,
    data: Option<Value>,
}

impl RpcError {
    /// Why a call reverted, if it did. The validator's message has the reason where that is a text
    /// or a panic; of a custom error only its data is known.
    pub(crate) fn revert_reason(&self) -> Option<String> {
        if self.code != CODE_REVERTED {
            return None;
        }
        let reason = match self.message.split_once("execution reverted: ") {
            Some((_, reason)) => printable(reason),
            None => match self.revert_data() {
                Some(data) if !data.is_empty() => format!("custom error {data}"),
                _ => "no reason was given".to_owned(),
            },
        };
        Some(reason)
    }

    fn revert_data(&self) -> Option<Bytes> {
        self.data.as_ref()?.as_str()?.parse().ok()
    }
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
}

fn request(id: usize, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}
