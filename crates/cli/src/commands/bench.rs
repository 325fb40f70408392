//! `og bench`: what this machine can do, measured on a network of real processes.

mod figure;
mod finality;
mod receipt;
mod records;
mod testbed;
mod transfers;

use super::network::SizeArgs;
use crate::{failure::failure, output::Output};
use figure::Figure;
use testbed::Testbed;
use tokio::signal::unix::{SignalKind, signal};

/// Measure what this machine can do.
///
/// Starts a fresh network in a temporary folder, every node a process of its own, and drives it
/// over its public interfaces. Each figure is measured in several rounds: the value is the median
/// of the rounds, the spread their least and greatest.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og bench                          everything, about a minute
  og bench finality --rounds 9
  og bench records --json           one line of JSON per figure

Figures:
  network_ready           seconds until a fresh network serves
  finality_p50, _p99      a record's way from its submission to its proof, nothing else going on
  records_per_second      records admitted and final
  transfers_per_second    transfers of the native token, final
  receipt_bytes           size of a receipt
  receipt_verify          time to verify one
  validator_memory        resident memory of the largest validator at the end")]
pub(crate) struct Bench {
    /// What to measure; everything if left out.
    #[arg(value_enum)]
    what: Vec<What>,
    /// How often each figure is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Number of validators.
    #[arg(long, default_value_t = 4)]
    validators: u16,
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
}

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
        let size = SizeArgs {
            validators: Some(self.validators),
            ..SizeArgs::default()
        };
        let progress = output.progress("starting the network");
        let mut testbed = Testbed::start(&size, output).await?;
        output.item(&testbed.ready())?;
        for what in [
            What::Finality,
            What::Records,
            What::Transfers,
            What::Receipt,
        ] {
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
}

fn interrupted() -> anyhow::Error {
    failure("interrupted", "every process was stopped: run it again")
}
