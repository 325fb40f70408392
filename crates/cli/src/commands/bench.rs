//! `og bench`: what this machine can do, measured on a network of real processes.

mod clients;
mod evm;
mod figure;
mod finality;
mod gateway;
mod latency;
mod load;
mod model;
mod receipt;
mod records;
mod rpc;
mod senders;
mod testbed;
mod transfers;
mod workload;

use crate::{
    failure::failure,
    output::{Output, Progress},
};
use evm::EvmArgs;
use figure::Figure;
use gateway::GatewayArgs;
use latency::Latency;
use model::{MOST_PROMPT, Subject};
use og_engine::RunSettings;
use og_kernels::Path as KernelPath;
use rpc::LoadArgs;
use std::path::PathBuf;
use testbed::Testbed;
use tokio::signal::unix::{SignalKind, signal};

/// Measure what this machine can do.
///
/// Of the network: starts a fresh one in a temporary folder, every node a process of its own, and drives it over its
/// public interfaces. Of models: runs the engine that serves requests, in this process. Each figure is measured in
/// several rounds: the value is the median of the rounds, the spread their least and greatest.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og bench                          the network, about a minute
  og bench decode prefill batch     a language model of 15 million random weights
  og bench decode --shape 1b --threads 1
  og bench latency --model digits.og
  og bench finality --rounds 9
  og bench records --json           one line of JSON per figure
  og bench evm --anvil node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil
  og bench evm --accounts 1000000   and what a million accounts change
  og bench rpc --seconds 10
  og bench gateway --streams 10000 --soak 10

Figures:
  network_ready           seconds until a fresh network serves
  finality_p50, _p99      a record's way from its submission to its proof, nothing else going on
  records_per_second      records admitted and final
  transfers_per_second    transfers of the native token, final
  receipt_bytes           size of a receipt
  receipt_verify          time to verify one
  validator_memory        resident memory of the largest validator at the end
  decode_tokens_per_second, prefill_tokens_per_second
                          one request after a prompt of --prompt-tokens, and that prompt, every value committed to
  decode_uncommitted, prefill_uncommitted
                          the same without the commitment
  batch_tokens_per_second answers of 8 requests at once
  latency_p50, _p99       one request to a model that takes floats

Figures of evm, in millions of gas per second, with WORK one of transfers (of the native token), token (transfers of an
OpenZeppelin ERC-20) and compute (hashing):
  evm_WORK                from the first submission over JSON-RPC until all is final; whoever sends shares the cores
  evm_WORK_bare           the same transactions in the EVM alone (revm, in memory, in this process)
  evm_WORK_bare_signed    and there with decoding and the recovery of senders
  evm_WORK_ratio          evm_WORK to evm_WORK_bare_signed
  evm_WORK_anvil          with --anvil, which is told to mine block after block while transactions wait
  block_time              with --accounts: time per block of 1,000 transfers a second to accounts drawn at random, here and
                          below with 1,000 accounts and with as many as asked for
  block_time_busy         the same with 5,000 transfers a second
  cold_transfers          gas of as many such transfers as it takes, in millions per second
  node_restart            seconds from a validator's start on that state until it is ready and answers from it

Figures of rpc, with METHOD one of eth_call (balanceOf of a token), eth_get_balance and eth_block_number; the clients
share the cores with the validator:
  METHOD_per_second       single calls, --clients at a time on connections that stay open
  METHOD_p50, _p99        time of one
  eth_get_logs            search of the whole chain for one log

Figures of gateway: the whole way from an OpenAI-style request over gateway and inference node to a service that answers at
once with 20 tokens, and back with a signature for OpenGradient's clients and a record; the records are made final meanwhile.
Clients, service and all nodes share the cores:
  direct_per_second       the same requests to that service itself
  requests_per_second     through the gateway, --clients at a time on connections that stay open
  request_p50, _p99       time of one of those
  added_latency_p50       time of one request, nothing else going on, less that of the service itself
  settled_after           time after the last answer until all receipts are there
  open_streams            streams that are open at the same time, each with its first token; then all are ended
  gateway_memory, inference_memory
                          resident memory with those streams open, and after all requests (…_memory_idle)
  soak_NODE_memory, _growth
                          with --soak: resident memory in the second half of that time, and its growth over that half
  soak_per_second         those requests")]
pub(crate) struct Bench {
    /// What to measure; everything about the network if left out.
    #[arg(value_enum)]
    what: Vec<What>,
    /// How often each figure is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Number of validators [default: 4; 1 for evm and rpc, since each validator of a network on one machine runs every
    /// block again on the same cores].
    #[arg(long)]
    validators: Option<u16>,
    /// Shape of a language model with random weights: 15m, 124m or 1b; may be given several times.
    #[arg(
        long,
        value_name = "SHAPE",
        default_value = "15m",
        conflicts_with = "model"
    )]
    shape: Vec<String>,
    /// A model's file.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Tokens of the prompt of a language model.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PROMPT)))]
    prompt_tokens: u32,
    /// Threads that run models; as many as the machine has cores if left out.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Instructions that run models: scalar, avx2, avx512, avx512vnni or neon; the fastest there is if left out.
    #[arg(long, value_parser = super::replay::parse_path)]
    path: Option<KernelPath>,
    #[command(flatten)]
    evm: EvmArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Time from a record's submission to its proof.
    Finality,
    /// Records per second.
    Records,
    /// Transfers per second.
    Transfers,
    /// A receipt's size, and the time to verify it.
    Receipt,
    /// Tokens per second of one answer.
    Decode,
    /// Tokens per second of a prompt.
    Prefill,
    /// Tokens per second of several answers at once.
    Batch,
    /// Time of one request to a model of tensors (with --model).
    Latency,
    /// Gas per second of transfers, a token and hashing, beside the EVM alone.
    Evm,
    /// Calls of JSON-RPC per second.
    Rpc,
    /// Signed answers of the gateway per second, what it adds to a service's time, and open streams.
    Gateway,
}

