//! How many transfers of the native token per second the network makes final.

use super::{figure::Sample, testbed::Testbed};
use crate::client::Rpc;
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, TxKind, U64, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Transfers of each account in one round: as many as may wait at a time.
const PER_ACCOUNT: u64 = 64;
const POLL_PAUSE: Duration = Duration::from_millis(10);
/// How long a round may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Most that is paid per gas, and the tip: base fees rise under load and the accounts are rich.
const MAX_FEE: u128 = 1_000_000_000_000;
const PRIORITY_FEE: u128 = 1_000_000_000;
const TRANSFER_GAS: u64 = 21_000;

/// Every account sends all its transfers at once and waits until they are final.
pub(super) async fn round(testbed: &mut Testbed) -> anyhow::Result<Vec<Sample>> {
    let chain_id = testbed.chain_id;
    let mut batches = Vec::new();
    for (signer, nonce) in &mut testbed.accounts {
        let transfers = (*nonce..*nonce + PER_ACCOUNT)
            .map(|nonce| Ok(json!([transfer(signer, chain_id, nonce)?])))
            .collect::<anyhow::Result<Vec<Value>>>()?;
        *nonce += PER_ACCOUNT;
        batches.push((signer.address(), *nonce, transfers));
    }
    let started = Instant::now();
    let senders = batches.iter().zip(testbed.validators.iter().cycle());
    try_join_all(senders.map(|((account, nonce, transfers), validator)| {
        send(validator, *account, *nonce, transfers)
    }))
    .await?;
    let seconds = started.elapsed().as_secs_f64();
    testbed.check()?;
    let transfers: usize = batches
        .iter()
        .map(|(_, _, transfers)| transfers.len())
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let per_second = transfers as f64 / seconds;
    Ok(vec![("transfers_per_second", per_second, "1/s")])
}

/// Sends an account's transfers and waits until its nonce is `next_nonce` in the final state.
async fn send(
    validator: &Rpc,
    account: Address,
    next_nonce: u64,
    transfers: &[Value],
) -> anyhow::Result<()> {
    let started = Instant::now();
    for outcome in validator.batch("eth_sendRawTransaction", transfers).await? {
        outcome.context("a transfer was refused")?;
    }
    loop {
        let nonce: U64 = validator
            .call("eth_getTransactionCount", json!([account, "latest"]))
            .await?;
        if nonce.to::<u64>() >= next_nonce {
            return Ok(());
        }
        ensure!(
            started.elapsed() < TIMEOUT,
            "transfers of {account} are not final after {} s",
            TIMEOUT.as_secs()
        );
        tokio::time::sleep(POLL_PAUSE).await;
    }
}

fn transfer(signer: &PrivateKeySigner, chain_id: u64, nonce: u64) -> anyhow::Result<Bytes> {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: TRANSFER_GAS,
        max_fee_per_gas: MAX_FEE,
        max_priority_fee_per_gas: PRIORITY_FEE,
        to: TxKind::Call(Address::repeat_byte(7)),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&transaction.signature_hash())?;
    let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
    Ok(raw.into())
}
