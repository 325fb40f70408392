//! What the demo does to a running network, and what it found.

use crate::{
    client::{Block, Gateway, Rpc},
    commands::{
        answered::{ask, fetch_receipt},
        infer::{classes, picture_inputs},
    },
    digits::{EXAMPLES, MODEL_NAME},
    output::{BAD, GOOD, Output, QUIET, paint},
};
use anyhow::{Context as _, bail, ensure};
use og_node::network::{Network, read_genesis};
use og_types::ModelInfo;
use og_verify::{TrustAnchor, verify};
use serde::Serialize;
use std::{
    fmt, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long a validator may take to catch up.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_PAUSE: Duration = Duration::from_millis(200);

/// A network under demonstration.
pub(super) struct Story<'a> {
    output: &'a Output,
    gateway: Gateway,
    validators: Vec<Rpc>,
    model: ModelInfo,
    /// All that verifying needs: it is made from the genesis file and nothing else.
    anchor: TrustAnchor,
    receipts: PathBuf,
    answers: Vec<Shown>,
    common: Option<Block>,
}

/// One answer, verified.
#[derive(Clone, Debug, Serialize)]
struct Shown {
    digit: usize,
    answered: usize,
    probability: f64,
    block: u64,
    signers: usize,
    receipt_bytes: usize,
    answer_ms: u128,
    final_ms: u128,
    verify_ms: f64,
}

/// What the demo showed.
#[derive(Serialize)]
pub(super) struct Summary {
    questions: usize,
    right: usize,
    receipts_verified: usize,
    largest_receipt_bytes: usize,
    slowest_answer_ms: u128,
    slowest_final_ms: u128,
    slowest_verify_ms: f64,
    /// The block at which all validators, the one that was killed included, have one state.
    common_block: Option<u64>,
    common_state_root: Option<String>,
    seconds: f64,
    answers: Vec<Shown>,
}

impl<'a> Story<'a> {
    pub(super) async fn begin(network: &Network, output: &'a Output) -> anyhow::Result<Self> {
        let gateway = Gateway::new(&network.endpoints.gateway);
        let model = gateway.model(MODEL_NAME).await?.info;
        let genesis = read_genesis(&network.genesis_path())?;
        let receipts = network.directory.join("receipts");
        fs::create_dir_all(&receipts)
            .with_context(|| format!("cannot make {}", receipts.display()))?;
        Ok(Self {
            output,
            gateway,
            validators: network
                .endpoints
                .rpcs
                .iter()
                .map(|url| Rpc::new(url))
                .collect(),
            model,
            anchor: TrustAnchor::from_genesis(&genesis)?,
            receipts,
            answers: Vec::new(),
            common: None,
        })
    }

    pub(super) fn introduce(&self, took: Duration) {
        self.output.line(format!(
            "  {} validators, an inference node, a gateway and a relay: {} processes, ready in {:.1} s",
            self.validators.len(),
            self.validators.len() + 3,
            took.as_secs_f64()
        ));
        self.output
            .line(format!("  model {} = {}", self.model.name, self.model.id));
    }

    /// Asks for some of the examples, one after another, and verifies every receipt.
    pub(super) async fn ask(&mut self, examples: &[usize]) -> anyhow::Result<()> {
        for example in examples {
            let shown = self
                .ask_one(*example)
                .await
                .with_context(|| format!("asking for the picture of a {example}"))?;
            let style = if shown.answered == shown.digit {
                GOOD
            } else {
                BAD
            };
            self.output.line(format!(
                "  a picture of a {}: {} ({:.1} %) in {} ms; final in block {} after {} ms; {} signed; {} bytes, verified in {:.1} ms",
                shown.digit,
                paint(style, shown.answered),
                shown.probability * 100.0,
                shown.answer_ms,
                shown.block,
                shown.final_ms,
                shown.signers,
                shown.receipt_bytes,
                shown.verify_ms
            ));
            self.answers.push(shown);
        }
        Ok(())
    }

    async fn ask_one(&self, example: usize) -> anyhow::Result<Shown> {
        let example = EXAMPLES.get(example).context("no such example")?;
        let inputs = picture_inputs(&self.model, example.png, self.output)?;
        let started = Instant::now();
        let answer = ask(&self.gateway, MODEL_NAME, &inputs, 0).await?;
        let answer_ms = started.elapsed().as_millis();
        let best = classes(&answer.outputs)
            .and_then(|classes| classes.first().copied())
            .context("the model gave no probabilities")?;

        let progress = self.output.progress("waiting until the answer is final");
        let (receipt, _) = fetch_receipt(&self.gateway, &answer.request_id).await?;
        drop(progress);
        let final_ms = started.elapsed().as_millis();
        let name = format!("{}.receipt", answer.request_id);
        fs::write(self.receipts.join(name), &receipt)?;

        let started = Instant::now();
        let report = verify(&receipt, &self.anchor)?;
        let verify_ms = started.elapsed().as_secs_f64() * 1000.0;
        ensure!(
            report.record.request_id == answer.request_id,
            "the receipt is about another request"
        );
        self.refuse_damaged(&receipt)?;
        Ok(Shown {
            digit: example.label,
            answered: best.class,
            probability: best.probability,
            block: report.header.height,
            signers: report.signers.len(),
            receipt_bytes: receipt.len(),
            answer_ms,
            final_ms,
            verify_ms,
        })
    }

