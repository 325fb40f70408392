//! `og demo`: the whole story in one command, on a fresh network that is gone afterwards.

mod story;

use super::network::SizeArgs;
use crate::{
    failure::failure,
    fleet::{Fleet, Lifetime},
    output::{Output, TITLE, paint},
};
use anyhow::Context as _;
use og_node::network::Network;
use std::{path::PathBuf, time::Instant};
use story::Story;
use tokio::signal::unix::{SignalKind, signal};

/// See what this is: a network stands up, answers, proves it, and loses a validator on the way.
///
/// Starts four validators, an inference node, a gateway and a relay, each a process of its own, in a
/// temporary folder on free ports. Asks a model for handwritten digits that it was not trained
/// on, waits until the answers are final, verifies their receipts offline, kills a validator,
/// asks again, starts it again and compares its state with the others'. Takes about a minute and
/// leaves nothing behind. The exit code is 0 only if every step went as it should.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og demo
  og demo --keep --dir /tmp/net     then look around, or resume it: og devnet --dir /tmp/net")]
pub(crate) struct Demo {
    /// Keep the network's folder, with logs and receipts.
    #[arg(long)]
    keep: bool,
    /// Folder of the network, by default a temporary one; it must be empty or not exist yet.
    #[arg(long, value_name = "DIR", requires = "keep")]
    dir: Option<PathBuf>,
}

impl Demo {
    pub(crate) async fn run(self, output: &Output) -> anyhow::Result<()> {
        let temporary = tempfile::Builder::new()
            .prefix("og-demo-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let directory = match &self.dir {
            Some(dir) => dir.clone(),
            None => temporary.path().join("network"),
        };
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let result = tokio::select! {
            result = tell(directory.clone(), output) => result,
            _ = interrupt.recv() => Err(interrupted()),
            _ = terminate.recv() => Err(interrupted()),
        };
        if self.keep {
            let _ = temporary.keep();
            output.line(format!("The network's folder is {}", directory.display()));
        }
        result
    }
}

fn interrupted() -> anyhow::Error {
    failure("interrupted", "every process was stopped: run it again")
}

/// Runs the whole story; all processes have ended when this returns or is dropped.
async fn tell(directory: PathBuf, output: &Output) -> anyhow::Result<()> {
    let started = Instant::now();
    output.line(paint(TITLE, "1. A network stands up"));
    let network = Network::create(
        &directory,
        &SizeArgs::default().plan_on_free_ports("demo")?,
        &mut rand::rng(),
    )?;
    let mut fleet = Fleet::start(network, Lifetime::Attached)?;
    fleet.wait_ready(output).await?;
    let mut story = Story::begin(&fleet.network, output).await?;
    story.introduce(started.elapsed());

    output.line(paint(
        TITLE,
        "\n2. It answers, and every answer has a receipt",
    ));
    story.ask(&[0, 2, 4, 6, 8]).await?;

    output.line(paint(TITLE, "\n3. A validator is killed; the others go on"));
    let victim = fleet
        .network
        .endpoints
        .rpcs
        .len()
        .checked_sub(1)
        .context("no validators")?;
    let name = format!("validator-{victim}");
    fleet.kill_node(&name)?;
    output.line(format!("  {name} was killed (SIGKILL)"));
    story.ask(&[1, 3, 5, 7, 9]).await?;

    output.line(paint(TITLE, "\n4. It comes back and catches up"));
    fleet.start_node(&name)?;
    story.compare(victim).await?;

    output.line(paint(TITLE, "\n5. What was shown"));
    fleet.stop();
    output.result(&story.summary(started.elapsed()))
}
