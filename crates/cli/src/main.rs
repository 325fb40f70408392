//! Give people commands: `og`, the one binary of the network.

mod amount;
mod client;
mod commands;
mod digits;
mod failure;
mod fleet;
mod output;
mod picture;
mod process;

use clap::Parser;
use commands::Command;
use output::Output;
use std::process::ExitCode;

/// Blocks and conversations are many small pieces of memory that come and go on all threads.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A network that answers with receipts: ask a model, keep the proof of who answered what.
#[derive(Debug, Parser)]
#[command(name = "og", version, after_help = EXAMPLES)]
struct Cli {
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  og demo                                    the whole story in one command
  og devnet                                  a network of your own, until Ctrl-C
  og infer --model digits --input seven.png --receipt seven.receipt
  og verify seven.receipt --genesis devnet/genesis.json
  og tx send --to ADDRESS --value 1.5opg     on the network's chain

Every command explains itself: og devnet --help";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    match cli.command.run(&output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::FAILURE
        }
    }
}
