//! How many records per second the network admits and makes final.

use super::{
    figure::Sample,
    finality::{submit_all, wait_for_proof},
    testbed::Testbed,
};
use crate::client::Rpc;
use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use og_types::SignedRecord;
use serde_json::{Value, json};
use std::time::Instant;

/// Records of one round.
const RECORDS: usize = 8000;
/// Records that are handed in, or asked about, at a time.
const BATCH: usize = 100;

/// Submits records to all validators at once, as fast as they are taken, until all are final.
pub(super) async fn round(testbed: &mut Testbed) -> anyhow::Result<Vec<Sample>> {
    let records: Vec<_> = (0..RECORDS).map(|_| testbed.record()).collect();
    let share = RECORDS.div_ceil(testbed.validators.len());
    let shares = || testbed.validators.iter().zip(records.chunks(share));
    let started = Instant::now();
    try_join_all(shares().map(|(validator, records)| submit(validator, records))).await?;
    try_join_all(shares().map(|(validator, records)| last_is_final(validator, records))).await?;
    let seconds = started.elapsed().as_secs_f64();
    // Admission keeps no order: only now is it known that none was missing.
    try_join_all(shares().map(|(validator, records)| all_are_final(validator, records))).await?;
    testbed.check()?;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let per_second = RECORDS as f64 / seconds;
    Ok(vec![("records_per_second", per_second, "1/s")])
}

async fn submit(validator: &Rpc, records: &[SignedRecord]) -> anyhow::Result<()> {
    for batch in records.chunks(BATCH) {
        submit_all(validator, batch).await?;
    }
    Ok(())
}

async fn last_is_final(validator: &Rpc, records: &[SignedRecord]) -> anyhow::Result<()> {
    let last = records.last().context("no records")?;
    wait_for_proof(validator, &last.record.request_id).await
}

async fn all_are_final(validator: &Rpc, records: &[SignedRecord]) -> anyhow::Result<()> {
    for batch in records.chunks(BATCH) {
        let calls: Vec<_> = batch
            .iter()
            .map(|record| json!([record.record.request_id]))
            .collect();
        for outcome in validator.batch("og_getRecordProof", &calls).await? {
            ensure!(
                outcome.context("a proof was refused")? != Value::Null,
                "a record that was taken is not final though a later one is"
            );
        }
    }
    Ok(())
}
