//! How large a receipt is, and how long its verification takes.

use super::{
    figure::{Sample, quantile},
    testbed::Testbed,
};
use crate::{
    commands::{
        answered::{ask, fetch_receipt},
        infer::picture_inputs,
    },
    digits::{EXAMPLES, MODEL_NAME},
    output::Output,
};
use anyhow::Context as _;
use og_verify::verify;
use std::time::Instant;

/// Verifications of one receipt.
const VERIFICATIONS: usize = 100;

/// Asks for one picture of a digit and verifies the answer's receipt many times.
pub(super) async fn round(testbed: &mut Testbed) -> anyhow::Result<Vec<Sample>> {
    let example = EXAMPLES.first().context("no examples")?;
    let inputs = picture_inputs(&testbed.model, example.png, &Output::new(true))?;
    let answer = ask(&testbed.gateway, MODEL_NAME, &inputs, 0).await?;
    let (receipt, _) = fetch_receipt(&testbed.gateway, &answer.request_id).await?;
    let mut milliseconds = Vec::with_capacity(VERIFICATIONS);
    for _ in 0..VERIFICATIONS {
        let started = Instant::now();
        verify(&receipt, &testbed.anchor)?;
        milliseconds.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    testbed.check()?;
    milliseconds.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a receipt has few bytes")]
    let bytes = receipt.len() as f64;
    Ok(vec![
        ("receipt_bytes", bytes, "B"),
        ("receipt_verify", quantile(&milliseconds, 50), "ms"),
    ])
}
