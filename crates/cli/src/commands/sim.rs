//! `og sim`: run whole networks from seeds, and say what went wrong.

use crate::{
    failure::failure,
    output::{GOOD, Output, QUIET, TITLE, paint},
};
use anyhow::Context as _;
use og_sim::{Campaign, Failure, Summary, figures};
use serde::Serialize;
use std::{fmt, process::Command, thread};

/// Seeds that are run when neither a number nor a first one is given.
const DEFAULT_SEEDS: u64 = 100;
/// Smallest and largest network whose traffic can be counted.
const VALIDATORS: std::ops::RangeInclusive<i64> = 4..=100;

/// Run whole networks in simulated time, with faults and liars drawn from seeds.
///
/// Each seed decides everything: how many validators there are and which of them lie, delays and
/// losses, partitions, crashes, power losses that tear what is being written, wrong clocks. The
/// network must never disagree, lose what is final or admit what is forged, and must go on once
/// all has healed. A seed that fails does so every time: its message says how to run it again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og sim                            the first 100 seeds, on all cores
  og sim --seeds 10000              many
  og sim --seed 17                  one again, for example because it failed
  RUST_LOG=warn,og_consensus=debug og sim --seed 17
                                    the same, with all that its validators log
  og sim --traffic 4,10,25          messages and bytes per block as validators grow")]
pub(crate) struct Sim {
    /// How many seeds to run.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// The first seed, or the only one if no number is given.
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Networks that run at the same time [default: one on each core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Count messages and bytes per block for networks of these sizes, without faults, instead.
    #[arg(long, value_name = "VALIDATORS", value_delimiter = ',', conflicts_with_all = ["seeds", "seed"],
        value_parser = clap::value_parser!(u8).range(VALIDATORS))]
    traffic: Vec<u8>,
    /// Blocks over which the traffic is counted.
    #[arg(long, value_name = "N", default_value_t = 48, requires = "traffic",
        value_parser = clap::value_parser!(u64).range(1..))]
    blocks: u64,
}

/// What a campaign found, and with which program.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    commit: String,
    seeds_per_minute: f64,
    simulated_seconds_per_second: f64,
    #[serde(flatten)]
    summary: Summary,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Traffic(Vec<figures::Traffic>);

impl Sim {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<()> {
        if std::env::var_os("RUST_LOG").is_some() {
            tracing_subscriber::fmt()
                .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
                .with_writer(std::io::stderr)
                .init();
        }
        if !self.traffic.is_empty() {
            return output.result(&self.count_traffic(output)?);
        }
        let first = self.seed.unwrap_or(0);
        let many = match (self.seeds, self.seed) {
            (Some(many), _) => many,
            (None, Some(_)) => 1,
            (None, None) => DEFAULT_SEEDS,
        };
        let last = first.checked_add(many);
        let campaign = Campaign {
            seeds: first..last.context("there are no seeds above 2^64 - 1: begin lower")?,
            threads: self.threads.unwrap_or_else(cores),
        };
        let progress = output.progress_of(many, "seeds");
        let summary = campaign.run(|_| progress.advance());
        drop(progress);
        let report = Report {
            version: env!("CARGO_PKG_VERSION"),
            commit: commit(),
            seeds_per_minute: summary.seeds_per_minute(),
            simulated_seconds_per_second: summary.simulated_per_real(),
            summary,
        };
        let Some(failed) = report.summary.failures.first() else {
            return output.result(&report);
        };
        if output.is_json() {
            // The one document holds the failures; only the exit code is left to say it.
            output.result(&report)?;
            std::process::exit(1);
        }
        let next = format!(
            "run one again with its log: RUST_LOG=warn,og_consensus=debug og sim --seed {}",
            failed.seed
        );
        Err(failure(report.failures(), next))
    }

    fn count_traffic(&self, output: &Output) -> anyhow::Result<Traffic> {
        let progress = output.progress_of(self.traffic.len() as u64, "networks");
        let mut counted = Vec::new();
        for validators in &self.traffic {
            counted.push(figures::traffic(usize::from(*validators), self.blocks)?);
            progress.advance();
        }
        Ok(Traffic(counted))
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

/// The commit that was built, as far as known: what the builder said in `OG_COMMIT`, or that of
/// the project's checkout in which the command runs.
fn commit() -> String {
    if let Some(commit) = option_env!("OG_COMMIT") {
        return commit.to_owned();
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let is_ours = git(&["ls-files", ":/crates/sim/Cargo.toml"]).is_some_and(|it| !it.is_empty());
    if !is_ours {
        return "unknown".to_owned();
    }
    let is_changed = git(&["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    let changed = if is_changed { " with changes" } else { "" };
    git(&["rev-parse", "HEAD"]).map_or_else(|| "unknown".to_owned(), |it| it + changed)
}

impl Report {
    fn failures(&self) -> String {
        let Self {
            version, commit, ..
        } = self;
        let summary = &self.summary;
        let mut text = format!(
            "{} of {} seeds failed (og {version}, commit {commit})",
            summary.failures.len(),
            summary.seeds
        );
        for Failure { seed, what, plan } in &summary.failures {
            let plan = serde_json::to_string(plan).unwrap_or_default();
            text +=
                &format!("\nseed {seed}: {what}\n  plan: {plan}\n  replay: og sim --seed {seed}");
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version, commit, ..
        } = self;
        let summary = &self.summary;
        writeln!(
            f,
            "{} final blocks with {} transactions and {} records",
            summary.blocks, summary.transactions, summary.records
        )?;
        writeln!(
            f,
            "{} times a validator went on from fetched state",
            summary.state_syncs
        )?;
        writeln!(
            f,
            "{:.0} simulated seconds in {:.1} s: {:.0} seeds per minute, {:.0} simulated seconds per second",
            summary.simulated_s,
            summary.real_s,
            self.seeds_per_minute,
            self.simulated_seconds_per_second
        )?;
        writeln!(
            f,
            "after everything had healed, the slowest network went on within {:.1} simulated seconds",
            summary.slowest_healing_s
        )?;
        let program = format!("og {version}, commit {commit}");
        writeln!(f, "{}", paint(QUIET, program))?;
        let verdict = format!("All {} seeds hold.", summary.seeds);
        write!(f, "{}", paint(GOOD, verdict))
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!(
            "{:>10} {:>8} {:>16} {:>14} {:>18}",
            "validators", "blocks", "messages/block", "bytes/block", "block interval"
        );
        write!(f, "{}", paint(TITLE, head))?;
        for row in &self.0 {
            write!(
                f,
                "\n{:>10} {:>8} {:>16.0} {:>14.0} {:>15.0} ms",
                row.validators,
                row.blocks,
                row.messages_per_block,
                row.bytes_per_block,
                row.block_interval_ms
            )?;
            for (name, messages, bytes) in &row.by_channel {
                let line = format!("\n{name:>19} {messages:>16.1} {bytes:>14.0}");
                write!(f, "{}", paint(QUIET, line))?;
            }
        }
        Ok(())
    }
}
