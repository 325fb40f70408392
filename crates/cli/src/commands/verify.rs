//! `og verify`: judge a receipt offline, line by line, or a validator's proof of state.

mod state;

use crate::{
    failure::failure,
    output::{GOOD, Output, QUIET, TITLE, WARN, paint},
};
use anyhow::{Context as _, ensure};
use og_node::network::read_genesis;
use og_types::{Checkpoint, limits::MAX_RECEIPT_BYTES};
use og_verify::{Line, Report, Status, TrustAnchor, VerifyError};
use serde::Serialize;
use std::{
    fmt,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

/// Longest checkpoint that is read, in bytes.
const MAX_CHECKPOINT_BYTES: u64 = 16 * 1024 * 1024;

/// Judge a receipt, offline: what was checked here, what is only claimed, who signed.
///
/// Needs the receipt and one file that you trust: the network's genesis file, or a checkpoint of
/// it. No network, no other file. The exit code is 0 only if everything that can be checked holds.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  og verify seven.receipt --genesis devnet/genesis.json
  og verify seven.receipt --genesis genesis.json --write-checkpoint today.checkpoint
  og verify eight.receipt --checkpoint today.checkpoint
  og verify state ADDRESS --genesis devnet/genesis.json     a validator's proof; og verify state --help

What the lines mean:
  checked  computed here from the receipt and the trusted file
  vouched  a quorum of validators signed a block that says so
  claimed  somebody says so, nothing more"
)]
pub(crate) struct Verify {
    #[command(subcommand)]
    other: Option<Other>,
    /// The receipt.
    #[arg(value_name = "RECEIPT", required = true)]
    receipt: Option<PathBuf>,
    #[command(flatten)]
    anchor: AnchorArgs,
    /// Write a checkpoint of the newest block that the receipt proves final.
    #[arg(long, value_name = "FILE")]
    write_checkpoint: Option<PathBuf>,
}

/// What else than a receipt can be judged.
#[derive(Debug, clap::Subcommand)]
enum Other {
    State(state::State),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct AnchorArgs {
    /// The network's genesis file, which you trust.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// A checkpoint, which you trust.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

#[derive(Serialize)]
struct Valid {
    valid: bool,
    report: Report,
}

impl Verify {
    pub(crate) async fn run(self, output: &Output) -> anyhow::Result<()> {
        if let Some(Other::State(state)) = self.other {
            return state.run(output).await;
        }
        let path = self.receipt.as_deref().context("no receipt")?;
        let receipt = read_bounded(path, MAX_RECEIPT_BYTES as u64)?;
        let anchor = self.anchor.read()?;
        let report = match og_verify::verify(&receipt, &anchor) {
            Ok(report) => report,
            Err(error) => return Err(rejected(&error)),
        };
        if let Some(path) = &self.write_checkpoint {
            let text = serde_json::to_string_pretty(&report.checkpoint(&anchor))?;
            fs::write(path, text)
                .with_context(|| format!("cannot write the checkpoint {}", path.display()))?;
        }
        output.result(&Valid {
            valid: true,
            report,
        })
    }
}

/// The error of a receipt that does not verify.
fn rejected(error: &VerifyError) -> anyhow::Error {
    failure(
        format!("the receipt does not verify: {error}"),
        "do not rely on it: ask for the receipt again, and check that the trusted file is the network's own",
    )
}

impl AnchorArgs {
    fn read(&self) -> anyhow::Result<TrustAnchor> {
        if let Some(path) = &self.genesis {
            let genesis = read_genesis(path)?;
            return TrustAnchor::from_genesis(&genesis)
                .with_context(|| format!("{} cannot be trusted", path.display()));
        }
        let path = self.checkpoint.as_deref().context("no trusted file")?;
        let bytes = read_bounded(path, MAX_CHECKPOINT_BYTES)?;
        let checkpoint: Checkpoint = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is not a checkpoint", path.display()))?;
        TrustAnchor::from_checkpoint(&checkpoint)
            .with_context(|| format!("{} cannot be trusted", path.display()))
    }
}

/// Reads a file of at most `maximum_bytes`.
pub(crate) fn read_bounded(path: &Path, maximum_bytes: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // What a file says about its length is not believed: a device or a pipe says nothing.
    File::open(path)
        .and_then(|file| file.take(maximum_bytes + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        bytes.len() as u64 <= maximum_bytes,
        "{} has more than the {maximum_bytes} bytes that are allowed",
        path.display()
    );
    Ok(bytes)
}

impl fmt::Display for Valid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        for line in &report.lines {
            writeln!(f, "{}", text(line))?;
        }
        writeln!(f, "{}", paint(TITLE, "signed by"))?;
        for signer in &report.signers {
            writeln!(f, "  {signer}")?;
        }
        writeln!(f, "{}", paint(QUIET, &report.limit))?;
        write!(f, "{}", paint(GOOD, "The receipt verifies."))
    }
}

fn text(line: &Line) -> String {
    let style = match line.status {
        Status::Checked => GOOD,
        Status::Vouched => TITLE,
        Status::Claimed => WARN,
    };
    format!(
        "{} {:<12} {}",
        paint(style, line.status),
        line.subject,
        line.detail
    )
}