/// Figures of the network.
const NETWORK: [What; 4] = [
    What::Finality,
    What::Records,
    What::Transfers,
    What::Receipt,
];
/// Accounts that send transfers.
const ACCOUNTS: u16 = 40;
/// Figures of models.
const MODELS: [What; 3] = [What::Decode, What::Prefill, What::Batch];

impl Bench {
    pub(crate) async fn run(self, output: &Output) -> anyhow::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Whichever ends first: dropping the testbed ends every process of it.
        tokio::select! {
            result = self.measure(output) => result,
            _ = interrupt.recv() => Err(interrupted()),
            _ = terminate.recv() => Err(interrupted()),
        }
    }

    async fn measure(&self, output: &Output) -> anyhow::Result<()> {
        if self.what.is_empty() || NETWORK.iter().any(|what| self.what.contains(what)) {
            self.measure_network(output).await?;
        }
        if MODELS.iter().any(|what| self.what.contains(what)) {
            self.measure_models(output)?;
        }
        if self.what.contains(&What::Latency) {
            self.measure_latency(output).await?;
        }
        let validators = self.validators.unwrap_or(1);
        if self.what.contains(&What::Evm) {
            self.evm.measure(self.rounds, validators, output).await?;
        }
        if self.what.contains(&What::Rpc) {
            self.load
                .measure_rpc(self.rounds, validators, output)
                .await?;
        }
        if self.what.contains(&What::Gateway) {
            self.gateway
                .measure(&self.load, self.rounds, validators, output)
                .await?;
        }
        Ok(())
    }

    async fn measure_network(&self, output: &Output) -> anyhow::Result<()> {
        let progress = output.progress("starting the network");
        let validators = self.validators.unwrap_or(4);
        let mut testbed = Testbed::start(validators, ACCOUNTS, output).await?;
        output.item(&testbed.ready())?;
        for what in NETWORK {
            if !self.what.is_empty() && !self.what.contains(&what) {
                continue;
            }
            let mut rounds = Vec::new();
            for round in 1..=self.rounds {
                progress.set(format!("{what:?}, round {round} of {}", self.rounds));
                rounds.push(match what {
                    What::Finality => finality::round(&mut testbed).await?,
                    What::Records => records::round(&mut testbed).await?,
                    What::Transfers => transfers::round(&mut testbed).await?,
                    What::Receipt => receipt::round(&mut testbed).await?,
                    _ => continue,
                });
            }
            for figure in Figure::summarise(&rounds) {
                output.item(&figure)?;
            }
        }
        if let Some(figure) = testbed.memory() {
            output.item(&figure)?;
        }
        Ok(())
    }

    fn measure_models(&self, output: &Output) -> anyhow::Result<()> {
        let settings = RunSettings {
            threads: self.threads.map(usize::from),
            path: self.path,
        };
        let prompt = self.prompt_tokens as usize;
        let progress = output.progress("making the model ready");
        if let Some(path) = &self.model {
            return self.measure_model(&Subject::file(path, settings, prompt)?, &progress, output);
        }
        for shape in &self.shape {
            progress.set(format!("drawing and converting {shape}"));
            self.measure_model(
                &Subject::random(shape, settings, prompt)?,
                &progress,
                output,
            )?;
        }
        Ok(())
    }

    async fn measure_latency(&self, output: &Output) -> anyhow::Result<()> {
        let Some(path) = &self.model else {
            return Err(failure(
                "latency is measured of a model's file",
                "name it with --model FILE",
            ));
        };
        let model = Latency::of(path)?;
        let progress = output.progress("asking the model");
        let mut rounds = Vec::new();
        for round in 1..=self.rounds {
            progress.set(format!("latency, round {round} of {}", self.rounds));
            rounds.push(model.round().await?);
        }
        for figure in Figure::summarise(&rounds) {
            output.item(&figure.of(model.name()))?;
        }
        Ok(())
    }

    fn measure_model(
        &self,
        subject: &Subject,
        progress: &Progress,
        output: &Output,
    ) -> anyhow::Result<()> {
        for what in MODELS {
            if !self.what.contains(&what) {
                continue;
            }
            let mut rounds = Vec::new();
            for round in 1..=self.rounds {
                progress.set(format!(
                    "{what:?} {}, round {round} of {}",
                    subject.name(),
                    self.rounds
                ));
                rounds.push(match what {
                    What::Decode => subject.decode()?,
                    What::Prefill => subject.prefill()?,
                    _ => subject.batch()?,
                });
            }
            for figure in Figure::summarise(&rounds) {
                output.item(&figure.of(subject.name()))?;
            }
        }
        Ok(())
    }
}

fn interrupted() -> anyhow::Error {
    failure("interrupted", "every process was stopped: run it again")
}
