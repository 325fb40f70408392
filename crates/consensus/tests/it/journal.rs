//! Transactions and records that wait outlive the process that took them.

use crate::network::{Network, Running, World, config, payer, prefix, transfer};
use alloy_primitives::B256;
use commonware_runtime::{
    Blob as _, Clock as _, Runner as _, Storage as _, WriteOptions,
    deterministic::{Context, Runner},
};
use og_consensus::intake::IntakeError;
use og_sim::world::unix_ms;
use og_types::RequestId;
use std::{sync::Arc, time::Duration};

/// Longer than it takes until what was written survives a loss of power.
const WRITTEN: Duration = Duration::from_secs(2);
/// Longer than it takes to read it.
const READ: Duration = Duration::from_secs(1);

fn waiting(running: &Running) -> Vec<B256> {
    running.pool.with(|pool| {
        let waiting = pool.transactions_since(0);
        waiting.map(|(_, transaction)| transaction.hash()).collect()
    })
}

/// Submits transfers whose sender's first is missing, so that they wait.
async fn submit(running: &Running, nonces: impl Iterator<Item = u64>) -> Vec<B256> {
    let mut hashes = Vec::new();
    for nonce in nonces {
        let raw = transfer(&payer(0), nonce);
        hashes.push(running.intake.submit_transaction(raw).await.unwrap());
    }
    hashes
}

#[test]
fn what_waits_is_there_again_after_a_crash_and_what_was_used_is_not() {
    Runner::new(config(13)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        let mut all = network.start_all(&[0, 1, 2, 3]).await;
        network.reach(&all[0], 2).await;
        let hashes = submit(&all[0], 1..4).await;
        context.sleep(WRITTEN).await;
        network.crash(all.remove(0));
        let back = network.start(0).await;
        context.sleep(READ).await;
        assert_eq!(waiting(&back), hashes);
        let error = back.intake.submit_transaction(transfer(&payer(0), 1)).await;
        let error = error.unwrap_err();
        assert!(matches!(error, IntakeError::AddTransaction(_)), "{error}");
        assert_eq!(error.to_string(), "already known");

        // With the first, all of them become final.
        submit(&back, 0..1).await;
        context.sleep(WRITTEN).await;
        assert!(waiting(&back).is_empty());
        network.crash(back);
        let back = network.start(0).await;
        context.sleep(READ).await;
        assert!(waiting(&back).is_empty());
    });
}

#[test]
fn a_record_that_waits_is_there_again_after_a_crash() {
    Runner::new(config(16)).start(|context| async move {
        let world = World::new();
        let mut network = Network::new(&context, &world).await;
        let mut all = network.start_all(&[0, 1, 2, 3]).await;
        network.reach(&all[0], 2).await;
        // Two of four make no block that could take it.
        for running in all.drain(2..) {
            network.crash(running);
        }
        let request = RequestId([5; 32]);
        let record = world.record(request, unix_ms(context.current()));
        let waits = |running: &Running| running.pool.with(|pool| pool.record(&request).cloned());
        let submitted = all[0].intake.submit_records(std::slice::from_ref(&record));
        assert!(submitted.await.unwrap()[0].is_ok());
        context.sleep(WRITTEN).await;
        network.crash(all.remove(0));
        let back = network.start(0).await;
        context.sleep(READ).await;
        assert_eq!(waits(&back), Some(record));

        let others = network.start_all(&[2, 3]).await;
        network.reach(&others[0], back.height() + 5).await;
        context.sleep(READ).await;
        assert_eq!(waits(&back), None, "a block has it");
    });
}

#[test]
fn what_waits_survives_a_loss_of_power_everywhere() {
    let world = World::new();
    let before = Arc::clone(&world);
    let (hashes, checkpoint) =
        Runner::new(config(14)).start_and_recover(move |context| async move {
            let mut network = Network::new(&context, &before).await;
            let all = network.start_all(&[0, 1, 2, 3]).await;
            network.reach(&all[0], 2).await;
            let hashes = submit(&all[0], 1..3).await;
            context.sleep(WRITTEN).await;
            hashes
        });
    Runner::from(checkpoint).start(move |context| async move {
        let mut network = Network::new(&context, &world).await;
        let all = network.start_all(&[0, 1, 2, 3]).await;
        context.sleep(READ).await;
        // The others had them by gossip.
        for running in &all {
            assert_eq!(waiting(running), hashes);
        }
    });
}

/// Overwrites a part of the one file of validator 0's journal, and cuts its end off.
async fn damage(context: &Context) {
    let partition = format!("{}-waiting-transactions", prefix(0));
    let names = context.scan(&partition).await.unwrap();
    assert_eq!(names.len(), 1, "old files are removed");
    let (blob, bytes) = context.open(&partition, &names[0]).await.unwrap();
    let line = bytes / 3;
    blob.write_at(line + 5, vec![0_u8; 20], WriteOptions::default())
        .await
        .unwrap();
    blob.resize(bytes - 3).await.unwrap();
    blob.sync().await.unwrap();
}

#[test]
fn a_damaged_journal_costs_the_damaged_lines_only() {
    Runner::new(config(15)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        let mut all = network.start_all(&[0, 1, 2, 3]).await;
        network.reach(&all[0], 2).await;
        let hashes = submit(&all[0], 1..4).await;
        context.sleep(WRITTEN).await;
        network.crash(all.remove(0));
        context.sleep(READ).await;
        damage(&context).await;
        let back = network.start(0).await;
        context.sleep(READ).await;
        assert_eq!(waiting(&back), hashes[..1]);
        network.reach(&back, back.height() + 5).await;
    });
}
