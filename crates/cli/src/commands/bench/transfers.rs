//! How many transfers of the native token per second the network makes final.

use super::{figure::Sample, senders::Action, testbed::Testbed};
use crate::client::Rpc;
use alloy_primitives::{Address, U64};
use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Transfers of each account in one round: as many as may wait at a time.
const PER_ACCOUNT: u64 = 64;
const POLL_PAUSE: Duration = Duration::from_millis(10);
/// How long a round may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Every account sends all its transfers at once and waits until they are final.
pub(super) async fn round(testbed: &mut Testbed) -> anyhow::Result<Vec<Sample>> {
    let senders = &mut testbed.senders;
    let mut batches = Vec::new();
    for account in 0..senders.len() {
        let transfers = (0..PER_ACCOUNT)
            .map(|_| {
                let action = Action::transfer(Address::repeat_byte(7));
                Ok(json!([senders.sign(account, action)?]))
            })
            .collect::<anyhow::Result<Vec<Value>>>()?;
        batches.push((senders.address(account), senders.nonce(account), transfers));
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
