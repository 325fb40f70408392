//! `og replay`: run a receipt's request again, on this machine, and compare every byte.

mod compare;
mod leaves;
mod trace_file;

use super::verify::read_bounded;
use crate::{
    failure::failure,
    output::{BAD, GOOD, Output, QUIET, paint},
};
use anyhow::{Context as _, ensure};
use compare::{Comparison, compare};
use leaves::{Leaves, Run};
use og_crypto::{commit_input, commit_output};
use og_engine::{
    BUILT_IN, Library, Pieces, RunSettings,
    exact::{Model, Ready},
};
use og_kernels::Path as KernelPath;
use og_node::{config::NodeConfig, network::Network};
use og_types::{
    Canonical as _, Computed, InferenceRequest, InferenceResponse, ModelId, Receipt,
    language::Reply, limits::MAX_RECEIPT_BYTES,
};
use serde::Serialize;
use std::{fmt, path::PathBuf, sync::Arc, time::Instant};

/// Run a receipt's request again and compare.
///
/// An answer that was computed exactly is the same on every machine. This runs the request of a receipt with the
/// receipt's model on this machine and compares every byte of the answer, the token ids and the commitment to all
/// intermediate values among them. The exit code is 0 only if all are equal. It does not verify the receipt: that is
/// `og verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og replay fox.receipt
  og replay fox.receipt --threads 1 --path scalar       with other kernels: the same bytes
  og replay mine.receipt --model mymodel.og
  og replay fox.receipt --save-trace here.trace         then, on another machine or path:
  og replay fox.receipt --compare-trace here.trace      which names the first operation that differs")]
pub(crate) struct Replay {
    /// The receipt.
    #[arg(value_name = "RECEIPT")]
    receipt: PathBuf,
    /// Threads; as many as the machine has cores if left out.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Instructions: scalar, avx2, avx512, avx512vnni or neon; the fastest there is if left out.
    #[arg(long, value_parser = parse_path)]
    path: Option<KernelPath>,
    /// The model's file, if it is neither built in nor in the network's folder.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Folder of a network on this machine, in whose nodes' folders the model is looked for.
    #[arg(long, value_name = "DIR", default_value = "devnet")]
    dir: PathBuf,
    /// Write the hash of every value that is computed.
    #[arg(long, value_name = "FILE")]
    save_trace: Option<PathBuf>,
    /// Compare with the hashes that another run wrote, and name the first operation that differs.
    #[arg(long, value_name = "FILE")]
    compare_trace: Option<PathBuf>,
    /// Compare with the slow reference interpreter, and name the first operation that differs.
    #[arg(long)]
    reference: bool,
}

/// Instructions by their name.
pub(crate) fn parse_path(name: &str) -> Result<KernelPath, String> {
    KernelPath::from_name(name).ok_or_else(|| {
        let names: Vec<_> = KernelPath::ALL.into_iter().map(KernelPath::name).collect();
        format!("must be one of {}", names.join(", "))
    })
}

#[derive(Serialize)]
struct Outcome {
    equal: bool,
    model: ModelId,
    path: &'static str,
    threads: usize,
    /// Tokens of the answer, if it is text.
    tokens: Option<usize>,
    seconds: f64,
    /// What was compared, and how it came out.
    compared: Vec<Comparison>,
}

impl Replay {
    pub(crate) async fn run(self, output: &Output) -> anyhow::Result<()> {
        let bytes = read_bounded(&self.receipt, MAX_RECEIPT_BYTES as u64)?;
        let receipt = Receipt::from_bytes(&bytes)
            .with_context(|| format!("{} is not a receipt", self.receipt.display()))?;
        let (request, response) = opened(&receipt)?;
        let settings = RunSettings {
            threads: self.threads.map(usize::from),
            path: self.path,
        };
        let progress = output.progress("loading the model");
        let model = Arc::new(self.model(&request.model)?);
        let backend = og_engine::backend(model.clone(), settings)?;
        progress.set("running the request again");
        let started = Instant::now();
        let seed = receipt.record.record.seed;
        let outputs = backend
            .run(request.inputs.clone(), seed, Pieces::UNWANTED)
            .await
            .context("the request cannot be run again")?;
        let seconds = started.elapsed().as_secs_f64();
        let mut compared = compare(&response.outputs, &outputs);
        if self.traces() {
            progress.set("computing every value again");
            let ready = Arc::new(Ready::new(model, settings.kernels()?)?);
            let run = Run::of(&ready, &request.inputs, &outputs)?;
            compared.extend(self.compare_traces(&ready, &run, settings.threads())?);
        }
        drop(progress);
        let outcome = Outcome {
            equal: compared.iter().all(|comparison| comparison.equal),
            model: request.model,
            path: settings.kernels()?.path().name(),
            threads: settings.threads(),
            tokens: Reply::from_tensors(&outputs)
                .ok()
                .map(|reply| reply.tokens.len()),
            seconds,
            compared,
        };
        output.result(&outcome)?;
        ensure!(
            outcome.equal,
            failure(
                "the answer differs from the receipt's",
                "run it again with --reference: if that is equal here, the node that signed the receipt is at fault"
            )
        );
        Ok(())
    }

