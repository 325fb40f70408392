//! Sending transactions through one validator, which says what they need.

use super::{Rpc, RpcError};
use crate::{
    amount::{self, gwei, opg},
    failure::failure,
    output::printable,
};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use anyhow::Context as _;
use serde_json::{Value, json};

/// Gas of a transfer, which is always the same.
const TRANSFER_GAS: u64 = 21_000;

/// What a transaction is to do, and on which terms.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) to: TxKind,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    pub(crate) terms: Terms,
}

/// What the validator is asked for where it is not said here.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Terms {
    /// Number among the sender's transactions, from 0 [default: the next].
    #[arg(long, value_name = "N")]
    nonce: Option<u64>,
    /// Most gas that it may use [default: what is estimated and a fifth; nothing is tried before if you say it].
    #[arg(long, value_name = "GAS")]
    gas_limit: Option<u64>,
    /// Most that it pays for a unit of gas: 3gwei [default: twice the base fee, and the tip].
    #[arg(long, value_name = "AMOUNT", value_parser = price)]
    gas_price: Option<u128>,
    /// The tip: what of that goes to the proposer, beyond the base fee [default: what the validator suggests].
    #[arg(long, value_name = "AMOUNT", value_parser = price)]
    priority_gas_price: Option<u128>,
}

/// Reads a price of gas with its unit, in wei.
fn price(text: &str) -> Result<u128, String> {
    let price = amount::parse(text)?;
    u128::try_from(price).map_err(|_| "no gas costs that much".to_owned())
}

impl Rpc {
    /// Signs and sends a transaction; its hash.
    pub(crate) async fn send(
        &self,
        signer: &PrivateKeySigner,
        draft: &Draft,
    ) -> anyhow::Result<B256> {
        let from = signer.address();
        let balance: U256 = self.call("eth_getBalance", json!([from, "latest"])).await?;
        if draft.value > balance {
            return Err(too_poor(from, balance, draft.value, "to send"));
        }
        let transaction = self.fill_in(from, draft).await?;
        let (gas, price) = (transaction.gas_limit, transaction.max_fee_per_gas);
        let gas_cost = U256::from(gas).saturating_mul(U256::from(price));
        let cost = gas_cost.saturating_add(draft.value);
        if cost > balance {
            let what = format!(
                "at most: {} to send, and {gas} gas at up to {}",
                opg(draft.value),
                gwei(U256::from(price))
            );
            return Err(too_poor(from, balance, cost, &what));
        }
        let signature = signer.sign_hash_sync(&transaction.signature_hash())?;
        let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
        self.call("eth_sendRawTransaction", json!([Bytes::from(raw)]))
            .await
    }

    /// The transaction that does what `draft` says; where that says nothing else next of its sender's, at today's price.
    async fn fill_in(&self, from: Address, draft: &Draft) -> anyhow::Result<TxEip1559> {
        let chain_id: U64 = self.call("eth_chainId", json!([])).await?;
        let nonce = match draft.terms.nonce {
            Some(nonce) => nonce,
            None => self.next_nonce(from).await?,
        };
        let gas_limit = match draft.terms.gas_limit {
            Some(gas) => gas,
            None => self.gas(from, draft).await?,
        };
        let (max_fee_per_gas, max_priority_fee_per_gas) = self.fees(&draft.terms).await?;
        Ok(TxEip1559 {
            chain_id: chain_id.to(),
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: draft.to,
            value: draft.value,
            input: draft.input.clone(),
            ..TxEip1559::default()
        })
    }

    async fn next_nonce(&self, from: Address) -> anyhow::Result<u64> {
        let nonce: U64 = self
            .call("eth_getTransactionCount", json!([from, "pending"]))
            .await?;
        Ok(nonce.to())
    }

    /// The gas that `draft` may use.
    async fn gas(&self, from: Address, draft: &Draft) -> anyhow::Result<u64> {
        let gas: U64 = self
            .call("eth_estimateGas", json!([call(from, draft)]))
            .await
            .map_err(|error| would_revert(error, "the transaction would revert"))?;
        let gas: u64 = gas.to();
        // What the estimate saw may change before the transaction runs. What is not used is not paid.
        let margin = if gas > TRANSFER_GAS { gas / 5 } else { 0 };
        Ok(gas.saturating_add(margin))
    }

    /// The most that is paid for a unit of gas, and the tip in it.
    async fn fees(&self, terms: &Terms) -> anyhow::Result<(u128, u128)> {
        let tip = match terms.priority_gas_price {
            Some(tip) => tip,
            None => {
                let tip: U256 = self.call("eth_maxPriorityFeePerGas", json!([])).await?;
                let tip = u128::try_from(tip).unwrap_or(u128::MAX);
                terms.gas_price.map_or(tip, |most| tip.min(most))
            }
        };
        if let Some(most) = terms.gas_price {
            return Ok((most, tip));
        }
        let head = self
            .block(self.block_number().await?)
            .await?
            .context("the validator does not know its own newest block")?;
        let base_fee = u128::try_from(head.base_fee_per_gas).unwrap_or(u128::MAX);
        // Twice the base fee outlasts six full blocks, each of which raises it by an eighth.
        Ok((base_fee.saturating_mul(2).saturating_add(tip), tip))
    }

    /// Sends a transaction that calls `to`, and waits until it is final and has succeeded; its hash.
    pub(crate) async fn write(
        &self,
        signer: &PrivateKeySigner,
        to: Address,
        input: Bytes,
    ) -> anyhow::Result<B256> {
        let draft = Draft {
            to: to.into(),
            value: U256::ZERO,
            input,
            terms: Terms::default(),
        };
        let hash = self.send(signer, &draft).await?;
        self.settle(hash).await?.check_success()?;
        Ok(hash)
    }

    /// What a call of `to` by `from` returns; nothing is changed.
    pub(crate) async fn call_as(
        &self,
        from: Address,
        to: Address,
        input: Bytes,
    ) -> anyhow::Result<Bytes> {
        let draft = Draft {
            to: to.into(),
            value: U256::ZERO,
            input,
            terms: Terms::default(),
        };
        self.call("eth_call", json!([call(from, &draft), "latest"]))
            .await
            .map_err(|error| would_revert(error, "the call reverts"))
    }
}

/// A call as JSON-RPC takes it.
fn call(from: Address, draft: &Draft) -> Value {
    json!({
        "from": from,
        "to": draft.to.to(),
        "value": draft.value,
        "input": draft.input,
    })
}

/// An error with the reason for which a call reverts, if that is what it says.
fn would_revert(error: anyhow::Error, what: &str) -> anyhow::Error {
    let refused = error.downcast_ref::<RpcError>();
    match refused.and_then(RpcError::revert_reason) {
        Some(reason) => failure(
            format!("{what}: {reason}"),
            "nothing was sent; check the arguments, the value, and which account calls",
        ),
        None => match refused {
            Some(refused) => failure(
                printable(&refused.message),
                "nothing was sent; check the address, the arguments and the value",
            ),
            None => error,
        },
    }
}

fn too_poor(from: Address, balance: U256, needed: U256, what: &str) -> anyhow::Error {
    failure(
        format!(
            "insufficient funds: {from} has {}, needed are {} {what}",
            opg(balance),
            opg(needed)
        ),
        format!(
            "send it {} more, choose another account (--account, --key), or ask a devnet's faucet",
            opg(needed.saturating_sub(balance))
        ),
    )
}
