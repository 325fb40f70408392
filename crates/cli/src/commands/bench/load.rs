//! Driving a node with signed transactions as fast as it takes them, until all are in blocks.

use crate::client::Rpc;
use alloy_primitives::{Bytes, U64, U256};
use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::{sync::watch, time::sleep_until};

/// Transactions of all accounts that wait at a time: mempools keep 8,192, and 64 of each account.
pub(super) const MOST_WAITING: usize = 6000;
/// Transactions of one account that wait at a time.
pub(super) const MOST_WAITING_OF_ONE: usize = 60;
/// Transactions in one batch of calls: as many as a validator takes.
const BATCH: usize = 100;
/// Batches that are on their way at the same time.
const CONNECTIONS: usize = 4;
/// Transactions in a batch of a steady load.
const STEADY_BATCH: usize = 20;
/// Pause between two questions for the newest block.
const POLL_PAUSE: Duration = Duration::from_millis(5);
/// How long no transaction may enter a block.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Base fee below which a measurement begins: fifty full blocks later transactions still pay it.
const LOW_BASE_FEE: u64 = 1_000_000_000;
const FEE_PAUSE: Duration = Duration::from_millis(500);

/// What a node did with transactions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// From the first submission until all were in blocks, as JSON-RPC tells.
    pub(super) seconds: f64,
    pub(super) gas: u64,
    /// Blocks with transactions.
    pub(super) blocks: u64,
}

impl Load {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(super) fn mgas_per_second(&self) -> f64 {
        self.gas as f64 / 1e6 / self.seconds
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(super) fn milliseconds_per_block(&self) -> f64 {
        self.seconds * 1000.0 / self.blocks as f64
    }
}

/// What is asked of a block when the time has been taken.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockGas {
    gas_used: U64,
    base_fee_per_gas: U256,
}

/// Hands `transactions` to `nodes` in turn, in batches and in this order, and waits until all are in blocks. At most
/// `most_waiting` of them are on their way at a time, so that mempools keep all of them.
///
/// Nobody else may send transactions meanwhile: it counts them.
pub(super) async fn drive(
    nodes: &[Rpc],
    transactions: &[Bytes],
    most_waiting: usize,
) -> anyhow::Result<Load> {
    let manner = Manner {
        batch: BATCH.min(most_waiting).max(1),
        most_waiting,
        pause: Duration::ZERO,
    };
    drive_in(manner, nodes, transactions).await
}

/// The same with so many transactions a second, fewer than a node could take.
pub(super) async fn drive_steadily(
    nodes: &[Rpc],
    transactions: &[Bytes],
    per_second: u32,
) -> anyhow::Result<Load> {
    let manner = Manner {
        batch: STEADY_BATCH,
        most_waiting: MOST_WAITING,
        pause: Duration::from_secs(1) * u32::try_from(STEADY_BATCH)? / per_second.max(1),
    };
    drive_in(manner, nodes, transactions).await
}

/// How transactions are handed in.
#[derive(Clone, Copy)]
struct Manner {
    /// Transactions in one batch of calls.
    batch: usize,
    /// Transactions on their way at a time.
    most_waiting: usize,
    /// Least time from one batch to the next.
    pause: Duration,
}

async fn drive_in(manner: Manner, nodes: &[Rpc], transactions: &[Bytes]) -> anyhow::Result<Load> {
    let node = nodes.first().context("no node")?;
    let before = node.block_number().await?;
    let calls: Vec<Value> = transactions.iter().map(|raw| json!([raw])).collect();
    let (included, progress) = watch::channel(0);
    let started = Instant::now();
    let ((blocks, last), ()) = tokio::try_join!(
        watch_blocks(node, before, calls.len(), included),
        submit(manner, nodes, &calls, progress),
    )?;
    let seconds = started.elapsed().as_secs_f64();
    let mut gas = 0;
    for height in before + 1..=last {
        gas += block_gas(node, height).await?.gas_used.to::<u64>();
    }
    Ok(Load {
        seconds,
        gas,
        blocks,
    })
}

async fn submit(
    manner: Manner,
    nodes: &[Rpc],
    calls: &[Value],
    progress: watch::Receiver<usize>,
) -> anyhow::Result<()> {
    let batches = calls.chunks(manner.batch);
    let mut submitted = 0;
    let mut due = Instant::now();
    let sending = batches.zip(nodes.iter().cycle()).map(|(batch, node)| {
        submitted += batch.len();
        let included_before = submitted.saturating_sub(manner.most_waiting);
        let mut progress = progress.clone();
        let begin = due;
        due += manner.pause;
        async move {
            sleep_until(begin.into()).await;
            let is_room = progress.wait_for(|included| *included >= included_before);
            // It fails only when the blocks are not watched any more, which is the error that counts.
            if is_room.await.is_err() {
                return Ok(());
            }
            for outcome in node.batch("eth_sendRawTransaction", batch).await? {
                outcome.context("a transaction was refused")?;
            }
            anyhow::Ok(())
        }
    });
    stream::iter(sending)
        .buffer_unordered(CONNECTIONS)
        .try_collect()
        .await
}

/// Counts transactions in the blocks above `height` until they are as many as `expected`; says how many blocks had some,
/// and the height of the last.
async fn watch_blocks(
    node: &Rpc,
    mut height: u64,
    expected: usize,
    included: watch::Sender<usize>,
) -> anyhow::Result<(u64, u64)> {
    let (mut blocks, mut count) = (0, 0);
    let mut last_change = Instant::now();
    while count < expected {
        let newest = node.block_number().await?;
        while height < newest {
            height += 1;
            let question = json!([U64::from(height)]);
            let transactions: U64 = node
                .call("eth_getBlockTransactionCountByNumber", question)
                .await?;
            if transactions.is_zero() {
                continue;
            }
            blocks += 1;
            count += transactions.to::<usize>();
            last_change = Instant::now();
        }
        included.send_replace(count);
        ensure!(
            last_change.elapsed() < TIMEOUT,
            "{count} of {expected} transactions are in blocks, and no other was for {} s",
            TIMEOUT.as_secs()
        );
        tokio::time::sleep(POLL_PAUSE).await;
    }
    Ok((blocks, height))
}

async fn block_gas(node: &Rpc, height: u64) -> anyhow::Result<BlockGas> {
    node.call("eth_getBlockByNumber", json!([U64::from(height), false]))
        .await
}

/// Waits until empty blocks have lowered the base fee so far that the accounts can pay for full ones.
pub(super) async fn wait_for_low_fees(node: &Rpc) -> anyhow::Result<()> {
    loop {
        let newest = node.block_number().await?;
        let base_fee = block_gas(node, newest).await?.base_fee_per_gas;
        if base_fee <= U256::from(LOW_BASE_FEE) {
            return Ok(());
        }
        tokio::time::sleep(FEE_PAUSE).await;
    }
}