    const fn traces(&self) -> bool {
        self.reference || self.save_trace.is_some() || self.compare_trace.is_some()
    }

    /// The model: given, built in, or in the folder of an inference node of the network.
    fn model(&self, id: &ModelId) -> anyhow::Result<Model> {
        let model = match &self.model {
            Some(path) => Some(Model::load(path)?),
            None => match BUILT_IN
                .iter()
                .find(|model| model.id().is_ok_and(|own| own == *id))
            {
                Some(built_in) => Some(Model::from_bytes(built_in.file)?),
                None => self
                    .in_network(id)
                    .map(|path| Model::load(&path))
                    .transpose()?,
            },
        };
        let model = model.ok_or_else(|| {
            failure(
                format!(
                    "model {id} is neither built in nor in the folder {}",
                    self.dir.display()
                ),
                "give its file with --model FILE",
            )
        })?;
        ensure!(
            model.id() == id.0,
            failure(
                format!(
                    "that is model {}, and the receipt is about {id}",
                    ModelId::from(model.id())
                ),
                "give the file of the receipt's model with --model FILE"
            )
        );
        Ok(model)
    }

    fn in_network(&self, id: &ModelId) -> Option<PathBuf> {
        let network = Network::open(&self.dir).ok()?;
        network.nodes.iter().find_map(|node| match &node.config {
            NodeConfig::Inference(config) => Library::open(&config.models_dir).ok()?.file(id).ok(),
            _ => None,
        })
    }

    fn compare_traces(
        &self,
        ready: &Arc<Ready>,
        run: &Run,
        threads: usize,
    ) -> anyhow::Result<Vec<Comparison>> {
        let model = ready.model();
        let here = run.by_engine(ready, threads)?;
        let mut compared = vec![];
        if self.reference {
            let reference = run.by_interpreter(model)?;
            compared.push(here.compare(&reference, model.program(), "the reference interpreter"));
        }
        if let Some(path) = &self.compare_trace {
            let bytes = read_bounded(path, trace_file::MAX_BYTES)?;
            let other = Leaves::from_bytes(&bytes, &model.id())
                .with_context(|| format!("{} cannot be compared", path.display()))?;
            compared.push(here.compare(&other, model.program(), "the other run"));
        }
        if let Some(path) = &self.save_trace {
            std::fs::write(path, here.to_bytes(&model.id()))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(compared)
    }
}

/// The request and the response of a receipt, if they are what its record commits to and its answer is exact.
fn opened(receipt: &Receipt) -> anyhow::Result<(InferenceRequest, InferenceResponse)> {
    let (record, opening) = (&receipt.record.record, &receipt.opening);
    ensure!(
        record.computed == Computed::Exact,
        failure(
            format!(
                "the answer was computed in another way than exactly: {:?}",
                record.computed
            )
            .to_lowercase(),
            "only answers of integer programs are the same on every machine: `og model list` shows which are exact"
        )
    );
    let opens = commit_input(&opening.salt, &opening.request) == record.input_commitment
        && commit_output(&opening.salt, &opening.response) == record.output_commitment;
    ensure!(
        opens,
        failure(
            "the receipt holds another request or response than its record",
            "`og verify` says more"
        )
    );
    let request =
        InferenceRequest::from_bytes(&opening.request).context("the receipt's request")?;
    let response =
        InferenceResponse::from_bytes(&opening.response).context("the receipt's response")?;
    Ok((request, response))
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whats = self.compared.iter().map(|comparison| comparison.what.len());
        let width = whats.max().unwrap_or(0);
        for Comparison {
            what,
            equal,
            detail,
        } in &self.compared
        {
            let verdict = if *equal {
                paint(GOOD, "equal    ")
            } else {
                paint(BAD, "different")
            };
            writeln!(f, "{verdict} {what:<width$} {detail}")?;
        }
        let tokens = self
            .tokens
            .map_or_else(String::new, |tokens| format!("{tokens} tokens, "));
        write!(
            f,
            "{}",
            paint(
                QUIET,
                format!(
                    "{tokens}{:.2} s, kernels {}, {} threads",
                    self.seconds, self.path, self.threads
                )
            )
        )
    }
}
