//! The commands, one file each.

mod answered;
mod bench;
mod chat;
mod demo;
mod devnet;
mod embed;
mod gateway;
mod infer;
mod model;
mod network;
mod node;
mod replay;
mod sim;
mod tx;
mod verify;

use crate::output::Output;
use anyhow::Context as _;
use std::future::Future;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Demo(demo::Demo),
    Devnet(devnet::Devnet),
    Chat(chat::Chat),
    Embed(embed::Embed),
    Infer(infer::Infer),
    Verify(verify::Verify),
    Replay(replay::Replay),
    Model(model::Model),
    Tx(tx::Tx),
    Node(node::Node),
    Network(network::Network),
    Gateway(gateway::Gateway),
    Bench(bench::Bench),
    Sim(sim::Sim),
}

impl Command {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Demo(command) => wait_for(command.run(output)),
            Self::Devnet(command) => wait_for(command.run(output)),
            Self::Chat(command) => wait_for(command.run(output)),
            Self::Embed(command) => wait_for(command.run(output)),
            Self::Infer(command) => wait_for(command.run(output)),
            Self::Verify(command) => wait_for(command.run(output)),
            Self::Replay(command) => wait_for(command.run(output)),
            Self::Model(command) => wait_for(command.run(output)),
            Self::Tx(command) => wait_for(command.run(output)),
            Self::Node(command) => command.run(output),
            Self::Network(command) => command.run(output),
            Self::Gateway(command) => command.run(output),
            Self::Bench(command) => wait_for(command.run(output)),
            Self::Sim(command) => command.run(output),
        }
    }
}

/// Runs a command that waits for others. It stays on the main thread, because the processes that
/// it starts end with the thread that started them.
fn wait_for(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime for network input and output")?
        .block_on(command)
}