    /// Checks that the receipt with one bit flipped in its middle does not verify.
    fn refuse_damaged(&self, receipt: &[u8]) -> anyhow::Result<()> {
        let mut damaged = receipt.to_vec();
        let middle = damaged.len() / 2;
        if let Some(byte) = damaged.get_mut(middle) {
            *byte ^= 1;
        }
        if verify(&damaged, &self.anchor).is_ok() {
            bail!("a receipt with a flipped bit verifies");
        }
        Ok(())
    }

    /// Waits until validator `late` has caught up, and compares all validators at one block.
    pub(super) async fn compare(&mut self, late: usize) -> anyhow::Result<()> {
        let started = Instant::now();
        let others = self.validators.first().context("no validators")?;
        let height = others.block_number().await?;
        let late_rpc = self.validators.get(late).context("no such validator")?;
        let progress = self.output.progress(format!("waiting for block {height}"));
        loop {
            if late_rpc
                .block_number()
                .await
                .is_ok_and(|found| found >= height)
            {
                break;
            }
            ensure!(
                started.elapsed() < CATCH_UP_TIMEOUT,
                "validator-{late} has not reached block {height} after {} seconds",
                CATCH_UP_TIMEOUT.as_secs()
            );
            tokio::time::sleep(POLL_PAUSE).await;
        }
        drop(progress);
        let mut blocks = Vec::with_capacity(self.validators.len());
        for (index, rpc) in self.validators.iter().enumerate() {
            let block = self.block_at(rpc, height).await;
            blocks.push(block.with_context(|| format!("asking validator-{index}"))?);
        }
        let first = blocks.first().context("no validators")?.clone();
        ensure!(
            blocks.iter().all(|block| *block == first),
            "the validators disagree about block {height}: {blocks:?}"
        );
        self.output.line(format!(
            "  validator-{late} reached block {height} in {:.1} s: all {} validators have block {} and state {}",
            started.elapsed().as_secs_f64(),
            blocks.len(),
            first.hash,
            first.state_root
        ));
        self.common = Some(first);
        Ok(())
    }

    /// A block that is final: the others may have heard of it a moment later.
    async fn block_at(&self, rpc: &Rpc, height: u64) -> anyhow::Result<Block> {
        let started = Instant::now();
        loop {
            if let Some(block) = rpc.block(height).await? {
                return Ok(block);
            }
            ensure!(
                started.elapsed() < CATCH_UP_TIMEOUT,
                "block {height} is missing"
            );
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    pub(super) fn summary(self, took: Duration) -> Summary {
        let answers = &self.answers;
        let right = |shown: &&Shown| shown.answered == shown.digit;
        Summary {
            questions: answers.len(),
            right: answers.iter().filter(right).count(),
            receipts_verified: answers.len(),
            largest_receipt_bytes: maximum(answers, |shown| shown.receipt_bytes),
            slowest_answer_ms: maximum(answers, |shown| shown.answer_ms),
            slowest_final_ms: maximum(answers, |shown| shown.final_ms),
            slowest_verify_ms: answers
                .iter()
                .map(|shown| shown.verify_ms)
                .fold(0.0, f64::max),
            common_block: self.common.as_ref().map(|block| block.number.to()),
            common_state_root: self
                .common
                .as_ref()
                .map(|block| block.state_root.to_string()),
            seconds: took.as_secs_f64(),
            answers: self.answers,
        }
    }
}

fn maximum<T: Ord + Default>(answers: &[Shown], of: impl Fn(&Shown) -> T) -> T {
    answers.iter().map(of).max().unwrap_or_default()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  questions          {} ({} answered right)",
            self.questions, self.right
        )?;
        writeln!(
            f,
            "  receipts           {} verified with the genesis file alone; with one bit flipped, none",
            self.receipts_verified
        )?;
        writeln!(
            f,
            "  largest receipt    {} bytes",
            self.largest_receipt_bytes
        )?;
        writeln!(f, "  slowest answer     {} ms", self.slowest_answer_ms)?;
        writeln!(f, "  slowest to final   {} ms", self.slowest_final_ms)?;
        writeln!(f, "  slowest to verify  {:.1} ms", self.slowest_verify_ms)?;
        if let (Some(block), Some(root)) = (self.common_block, &self.common_state_root) {
            writeln!(f, "  state at block {block}  {root} at every validator")?;
        }
        writeln!(f, "  took               {:.0} s", self.seconds)?;
        write!(
            f,
            "{}",
            paint(
                QUIET,
                "Next: og devnet, then og infer and og verify; see og --help"
            )
        )
    }
}
