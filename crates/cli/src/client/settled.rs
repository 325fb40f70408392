//! What became of a transaction: waiting until it is final, and why it was reverted.

use super::{Rpc, RpcError};
use crate::failure::failure;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a transaction may take to be final.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// A final transaction; for programs, its receipt as JSON-RPC has it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Settled {
    answer: Value,
    #[serde(skip)]
    pub(crate) receipt: Receipt,
    #[serde(skip)]
    pub(crate) transaction: Transaction,
    /// Why it was reverted, if it was and that can still be found out.
    #[serde(skip)]
    pub(crate) why_reverted: Option<String>,
}

/// What became of a transaction.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    pub(crate) block_number: U64,
    pub(crate) contract_address: Option<Address>,
    pub(crate) effective_gas_price: U256,
    pub(crate) gas_used: U256,
    pub(crate) logs: Vec<Log>,
    status: U64,
}

/// An event of a transaction.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Log {
    pub(crate) address: Address,
    pub(crate) topics: Vec<B256>,
    pub(crate) data: Bytes,
}

/// A transaction as the chain or the mempool has it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) hash: B256,
    pub(crate) from: Address,
    pub(crate) to: Option<Address>,
    pub(crate) value: U256,
    pub(crate) gas: U256,
    input: Bytes,
}

impl Receipt {
    pub(crate) fn succeeded(&self) -> bool {
        self.status == U64::from(1)
    }
}

impl Settled {
    /// Fails if the transaction was reverted.
    pub(crate) fn check_success(&self) -> anyhow::Result<()> {
        if self.receipt.succeeded() {
            return Ok(());
        }
        let (hash, block) = (self.transaction.hash, self.receipt.block_number);
        let reason = self.why_reverted.as_ref();
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        Err(failure(
            format!("transaction {hash} was reverted in block {block}{reason}"),
            format!("only its fee was taken; `og tx receipt {hash}` shows the whole receipt"),
        ))
    }
}

impl Rpc {
    /// A transaction, final or waiting.
    pub(crate) async fn transaction(&self, hash: B256) -> anyhow::Result<Option<Transaction>> {
        self.call("eth_getTransactionByHash", json!([hash])).await
    }

    /// Waits until a transaction is final.
    pub(crate) async fn settle(&self, hash: B256) -> anyhow::Result<Settled> {
        let answer = tokio::time::timeout(RECEIPT_TIMEOUT, self.wait_for_receipt(hash));
        let answer = answer.await.map_err(|_| not_final(hash))??;
        let receipt =
            Receipt::deserialize(&answer).context("the validator's receipt cannot be read")?;
        let transaction = self
            .transaction(hash)
            .await?
            .context("the validator has a receipt of a transaction that it does not know")?;
        let why_reverted = match receipt.succeeded() {
            true => None,
            false => self.why_reverted(&transaction, &receipt).await,
        };
        Ok(Settled {
            answer,
            receipt,
            transaction,
            why_reverted,
        })
    }

    async fn wait_for_receipt(&self, hash: B256) -> anyhow::Result<Value> {
        loop {
            let receipt: Value = self
                .call("eth_getTransactionReceipt", json!([hash]))
                .await?;
            if !receipt.is_null() {
                return Ok(receipt);
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    /// Why a transaction was reverted: what it says when it is tried again on the state before its
    /// block, if the validator still has that. Others of the block may have come before it.
    async fn why_reverted(&self, transaction: &Transaction, receipt: &Receipt) -> Option<String> {
        if receipt.gas_used == transaction.gas {
            return Some("it ran out of gas".to_owned());
        }
        let again = json!({
            "from": transaction.from,
            "to": transaction.to,
            "value": transaction.value,
            "gas": transaction.gas,
            "input": transaction.input,
        });
        let before = receipt.block_number.saturating_sub(U64::from(1));
        let answer = self.call::<Bytes>("eth_call", json!([again, before])).await;
        let error = answer.err()?;
        error.downcast_ref::<RpcError>()?.revert_reason()
    }
}

fn not_final(hash: B256) -> anyhow::Error {
    let seconds = RECEIPT_TIMEOUT.as_secs();
    failure(
        format!("transaction {hash} is in no block after {seconds} seconds"),
        format!(
            "it may still come: `og tx receipt {hash}` goes on waiting; `og devnet status` says whether the chain moves"
        ),
    )
}
