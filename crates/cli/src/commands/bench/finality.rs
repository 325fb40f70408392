//! How long one record takes to be final when nothing else goes on.

use super::{
    figure::{Sample, quantile},
    testbed::Testbed,
};
use crate::client::{Rpc, RpcError};
use alloy_primitives::Bytes;
use anyhow::ensure;
use og_types::{Canonical as _, RequestId, SignedRecord};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Records of one round, one after another.
const RECORDS: usize = 50;
/// Pause between two questions whether a record is final.
const POLL_PAUSE: Duration = Duration::from_millis(1);
/// How long a record may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A record is final and its certificate is still on its way.
const CODE_UNCERTIFIED: i64 = -32012;

/// Submits records to each validator in turn and waits for each one's proof at the same validator.
pub(super) async fn round(testbed: &mut Testbed) -> anyhow::Result<Vec<Sample>> {
    let mut milliseconds = Vec::with_capacity(RECORDS);
    for validator in testbed.validators.iter().cycle().take(RECORDS) {
        let record = testbed.record();
        let started = Instant::now();
        submit_all(validator, std::slice::from_ref(&record)).await?;
        wait_for_proof(validator, &record.record.request_id).await?;
        milliseconds.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    testbed.check()?;
    milliseconds.sort_by(f64::total_cmp);
    Ok(vec![
        ("finality_p50", quantile(&milliseconds, 50), "ms"),
        ("finality_p99", quantile(&milliseconds, 99), "ms"),
    ])
}

/// Hands records in; none may be refused.
pub(super) async fn submit_all(validator: &Rpc, records: &[SignedRecord]) -> anyhow::Result<()> {
    let records: Vec<_> = records
        .iter()
        .map(|record| Bytes::from(record.to_bytes()))
        .collect();
    let told: Vec<Value> = validator.call("og_submitRecords", json!([records])).await?;
    for told in told {
        ensure!(told.is_null(), "a record was refused: {told}");
    }
    Ok(())
}

/// Waits until a validator can prove that a record is final.
pub(super) async fn wait_for_proof(validator: &Rpc, id: &RequestId) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let proof = validator
            .call::<Value>("og_getRecordProof", json!([id]))
            .await;
        match proof {
            Ok(Value::Null) => {}
            Ok(_) => return Ok(()),
            Err(error) if is_uncertified(&error) => {}
            Err(error) => return Err(error),
        }
        ensure!(
            started.elapsed() < TIMEOUT,
            "record {id} is not final after {} s",
            TIMEOUT.as_secs()
        );
        tokio::time::sleep(POLL_PAUSE).await;
    }
}

fn is_uncertified(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<RpcError>()
        .is_some_and(|error| error.code == CODE_UNCERTIFIED)
}
