//! An answer and what became of it: who gave it, in which block its record is final, where its receipt is.

use crate::{
    client::{Answer, Gateway},
    output::Output,
};
use anyhow::Context as _;
use og_types::{Canonical as _, Receipt, RequestId};
use serde::Serialize;
use serde_json::{Value, json};
use std::{fmt, fs, path::PathBuf};

/// Whether to wait until an answer is final, and where its receipt goes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReceiptArgs {
    /// Wait until the answer is final and write its receipt.
    #[arg(long, value_name = "OUT")]
    pub(crate) receipt: Option<PathBuf>,
    /// Do not wait until the answer is final.
    #[arg(long, conflicts_with = "receipt")]
    pub(crate) no_wait: bool,
}

/// An answer, and its receipt if that was waited for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Answered {
    #[serde(flatten)]
    pub(crate) answer: Answer,
    /// Height of the block that admitted the answer's record; absent if not waited for.
    block: Option<u64>,
    receipt: Option<PathBuf>,
    receipt_bytes: Option<usize>,
}

/// Asks `model`, with tier `signed`.
pub(crate) async fn ask(
    gateway: &Gateway,
    model: &str,
    inputs: &Value,
    seed: u64,
) -> anyhow::Result<Answer> {
    gateway
        .infer(&json!({ "model": model, "inputs": inputs, "tier": "signed", "seed": seed }))
        .await
}

impl Answered {
    /// Waits for an answer's receipt as the arguments say.
    pub(crate) async fn settle(
        answer: Answer,
        gateway: &Gateway,
        args: &ReceiptArgs,
        output: &Output,
    ) -> anyhow::Result<Self> {
        let mut answered = Self {
            answer,
            block: None,
            receipt: None,
            receipt_bytes: None,
        };
        if args.no_wait {
            return Ok(answered);
        }
        let progress = output.progress("waiting until the answer is final");
        let (bytes, receipt) = fetch_receipt(gateway, &answered.answer.request_id).await?;
        drop(progress);
        answered.block = Some(receipt.header.height);
        answered.receipt_bytes = Some(bytes.len());
        if let Some(path) = &args.receipt {
            fs::write(path, bytes)
                .with_context(|| format!("cannot write the receipt {}", path.display()))?;
            answered.receipt = Some(path.clone());
        }
        Ok(answered)
    }
}

/// Waits for a receipt; its bytes, and what they decode to.
pub(crate) async fn fetch_receipt(
    gateway: &Gateway,
    id: &RequestId,
) -> anyhow::Result<(Vec<u8>, Receipt)> {
    let bytes = gateway.wait_for_receipt(id).await?;
    let receipt = Receipt::from_bytes(&bytes).context("the gateway sent a broken receipt")?;
    Ok((bytes, receipt))
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = &self.answer;
        writeln!(f, "request  {}", answer.request_id)?;
        writeln!(f, "model    {}", answer.model)?;
        writeln!(f, "node     {}", answer.node)?;
        write!(
            f,
            "trust    tier {}, computed: {}",
            answer.tier, answer.computed
        )?;
        match self.block {
            Some(block) => write!(f, "\nfinal    in block {block}")?,
            None => write!(f, "\nfinal    not waited for")?,
        }
        if let (Some(path), Some(bytes)) = (&self.receipt, self.receipt_bytes) {
            let path = path.display();
            write!(
                f,
                "\nreceipt  {path} ({bytes} bytes)\n         og verify {path} --genesis GENESIS\n         og replay {path}"
            )?;
        }
        Ok(())
    }
}
